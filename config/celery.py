"""The Celery app. Tasks sit at the foot of the verb modules named here."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("voicereel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = (
    "billing.ledger_check",
    "jobs.prepare",
    "jobs.dispatch",
    "jobs.settle",
    "jobs.notify",
    "jobs.gallery",
    "providers.local.render",
)
