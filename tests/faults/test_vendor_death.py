"""The vendor that has most of the work dies: what waits goes elsewhere at once, and what runs there ends once."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
from asgiref.sync import async_to_sync

from billing import ledger, quotas
from billing.models import Hold, Limits
from jobs import dispatch, polling
from jobs.models import Attempt, Job
from jobs.submit import submit
from tests.jobs import drive
from tests.providers.conformance.stands import standing

# Running there, and as many more waiting, when it dies. `make drills` has two hundred of each.
FULL = os.environ.get("DRILLS") == "full"
EACH = 200 if FULL else 6
PRICE = 3 * 30_000
CREDIT = 100
# Within so many seconds whatever waits is with another provider; asked of the full drill only.
MOVED_SECONDS = 10
BROKEN = 1403  # the vendor's word for a fault of its own

pytestmark = pytest.mark.timeout(3600 if FULL else 300)


def test_waiting_jobs_move_within_seconds_and_running_ones_end_once(org, caller, settings):
    with standing("wavespeed", org) as stand:
        vendor = stand.vendor
        settings.FETCH_ALLOW_HOSTS = [vendor.host]
        drive.fund(org, usd=CREDIT)
        Limits.objects.create(organization=org, running=2 * EACH, queued=2 * EACH, submits_per_minute=100_000)
        quotas.forget()
        spare = drive.fake_route(org, priority=200)
        before, request = ledger.balance(org).available_micros, stand.request()
        stand.stall()
        there = [submit(caller, request) for _ in range(EACH)]
        while dispatch.dispatch():
            pass
        assert len(vendor.tasks) == EACH
        waiting = [submit(caller, request) for _ in range(EACH)]

        vendor.dead = True
        seconds = moved(EACH)
        print(f"\n{EACH} waiting jobs were with another provider {seconds:.1f} s after the vendor's death")
        assert not FULL or seconds < MOVED_SECONDS
        assert on_their_way(waiting) == {spare.pk: EACH}
        drive.hurry()
        async_to_sync(polling.poll_due)()
        assert on_their_way(there) == {stand.route.pk: EACH}, (
            "a vendor that is silent has not failed an order"
        )
        assert Hold.objects.open().count() == 2 * EACH

        # It is back: some are done, some it gave up, some it knows nothing of any more.
        fates = Counter(returned(vendor))
        drive.run_all(seconds=60 + 20 * EACH)

        assert set(Job.objects.values_list("status", flat=True)) == {"succeeded"}
        ended = Counter(Attempt.objects.filter(job__in=there).values_list("route_id", "status"))
        assert ended[stand.route.pk, "succeeded"] == fates["done"]
        assert ended[stand.route.pk, "failed"] == fates["broken"] + fates["forgotten"]
        assert ended[spare.pk, "succeeded"] == fates["broken"] + fates["forgotten"]
        assert Attempt.objects.filter(status="succeeded").count() == 2 * EACH, "none is made twice"
        assert ledger.balance(org) == ledger.Balance(before - 2 * EACH * PRICE, 0)


def moved(count: int) -> float:
    """Dispatch, at the pace of the clock, until so many orders are with the other provider; the seconds it took."""
    began = time.monotonic()
    while Attempt.objects.filter(provider="fake").exclude(external_id="").count() < count:
        dispatch.dispatch()
        assert time.monotonic() - began < 60 + count, on_their_way(Job.objects.all())
    return time.monotonic() - began


def on_their_way(jobs) -> Counter[int]:
    """Orders without an end, by route."""
    rows = Attempt.objects.filter(job__in=jobs, status__in=["submitted", "running"])
    return Counter(rows.values_list("route_id", flat=True))


def returned(vendor) -> list[str]:
    """The vendor answers again; what became of each of its tasks."""
    fates = []
    for number, (name, task) in enumerate(list(vendor.tasks.items())):
        fates.append(("done", "broken", "forgotten")[number % 3])
        if fates[-1] == "broken":
            task.ending = BROKEN
        elif fates[-1] == "forgotten":
            del vendor.tasks[name]
    vendor.dead, vendor.polls_to_end = False, 1
    return fates
