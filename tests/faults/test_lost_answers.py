"""A vendor that takes every order and drops every answer: nothing is ordered twice, paid twice or given back early."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from asgiref.sync import async_to_sync
from django.db.models import Sum

from billing import ledger, quotas
from billing.models import Hold, Limits
from jobs import dispatch, poll
from jobs.models import Attempt, Job
from jobs.submit import submit
from tests.jobs import drive
from tests.providers.conformance.stands import standing

# `make drills` drops a thousand.
ORDERS = 1000 if os.environ.get("DRILLS") == "full" else 40
PRICE = 3 * 30_000

pytestmark = pytest.mark.timeout(3600 if ORDERS > 40 else 300)


def test_every_order_whose_answer_was_dropped_is_found_and_none_is_placed_again(org, caller):
    with standing("wavespeed", org) as stand:
        drive.fund(org, usd=ORDERS)
        Limits.objects.create(organization=org, running=ORDERS, queued=ORDERS, submits_per_minute=100_000)
        quotas.forget()
        request = stand.request()
        stand.vendor.polls_to_end = 1_000_000
        for _ in range(ORDERS):
            submit(caller, request)
        stand.vendor.fault("submit", *["cut_after"] * ORDERS)
        while Job.objects.filter(status="queued").exists():
            assert dispatch.dispatch()

        assert Counter(Attempt.objects.values_list("status", flat=True)) == {"unknown": ORDERS}
        assert ledger.balance(org).held_micros == ORDERS * PRICE
        while Attempt.objects.filter(status="unknown").exists():
            drive.hurry()
            assert async_to_sync(poll.resolve_unknown)()
            held = Hold.objects.open().aggregate(sum=Sum("amount_micros"))["sum"]
            assert held == ORDERS * PRICE, "none is given back while unknown"

        # One task for each of our jobs, and each job knows its own.
        assert len(stand.vendor.tasks) == Attempt.objects.count() == ORDERS
        for attempt in Attempt.objects.all():
            task = stand.vendor.tasks[attempt.external_id]
            assert attempt.tag in task.request["image"]
        assert Hold.objects.open().count() == ORDERS
