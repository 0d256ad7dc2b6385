"""A job costs what it was promised, whatever becomes of prices, plans and credit while it runs."""

from __future__ import annotations

import pytest
from django.db import connection

from billing import ledger, prices, quotas, reversals
from billing.models import Limits, Price, TopUp
from jobs.models import Attempt, Job
from jobs.states import Status
from jobs.submit import submit
from tests.billing.conftest import assert_sound
from tests.jobs import drive

PRICE = 4 * 30_000
FUNDS = 20 * drive.USD


@pytest.fixture
def funded(org):
    drive.fund(org)
    drive.fake_route(org)
    return org


def running(caller, number: int = 1) -> list[Job]:
    jobs = [submit(caller, drive.request(caller.organization)) for _ in range(number)]
    assert drive.dispatch.dispatch() == number
    assert set(Job.objects.values_list("status", flat=True)) == {Status.RUNNING}
    return jobs


def charged() -> set[tuple[str, int]]:
    drive.run_all(seconds=90)
    assert_sound()
    return set(Job.objects.values_list("status", "charged_micros"))


def change_price(factor: int, operator) -> None:
    price = Price.objects.get(model="wan-2.2-s2v", resolution="480p", unit="second", organization=None)
    price.micros_per_unit *= factor
    prices.save(price, by=operator)


@pytest.mark.parametrize("factor", [0, 3])
def test_a_running_job_settles_at_the_price_it_was_accepted_at(funded, caller, operator, factor):
    running(caller, 2)
    change_price(factor, operator)
    assert charged() == {("succeeded", PRICE)}
    assert ledger.balance(funded) == ledger.Balance(FUNDS - 2 * PRICE, 0)
    assert submit(caller, drive.request(funded)).quoted_micros == factor * PRICE


def test_a_job_whose_length_is_not_known_yet_keeps_its_price_too(funded, caller, operator):
    order = drive.request(funded)
    fresh = drive.asset(funded, "audio", duration_ms=0, status="pending")
    order = drive.JobRequest(**{**vars(order), "inputs": {**order.inputs, "audio": str(fresh.id)}})
    assert submit(caller, order).status == Status.PREPARING
    change_price(3, operator)
    assert charged() == {("succeeded", 13 * 30_000)}


def test_a_price_that_ended_still_settles_the_jobs_it_was_quoted_to(funded, caller, operator):
    running(caller)
    price = Price.objects.get(model="wan-2.2-s2v", resolution="480p", unit="second", organization=None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        price.valid_to = cursor.fetchone()[0]
    prices.save(price, by=operator)
    assert charged() == {("succeeded", PRICE)}


def test_a_smaller_plan_stops_no_running_job(funded, caller):
    running(caller, 3)
    funded.tier = "bronze"
    funded.save(update_fields=["tier"])
    Limits.objects.create(
        organization=funded, running=0, queued=0, longest_seconds=1, monthly_budget_micros=0
    )
    quotas.forget()
    assert charged() == {("succeeded", PRICE)}
    assert ledger.balance(funded) == ledger.Balance(FUNDS - 3 * PRICE, 0)


@pytest.mark.parametrize("spent_too", [False, True])
def test_a_refund_leaves_a_running_jobs_money_alone(desk, org, caller, alice_browser, operator, spent_too):
    drive.fake_route(org)
    desk.pay(alice_browser.post("/billing/topups", {"amount": "20"}).headers["Location"])
    desk.tell()
    running(caller)
    micros = FUNDS if spent_too else FUNDS - PRICE
    reversals.refund(TopUp.objects.get(), micros, by=operator, reason="asked for", spent_too=spent_too)
    desk.tell()
    assert ledger.balance(org) == ledger.Balance(-PRICE if spent_too else 0, PRICE)
    assert charged() == {("succeeded", PRICE)}
    assert ledger.balance(org) == ledger.Balance(-PRICE if spent_too else 0, 0)
    assert Attempt.objects.count() == 1
