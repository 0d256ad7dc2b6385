"""Every address of the product."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from jobs.dialects.rest import explorer
from jobs.dialects.rest.views.webhooks import keys
from jobs.hooks import callback

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("jobs.views.urls")),
    path("callbacks/<str:signed>", callback),
    path(".well-known/jwks.json", keys, name="jwks"),
    path("explorer", explorer.page, name="explorer"),
    path("v1/", include("jobs.dialects.rest.urls")),
    path("", include("jobs.files")),
    path("api/v1/", include("jobs.dialects.dashscope.urls")),
    path("api/v3/", include("jobs.dialects.wavespeed.urls")),
    # Its SDK joins base URL and path as they are; none of these is an address of the dashboard or of a stored file.
    path("", include("jobs.dialects.inferencesh.urls")),
    path("infsh/", include("jobs.dialects.inferencesh.urls")),
]
