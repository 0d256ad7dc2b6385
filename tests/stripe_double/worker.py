"""A worker process that may be killed: does whatever is due, again and again. `python -m tests.stripe_double.worker`"""

from __future__ import annotations

import time

import django

django.setup()

from celery import current_app  # noqa: E402  Django first

from billing import due  # noqa: E402  after Django's setup
from config import celery  # noqa: E402  after Django's setup

PAUSE = 0.05


def main() -> None:
    celery.app.loader.import_default_modules()
    print("working", flush=True)
    while True:
        for task, *args in due.due():
            current_app.tasks[task](*args)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
