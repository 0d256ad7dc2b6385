"""Five hundred submits at one moment against a quota, a budget and a cap: exactly what fits is accepted."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey
from accounts.scopes import ALL_SCOPES
from accounts.tenancy import Caller
from billing import ledger, quotas
from billing.models import KeySpend, Limits, Price
from jobs.errors import Unpayable
from jobs.models import Job
from jobs.submit import submit
from tests.billing.conftest import assert_sound, in_threads
from tests.jobs import drive

pytestmark = pytest.mark.django_db(transaction=True)
SUBMITS, THREADS = 500, 20
CENT = 10_000
COST = 2 * CENT
QUOTA, BUDGET, CAP = 100, 100 * CENT, 50 * CENT


@pytest.fixture
def shop(org):
    """A job costs two cents; nothing starts, so whatever is accepted waits."""
    quotas.forget()
    drive.fund(org)
    drive.fake_route(org)
    Price.objects.create(
        organization=org, model="wan-2.2-s2v", resolution="480p", micros_per_unit=COST // 4, max_units=600,
        valid_from=timezone.now() - timedelta(days=1),
    )  # fmt: skip
    yield org
    quotas.forget()


@pytest.mark.parametrize(
    ("queued", "budget", "cap", "number", "fits", "codes"),
    [
        pytest.param(QUOTA, None, None, 1, 100, {"queued_jobs_limit"}, id="quota"),
        pytest.param(None, BUDGET, None, 1, 50, {"monthly_budget"}, id="budget"),
        pytest.param(None, None, CAP, 1, 25, {"key_spend_cap"}, id="cap"),
        pytest.param(QUOTA, BUDGET, CAP, 1, 25, {"key_spend_cap"}, id="all, one key"),
        pytest.param(QUOTA, BUDGET, CAP, 4, 50, {"key_spend_cap", "monthly_budget"}, id="all, four keys"),
        pytest.param(QUOTA, 250 * CENT, CAP, 10, 100, {"key_spend_cap", "queued_jobs_limit"}, id="all, ten keys"),
    ],
)  # fmt: skip
def test_of_500_submits_exactly_what_fits_is_accepted(shop, queued, budget, cap, number, fits, codes):
    Limits.objects.create(
        organization=shop, queued=SUBMITS if queued is None else queued, monthly_budget_micros=budget,
        submits_per_minute=100_000,
    )  # fmt: skip
    callers = [Caller(organization=shop, key=issued(shop, cap)) for _ in range(number)]

    outcomes = rush(drive.request(shop), callers)

    assert outcomes.pop("accepted") == fits == Job.objects.for_org(shop).count()
    assert sum(outcomes.values()) == SUBMITS - fits
    assert set(outcomes) <= codes
    assert ledger.balance(shop) == ledger.Balance(20 * drive.USD - fits * COST, fits * COST)
    spent = list(KeySpend.objects.values_list("held_micros", flat=True))
    assert sum(spent) == fits * COST
    assert cap is None or max(spent) <= cap
    assert_sound()


def issued(organization, cap) -> ApiKey:
    return keys.issue(organization, name="rush", by=None, scopes=ALL_SCOPES, spend_cap_micros=cap)[0]


def rush(order, callers) -> Counter[str]:
    def one(index: int) -> str:
        try:
            submit(callers[index % len(callers)], order)
        except Unpayable as refusal:
            return refusal.code
        return "accepted"

    rounds = in_threads(THREADS, lambda thread: [one(index) for index in range(thread, SUBMITS, THREADS)])
    return Counter(outcome for outcomes in rounds for outcome in outcomes)
