"""What the whole suite shares: people, a live platform, a browser."""

from __future__ import annotations

import pytest

pytest_plugins = [
    "tests.template",
    "tests.world",
    "tests.emptying",
    "tests.live",
    "tests.chromium",
    "tests.contract",
    "tests.stripe_double.fixtures",
]


@pytest.fixture(autouse=True, scope="session")
def _fast() -> None:
    from django.conf import settings  # noqa: PLC0415  the settings load after this file

    # Hashing is slow on purpose; no test is about how slow.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Every test client would list all static files when it is made; so they are looked up when asked for.
    settings.WHITENOISE_AUTOREFRESH = True
