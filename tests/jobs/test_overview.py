"""The console's first page: its figures are those of the books and of the jobs."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import ledger, ledger_check, statements
from billing.models import DayUse, Hold
from jobs import poll
from jobs.cancel import cancel, cancel_at_provider
from jobs.expire import expire
from jobs.models import Attempt, Job
from jobs.submit import submit
from providers.base import State, Update
from providers.fake.adapter import FakeAdapter
from providers.models import Route
from tests.jobs import drive


@pytest.fixture(autouse=True)
def fresh():
    cache.clear()


@pytest.fixture
def films(org, caller):
    """Films of Acme; the prompt is the fake provider's script."""
    drive.fund(org)
    drive.fake_route(org)

    def made(prompt: str = "", times: int = 1) -> None:
        for _ in range(times):
            submit(caller, drive.request(org, prompt))
        drive.run_all()

    return made


def words(page) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.content.decode()))


def chart(page, label: str) -> list[float]:
    return list(named(page, label).values())


def named(page, label: str) -> dict[str, float]:
    """What a chart shows under that label, by the names along it."""
    for found in re.findall(r'data-value="([^"]+)"', page.content.decode()):
        drawn = json.loads(html.unescape(found))
        for series in drawn["datasets"]:
            if series["label"] == label:
                return dict(zip(drawn["labels"], series["data"], strict=True))
    raise AssertionError(label)


def test_a_new_house_has_an_overview_too(console):
    page = console.get("/console/")
    assert page.status_code == 200
    assert "Revenue $0.00" in words(page)


def test_the_figures_are_those_of_the_books(console, films, org):
    Route.objects.filter(organization=org).update(cost_micros_per_second=10_000)
    films(times=2)
    page = console.get("/console/")
    paid = sum(DayUse.objects.values_list("micros", flat=True))
    assert paid == 2 * 120_000
    assert "Revenue $0.24 2 videos" in words(page)
    assert "Margin $0.16" in words(page)
    assert chart(page, "Revenue")[-1] == 0.24
    assert sum(chart(page, "Seconds")) == 8
    assert sum(chart(page, "Margin")) == pytest.approx(0.16)
    assert "fake 2 8 $0.24 $0.08 $0.16 (66 %)" in words(page)
    assert "By route Route Videos Seconds Revenue Cost Margin wan-2.2-s2v by fake 2 8 $0.24 $0.08" in words(
        page
    )
    assert "Acme 2 8" in words(page)
    for heading, name in (
        ("model", "wan-2.2-s2v"),
        ("route", "wan-2.2-s2v by fake"),
        ("organization", "Acme"),
    ):
        assert named(page, f"Margin by {heading}") == {name: pytest.approx(0.16)}
    assert not ledger_check.check()


def test_failures_are_counted_by_code(console, films):
    films("[fake fail=render_failed]", times=2)
    assert DayUse.objects.count() == 0
    page = console.get("/console/")
    assert re.search(r"Failures of 30 days .* wan-2.2-s2v 2", words(page))
    assert named(page, "Failed jobs") == {"render_failed": 2}


def test_what_a_failed_job_cost_lowers_the_margin(console, films, org):
    Route.objects.filter(organization=org).update(cost_micros_per_second=10_000)
    films()
    films("[fake lie=short]")
    found = words(console.get("/console/"))
    assert "Margin $0.04" in found
    assert "wan-2.2-s2v by fake 1 4 $0.12 $0.08 $0.04 (33 %)" in found
    assert not ledger_check.check()


def test_so_does_one_that_could_not_be_stopped(console, org, caller, monkeypatch):
    async def runs_on(self, external_id):
        return False

    monkeypatch.setattr(FakeAdapter, "cancel", runs_on)
    drive.fund(org)
    route = drive.fake_route(org, cost_micros_per_second=10_000)
    canceled, late = (submit(caller, drive.request(org, "[fake stall]")) for _ in range(2))
    drive.step()
    cancel(caller, canceled)
    cancel_at_provider(str(canceled.pk))
    Job.objects.filter(pk=late.pk).update(deadline_at="2026-01-01T00:00:00Z")
    expire(str(late.pk))
    use = DayUse.objects.get()
    assert (use.jobs, use.micros, use.cost_micros, use.route_id) == (0, 0, 2 * 40_000, route.pk)
    used = statements.used(org, use.day, use.day)
    assert (used.models, used.keys) == ([], [])  # nothing of it is the customer's
    assert "fake 0 0 $0.00 $0.08" in words(console.get("/console/"))
    assert not ledger_check.check()


def test_and_what_a_provider_took_without_a_result(org, caller):
    drive.fund(org)
    drive.fake_route(org)
    submit(caller, drive.request(org, "[fake stall]"))
    drive.step()
    attempt = Attempt.objects.get()
    poll.apply(attempt, Update(attempt.external_id, State.FAILED, code="no_face", cost_micros=5))
    assert [(use.jobs, use.cost_micros) for use in DayUse.objects.all()] == [(0, 5)]


def test_a_lost_answer_is_shown(console, films):
    films()
    Attempt.objects.update(status="unknown")
    cache.clear()
    assert "Outcome unknown 1" in words(console.get("/console/"))


def test_the_span_can_be_chosen(console, films):
    films()
    assert len(chart(console.get("/console/?days=7"), "Revenue")) == 7
    assert len(chart(console.get("/console/?days=90"), "Revenue")) == 90
    assert len(chart(console.get("/console/?days=100000"), "Revenue")) == 30


def test_the_figures_are_worked_out_once_for_everybody(console, films):
    films()
    with CaptureQueriesContext(connection) as asked:
        console.get("/console/")
    assert len(asked) <= 12
    with CaptureQueriesContext(connection) as asked:
        console.get("/console/")
    assert len(asked) <= 6


def test_use_that_was_counted_wrong_is_found(films):
    films()
    DayUse.objects.update(micros=7)
    rules = {difference.rule for difference in ledger_check.check()}
    assert rules == {"the days of use are the fold of the captured holds"}


def test_use_is_counted_once_however_often_a_capture_is_asked_for(films, org):
    films()
    job_id = Hold.objects.get().job_id
    ledger.capture(job_id, 1)
    assert [use.jobs for use in DayUse.objects.all()] == [1]


def test_use_keeps_its_route_and_unit(console, films, org):
    films()
    route = Route.objects.get(organization=org)
    assert [(use.route_id, use.unit) for use in DayUse.objects.all()] == [(route.pk, "second")]
    number = route.pk
    route.delete()
    cache.clear()
    assert f"route {number}, which is gone" in words(console.get("/console/"))


def test_what_waits_is_counted_by_model(console, org, caller):
    drive.fund(org)
    drive.fake_route(org)
    for _ in range(3):
        submit(caller, drive.request(org))
    found = words(console.get("/console/"))
    assert re.search(
        r"In the queue now Model Preparing Waiting Oldest Running wan-2.2-s2v 0 3 \d+ s 0 ", found
    )


def test_the_queue_of_the_last_hours_is_drawn(console, org, caller):
    """Three came three hours ago: one started two hours after, one was canceled an hour ago, one waits."""
    drive.fund(org)
    drive.fake_route(org)
    started, canceled, _ = (submit(caller, drive.request(org)) for _ in range(3))
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    came, went = hour - timedelta(hours=3), hour - timedelta(hours=1)
    Job.objects.update(queued_at=came)
    Job.objects.filter(pk=started.pk).update(started_at=went, status="running")
    Job.objects.filter(pk=canceled.pk).update(finished_at=went, status="canceled")
    page = console.get("/console/")
    depth = named(page, "Waiting at the end of the hour")
    assert [depth[f"{hour - timedelta(hours=n):%H}h"] for n in (4, 3, 2, 1, 0)] == [0, 3, 3, 1, 1]
    assert named(page, "Seconds waited, in the middle")[f"{went:%H}h"] == 7200
    assert len(depth) == 24


def test_use_of_no_known_route_is_shown_as_such(console, films):
    films()
    DayUse.objects.update(route_id=0)
    assert "Margin not known 1 4 $0.12" in words(console.get("/console/"))
