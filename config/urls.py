"""Mounts each app's addresses."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.defaults import server_error

from config.health import healthz, readyz
from config.status import note, status
from jobs.dialects.rest.problems import broken

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("status", status, name="status"),
    path("status/note", note, name="status_note"),
    path(settings.CONSOLE_PATH, admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("docs", include("config.docs.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("jobs.urls")),
]


def handler500(request: HttpRequest) -> HttpResponse:
    """A page for people, a problem for the programmes that call `/v1`."""
    return broken() if request.path.startswith("/v1/") else server_error(request)
