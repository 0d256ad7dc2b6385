"""Slug to adapter, by the PROVIDERS setting. The core names no adapter."""

from __future__ import annotations

from functools import cache
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from providers.base import Adapter


@cache
def adapter(slug: str) -> Adapter:
    """The adapter of a provider; KeyError for a slug that is not configured."""
    return cast(Adapter, import_string(settings.PROVIDERS[slug])())


def slugs() -> list[str]:
    return list(settings.PROVIDERS)
