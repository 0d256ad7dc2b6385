"""Wake-ups of billing's own work: a message that may arrive twice or never. `billing.due` finds whatever is lost."""

from __future__ import annotations

from functools import partial

from celery import current_app
from django.db import transaction


def wake(task: str, *args: str) -> None:
    """Publish the task once the running transaction has committed. A broker that is away is only logged."""
    transaction.on_commit(partial(current_app.send_task, task, args=args, retry=False), robust=True)
