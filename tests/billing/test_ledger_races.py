"""The ledger under fire: real threads, real commits, one organization."""

import random
import uuid
from collections import Counter

import pytest
from django.db import transaction

from accounts.models import ApiKey, Organization
from billing import ledger
from billing.errors import (
    AlreadyResolved,
    BudgetReached,
    HoldMismatch,
    InsufficientFunds,
    LedgerError,
    SpendCapReached,
)
from billing.models import Hold, Limits, Transfer
from billing.money import parse_usd
from tests.billing.conftest import assert_sound, books, give, in_threads

pytestmark = pytest.mark.django_db(transaction=True)
USD = 1_000_000


def attempt(organization: Organization, micros: int, key: ApiKey | None = None) -> str:
    try:
        with transaction.atomic():
            ledger.hold(organization, job_id=uuid.uuid4(), amount_micros=micros, key=key)
    except (InsufficientFunds, SpendCapReached, BudgetReached) as refusal:
        return refusal.code
    return "held"


def fire(
    organization: Organization, times: int, micros: int, key: ApiKey | None = None, threads: int = 20
) -> Counter:
    """So many holds at once, from so many threads."""
    rounds = in_threads(
        threads, lambda _: [attempt(organization, micros, key) for _ in range(times // threads)]
    )
    return Counter(outcome for outcomes in rounds for outcome in outcomes)


def test_of_200_holds_on_money_for_one_exactly_one_is_placed(org):
    give(org, "1")
    assert fire(org, 200, USD) == {"held": 1, "insufficient_funds": 199}
    assert books(org) == (0, USD)
    assert_sound()


@pytest.mark.parametrize(
    ("cap", "budget", "money", "fits", "refused"),
    [
        ("0.50", None, "100", 5, {"key_spend_cap"}),
        (None, "1", "100", 10, {"monthly_budget"}),
        (None, None, "0.70", 7, {"insufficient_funds"}),
        ("0.50", "1", "0.70", 5, {"key_spend_cap"}),
        ("2", "0.30", "0.70", 3, {"monthly_budget"}),
        ("2", "1", "0.70", 7, {"insufficient_funds"}),
    ],
)
def test_exactly_what_fits_a_limit_is_placed(org, key, cap, budget, money, fits, refused):
    api_key = ApiKey.objects.get(organization=org)
    api_key.spend_cap_micros = cap and parse_usd(cap)
    api_key.save()
    Limits.objects.create(organization=org, monthly_budget_micros=budget and parse_usd(budget))
    give(org, money)
    outcomes = fire(org, 100, USD // 10, key=api_key)
    assert outcomes.pop("held") == fits
    assert set(outcomes) == refused
    assert_sound()


def test_one_job_submitted_by_many_is_held_once(org):
    give(org, "10")
    job_id = uuid.uuid4()

    def place(_: int) -> int:
        with transaction.atomic():
            return ledger.hold(org, job_id=job_id, amount_micros=USD).pk

    assert len(set(in_threads(16, place))) == 1
    assert books(org) == (9 * USD, USD)
    assert_sound()


def test_one_payment_reported_by_many_is_granted_once(org):
    def pay(_: int) -> int:
        with transaction.atomic():
            return ledger.topup(org, USD, reference="payment 1", reason="").pk

    assert len(set(in_threads(16, pay))) == 1
    assert books(org) == (USD, 0)
    assert_sound()


def test_a_hold_is_captured_or_released_but_never_both(org):
    give(org, "100")
    for _ in range(20):
        job_id = uuid.uuid4()
        with transaction.atomic():
            ledger.hold(org, job_id=job_id, amount_micros=USD)

        def resolve(index: int, job_id: uuid.UUID = job_id) -> str:
            try:
                with transaction.atomic():
                    if index % 2:
                        ledger.release(job_id, reason="")
                        return "released"
                    ledger.capture(job_id, USD)
                    return "captured"
            except AlreadyResolved:
                return "late"

        outcomes = set(in_threads(4, resolve))
        assert len(outcomes & {"captured", "released"}) == 1
        assert Hold.objects.get(job_id=job_id).status in outcomes
    assert_sound()


def test_16_threads_at_random_leave_sound_books(org, key):
    """Every verb, on few jobs so that they meet, with duplicates; the money runs out and comes back."""
    api_key = ApiKey.objects.get(organization=org)
    give(org, "5")
    jobs = [uuid.uuid4() for _ in range(300)]
    lows = []

    def work(index: int) -> Counter:
        dice = random.Random(index)
        done: Counter = Counter()
        for _ in range(60):
            job_id, micros = dice.choice(jobs), dice.randint(0, USD // 2)
            verb = dice.choice(["hold", "hold", "raise", "capture", "release", "grant"])
            try:
                with transaction.atomic():
                    if verb == "hold":
                        ledger.hold(
                            org, job_id=job_id, amount_micros=micros, key=dice.choice([api_key, None])
                        )
                    elif verb == "raise":
                        ledger.raise_hold(job_id, micros)
                    elif verb == "capture":
                        ledger.capture(job_id, micros)
                    elif verb == "release":
                        ledger.release(job_id, reason="")
                    else:
                        ledger.grant(org, USD // 20, reference=f"{dice.randint(0, 50)}", reason="")
                done[verb] += 1
            except (InsufficientFunds, LedgerError, HoldMismatch) as refusal:
                done[refusal.code] += 1
            lows.append(ledger.balance(org).available_micros)
        return done

    done = sum(in_threads(16, work), Counter())
    assert min(lows) >= 0
    assert all(done[verb] for verb in ("hold", "raise", "capture", "release", "grant", "insufficient_funds"))
    assert done["hold_resolved"]
    assert Transfer.objects.filter(kind="grant").count() <= 52
    assert_sound()
