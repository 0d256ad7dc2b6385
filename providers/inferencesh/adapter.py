"""Orders at inference.sh. Its calls are not signed, so they are hints to an address that only it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from providers.base import Account, Adapter, Callback, Lost, Order, Update
from providers.errors import AccountRefused, NotFound, OutcomeUnknown, Refused, Unavailable
from providers.inferencesh import wire
from providers.upstream import NOBODYS, Upstream, external_id

BASE_URL = "https://api.inference.sh"
UPLOAD_SECONDS = 240.0


class InferenceShAdapter(Adapter):
    slug = "inferencesh"
    poll_seconds = 5.0
    rarest_seconds = 20.0
    asks_each = True
    submit_seconds = 300.0
    bounds = wire.BOUNDS
    customers_keys = True

    def __init__(self, account: Account) -> None:
        self.account = account

    async def submit(self, order: Order) -> str:
        wire.app(order)
        async with self._upstream() as api:
            body = wire.run(order, await self._addresses(api, order), callback=True)
            try:
                said = await api.ask("POST", "/apps/run", body=body, places_order=True)
            except NotFound as error:
                raise AccountRefused(f"no such app: {error.message}") from error
        return wire.started_id(said)

    async def _addresses(self, api: Upstream, order: Order) -> dict[str, str]:
        """Where the app reads the inputs: in the vendor's store, or in ours where the account says that it reaches it."""
        if self.account.settings.get("inputs") == "address":
            return {role: file.url for role, file in order.inputs.items()}
        roles = list(order.inputs)
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                sent = await asyncio.gather(*(self._upload(api, order, role) for role in roles))
        except TimeoutError as error:
            raise Unavailable("the inputs took too long to send") from error
        return dict(zip(roles, sent, strict=True))

    async def _upload(self, api: Upstream, order: Order, role: str) -> str:
        try:
            said = await api.ask("POST", "/files", body=wire.upload_request(order, role))
        except NotFound as error:
            raise Unavailable("no upload of files here") from error
        put, uri = wire.upload(said)
        file = order.inputs[role]
        await api.send_file(file, "PUT", put, {"Content-Type": file.content_type})
        return uri

    async def find(self, lost: Lost) -> str | None:
        """Only a call can name a lost order; a task that was ordered with the attempt's own address is the attempt's."""
        if not lost.claimed:
            raise OutcomeUnknown("nothing here tells of an order without its id")
        async with self._upstream() as api:
            said = await api.ask("GET", f"/tasks/{external_id(lost.claimed)}", counts=True)
        if not wire.is_for(said, lost.callback_url):
            raise OutcomeUnknown("the task that was named is not known to be ours")
        return lost.claimed

    async def poll(self, external_ids: Sequence[str]) -> list[Update]:
        async with self._upstream() as api:
            return await api.each(external_ids, lambda name: self._task(api, name))

    async def _task(self, api: Upstream, name: str) -> Update:
        return wire.update(name, await api.ask("GET", f"/tasks/{name}"))

    async def cancel(self, external_id: str) -> bool:
        async with self._upstream() as api:
            try:
                await api.ask("POST", f"/tasks/{external_id}/cancel")
            except (Refused, NotFound):
                return False
        return True

    def parse_callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        return Callback(wire.called_id(body))

    async def verify(self) -> None:
        async with self._upstream() as api:
            await api.verify(f"/tasks/{NOBODYS}")

    def _upstream(self) -> Upstream:
        headers = {"Authorization": f"Bearer {self.account.key}"}
        return Upstream(self.account, base_url=BASE_URL, headers=headers, complaint=wire.complaint)
