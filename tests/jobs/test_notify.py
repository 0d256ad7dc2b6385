"""What becomes of webhooks when receivers are away for hours, flap, dawdle, redirect or have gone: the database's clock
is set ahead, everything else is real.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import override_settings

from accounts.models import AuditEntry
from jobs import lanes, notify, sweep, webhooks
from jobs.events import append, job_events
from jobs.models import Delivery, DeliveryTry, Job, WebhookEndpoint
from jobs.notices import tell_disabled
from jobs.types import new_id
from tests.dialects.rest.hooks import Hook, Reply
from tests.jobs import drive
from tests.jobs.database_clock import DatabaseClock
from tests.world import make_member

MINUTE, HOUR, DAY = 60, 3600, 86_400
SCHEDULE = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]


@pytest.fixture
def clock(db):
    return DatabaseClock()


@pytest.fixture
def hook():
    found = Hook()
    with override_settings(FETCH_ALLOW_HOSTS=["127.0.0.1"], WEBHOOK_TIMEOUT_SECONDS=5):
        yield found
    found.close()


def endpoint(caller, url: str, events=("*",)) -> WebhookEndpoint:
    return webhooks.add(caller, url=url, events=list(events))[0]


def make_job(org) -> Job:
    """A job with three events so far, written as the verbs write them."""
    job = Job.objects.create(
        id=new_id(), organization=org, dialect="rest", model="wan-2.2-s2v", inputs={}, options={},
        status="queued", deadline_at=datetime.now(UTC) + timedelta(days=30),
    )  # fmt: skip
    for kind in ("created", "running", "phase"):
        append(job, kind, {})
    return job


def pass_time(clock: DatabaseClock, seconds: float) -> None:
    """Let so much time pass, trying whatever becomes due on the way."""
    end = clock.ahead + seconds
    drive.tell()
    while (wait := next_due()) is not None and clock.ahead + wait <= end:
        clock.advance(max(wait, 0.001))
        drive.tell()
    clock.advance(max(end - clock.ahead, 0))


def next_due() -> float | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM min(due_at) - statement_timestamp())::float FROM jobs_delivery"
            " WHERE status = 'due'"
        )
        return cursor.fetchone()[0]


def told_in_order(hook: Hook) -> None:
    """Of each job: every event that got through came once, by the order of ids."""
    by_job = defaultdict(list)
    for message in hook.heard():
        by_job[message.told["event"]["job"]].append(message.told["event"]["id"])
    assert all(ids == sorted(set(ids)) for ids in by_job.values()), by_job


def everything_told_once(hook: Hook, jobs: list[Job]) -> None:
    expected = sorted(event.id for job in jobs for event in job_events(job.pk))
    assert sorted(message.told["event"]["id"] for message in hook.heard()) == expected
    told_in_order(hook)
    for event in {message.told["event"]["id"] for message in hook.got}:
        ids = {message.id for message in hook.got if message.told["event"]["id"] == event}
        assert len(ids) == 1, "an event has one id, on every try"


def test_a_receiver_that_was_away_for_six_hours_hears_everything_once_and_in_order(clock, caller, org, hook):
    hook.answer = lambda message: Reply(200 if clock.ahead >= 6 * HOUR else 503)
    endpoint(caller, hook.url)
    jobs = [make_job(org) for _ in range(3)]
    pass_time(clock, 3 * HOUR)
    jobs.append(make_job(org))
    pass_time(clock, 2.5 * HOUR)
    assert hook.heard() == []
    append(jobs[0], "succeeded", {})
    pass_time(clock, 24 * HOUR)
    everything_told_once(hook, jobs)
    row = WebhookEndpoint.objects.get()
    assert (row.enabled, row.failing_since) == (True, None)


def test_a_flapping_receiver_hears_everything_once_and_in_order(clock, caller, org, hook):
    turns = iter(range(10_000))
    hook.answer = lambda message: Reply((200, 500, 429, 200, 302, 200)[next(turns) % 6])
    endpoint(caller, hook.url)
    jobs = [make_job(org) for _ in range(6)]
    pass_time(clock, 2 * HOUR)
    for job in jobs:
        append(job, "succeeded", {})
    pass_time(clock, 72 * HOUR)
    everything_told_once(hook, jobs)


def test_ten_tries_by_the_schedule_then_it_is_given_up_and_stays_in_the_feed(clock, caller, org, hook):
    hook.answer = lambda message: Reply(500, {}, b"no")
    endpoint(caller, hook.url, ["job.created"])
    job = make_job(org)
    pass_time(clock, 100 * HOUR)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.reason, delivery.tries) == ("failed", "tries_used_up", 10)
    log = list(DeliveryTry.objects.values_list("status", "answer", "at"))
    assert [(status, answer) for status, answer, _ in log] == [(500, "no")] * 10
    waits = [(log[i + 1][2] - log[i][2]).total_seconds() for i in range(9)]
    for waited, planned in zip(waits, SCHEDULE[1:], strict=True):
        assert 0.9 * planned <= waited <= 1.1 * planned + 5, (waits, planned)
    assert abs(sum(SCHEDULE) - 75.6 * HOUR) < 1000
    assert len({message.id for message in hook.got}) == 1
    assert delivery.event_id in [event.id for event in job_events(job.pk)]
    pass_time(clock, 100 * HOUR)
    assert len(hook.got) == 10


def test_after_one_event_is_given_up_the_next_is_tried(clock, caller, org, hook):
    hook.answer = lambda message: Reply(500 if message.told["type"] == "job.created" else 200)
    endpoint(caller, hook.url)
    job = make_job(org)
    pass_time(clock, 60 * HOUR)
    assert hook.heard() == []
    pass_time(clock, 30 * HOUR)
    assert [message.told["type"] for message in hook.heard()] == ["job.running", "job.phase"]
    assert [d.status for d in Delivery.objects.filter(job=job).order_by("event")] == [
        "failed",
        "delivered",
        "delivered",
    ]


def test_gone_disables_at_once_and_its_people_are_told(clock, caller, org, bob, hook):
    admin = make_member(org, "ada@acme.example", "admin")
    hook.answer = lambda message: Reply(410)
    row = endpoint(caller, hook.url)
    for _ in range(2 * lanes.LANE_CAP):
        make_job(org)
    pass_time(clock, DAY)
    assert len(hook.got) <= lanes.LANE_CAP  # those that were on their way; the rest was given up
    row.refresh_from_db()
    assert (row.enabled, row.disabled_reason) == (False, "gone")
    assert set(Delivery.objects.values_list("status", "reason")) == {
        ("failed", "gone"),
        ("failed", "endpoint_disabled"),
    }
    assert ("jobs.tell_disabled", str(row.pk)) in list(sweep.due())
    tell_disabled(str(row.pk))
    tell_disabled(str(row.pk))  # twice is once
    assert ("jobs.tell_disabled", str(row.pk)) not in list(sweep.due())
    assert sorted(letter.to[0] for letter in mail.outbox) == sorted([admin.email, "alice@acme.example"])
    (html, kind), text = mail.outbox[0].alternatives[0], mail.outbox[0].body
    assert kind == "text/html"
    for part in (html, text):
        assert hook.url in part
        assert "410" in part
        assert str(row.pk) in part
    (entry,) = AuditEntry.objects.for_org(org).filter(action="webhook.disable")
    assert (entry.actor_user, entry.actor_key, entry.after["reason"]) == (None, None, "gone")


def test_five_days_of_only_failures_disable_and_one_success_starts_anew(clock, caller, org, hook):
    hook.answer = lambda message: Reply(500)
    row = endpoint(caller, hook.url, ["job.created"])
    for _ in range(4):
        make_job(org)
        pass_time(clock, DAY)
    hook.answer = lambda message: Reply(200)
    make_job(org)
    pass_time(clock, HOUR)
    hook.answer = lambda message: Reply(500)
    for _ in range(5):
        make_job(org)
        pass_time(clock, DAY - 2 * HOUR)
    row.refresh_from_db()
    assert row.enabled, "not yet five days since it answered"
    make_job(org)
    pass_time(clock, DAY)
    row.refresh_from_db()
    assert (row.enabled, row.disabled_reason) == (False, "failing")
    assert not Delivery.objects.due().exists()
    tell_disabled(str(row.pk))
    assert "Nothing could be delivered" in mail.outbox[0].body
    sent = len(hook.got)
    make_job(org)
    pass_time(clock, DAY)
    assert len(hook.got) == sent
    assert Delivery.objects.filter(job=Job.objects.latest("id")).count() == 0


def test_an_e_mail_that_cannot_be_sent_is_tried_again(clock, caller, org, hook, monkeypatch):
    hook.answer = lambda message: Reply(410)
    row = endpoint(caller, hook.url)
    make_job(org)
    drive.tell()
    with (
        override_settings(EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_PORT=9),
        pytest.raises(OSError),
    ):
        tell_disabled(str(row.pk))
    tell_disabled(str(row.pk))
    assert mail.outbox == []
    clock.advance(11 * MINUTE)
    tell_disabled(str(row.pk))
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_receiver_may_ask_for_more_time(clock, caller, org, hook, form):
    then = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    hook.answer = lambda message: Reply(429, {"Retry-After": "3600" if form == "seconds" else then})
    endpoint(caller, hook.url, ["job.created"])
    make_job(org)
    drive.tell()
    assert 3500 < next_due() <= 3600


@pytest.mark.parametrize("asked", ["999999999999", "-5", "soon", "Tue, 01 Jan 1980 00:00:00 GMT", "٣", "1e9"])
def test_what_cannot_be_read_or_is_past_changes_nothing_and_too_long_is_bounded(
    clock, caller, org, hook, asked
):
    hook.answer = lambda message: Reply(503, {"Retry-After": asked.encode().decode("latin-1")})
    endpoint(caller, hook.url, ["job.created"])
    make_job(org)
    drive.tell()
    if asked.startswith("999"):
        assert 24 * HOUR <= next_due() <= 24 * HOUR + 10
        pass_time(clock, 120 * HOUR)
        delivery = Delivery.objects.get()
        took = (delivery.finished_at - delivery.scheduled_at).total_seconds()
        assert delivery.status == "failed"
        assert took <= (75.6 + 24) * HOUR * 1.1
    else:
        assert 4 <= next_due() <= 6


def test_redirects_are_not_followed(clock, caller, org, hook):
    other = Hook()
    hook.answer = lambda message: Reply(307, {"Location": other.url})
    endpoint(caller, hook.url, ["job.created"])
    make_job(org)
    drive.tell()
    assert other.got == []
    assert (Delivery.objects.get().status, Delivery.objects.get().last_status) == ("due", 307)
    other.close()


@override_settings(WEBHOOK_TIMEOUT_SECONDS=0.3)
def test_who_answers_too_late_has_not_heard(clock, caller, org, hook):
    hook.answer = lambda message: time.sleep(0.8) or Reply(200)
    endpoint(caller, hook.url, ["job.created"])
    make_job(org)
    with override_settings(WEBHOOK_TIMEOUT_SECONDS=0.3):
        drive.tell()
    (tried,) = DeliveryTry.objects.all()
    assert (tried.status, tried.answer) == (None, "No answer within 0.3 seconds.")
    assert Delivery.objects.get().status == "due"


def test_an_endless_answer_is_success_by_its_status_and_little_of_it_is_kept(clock, caller, org, hook):
    hook.answer = lambda message: Reply(200, {"Content-Length": "100000000"}, b"z" * 5000)
    endpoint(caller, hook.url, ["job.created"])
    make_job(org)
    drive.tell()
    (tried,) = DeliveryTry.objects.all()
    assert (tried.status, tried.answer) == (200, "z" * 1000)
    assert Delivery.objects.get().status == "delivered"


def test_an_address_that_became_private_is_not_called(clock, caller, org, hook):
    endpoint(caller, hook.url, ["job.created"])
    make_job(org)
    with override_settings(FETCH_ALLOW_HOSTS=[]):
        drive.tell()
    assert hook.got == []
    (tried,) = DeliveryTry.objects.all()
    assert (tried.status, tried.answer) == (None, "This address does not belong to the public internet.")


def test_a_try_whose_claim_ran_out_says_nothing(clock, caller, org, hook):
    endpoint(caller, hook.url, ["job.created"])
    make_job(org)
    (late,) = lanes.claim(1, 1)
    assert lanes.claim(1, 1) == []
    clock.advance(61)
    (again,) = lanes.claim(1, 1)
    assert again.delivery.pk == late.delivery.pk
    notify.record(late.delivery, notify.Answer(500, "late"), duration_ms=1)
    assert DeliveryTry.objects.count() == 0
    notify.record(again.delivery, notify.Answer(200, ""), duration_ms=1)
    assert Delivery.objects.get().status == "delivered"


def test_the_log_is_forgotten_after_thirty_days_and_what_is_due_is_not(clock, caller, org, hook):
    hook.answer = lambda message: Reply(200 if message.told["type"] == "job.created" else 500)
    row = endpoint(caller, hook.url, ["job.created", "job.running"])
    make_job(org)
    drive.tell()
    assert webhooks.forget() == 0
    clock.advance(31 * DAY)
    assert webhooks.forget() > 0
    assert [d.type for d in Delivery.objects.all()] == ["job.running"]
    webhooks.remove(caller, row)
    clock.advance(31 * DAY)
    webhooks.forget()
    assert not Delivery.objects.exists()
    assert not WebhookEndpoint.objects.exists()
    assert not DeliveryTry.objects.exists()
