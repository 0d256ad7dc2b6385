"""What every page's frame shows. Lazy: pages and answers without a frame cost no query."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.tenancy import caller_of, memberships_of


def account(request: HttpRequest) -> dict[str, Any]:
    return {
        "caller": SimpleLazyObject(lambda: caller_of(request)),
        "memberships": SimpleLazyObject(lambda: memberships_of(request)),
    }
