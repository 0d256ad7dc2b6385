"""What the whole suite shares: people, a live platform, a browser."""

from __future__ import annotations

import pytest

pytest_plugins = [
    "tests.world",
    "tests.emptying",
    "tests.live",
    "tests.chromium",
    "tests.contract",
    "tests.stripe_double.fixtures",
]


@pytest.fixture(autouse=True, scope="session")
def _fast_passwords() -> None:
    """Hashing is slow on purpose; no test is about how slow."""
    from django.conf import settings  # noqa: PLC0415  the settings load after this file

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
