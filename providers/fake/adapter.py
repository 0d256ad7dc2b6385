"""A provider that does what the prompt says: for tests, fault drills and trying the API without rendering.

Scripts are words in the prompt, such as `[fake seconds=2]` or `[fake fail=face_not_found]`:

seconds=N     takes N seconds (0.2 without it)          stall          never ends
fail=CODE     fails with that code, for good            flaky=CODE     fails with that code, retryable
refuse=CODE   the submit is refused                     throttle=N     the first N submits are throttled
unavailable   every submit finds nobody                 drop           takes the order, loses the answer
lie=short     returns half the length                   lie=garbage    returns bytes that are no video
lie=mute      returns a video without sound             forget         forgets the order
flagged=yes   its own check flags the video             flagged=no     its own check finds nothing
hint=WORDS    beside a failure (a_b for "a b")          clips=N        tells of N clips, one after the other
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
from asgiref.sync import sync_to_async
from django.utils import timezone

from providers.base import Account, Adapter, InputFile, Lost, Order, Output, State, Update, Verdict
from providers.errors import OutcomeUnknown, Refused, Throttled, Unavailable
from providers.fake.video import make_video
from providers.models import FakeTask

SCRIPT = re.compile(r"\[fake ([^\]]*)\]")
QUICK = 0.2
OUTPUT = "output.mp4"


class FakeAdapter(Adapter):
    slug = "fake"
    poll_seconds = 0.2

    def __init__(self, account: Account) -> None:
        self.account = account

    async def submit(self, order: Order) -> str:
        script = read_script(str(order.options.get("prompt", "")))
        if "refuse" in script:
            raise Refused("as the script says", code=script["refuse"], customer_message="The script refused.")
        if "unavailable" in script:
            raise Unavailable("as the script says")
        seen = FakeTask.objects.filter(script__order=script.get("order", order.tag))
        if "throttle" in script and await seen.acount() < int(script["throttle"]):
            await FakeTask.objects.acreate(
                id=UUID(hex=order.tag),
                tag=order.tag,
                script={**script, "order": script.get("order", order.tag)},
                order={},
            )
            raise Throttled("as the script says", retry_after=0.2)
        kept = {"length_ms": order.length_ms, "put": order.workspace.put_url(OUTPUT)}
        task, _ = await FakeTask.objects.aget_or_create(
            tag=order.tag, defaults={"id": UUID(hex=order.tag), "script": script, "order": kept}
        )
        if "drop" in script:
            raise OutcomeUnknown("as the script says")
        return str(task.id)

    async def find(self, lost: Lost) -> str | None:
        task = await FakeTask.objects.filter(tag=lost.tag).afirst()
        return str(task.id) if task else None

    async def poll(self, external_ids: Sequence[str]) -> list[Update]:
        tasks = await sync_to_async(FakeTask.objects.in_bulk)([UUID(name) for name in external_ids])
        lost = [Update(name, State.LOST) for name in external_ids if UUID(name) not in tasks]
        return [await self._update(task) for task in tasks.values()] + lost

    async def cancel(self, external_id: str) -> bool:
        await FakeTask.objects.filter(pk=UUID(external_id)).aupdate(canceled=True)
        return True

    async def check(self, detector: str, image: InputFile, ratio: str) -> Verdict:
        """Every picture is fit; the boxes are those of a head in its middle."""
        w, h = image.width, image.height
        face = (w // 3, h // 3, 2 * w // 3, 2 * h // 3)
        return Verdict(fit=True, person=True, face=face, frame=(0, 0, w, h) if ratio else None)

    async def _update(self, task: FakeTask) -> Update:
        script, name = task.script, str(task.id)
        age = (timezone.now() - task.created_at).total_seconds()
        if task.canceled:
            return Update(name, State.CANCELED)
        if "forget" in script:
            return Update(name, State.LOST)
        share = min(age / float(script.get("seconds", QUICK)), 1.0)
        if "stall" in script or share < 1.0:
            return _at_work(name, script, 0.0 if "stall" in script else share)
        if code := script.get("fail") or script.get("flaky"):
            hint = script.get("hint", "").replace("_", " ")
            retryable = "flaky" in script
            return Update(
                name, State.FAILED, code=code, message="The script failed.", hint=hint, retryable=retryable
            )
        if not task.delivered:
            await self._deliver(task)
        flagged = script["flagged"] == "yes" if "flagged" in script else None
        video = Output("video", name=OUTPUT, flagged=flagged)
        return Update(name, State.SUCCEEDED, progress=1.0, outputs=(video,))

    async def _deliver(self, task: FakeTask) -> None:
        body = await sync_to_async(make_video)(task.order["length_ms"], task.script.get("lie", ""))
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.put(task.order["put"], content=body, headers={"Content-Type": "video/mp4"})
            answer.raise_for_status()
        await FakeTask.objects.filter(pk=task.pk).aupdate(delivered=True)


def _at_work(name: str, script: dict[str, Any], share: float) -> Update:
    clips = int(script.get("clips", 0))
    detail = {"clip": int(share * clips) + 1, "clips": clips} if clips else {}
    return Update(name, State.RUNNING, progress=share, phase="render", detail=detail)


def read_script(prompt: str) -> dict[str, Any]:
    """The words of `[fake ...]` as a dictionary; a bare word maps to an empty text."""
    found = SCRIPT.search(prompt)
    pairs = (word.partition("=") for word in found.group(1).split()) if found else ()
    return {name: value for name, _, value in pairs}
