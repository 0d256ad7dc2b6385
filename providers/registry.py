"""Slug to adapter, by the PROVIDERS setting. The core names no adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from providers import vault
from providers.base import Account, Adapter


def adapter_class(slug: str) -> type[Adapter]:
    """KeyError for a slug that is not configured."""
    return cast(type[Adapter], import_string(settings.PROVIDERS[slug]))


def adapter(slug: str, account_id: int | None = None) -> Adapter:
    """A provider's adapter that speaks for the account. Reads the database."""
    kind = cast(Callable[[Account], Adapter], adapter_class(slug))
    return kind(vault.account(account_id, adapter_class(slug).limits) if account_id else Account())


def slugs() -> list[str]:
    return list(settings.PROVIDERS)
