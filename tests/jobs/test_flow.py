"""A job's road from submit to its end, on the fake provider."""

from __future__ import annotations

from collections import Counter

import pytest

from billing import ledger
from billing.models import Limits
from jobs import media, settle
from jobs.cancel import cancel, cancel_at_provider
from jobs.errors import Conflict, Invalid, NoRoute, Unpayable
from jobs.expire import expire
from jobs.gallery import clear_workspaces, drop, expire_assets
from jobs.models import Asset, Attempt, Job, JobEvent
from jobs.states import Status
from jobs.submit import submit
from providers import errors
from providers.fake.adapter import FakeAdapter
from providers.models import FakeTask, ProviderAccount, Route
from tests.jobs import drive

PRICE = 4 * 30_000


@pytest.fixture
def funded(org):
    drive.fund(org)
    drive.fake_route(org)
    return org


def ended(job: Job) -> Job:
    drive.run_all()
    job.refresh_from_db()
    return job


def types(job: Job) -> list[str]:
    return list(JobEvent.objects.filter(job=job).values_list("type", flat=True))


def test_a_job_becomes_a_video_and_is_charged_its_quote(funded, caller):
    job = submit(caller, drive.request(funded))
    assert (job.status, job.quoted_micros) == (Status.QUEUED, PRICE)
    assert ledger.balance(funded).held_micros == PRICE

    job = ended(job)

    assert (job.status, job.charged_micros, job.billed_units) == (Status.SUCCEEDED, PRICE, 4)
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD - PRICE, 0)
    video = Asset.objects.get(job=job, role="video")
    assert video.has_audio
    assert abs(video.duration_ms - 4000) <= 100
    assert {"poster", "preview"} <= set(Asset.objects.filter(job=job).values_list("role", flat=True))
    kinds = types(job)
    assert [k for k in kinds if k not in {"phase", "progress"}] == [
        "created",
        "running",
        "saving",
        "succeeded",
    ]


def test_a_failed_job_is_free(funded, caller):
    job = ended(submit(caller, drive.request(funded, "[fake fail=face_not_found]")))
    assert (job.status, job.error_code, job.charged_micros) == (Status.FAILED, "face_not_found", 0)
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)


@pytest.mark.parametrize("lie", ["short", "garbage", "mute"])
def test_a_provider_that_lies_about_its_result_is_not_paid_for(funded, caller, lie):
    job = ended(submit(caller, drive.request(funded, f"[fake lie={lie}]")))
    assert (job.status, job.error_code) == (Status.FAILED, "output_unusable")
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)
    assert not Asset.objects.filter(job=job).exists()


def test_a_film_that_is_of_no_use_is_made_by_another_route(funded, caller, monkeypatch):
    first = Route.objects.get(organization=funded)
    account = ProviderAccount.objects.create(provider="fake", name="dear")
    Route.objects.filter(pk=first.pk).update(account=account, cost_micros_per_second=1000, priority=1)
    second = drive.fake_route(funded, priority=2)
    verify, films = media.verify_output, []

    def verified(path, **expected):
        films.append(path)
        if len(films) == 1:
            raise media.OutputRefused("output_damaged", "as the test says")
        return verify(path, **expected)

    monkeypatch.setattr(media, "verify_output", verified)
    job = ended(submit(caller, drive.request(funded)))
    assert (job.status, job.charged_micros, job.error_code) == (Status.SUCCEEDED, PRICE, "")
    attempts = job.attempts.order_by("number").values_list("route_id", "status", "error_code", "cost_micros")
    assert list(attempts) == [
        (first.pk, "failed", "output_unusable", 4000),
        (second.pk, "succeeded", "", 0),
    ]
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD - PRICE, 0)
    assert [kind for kind in types(job) if kind not in {"phase", "progress"}] == [
        *("created", "running", "saving", "attempt_ended", "queued", "running", "saving", "succeeded")
    ]


def test_a_decoder_that_broke_once_is_no_verdict_on_the_film(funded, caller, monkeypatch):
    verify, films = media.verify_output, []

    def verified(path, **expected):
        films.append(path)
        if len(films) < settle.LOOKS:
            raise media.MediaRefused("probe_crashed", "as the test says")
        return verify(path, **expected)

    monkeypatch.setattr(media, "verify_output", verified)
    job = ended(submit(caller, drive.request(funded)))
    assert (job.status, job.attempts.count()) == (Status.SUCCEEDED, 1)


def test_a_lone_dead_route_is_asked_ever_more_rarely(funded, caller):
    job, waits = submit(caller, drive.request(funded, "[fake unavailable]")), []
    for number in range(1, 11):
        drive.hurry()
        drive.dispatch.dispatch()
        drive.dispatch.dispatch()
        attempt = job.attempts.get(number=number)
        waits.append(round((attempt.due_at - attempt.finished_at).total_seconds()))
        job.refresh_from_db()
        assert (job.status, job.due_at) == (Status.QUEUED, attempt.due_at)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_a_job_that_a_dead_route_did_not_take_goes_elsewhere_at_once(funded, caller, monkeypatch):
    submits = FakeAdapter.submit

    async def submitted(self, order):
        if "dead" in order.route:
            raise errors.Unavailable
        return await submits(self, order)

    monkeypatch.setattr(FakeAdapter, "submit", submitted)
    account = ProviderAccount.objects.create(provider="fake", name="dead")
    dead = drive.fake_route(funded, account=account, priority=1, settings={"dead": True})
    job = submit(caller, drive.request(funded, "[fake stall]"))
    drive.dispatch.dispatch()
    attempts = job.attempts.order_by("number").values_list("route_id", "status")
    alive = Route.objects.get(organization=funded, account=None)
    assert list(attempts) == [(dead.pk, "failed"), (alive.pk, "submitted")]


@pytest.mark.parametrize(
    ("sounding", "prompt", "status"),
    [(False, "[fake lie=mute]", "succeeded"), (True, "", "succeeded"), (True, "[fake lie=mute]", "failed")],
)
def test_a_film_sounds_where_its_motion_clip_does(funded, caller, sounding, prompt, status):
    drive.fake_route(funded, model="wan-2.2-animate")
    clip = drive.asset(funded, "video")
    Asset.objects.filter(pk=clip.pk).update(has_audio=sounding)
    inputs = {"image": str(drive.asset(funded, "image").pk), "video": str(clip.pk)}
    options = {"prompt": prompt, "seed": 7}
    order = drive.JobRequest(model="wan-2.2-animate", inputs=inputs, options=options, dialect="rest")
    job = ended(submit(caller, order))
    assert (job.status, job.error_code) == (status, "" if status == "succeeded" else "output_unusable")


def test_a_retryable_failure_goes_to_the_next_route_and_no_further(funded, caller):
    job = ended(submit(caller, drive.request(funded, "[fake flaky=engine_failed]")))
    assert (job.status, job.error_code) == (Status.FAILED, "engine_failed")
    assert Attempt.objects.filter(job=job).count() == 1  # the organization has this one route


def test_the_hint_of_a_retryable_failure_is_told_when_no_route_is_left(funded, caller):
    job = ended(submit(caller, drive.request(funded, "[fake flaky=engine_failed hint=Use_a_larger_face.]")))
    assert (job.status, job.error_hint) == (Status.FAILED, "Use a larger face.")


def test_an_input_deleted_while_the_job_waited_fails_it_free_and_says_so(funded, caller):
    job = submit(caller, drive.request(funded))
    drop(Asset.objects.filter(pk=job.inputs["audio"]["asset"]))
    job = ended(job)
    assert (job.status, job.error_code, bool(job.error_hint)) == (Status.FAILED, "file_gone", True)
    assert "audio" in job.error_message
    assert Attempt.objects.filter(job=job).count() == 1
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)
    assert not FakeTask.objects.exists()


def test_an_order_that_cannot_be_made_is_not_a_lost_answer(funded, caller, settings):
    """Nothing was sent, so there is nothing to ask about: each route is tried once, then the job fails, free."""
    job = submit(caller, drive.request(funded))
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "jobs.storage.none"}}
    for _ in range(3):
        drive.dispatch.dispatch()
        drive.hurry()
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Status.FAILED, "order_failed")
    assert list(Attempt.objects.filter(job=job).values_list("status", flat=True)) == ["failed"]
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)


def test_a_throttled_submit_is_tried_again_on_the_same_route(funded, caller):
    job = ended(submit(caller, drive.request(funded, "[fake throttle=2 order=abc]")))
    assert job.status == Status.SUCCEEDED
    assert Attempt.objects.filter(job=job).count() == 3


def test_a_refused_order_fails_free(funded, caller):
    job = ended(submit(caller, drive.request(funded, "[fake refuse=bad_picture]")))
    assert (job.status, job.error_code) == (Status.FAILED, "bad_picture")


def test_a_lost_answer_keeps_the_hold_and_makes_no_second_order(funded, caller):
    job = submit(caller, drive.request(funded, "[fake drop]"))
    drive.dispatch.dispatch()
    attempt = Attempt.objects.get(job=job)
    assert attempt.status == "unknown"
    assert ledger.balance(funded).held_micros == PRICE

    job = ended(job)

    assert job.status == Status.SUCCEEDED
    assert FakeTask.objects.count() == Attempt.objects.filter(job=job).count() == 1


def test_a_dispatcher_that_died_before_the_call_is_found_out(funded, caller):
    job = submit(caller, drive.request(funded))
    start = drive.dispatch.pick()
    assert start is not None
    assert start.attempt.status == "created"
    drive.orphan(start.attempt)

    job = ended(job)

    assert job.status == Status.SUCCEEDED
    assert list(Attempt.objects.filter(job=job).order_by("number").values_list("status", flat=True)) == [
        "failed",
        "succeeded",
    ]


def test_a_lost_order_fails_free(funded, caller):
    job = ended(submit(caller, drive.request(funded, "[fake forget]")))
    assert (job.status, job.error_code) == (Status.FAILED, "provider_lost_job")
    assert ledger.balance(funded).held_micros == 0


def test_canceling_a_queued_job_is_immediate_and_free(funded, caller):
    job = cancel(caller, submit(caller, drive.request(funded)))
    assert job.status == Status.CANCELED
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)
    assert cancel(caller, job).status == Status.CANCELED  # twice is fine


def test_canceling_a_running_job_stops_the_provider_and_is_free(funded, caller):
    job = submit(caller, drive.request(funded, "[fake stall]"))
    drive.step()
    job.refresh_from_db()
    assert job.status == Status.RUNNING
    cancel(caller, job)
    cancel_at_provider(str(job.pk))
    job = ended(job)
    assert job.status == Status.CANCELED
    assert FakeTask.objects.get().canceled
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)


def test_a_video_that_was_ready_when_the_cancel_came_is_free(funded, caller):
    job = submit(caller, drive.request(funded))
    drive.step()
    cancel(caller, Job.objects.get(pk=job.pk))
    job = ended(job)
    assert job.status == Status.CANCELED
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)


def test_a_finished_job_cannot_be_canceled(funded, caller):
    job = ended(submit(caller, drive.request(funded)))
    with pytest.raises(Conflict):
        cancel(caller, job)


def test_a_job_past_its_deadline_expires_free(funded, caller, settings):
    settings.JOB_LIFE_SECONDS = -1
    job = submit(caller, drive.request(funded, "[fake stall]"))
    drive.step()
    expire(str(job.pk))
    job.refresh_from_db()
    assert job.status == Status.EXPIRED
    assert FakeTask.objects.get().canceled
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)


def test_what_cannot_be_stopped_at_the_deadline_is_booked_as_our_cost(funded, caller, settings, monkeypatch):
    async def runs_on(self, external_id: str) -> bool:
        return False

    monkeypatch.setattr(FakeAdapter, "cancel", runs_on)
    account = ProviderAccount.objects.create(provider="fake", name="dear")
    Route.objects.filter(organization=funded).update(account=account, cost_micros_per_second=1000)
    settings.JOB_LIFE_SECONDS = -1
    job = submit(caller, drive.request(funded, "[fake stall]"))
    drive.step()
    expire(str(job.pk))
    attempt = job.attempts.get()
    assert (attempt.status, attempt.error_code, attempt.cost_micros) == ("canceled", "expired", 4000)
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)


def test_a_result_that_came_just_before_the_deadline_is_kept(funded, caller, settings):
    settings.JOB_LIFE_SECONDS = -1
    job = submit(caller, drive.request(funded))
    drive.dispatch.dispatch()
    FakeTask.objects.update(created_at="2020-01-01T00:00:00Z")  # long enough ago to have finished
    expire(str(job.pk))
    assert ended(job).status == Status.SUCCEEDED


def test_the_same_idempotency_key_returns_the_first_job(funded, caller):
    order = drive.request(funded, idempotency_key="order-1")
    assert submit(caller, order).pk == submit(caller, order).pk
    assert ledger.balance(funded).held_micros == PRICE
    with pytest.raises(Conflict):
        submit(caller, drive.request(funded, idempotency_key="order-1"))


def test_a_job_that_cannot_be_paid_leaves_no_trace(org, caller):
    drive.fake_route(org)
    with pytest.raises(Unpayable) as refusal:
        submit(caller, drive.request(org))
    assert refusal.value.code == "insufficient_funds"
    assert not Job.objects.exists()


def test_a_model_without_a_route_is_refused(funded, caller):
    order = drive.request(funded)
    Route.objects.filter(organization=funded).update(enabled=False)
    Route.objects.filter(organization=None).update(enabled=False)
    with pytest.raises(NoRoute):
        submit(caller, order)


def test_another_organizations_file_does_not_exist(funded, caller, other_org):
    order = drive.request(funded)
    theirs = drive.asset(other_org, "image")
    with pytest.raises(Invalid) as refusal:
        submit(
            caller, drive.JobRequest(**{**vars(order), "inputs": {**order.inputs, "image": str(theirs.id)}})
        )
    assert (refusal.value.code, refusal.value.field) == ("file_unknown", "image")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"seed": -2}, "seed"),
        ({"seed": "7"}, "seed"),
        ({"resolution": "8k"}, "resolution"),
        ({"colour": "red"}, "colour"),
        ({"fps": 0}, "fps"),
    ],
)
def test_a_wrong_option_is_named(funded, caller, options, field):
    with pytest.raises(Invalid) as refusal:
        submit(caller, drive.request(funded, options=options))
    assert refusal.value.field == field


def test_an_uploaded_file_is_probed_before_it_is_priced(funded, caller):
    order = drive.request(funded)
    fresh = drive.asset(funded, "audio", duration_ms=0, status="pending")
    order = drive.JobRequest(**{**vars(order), "inputs": {**order.inputs, "audio": str(fresh.id)}})
    job = submit(caller, order)
    assert (job.status, job.quoted_micros) == (Status.PREPARING, 3 * 30_000)  # the least it can cost
    job = ended(job)
    assert (job.status, job.billed_units, job.charged_micros) == (Status.SUCCEEDED, 13, 13 * 30_000)


def test_a_file_whose_bytes_never_came_fails_the_job_free(funded, caller):
    order = drive.request(funded)
    fresh = drive.asset(funded, "audio", status="pending")
    drive.storage.delete([fresh.key])
    order = drive.JobRequest(**{**vars(order), "inputs": {**order.inputs, "audio": str(fresh.id)}})
    job = ended(submit(caller, order))
    assert (job.status, job.error_code) == (Status.FAILED, "file_not_uploaded")
    assert ledger.balance(funded) == ledger.Balance(20 * drive.USD, 0)


def test_running_jobs_are_limited_and_shared_fairly(funded, caller, other_org, charlie):
    """Three organizations' worth of queue, two places: nobody's second job starts before everybody's first."""
    from tests.world import caller_for

    drive.fund(other_org)
    Route.objects.filter(organization=funded).delete()
    Route.objects.create(model="wan-2.2-s2v", provider="fake", max_running=2, priority=1)
    Route.objects.filter(provider="local").update(enabled=False)
    mine = [submit(caller, drive.request(funded, "[fake stall]")) for _ in range(3)]
    theirs = submit(caller_for(other_org, charlie), drive.request(other_org, "[fake stall]"))
    assert drive.dispatch.dispatch() == 2
    running = set(Job.objects.filter(status=Status.RUNNING).values_list("pk", flat=True))
    assert running == {mine[0].pk, theirs.pk}


def test_free_places_are_shared_by_weight(funded, caller, other_org, charlie):
    from tests.world import caller_for

    drive.fund(other_org)
    Route.objects.filter(organization=funded).delete()
    Route.objects.create(model="wan-2.2-s2v", provider="fake", max_running=8, priority=1)
    Route.objects.filter(provider="local").update(enabled=False)
    Limits.objects.create(organization=funded, weight=1)
    Limits.objects.create(organization=other_org, weight=3)
    for orders, organization in ((caller, funded), (caller_for(other_org, charlie), other_org)):
        request = drive.request(organization, "[fake stall]")
        for _ in range(8):
            submit(orders, request)
    assert drive.dispatch.dispatch() == 8
    running = Counter(Job.objects.filter(status=Status.RUNNING).values_list("organization", flat=True))
    assert running == {funded.pk: 2, other_org.pk: 6}


def test_what_a_render_left_behind_is_cleared_an_hour_later(funded, caller):
    job = ended(submit(caller, drive.request(funded)))
    attempt = job.attempts.get()
    left = f"work/{attempt.pk}/output.mp4"
    assert drive.storage.exists(left)
    assert clear_workspaces() == 0
    Attempt.objects.update(finished_at="2020-01-01T00:00:00Z")
    assert clear_workspaces() == 1
    assert not drive.storage.exists(left)
    assert drive.storage.exists(Asset.objects.get(job=job, role="video").key)


def test_files_whose_time_is_up_are_deleted(funded, caller):
    job = ended(submit(caller, drive.request(funded)))
    video = Asset.objects.get(job=job, role="video")
    assert expire_assets() == 0
    Asset.objects.filter(pk=video.pk).update(expires_at="2020-01-01T00:00:00Z")
    assert expire_assets() == 1
    assert not drive.storage.exists(video.key)
