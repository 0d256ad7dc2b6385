"""Renders on our own machines: an ordinary adapter whose external id is a Render row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.db.models.functions import Now

from providers.base import Account, Adapter, InputFile, Lost, Order, Output, State, Update, Verdict, clip_name
from providers.errors import NotFound, Refused
from providers.leases import FREE
from providers.local import detect
from providers.models import Render
from providers.wake import publish

# What the CPU engine takes when the customer says nothing: smooth, and clips of five seconds.
FPS = 25
FRAMES_PER_CLIP = 125
# An open render without a holder is announced again after this long: the first message may be lost.
AGAIN = timedelta(seconds=3)

STATES = {
    Render.Status.WAITING: State.WAITING,
    Render.Status.RUNNING: State.RUNNING,
    Render.Status.SUCCEEDED: State.SUCCEEDED,
    Render.Status.FAILED: State.FAILED,
    Render.Status.CANCELED: State.CANCELED,
}


class LocalAdapter(Adapter):
    slug = "local"
    poll_seconds = 0.5
    streams_clips = True
    ours = True

    def __init__(self, account: Account) -> None:
        self.account = account

    async def submit(self, order: Order) -> str:
        """Insert the Render; the same tag gives the same one."""
        return await sync_to_async(self._submit)(order)

    def _submit(self, order: Order) -> str:
        engine, queue = str(order.route.get("engine", "")), str(order.route.get("queue", ""))
        if not engine or not queue:
            raise Refused("the route's settings name no engine and queue", code="route_misconfigured")
        fields = {"engine": engine, "queue": queue, "spec": spec(order)}
        render, _ = Render.objects.get_or_create(
            tag=order.tag, defaults={"id": UUID(hex=order.tag), **fields}
        )
        publish("local.render", (str(render.id),), queue=queue)
        return str(render.id)

    async def find(self, lost: Lost) -> str | None:
        render = await Render.objects.filter(tag=lost.tag).afirst()
        return str(render.id) if render else None

    async def poll(self, external_ids: Sequence[str]) -> list[Update]:
        return await sync_to_async(self._poll)(external_ids)

    def _poll(self, external_ids: Sequence[str]) -> list[Update]:
        found = Render.objects.in_bulk([UUID(name) for name in external_ids])
        self._announce_again(list(found))
        updates = [update(render) for render in found.values()]
        lost = [Update(name, State.LOST) for name in external_ids if UUID(name) not in found]
        return updates + lost

    def _announce_again(self, ids: list[UUID]) -> None:
        late = Render.objects.filter(
            FREE,
            pk__in=ids,
            status__in=[Render.Status.WAITING, Render.Status.RUNNING],
            woken_at__lt=Now() - AGAIN,
        )
        for render in late:
            if publish("local.render", (str(render.id),), queue=render.queue):
                Render.objects.filter(pk=render.pk).update(woken_at=Now())

    async def cancel(self, external_id: str) -> bool:
        return await sync_to_async(self._cancel)(external_id)

    def _cancel(self, external_id: str) -> bool:
        """A render nobody holds ends at once; a held one is stopped by its holder within a second."""
        rows = Render.objects.filter(pk=UUID(external_id))
        if not rows.update(cancel_requested=True):
            raise NotFound(external_id)
        held = ~Q(status__in=Render.FINAL)
        rows.filter(FREE, held).update(status=Render.Status.CANCELED, finished_at=Now())
        return True

    async def check(self, detector: str, image: InputFile, ratio: str) -> Verdict:
        return await sync_to_async(detect.look, thread_sensitive=False)(image, ratio)


def update(render: Render) -> Update:
    """A Render row in the words of the interface."""
    error: Mapping[str, Any] = render.error
    outputs = tuple(Output(kind=o["kind"], name=o["name"]) for o in render.result.get("outputs", ()))
    return Update(
        external_id=str(render.id),
        state=STATES[Render.Status(render.status)],
        progress=render.progress,
        phase=render.phase,
        detail={"clip": render.clips_done, "clips": render.clips} if render.clips else {},
        outputs=outputs,
        code=error.get("code", ""),
        message=error.get("message", ""),
        hint=error.get("hint", ""),
        retryable=bool(error.get("retryable", False)),
    )


def spec(order: Order) -> dict[str, Any]:
    """All that a worker needs: what to render, where to read the inputs, where to write clips and the result."""
    fps = int(order.options.get("fps", FPS))
    frames_per_clip = int(order.options.get("num_frames_per_chunk", FRAMES_PER_CLIP))
    frames = math.ceil(order.length_ms * fps / 1000)
    # one more than planned: the engine's own count of frames may differ by one
    clips = math.ceil((frames + 1) / frames_per_clip)
    names = [clip_name(index) for index in range(clips)]
    return {
        "options": {
            "resolution": order.options.get("resolution", "480p"),
            "seed": order.options["seed"],
            "prompt": order.options.get("prompt", ""),
            "fps": fps,
            "frames_per_clip": frames_per_clip,
            "crop": order.options.get("ext_bbox"),
            "style": order.options.get("style_level", "normal"),
        },
        "inputs": {role: file.url for role, file in order.inputs.items()},
        "get": {name: order.workspace.get_url(name) for name in names},
        "put": {name: order.workspace.put_url(name) for name in [*names, "output.mp4"]},
        "life_seconds": order.life_seconds,
    }
