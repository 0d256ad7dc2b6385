"""Wiring only. The Celery app is made here so that it is the current app in every process."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
