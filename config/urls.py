"""Mounts each app's addresses."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from config.health import healthz, readyz
from config.status import status

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("status", status, name="status"),
    path(settings.CONSOLE_PATH, admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("docs", include("config.docs.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("jobs.urls")),
]
