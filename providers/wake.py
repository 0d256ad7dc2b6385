"""Publishing a wake-up to a queue. It may arrive twice or never; whoever waits for it must not depend on it."""

from __future__ import annotations

import logging

from celery import current_app

log = logging.getLogger(__name__)


def publish(task: str, args: tuple[str, ...], *, queue: str) -> bool:
    """Send the task by name. False when the broker is away; that is only logged."""
    try:
        current_app.send_task(task, args=args, queue=queue, retry=False)
    except Exception:  # noqa: BLE001  kombu raises many kinds; none may turn accepted work into an error
        log.warning("could not publish %s; it will be found by its row", task)
        return False
    return True
