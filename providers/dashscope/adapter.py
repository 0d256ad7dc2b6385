"""Orders at DashScope. Files go through its temporary store; a picture is looked at before it is filmed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence

from providers.base import Account, Adapter, InputFile, Limits, Lost, Order, Update, Verdict
from providers.dashscope import wire
from providers.errors import OutcomeUnknown, Refused, Unavailable
from providers.failures import unsuitable
from providers.upstream import NOBODYS, Form, Upstream, external_id, named, settled

SYNTHESIS = "/services/aigc/image2video/video-synthesis"
DETECT = "/services/aigc/image2video/face-detect"
UPLOAD_SECONDS = 240.0
LIST_PAGES = 20
# Their clock and ours; what is known of our own orders covers as much.
SLACK_MS = 60_000


class DashScopeAdapter(Adapter):
    slug = "dashscope"
    poll_seconds = 15.0
    rarest_seconds = 60.0
    asks_each = True
    submit_seconds = 300.0
    limits = Limits(max_running=1, submits_per_second=5, queries_per_second=20)
    # The record of a task, and the address of its film, end after that.
    keeps_seconds = 86_400
    bounds = wire.BOUNDS
    customers_keys = True

    def __init__(self, account: Account) -> None:
        self.account = account

    async def submit(self, order: Order) -> str:
        name = wire.model(order, self.account.settings)
        async with self._upstream() as api:
            try:
                async with asyncio.timeout(UPLOAD_SECONDS):
                    if self._is_looked_at(order):
                        await self._gate(api, order)
                    addresses = await self._addresses(api, order, name)
            except TimeoutError as error:
                raise Unavailable("the inputs took too long to send") from error
            headers = {"X-DashScope-Async": "enable", **_resolve(addresses)}
            body = wire.submission(name, order, addresses)
            try:
                said = await api.ask("POST", SYNTHESIS, body=body, headers=headers, places_order=True)
            except Refused as refusal:
                if order.inputs["image"].made and refusal.code in wire.OF_THE_PICTURE:
                    raise unsuitable("provider_failed", refusal.message) from refusal
                raise
        return external_id(named(said, "output", "task_id"))

    def _is_looked_at(self, order: Order) -> bool:
        """What was filmed here of a picture that passed may turn away or blur; that is not the customer's doing."""
        wanted = order.model == "wan-2.2-s2v" and self.account.settings.get("check_pictures", True)
        return bool(wanted) and not order.inputs["image"].made

    async def _gate(self, api: Upstream, order: Order) -> None:
        """The detector's look costs next to nothing and a second; the generator's costs minutes."""
        found = await self._look(api, wire.S2V_DETECT, order.inputs["image"], "", order.tag)
        if not found.fit:
            raise wire.unfit(found)

    async def _look(self, api: Upstream, name: str, image: InputFile, ratio: str, tag: str) -> Verdict:
        address = await self._address(api, name, image, f"{tag}-look")
        body = wire.detection(name, address, ratio)
        return wire.verdict(await api.ask("POST", DETECT, body=body, headers=_resolve({"image": address})))

    async def _addresses(self, api: Upstream, order: Order, name: str) -> dict[str, str]:
        roles = list(order.inputs)
        sent = (self._address(api, name, order.inputs[role], f"{order.tag}-{role}") for role in roles)
        return dict(zip(roles, await asyncio.gather(*sent), strict=True))

    async def _address(self, api: Upstream, name: str, file: InputFile, stem: str) -> str:
        """Where the vendor reads the file: in its store, bound to one model, or in ours where the account says that it
        reaches it.
        """
        if self.account.settings.get("inputs") == "address":
            return file.url
        policy = wire.policy(await api.ask("GET", f"/uploads?action=getPolicy&model={name}"))
        if file.bytes > policy.most_bytes:
            raise unsuitable("input_unsuitable", f"{file.bytes} bytes of at most {policy.most_bytes}")
        filename = f"{stem}.{wire.suffix(file)}"
        key = f"{policy.folder}/{filename}"
        fields = {**policy.fields, "key": key, "x-oss-content-type": file.content_type}
        form = Form(fields, "file", filename)
        await api.send_file(file, "POST", policy.host, {"Content-Type": form.content_type}, form)
        return f"oss://{key}"

    async def find(self, lost: Lost) -> str | None:
        """The list tells models and times, no inputs: with others on the account a stranger's task could be taken for
        ours, so it is adopted only where the account is ours alone.
        """
        async with self._upstream() as api:
            found = [
                name
                for model in wire.KINDS[lost.model].names
                for name in await self._listed(api, model, lost)
            ]
        if not found and settled(lost):
            return None
        if len(found) == 1 and lost.alone and self.account.settings.get("exclusive") is True:
            return found[0]
        raise OutcomeUnknown(f"{len(found)} tasks could be it")

    async def _listed(self, api: Upstream, model: str, lost: Lost) -> list[str]:
        found: list[str] = []
        for number in range(1, LIST_PAGES + 1):
            said = await api.ask("GET", wire.page(number, model), counts=True)
            found += wire.unaccounted(said, lost, SLACK_MS)
            pages = said.get("total_page")
            if isinstance(pages, int) and number >= pages:
                return found
        raise OutcomeUnknown("the list does not end")

    async def poll(self, external_ids: Sequence[str]) -> list[Update]:
        async with self._upstream() as api:
            return await api.each(external_ids, lambda name: self._task(api, name))

    async def _task(self, api: Upstream, name: str) -> Update:
        return wire.update(name, await api.ask("GET", f"/tasks/{name}"))

    async def cancel(self, external_id: str) -> bool:
        """Only what still waits there can be stopped."""
        async with self._upstream() as api:
            try:
                await api.ask("POST", f"/tasks/{external_id}/cancel", counts=True)
            except Refused:
                return False
        return True

    async def check(self, detector: str, image: InputFile, ratio: str) -> Verdict:
        name = wire.DETECTORS.get(detector)
        if name is None:
            raise unsuitable("model_unsuitable", f"no detector {detector}")
        async with self._upstream() as api:
            return await self._look(api, name, image, ratio, secrets.token_hex(16))

    async def verify(self) -> None:
        async with self._upstream() as api:
            await api.verify(f"/tasks/{NOBODYS}")

    def _upstream(self) -> Upstream:
        settings = self.account.settings
        base = self.account.base_url or wire.base_url(settings)
        headers = {"Authorization": f"Bearer {self.account.key}"}
        if workspace := settings.get("workspace"):
            headers["X-DashScope-WorkSpace"] = str(workspace)
        return Upstream(self.account, base_url=base, headers=headers, complaint=wire.complaint)


def _resolve(addresses: Mapping[str, str]) -> dict[str, str]:
    """What makes the vendor look into its own temporary store."""
    ours = any(address.startswith("oss://") for address in addresses.values())
    return {"X-DashScope-OssResourceResolve": "enable"} if ours else {}
