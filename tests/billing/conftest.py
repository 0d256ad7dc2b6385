"""What the billing tests share: a funded organization, jobs that hold, threads that commit."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import ApiKey, Organization
from billing import ledger, ledger_check, quotas, throttles
from billing.models import Hold, Limits
from billing.money import parse_usd
from tests.stripe_double.mail import backwards


@pytest.fixture(autouse=True)
def _fresh_limits():
    """No test sees limits or counters of another."""
    quotas.forget()
    throttles.counter.cache_clear()


@pytest.fixture
def api_key(org, key) -> ApiKey:
    return ApiKey.objects.get(organization=org)


@pytest.fixture
def account(desk, db):
    """A Stripe account that is ready."""
    call_command("stripe_setup")
    desk.mail.lose()
    return desk


@pytest.fixture
def postpaid(account, org, alice_browser):
    """Acme, which is invoiced each month."""
    org.billing_mode = "postpaid"
    org.save()
    Limits.objects.create(organization=org, credit_limit_micros=parse_usd("1000"))
    answer = alice_browser.post("/billing/subscribe")
    assert answer.status_code == 303, answer.headers
    account.pay(answer.headers["Location"])
    account.tell(times=2, order=backwards)
    return org


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
