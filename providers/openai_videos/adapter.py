"""Orders at a `/v1/videos` server of the operator's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from providers.base import Account, Adapter, Lost, Order, Output, Update
from providers.errors import AccountRefused, NotFound, OutcomeUnknown, Refused
from providers.openai_videos import wire
from providers.upstream import NOBODYS, Form, Upstream, external_id, settled

OUTPUT_BYTES = 2 * 1024**3
LIST_PAGES = 20
SLACK_SECONDS = 60.0


class OpenAIVideosAdapter(Adapter):
    slug = "openai_videos"
    poll_seconds = 3.0
    rarest_seconds = 20.0
    asks_each = True
    submit_seconds = 60.0
    bounds = wire.BOUNDS
    ours = True

    def __init__(self, account: Account) -> None:
        self.account = account

    async def submit(self, order: Order) -> str:
        wire.check(order)
        form = Form(wire.form(order))
        headers = {"Content-Type": form.content_type}
        async with self._upstream() as api:
            try:
                said = await api.ask(
                    "POST", "/videos", content=form.whole(), headers=headers, places_order=True
                )
            except NotFound as error:
                raise AccountRefused(f"no video API, or no such model: {error.message}") from error
        return external_id(said.get("id"))

    async def find(self, lost: Lost) -> str | None:
        """The list tells times and prompts, but no word of ours; see the README on `exclusive`."""
        found: list[str] = []
        after = ""
        async with self._upstream() as api:
            for _ in range(LIST_PAGES):
                said = await api.ask("GET", f"/videos?limit=100&order=desc{after}", counts=True)
                found += wire.unaccounted(said, lost, SLACK_SECONDS)
                if said.get("has_more") is not True:
                    break
                after = f"&after={external_id(said.get('last_id'))}"
            else:
                raise OutcomeUnknown("the list does not end")
        if not found and settled(lost):
            return None
        if len(found) == 1 and lost.alone and self.account.settings.get("exclusive") is True:
            return found[0]
        raise OutcomeUnknown(f"{len(found)} jobs could be it")

    async def poll(self, external_ids: Sequence[str]) -> list[Update]:
        async with self._upstream() as api:
            return await api.each(external_ids, lambda name: self._video(api, name))

    async def _video(self, api: Upstream, name: str) -> Update:
        return wire.update(name, await api.ask("GET", f"/videos/{name}"))

    async def bring(self, external_id: str, output: Output, to: Path) -> None:
        async with self._upstream() as api:
            await api.save(f"/videos/{external_id}/content", to, most=OUTPUT_BYTES)

    async def cancel(self, external_id: str) -> bool:
        """Deleting a job aborts it; the next poll does not find it any more."""
        async with self._upstream() as api:
            try:
                await api.ask("DELETE", f"/videos/{external_id}")
            except (Refused, NotFound):
                return False
        return True

    async def verify(self) -> None:
        async with self._upstream() as api:
            await api.verify(f"/videos/{NOBODYS}")

    def _upstream(self) -> Upstream:
        if not self.account.base_url:
            raise AccountRefused("the account names no server; there is no usual one")
        headers = {"Authorization": f"Bearer {self.account.key}"} if self.account.key else {}
        return Upstream(self.account, base_url="", headers=headers, complaint=wire.complaint)
