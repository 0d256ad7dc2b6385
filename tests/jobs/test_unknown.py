"""An operator resolves attempts whose answer was lost, in the console: placed under an id, or never placed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import AuditEntry, User
from billing import ledger
from jobs import unknown
from jobs.errors import Conflict
from jobs.expire import expire
from jobs.models import Attempt, Job
from jobs.submit import submit
from providers.models import FakeTask
from tests.jobs import drive
from tests.world import PASSWORD, at_console

LIST = "/console/jobs/attempt/"


@pytest.fixture
def lost(org, caller) -> Attempt:
    """Its order arrived, the answer did not."""
    drive.fund(org)
    drive.fake_route(org)
    submit(caller, drive.request(org, "[fake drop]"))
    drive.dispatch.dispatch()
    return Attempt.objects.get(status="unknown")


def task_of(attempt: Attempt) -> FakeTask:
    return FakeTask.objects.get(tag=attempt.tag)


def say(console: Client, attempt: Attempt, outcome: str, external_id: str = "", reason: str = "I asked them"):
    form = {"outcome": outcome, "external_id": external_id, "reason": reason}
    return console.post(f"{LIST}{attempt.pk}/resolve/", form, follow=True)


def status(row: Attempt | Job) -> str:
    row.refresh_from_db()
    return row.status


def refused(answer, sentence: str, attempt: Attempt) -> None:
    assert sentence in answer.content.decode().replace("&#x27;", "'")
    assert status(attempt) == "unknown"
    assert not AuditEntry.objects.filter(action__startswith="attempt.").exists()


def test_unknown_attempts_are_found_from_the_first_page(console, lost):
    assert f"{LIST}?status__exact=unknown" in console.get("/console/").text
    assert f"{LIST}{lost.pk}/resolve/" in console.get(f"{LIST}?status__exact=unknown").text
    assert lost.tag in console.get(f"{LIST}{lost.pk}/resolve/").text


def test_an_order_that_was_placed_is_polled_to_its_end(console, operator, lost, org):
    external_id = str(task_of(lost).pk)
    assert say(console, lost, "placed", f" {external_id} ").status_code == 200
    assert (status(lost), lost.external_id) == ("submitted", external_id)
    drive.run_all()
    assert status(lost.job) == "succeeded"
    assert FakeTask.objects.count() == Attempt.objects.count() == 1
    assert ledger.balance(org).held_micros == 0
    entry = AuditEntry.objects.get(action="attempt.placed")
    assert (entry.actor_user, entry.organization) == (operator, org)
    assert entry.after == {"external_id": external_id, "reason": "I asked them"}
    assert entry.address


def test_an_order_that_was_never_placed_takes_another_route(console, operator, lost, org):
    task_of(lost).delete()
    say(console, lost, "never")
    assert (status(lost), lost.error_code) == ("failed", "provider_unavailable")
    assert status(lost.job) == "queued"
    assert ledger.balance(org).held_micros == 4 * 30_000
    drive.dispatch.dispatch()
    assert lost.job.attempts.count() == 2
    entry = AuditEntry.objects.get(action="attempt.never_placed")
    assert (entry.actor_user, entry.organization, entry.after) == (operator, org, {"reason": "I asked them"})


def test_a_canceled_job_ends_when_its_order_was_never_placed(console, lost, org):
    Job.objects.update(cancel_requested_at="2026-01-01T00:00:00Z")
    say(console, lost, "never")
    assert status(lost.job) == "canceled"
    assert ledger.balance(org).held_micros == 0


@pytest.mark.parametrize("external_id", ["018f0000-0000-7000-8000-000000000000", "no id of theirs"])
def test_an_id_that_the_provider_does_not_know_is_refused(console, lost, external_id):
    answer = say(console, lost, "placed", external_id)
    refused(answer, "The provider knows no order", lost)
    assert external_id in answer.text, "what was typed stays in the form"
    assert "I asked them" in answer.text


def test_an_id_of_another_attempt_is_refused(console, lost, org, caller):
    other = submit(caller, drive.request(org))
    drive.dispatch.dispatch()
    taken = other.attempts.get()
    refused(say(console, lost, "placed", taken.external_id), "belongs to attempt 1 of job", lost)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (("placed", ""), "Say the external id."),
        (("never", "", "  "), "This field is required."),
        (("perhaps",), "not one of the available choices"),
    ],
)
def test_half_a_word_is_refused(console, lost, form, sentence):
    refused(say(console, lost, *form), sentence, lost)


def test_a_provider_that_says_nothing_changes_nothing(console, lost, settings):
    settings.FAKE_PROVIDER = False
    external_id = str(task_of(lost).pk)
    Attempt.objects.update(provider="wavespeed", account_id=4711)
    refused(say(console, lost, "placed", external_id), "did not say whether it knows", lost)


@pytest.mark.parametrize("outcome", ["placed", "never"])
def test_what_was_resolved_meanwhile_stays(console, lost, outcome):
    external_id = str(task_of(lost).pk)
    drive.run_all()
    answer = say(console, lost, outcome, external_id)
    assert "it is succeeded" in answer.text
    assert (status(lost), status(lost.job)) == ("succeeded", "succeeded")
    assert not AuditEntry.objects.filter(action__startswith="attempt.").exists()


@pytest.mark.parametrize("outcome", ["placed", "never"])
def test_a_second_word_is_refused(console, lost, outcome):
    external_id = str(task_of(lost).pk)
    say(console, lost, "placed", external_id)
    assert "Nothing is unknown" in say(console, lost, outcome, external_id).text
    assert AuditEntry.objects.filter(action__startswith="attempt.").count() == 1


@pytest.mark.parametrize("outcome", ["placed", "never"])
def test_a_find_on_its_way_writes_nothing_over_the_operators_word(console, lost, outcome):
    drive.hurry()
    (claimed,) = drive.poll.claim_unknown()
    external_id = str(task_of(lost).pk)
    say(console, lost, outcome, external_id)
    said = status(lost)
    drive.poll._still_unknown(claimed)
    assert status(lost) == said
    drive.poll._resolved(claimed, "another")
    assert (status(lost), lost.external_id) == (said, external_id if outcome == "placed" else "")
    drive.poll._resolved(claimed, None)
    assert status(lost) == said


def test_after_the_deadline_nothing_is_ordered_anew(console, lost, org):
    Job.objects.update(deadline_at="2020-01-01T00:00:00Z")
    refused(say(console, lost, "never"), "The job's deadline has passed", lost)
    expire(str(lost.job_id))
    for outcome in ("placed", "never"):
        assert "Nothing is unknown" in say(console, lost, outcome, str(task_of(lost).pk)).text
    assert (status(lost.job), status(lost)) == ("expired", "canceled")
    assert ledger.balance(org).held_micros == 0


@pytest.mark.parametrize("fenced", [True, False])
@pytest.mark.parametrize("found", [None, "theirs"])
def test_a_find_on_its_way_wakes_no_attempt_of_a_job_that_expired(lost, found, fenced):
    """It would hold the account's place for ever, and nobody could say what became of it."""
    drive.hurry()
    (claimed,) = drive.poll.claim_unknown()
    Job.objects.update(deadline_at="2020-01-01T00:00:00Z")
    expire(str(lost.job_id))
    if not fenced:
        claimed.fence = Attempt.objects.get().fence
    drive.poll._still_unknown(claimed)
    drive.poll._resolved(claimed, found)
    assert (status(lost.job), status(lost)) == ("expired", "canceled")
    assert drive.poll.claim_unknown() == []


def test_a_video_placed_just_before_the_job_expires_is_kept(console, lost):
    Job.objects.update(deadline_at="2020-01-01T00:00:00Z")
    FakeTask.objects.update(created_at="2020-01-01T00:00:00Z")
    say(console, lost, "placed", str(task_of(lost).pk))
    expire(str(lost.job_id))
    drive.run_all()
    assert status(lost.job) == "succeeded"


def test_a_job_that_ended_while_the_provider_was_asked_stays_ended(lost, operator):
    """Between the job's end and that of its attempts: the row of the job decides."""
    Job.objects.update(status="expired")
    with pytest.raises(Conflict, match="already expired"):
        unknown.placed(lost, str(task_of(lost).pk), reason="I asked", by=operator)
    assert status(lost) == "unknown"


def test_it_takes_the_right_to_change_attempts(lost, db):
    watcher = User.objects.create_user("watcher@voicereel.example", PASSWORD, is_staff=True)
    watcher.user_permissions.add(Permission.objects.get(codename="view_attempt"))
    browser = at_console(watcher)
    assert browser.get(LIST).status_code == 200
    assert say(browser, lost, "never").status_code == 403
    assert status(lost) == "unknown"
