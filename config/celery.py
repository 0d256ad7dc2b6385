"""The Celery app. Tasks sit at the foot of the verb modules named here."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("voicereel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = (
    "billing.autotopup",
    "billing.customers",
    "billing.inbox",
    "billing.ledger_check",
    "billing.outbox",
    "billing.reversals",
    "billing.subscriptions",
    "billing.topups",
    "jobs.prepare",
    "jobs.dispatch",
    "jobs.parts",
    "jobs.settle",
    "jobs.notices",
    "jobs.erasing",
    "jobs.exports",
    "jobs.webhooks",
    "jobs.cancel",
    "jobs.switches",
    "jobs.detect",
    "jobs.expire",
    "jobs.gallery",
    "jobs.reconcile",
    "jobs.dialects.rest.idempotency",
    "providers.local.render",
)


@worker_ready.connect
def announce(**_: Any) -> None:
    """Touches READY_FILE, if one is named, once this worker consumes: supervisors look there."""
    path = os.environ.get("READY_FILE")
    if path:
        Path(path).touch()


@worker_process_init.connect
def prepare(**_: Any) -> None:
    """What the first finished film would wait two seconds for is made as the process begins, beside its work."""
    threading.Thread(target=_prepare, name="prepare", daemon=True).start()


def _prepare() -> None:
    from jobs import media, storage  # noqa: PLC0415  there is no Django yet when this module is loaded

    media.warm()
    storage.warm()
