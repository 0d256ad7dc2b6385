"""A worker's side of a render: claim the row, run the engine child, send each finished clip to storage.

A worker that dies leaves a lease that runs out and clips in storage; the next one goes on after the last clip.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from celery import shared_task
from celery.worker import state as worker_state
from django.conf import settings
from django.db.models.functions import Now

from providers import leases
from providers.base import clip_name
from providers.local.engine import Engine
from providers.models import Render

log = logging.getLogger(__name__)

# Taken up this often without an end, a render is given up: it may be what kills the workers.
MAX_RUNS = 5
BEAT_SECONDS = 0.4
TRANSFER_SECONDS = 120
TRANSFER_TRIES = 5
CRASHED = {
    "code": "engine_failed",
    "message": "The renderer stopped unexpectedly; nothing was charged.",
    "retryable": True,
}


class Stopped(Exception):
    """The render is not ours any more, or its customer canceled it."""


def render(render_id: str) -> None:
    """Render an order if it is open and nobody holds it. Safe to call at any time."""
    rows = Render.objects.filter(pk=render_id, status__in=[Render.Status.WAITING, Render.Status.RUNNING])
    for row in leases.claim(rows, seconds=settings.RENDER_LEASE_SECONDS):
        if row.cancel_requested:
            finish(row, Render.Status.CANCELED)
        elif row.runs >= MAX_RUNS:
            finish(row, Render.Status.FAILED, error=CRASHED)
        else:
            write(row, status=Render.Status.RUNNING, runs=row.runs + 1)
            _run(row)


def _run(row: Render) -> None:
    with _folder(row) as folder:
        try:
            _bring(row, folder)
            with Engine(row.engine, folder) as engine:
                _follow(row, engine, folder)
        except Stopped:
            log.info("render %s stopped", row.pk, extra={"render": row.pk})
        except EOFError:
            words = engine.last_words()
            log.warning("engine of %s ended early: %s", row.pk, words, extra={"render": row.pk})
            release(row)
        except httpx.HTTPError:
            log.exception("files of %s did not move", row.pk, extra={"render": row.pk})
            release(row)


@contextmanager
def _folder(row: Render) -> Iterator[Path]:
    settings.RENDER_DIR.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{row.pk.hex[:12]}-", dir=settings.RENDER_DIR))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bring(row: Render, folder: Path) -> None:
    """Inputs, finished clips and the order, as files for the child."""
    (folder / "in").mkdir()
    order: dict[str, Any] = {**row.spec["options"], "clips_done": row.clips_done}
    for role, url in row.spec["inputs"].items():
        _download(row, url, folder / "in" / role)
        order[role] = f"in/{role}"
    for index in range(row.clips_done):
        name = clip_name(index)
        _download(row, row.spec["get"][name], folder / name)
    (folder / "order.json").write_text(json.dumps(order))


def _follow(row: Render, engine: Engine, folder: Path) -> None:
    """Turn the child's events into row updates and uploads until it has ended. Beats all the while."""
    seen: dict[str, Any] = {"phase": "analyse", "progress": 0.0}
    beaten = 0.0
    while True:
        event = engine.event(BEAT_SECONDS) or {"event": "nothing new"}
        match event["event"]:
            case "plan":
                seen["clips"] = event["clips"]
            case "progress":
                seen |= {"phase": event["phase"], "progress": event["progress"]}
            case "clip":
                _upload(row, event["file"], folder)
                beat(row, **seen, clips_done=event["index"] + 1)
            case "done":
                _upload(row, event["file"], folder)
                finish(row, Render.Status.SUCCEEDED, result=_result(event))
                return
            case "error":
                finish(row, Render.Status.FAILED, error=_error(event))
                return
        if time.monotonic() - beaten > BEAT_SECONDS:
            beat(row, **seen)
            beaten = time.monotonic()
        if getattr(worker_state, "should_stop", None) is not None:  # its stubs say always None
            hand_over(row)


def _result(event: Any) -> dict[str, Any]:
    kept = ("frames", "fps", "width", "height", "seconds")
    return {"outputs": [{"kind": "video", "name": event["file"]}], **{name: event[name] for name in kept}}


def _error(event: Any) -> dict[str, Any]:
    kept = {name: str(event.get(name) or "") for name in ("code", "message", "hint")}
    return {**kept, "retryable": bool(event.get("retryable"))}


def write(row: Render, **fields: Any) -> None:
    """Update the row if it is still ours. Raises Stopped when it is not."""
    if Render.objects.filter(pk=row.pk, fence=row.fence).update(**fields) != 1:
        raise Stopped


def beat(row: Render, **fields: Any) -> None:
    """Renew the lease and tell the progress. Raises Stopped when canceled or fenced off."""
    write(row, lease_until=Now() + timedelta(seconds=settings.RENDER_LEASE_SECONDS), **fields)
    if Render.objects.filter(pk=row.pk, cancel_requested=True).exists():
        finish(row, Render.Status.CANCELED)
        raise Stopped


def finish(row: Render, status: Render.Status, **fields: Any) -> None:
    """The render's end, if it is still ours."""
    if status == Render.Status.SUCCEEDED:
        fields["progress"] = 1.0
    write(row, status=status, lease_until=None, finished_at=Now(), **fields)


def release(row: Render) -> None:
    """Let another worker (or this one, later) take it up. The last allowed run fails it."""
    if row.runs + 1 >= MAX_RUNS:
        finish(row, Render.Status.FAILED, error=CRASHED)
    else:
        # left RUNNING with a short lease: the poll that finds it free announces it again
        write(row, lease_until=Now() + timedelta(seconds=2))


def hand_over(row: Render) -> None:
    """The worker was told to stop: the next one may go on at once, and the run does not count. Raises Stopped."""
    write(row, lease_until=None, runs=row.runs)
    raise Stopped


def _download(row: Render, url: str, path: Path) -> None:
    def once() -> None:
        with httpx.stream("GET", url, timeout=TRANSFER_SECONDS, trust_env=False) as response:
            response.raise_for_status()
            with path.open("wb") as file:
                for chunk in response.iter_bytes(1 << 20):
                    file.write(chunk)

    _patiently(row, once)


def _upload(row: Render, name: str, folder: Path) -> None:
    def once() -> None:
        path = folder / name
        with path.open("rb") as file:
            headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "video/mp4"}
            response = httpx.put(
                row.spec["put"][name],
                content=file,
                headers=headers,
                timeout=TRANSFER_SECONDS,
                trust_env=False,
            )
        response.raise_for_status()

    _patiently(row, once)


def _patiently(row: Render, once: Any) -> None:
    """Storage may be away for a moment: a few tries with pauses, beating so that the lease is kept."""
    for left in reversed(range(TRANSFER_TRIES)):
        try:
            once()
        except httpx.HTTPError:
            if not left:
                raise
            time.sleep(0.5 * 2 ** (TRANSFER_TRIES - left - 1))
            beat(row)
        else:
            return


@shared_task(name="local.render")
def render_task(render_id: str) -> None:
    render(render_id)
