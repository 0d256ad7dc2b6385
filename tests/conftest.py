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


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """Nothing is free in the tests' world but where a test says so: what a job costs can then be told from its price."""
    from billing.models import FreeQuota

    with django_db_blocker.unblock():
        FreeQuota.objects.all().delete()


@pytest.fixture(autouse=True, scope="session")
def _fast() -> None:
    from django.conf import settings

    # Hashing is slow on purpose; no test is about how slow.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Every test client would list all static files when it is made; so they are looked up when asked for.
    settings.WHITENOISE_AUTOREFRESH = True
