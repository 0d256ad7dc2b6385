"""Nobody waits for somebody else's receiver: whose turn it is, and how many are on their way at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from jobs import lanes, notify, webhooks
from jobs.couriers import SUSPECTS, THREADS, Couriers
from jobs.events import append
from jobs.models import Delivery, Job, WebhookEndpoint
from tests.dialects.rest.hooks import Hook, Reply
from tests.jobs.test_notify import make_job
from tests.world import caller_for

FAILED = notify.Answer(503, "")
HEARD = notify.Answer(200, "")


def endpoint(caller, url: str = "https://customer.example/hook", events=("job.created",)) -> WebhookEndpoint:
    return webhooks.add(caller, url=url, events=list(events))[0]


def wait_in(row: WebhookEndpoint, count: int) -> None:
    """So many pings, due: rows as `ping` makes them, without its limit of one."""
    Delivery.objects.bulk_create(
        Delivery(
            organization_id=row.organization_id, endpoint=row, type="ping", dialect="rest", url=row.url, lane=str(row.pk)
        )
        for _ in range(count)
    )  # fmt: skip


def claimed(slots: int = THREADS, suspects: int = SUSPECTS) -> list[Delivery]:
    return [turn.delivery for turn in lanes.claim(slots, suspects)]


def settle(deliveries: list[Delivery], answer: notify.Answer) -> None:
    for delivery in deliveries:
        notify.record(delivery, answer, duration_ms=1)


def test_ten_thousand_for_a_dead_receiver_stand_in_nobodys_way(caller):
    dead, alive = endpoint(caller), endpoint(caller)
    wait_in(dead, 10_000)
    wait_in(alive, 3)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_delivery")
    first = claimed()
    assert Counter(d.endpoint_id for d in first) == {dead.pk: lanes.LANE_CAP, alive.pk: 3}
    # ... and the claim looks at few of them, however many there are
    with connection.cursor() as cursor:
        values = {"slots": 32, "suspects": 16, "cap": 4, "window": 20, "put_off": 60, "lease": 60}
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + lanes.CLAIM, values)
        plan = cursor.fetchone()[0][0]["Plan"]
    assert rows_read(plan) < 500, rows_read(plan)


def rows_read(plan: dict) -> float:
    """Rows that scans of the table and its indexes gave or threw away."""
    here = 0.0
    if plan.get("Relation Name") == "jobs_delivery":
        here = plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    return here + sum(rows_read(part) for part in plan.get("Plans", []))


def test_a_lane_has_few_on_their_way_and_one_while_a_failure_waits(caller):
    row = endpoint(caller)
    wait_in(row, 30)
    first = claimed()
    assert len(first) == lanes.LANE_CAP
    assert claimed() == []
    settle(first[:1], HEARD)
    assert len(claimed()) == 1
    settle(first[1:2], FAILED)
    assert claimed() == []  # three are on their way, and it has failed
    settle(first[2:], HEARD)
    assert claimed() == []  # one still is


def test_the_first_of_every_lane_comes_before_the_second_of_any(caller):
    rows = [endpoint(caller) for _ in range(5)]
    for row in rows:
        wait_in(row, 10)
    assert Counter(d.endpoint_id for d in claimed(slots=5)) == {row.pk: 1 for row in rows}


def test_lanes_that_fail_leave_half_of_the_threads_to_the_others(caller):
    failing = [endpoint(caller) for _ in range(5)]
    for row in failing:
        wait_in(row, 5)
    settle(claimed(), FAILED)
    fresh = endpoint(caller)
    wait_in(fresh, 3)
    turns = lanes.claim(6, 2)
    assert Counter(turn.suspect for turn in turns) == {True: 2, False: 3}
    assert lanes.claim(6, 0) == []


def test_a_jobs_events_go_one_after_the_other_whatever_becomes_of_each(caller, org):
    endpoint(caller, events=("*",))
    job, other = make_job(org), make_job(org)
    (one, two) = claimed()
    assert {one.job_id, two.job_id} == {job.pk, other.pk}
    assert (one.type, two.type) == ("job.created", "job.created")
    assert claimed() == []
    settle([one], HEARD)
    (second,) = claimed()
    assert (second.job_id, second.type) == (one.job_id, "job.running")
    settle([second], FAILED)
    append(Job.objects.get(pk=one.job_id), "progress", {})
    assert claimed() == []
    settle([two], HEARD)
    assert [d.job_id for d in claimed()] == [two.job_id]


def test_many_that_wait_for_an_earlier_one_do_not_hide_a_later_job(caller, org):
    endpoint(caller, events=("*",))
    busy = make_job(org)
    for _ in range(3 * lanes.WINDOW):
        append(busy, "progress", {})
    (head,) = claimed()
    later = make_job(org)
    found: list[Delivery] = []
    for _ in range(5):  # each look puts off as many as it looks at
        found += claimed()
    assert [d.job_id for d in found] == [later.pk]
    settle([head], HEARD)
    (following,) = claimed()
    assert (following.job_id, following.type) == (busy.pk, "job.running")


def test_an_organization_without_endpoints_pays_one_statement_for_an_event(caller, org):
    job = make_job(org)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        append(job, "progress", {})
    inserts = [
        query["sql"]
        for query in queries
        if "jobs_jobevent" in query["sql"] or "jobs_delivery" in query["sql"]
    ]
    assert len(inserts) == 1
    endpoint(caller, events=("*",))
    with CaptureQueriesContext(connection) as queries:
        append(job, "progress", {})
    assert len([q for q in queries if "jobs_jobevent" in q["sql"] or "jobs_delivery" in q["sql"]]) == 1
    assert Delivery.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_processes_that_claim_at_once_keep_to_the_cap(org, alice):
    row = endpoint(caller_for(org, alice))
    wait_in(row, 100)
    start = threading.Barrier(6)

    def claim() -> list:
        start.wait(timeout=10)
        try:
            return claimed()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        found = [d.pk for part in [pool.submit(claim) for _ in range(6)] for d in part.result()]
    assert len(found) == len(set(found)) == lanes.LANE_CAP


@pytest.mark.django_db(transaction=True)
def test_a_slow_receiver_and_a_dead_one_delay_no_other(org, alice):
    """With the couriers' own threads: a receiver that answers is done while the slow one still holds its first few."""
    release = threading.Event()
    slow = Hook(lambda message: release.wait(60) and Reply())
    dead = Hook(lambda message: Reply(503))
    quick = Hook()
    caller = caller_for(org, alice)
    with override_settings(FETCH_ALLOW_HOSTS=["127.0.0.1"], WEBHOOK_TIMEOUT_SECONDS=60):
        for hook in (slow, dead, quick):
            wait_in(endpoint(caller, hook.url), 40)
        couriers = Couriers()
        try:
            until(lambda: couriers.send_out() == 0 and len(quick.heard()) == 40)
            assert slow.got == []
            assert slow.at_once <= lanes.LANE_CAP
            assert quick.most_at_once <= lanes.LANE_CAP
        finally:
            release.set()
        until(
            lambda: couriers.send_out() == 0 and len(slow.heard()) == 40 and not any(couriers.away.values())
        )
    for hook in (slow, dead, quick):
        hook.close()
    statuses = Delivery.objects.values_list("status", flat=True)
    assert Counter(statuses) == {"delivered": 80, "due": 40}


def until(reached, seconds: float = 50) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)
