"""What the billing tests share: a funded organization, jobs that hold, threads that commit."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts.models import ApiKey, Organization
from billing import ledger, ledger_check, quotas, throttles
from billing.models import Hold
from billing.money import parse_usd


@pytest.fixture(autouse=True)
def _fresh_limits():
    """No test sees limits or counters of another."""
    quotas.forget()
    throttles.counter.cache_clear()


@pytest.fixture
def api_key(org, key) -> ApiKey:
    return ApiKey.objects.get(organization=org)


def give(organization: Organization, usd: str) -> None:
    with transaction.atomic():
        ledger.grant(organization, parse_usd(usd), reference=str(uuid.uuid4()), reason="for a test")


def hold(organization: Organization, usd: str, **more) -> Hold:
    with transaction.atomic():
        return ledger.hold(organization, job_id=uuid.uuid4(), amount_micros=parse_usd(usd), **more)


def books(organization: Organization) -> tuple[int, int]:
    found = ledger.balance(organization)
    return found.available_micros, found.held_micros


def assert_sound() -> None:
    assert [str(difference) for difference in ledger_check.check()] == []


def in_threads(number: int, work: Callable[[int], object]) -> list[object]:
    """Runs `work(0)` to `work(number - 1)` at the same moment, each over its own connection."""
    start = threading.Barrier(number)

    def one(index: int) -> object:
        try:
            connection.ensure_connection()
            start.wait()
            return work(index)
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))
