import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.functions import Now

from accounts.models import Organization
from accounts.organizations import create_organization
from billing import ledger, quotas
from billing.errors import BillingError, ModelNotAllowed, QuotaReached
from billing.models import Limits, Tier
from tests.billing.conftest import give

USD = 1_000_000


def test_own_limits_end_by_the_clock_and_the_budget_stays(org):
    own = Limits.objects.create(organization=org, running=77, monthly_budget_micros=5)
    Limits.objects.filter(pk=own.pk).update(until=Now() + timedelta(hours=1))
    assert quotas.limits_of(org).running == 77
    Limits.objects.filter(pk=own.pk).update(until=Now() - timedelta(seconds=1))
    quotas.forget()
    assert quotas.limits_of(org).running == 2
    give(org, "10")
    with pytest.raises(BillingError) as refusal, transaction.atomic():
        ledger.hold(org, job_id=uuid.uuid4(), amount_micros=6)
    assert refusal.value.code == "monthly_budget"


def pay(organization, usd: int, reference: str = "payment") -> None:
    with transaction.atomic():
        ledger.topup(organization, usd * USD, reference=reference, reason="")


@pytest.mark.parametrize(
    ("paid", "tier", "per_minute", "running"),
    [
        (0, "bronze", 2, 2),
        (99, "bronze", 2, 2),
        (100, "silver", 500, 300),
        (1_000, "gold", 3_000, 3_000),
        (10_000, "ultra", 5_000, 10_000),
    ],
)
def test_the_tier_follows_what_was_paid_in(org, paid, tier, per_minute, running):
    if paid:
        pay(org, paid)
    limits = quotas.limits_of(org)
    assert (limits.tier, limits.submits_per_minute, limits.running) == (tier, per_minute, running)


def test_payments_add_up_and_gifts_do_not_count(org):
    give(org, "5000")
    pay(org, 60, "first")
    assert quotas.tier_of(org).slug == "bronze"
    pay(org, 40, "second")
    assert quotas.tier_of(org).slug == "silver"


def test_spending_does_not_lower_the_tier(org):
    pay(org, 100)
    ledger.hold(org, job_id="00000000-0000-0000-0000-000000000001", amount_micros=100 * USD)
    assert quotas.tier_of(org).slug == "silver"


def test_an_operator_may_give_a_tier(org):
    org.tier = "ultra"
    assert quotas.tier_of(org).slug == "ultra"
    org.tier = "no-such-tier"
    assert quotas.tier_of(org).slug == "bronze"


def test_the_default_tier_is_the_lowest_one_has(org, settings):
    settings.DEFAULT_TIER = "gold"
    assert quotas.tier_of(org).slug == "gold"
    pay(org, 10_000)
    assert quotas.tier_of(org).slug == "ultra"


def test_without_any_tier_the_refusal_says_so(org):
    Tier.objects.all().delete()
    with pytest.raises(BillingError) as refusal:
        quotas.limits_of(org)
    assert refusal.value.code == "tier_missing"


def test_an_organizations_own_limits_win_one_by_one(org):
    Limits.objects.create(organization=org, running=7, longest_seconds=30, allowed_models=["wan-2.2-s2v"])
    limits = quotas.limits_of(org)
    assert (limits.running, limits.queued, limits.longest_seconds) == (7, 100, 30)
    assert limits.allowed_models == {"wan-2.2-s2v"}


def test_a_limit_of_zero_closes_the_door(org):
    Limits.objects.create(organization=org, running=0, queued=0)
    assert not quotas.may_run(org, 0)
    with pytest.raises(QuotaReached):
        quotas.may_queue(org, 0)


def test_limits_are_read_once_in_a_while(org, django_assert_num_queries, monkeypatch):
    with django_assert_num_queries(3):
        quotas.limits_of(org)
        quotas.limits_of(org)
    Limits.objects.create(organization=org, running=7)
    assert quotas.limits_of(org).running == 2
    later = quotas.time.monotonic() + quotas.CACHED_SECONDS + 1
    monkeypatch.setattr(quotas.time, "monotonic", lambda: later)
    assert quotas.limits_of(org).running == 7


def test_the_memory_of_limits_is_bounded(org, other_org, monkeypatch):
    monkeypatch.setattr(quotas, "CACHED_ORGANIZATIONS", 1)
    quotas.limits_of(org)
    quotas.limits_of(other_org)
    assert list(quotas._cache) == [other_org.pk]


def test_weights_of_many_are_those_of_each(org, other_org, alice, django_assert_num_queries):
    given, ended, bare = (create_organization(name, alice) for name in ("Given", "Ended", "Bare"))
    pay(org, 1_000)
    Limits.objects.create(organization=other_org, weight=3)
    Organization.objects.filter(pk=given.pk).update(tier="ultra")
    Limits.objects.create(organization=ended, weight=3, until=Now() - timedelta(seconds=1))
    each = list(Organization.objects.all())
    with django_assert_num_queries(1):
        found = quotas.weights([one.pk for one in each])
        assert quotas.weights([one.pk for one in each]) == found
    assert found == {one.pk: quotas.limits_of(one).weight for one in each}
    assert [found[one.pk] for one in (org, other_org, given, ended, bare)] == [4, 3, 8, 1, 1]


def test_so_many_jobs_may_wait(org):
    quotas.may_queue(org, 99)
    with pytest.raises(QuotaReached) as refusal:
        quotas.may_queue(org, 100)
    assert (refusal.value.code, refusal.value.retryable) == ("queued_jobs_limit", True)


def test_so_many_jobs_may_run(org):
    assert quotas.may_run(org, 1)
    assert not quotas.may_run(org, 2)


def test_only_listed_models_may_be_used(org):
    quotas.may_use(org, "anything")
    Limits.objects.create(organization=org, allowed_models=["wan-2.2-s2v"])
    quotas.forget()
    quotas.may_use(org, "wan-2.2-s2v")
    with pytest.raises(ModelNotAllowed) as refusal:
        quotas.may_use(org, "wan-2.2-animate")
    assert refusal.value.code == "model_not_allowed"


def test_a_clip_may_be_so_long(org):
    quotas.may_last(org, 10**9)
    Limits.objects.create(organization=org, longest_seconds=30)
    quotas.forget()
    quotas.may_last(org, 30_000)
    with pytest.raises(QuotaReached) as refusal:
        quotas.may_last(org, 30_001)
    assert refusal.value.code == "clip_too_long"
