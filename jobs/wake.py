"""Wake-ups: a message that work may be due. It may arrive twice or never; the row is the truth."""

from __future__ import annotations

import logging
from functools import partial

from celery import current_app
from django.db import transaction

log = logging.getLogger(__name__)

QUEUES = {"jobs.prepare": "media", "jobs.save": "media"}


def wake(task: str, *args: str) -> None:
    """Publish the task by name after the running transaction commits. A broker that is down is only logged:
    the sweeper finds the row."""
    transaction.on_commit(partial(_publish, task, args), robust=True)


def _publish(task: str, args: tuple[str, ...]) -> None:
    try:
        current_app.send_task(task, args=args, queue=QUEUES.get(task, "default"), retry=False)
    except Exception:  # noqa: BLE001  kombu raises many kinds; none may turn accepted work into an error
        log.warning("could not publish %s; the sweeper will find it", task, exc_info=log.isEnabledFor(logging.DEBUG))
