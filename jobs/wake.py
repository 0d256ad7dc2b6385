"""Wake-ups after commit: a message that work may be due. The row is the truth, and the sweeper finds it anyway."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from providers.wake import publish

# Work that decodes media or moves large files has workers of its own, and so has placing orders: a provider that hangs
# holds up nothing else.
QUEUES = {
    "jobs.dispatch": "orders",
    "jobs.prepare": "media",
    "jobs.save": "media",
    "jobs.next_part": "media",
    "jobs.finish_upload": "media",
    "jobs.export": "media",
}


def wake(task: str, *args: str) -> None:
    """Publish the task by name once the running transaction has committed (at once outside of one)."""
    transaction.on_commit(partial(publish, task, args, queue=QUEUES.get(task, "default")), robust=True)
