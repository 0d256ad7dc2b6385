"""Orders at WaveSpeed. It has no cancel and no client token; a lost order is looked for in the account's history."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from providers.base import Account, Adapter, Callback, Lost, Order, Update
from providers.errors import NotFound, OutcomeUnknown, Unavailable
from providers.upstream import NOBODYS, Upstream, external_id, named, settled
from providers.wavespeed import wire

BASE_URL = "https://api.wavespeed.ai"
UPLOAD_SECONDS = 240.0
HISTORY_PAGES = 30


class WaveSpeedAdapter(Adapter):
    slug = "wavespeed"
    poll_seconds = 3.0
    rarest_seconds = 20.0
    asks_each = True
    submit_seconds = 300.0
    # Its history goes back so far; of the films themselves it says only that they are temporary.
    keeps_seconds = 7 * 86_400
    bounds = wire.BOUNDS
    customers_keys = True

    def __init__(self, account: Account) -> None:
        self.account = account

    async def submit(self, order: Order) -> str:
        path = f"/api/v3/{wire.path(order)}"
        if order.callback_url and self.account.secret:
            path += "?" + urlencode({"webhook": order.callback_url})
        async with self._upstream() as api:
            body = wire.submission(order, await self._addresses(api, order))
            try:
                said = await api.ask("POST", path, body=body, places_order=True)
            except NotFound as error:
                raise Unavailable(f"no such model here: {error.message}") from error
        return external_id(named(said, "data", "id"))

    async def _addresses(self, api: Upstream, order: Order) -> dict[str, str]:
        """Where the vendor reads the inputs. Always in its own store: the names they get there carry the tag, without
        which a lost order could not be told from one that never arrived.
        """
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                roles = list(order.inputs)
                return dict(
                    zip(
                        roles,
                        await asyncio.gather(*(self._upload(api, order, r) for r in roles)),
                        strict=True,
                    )
                )
        except TimeoutError as error:
            raise Unavailable("the inputs took too long to send") from error

    async def _upload(self, api: Upstream, order: Order, role: str) -> str:
        try:
            said = await api.ask("POST", "/api/v3/media/uploads", body=wire.ticket_request(order, role))
        except NotFound as error:
            raise Unavailable("no upload of files here") from error
        put, headers, address = wire.ticket(said)
        await api.send_file(order.inputs[role], "PUT", put, headers)
        return address

    async def find(self, lost: Lost) -> str | None:
        """That it never arrived is believed of a history that shows what came before it: an empty one may be late."""
        async with self._upstream() as api:
            if lost.claimed:
                # Its callback was signed; the prediction's existence is all that is left to see.
                await self._result(api, lost.claimed)
                return lost.claimed
            for number in range(1, HISTORY_PAGES + 1):
                body = wire.history_request(number, lost)
                said = await api.ask("POST", "/api/v3/predictions", body=body, counts=True)
                page = wire.in_history(said, lost)
                if page.found:
                    return page.found
                if page.echoes and page.goes_back and settled(lost):
                    return None
                if page.goes_back or not page.echoes or not named(said, "data", "items"):
                    break
        raise OutcomeUnknown("the history does not tell")

    async def poll(self, external_ids: Sequence[str]) -> list[Update]:
        async with self._upstream() as api:
            return await api.each(external_ids, lambda name: self._result(api, name))

    async def _result(self, api: Upstream, name: str) -> Update:
        return wire.update(name, await api.ask("GET", f"/api/v3/predictions/{name}/result"))

    async def cancel(self, external_id: str) -> bool:
        """There is nothing to call; what runs there runs to its end."""
        return False

    def parse_callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        return Callback(wire.called_id(headers, body, self.account.secret))

    async def verify(self) -> None:
        async with self._upstream() as api:
            await api.verify(f"/api/v3/predictions/{NOBODYS}/result")

    def _upstream(self) -> Upstream:
        headers = {"Authorization": f"Bearer {self.account.key}"}
        return Upstream(
            self.account, base_url=BASE_URL, headers=headers, complaint=wire.complaint, meant=wire.meant
        )
