"""Orders at DashScope's double: detection first, its limits held by our own queue, lists that hold strangers' tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.utils import timezone

from jobs.detect import EMO, S2V, detect
from jobs.models import Attempt
from jobs.orders import make_order
from jobs.states import Status
from jobs.submit import submit
from jobs.types import JobRequest
from providers import errors, vault
from providers.calls import call
from providers.fake.video import make_video
from providers.models import ProviderAccount, Route
from providers.registry import adapter
from tests.jobs import drive
from tests.providers.conformance.stands import grow_old, picture, standing, stored, voice
from tests.vendors.dashscope.double import problem


@pytest.fixture
def stand(org, settings):
    with standing("dashscope", org) as made:
        settings.FETCH_ALLOW_HOSTS = [made.vendor.host]
        yield made


def placed(job) -> Attempt:
    drive.hurry()
    drive.dispatch.dispatch()
    return job.attempts.latest("number")


def test_a_picture_is_looked_at_before_it_is_filmed(stand, caller):
    placed(submit(caller, stand.request()))
    assert stand.vendor.looks == ["wan2.2-s2v-detect"]
    assert stand.orders() == 1


def test_an_unfit_picture_is_refused_before_anything_is_ordered(stand, caller):
    stand.vendor.unfit = "InvalidFile.MultiHuman"
    job = submit(caller, stand.request())
    placed(job)
    job.refresh_from_db()
    assert (job.status, job.error_code) == (Status.FAILED, "face_many")
    assert stand.orders() == 0


def test_a_proxy_that_knows_no_such_address_before_the_order_loses_nothing(stand, caller):
    job = submit(caller, stand.request())
    for operation in ("policy", "detect"):
        stand.vendor.fault(operation, "proxy_404")
        assert placed(job).error_code == "provider_unavailable"
        assert stand.orders() == 0
    assert placed(job).external_id


def test_looking_can_be_switched_off(stand, caller):
    ProviderAccount.objects.update(settings={"check_pictures": False})
    placed(submit(caller, stand.request()))
    assert (stand.vendor.looks, stand.orders()) == ([], 1)


def test_files_at_our_own_address_are_not_sent(stand, caller):
    ProviderAccount.objects.update(settings={"inputs": "address"})
    attempt = placed(submit(caller, stand.request()))
    assert attempt.external_id, attempt.note
    assert stand.vendor.objects == {}


def test_one_task_of_a_model_runs_at_a_time_and_the_next_follows(stand, caller):
    first, second = (submit(caller, stand.request()) for _ in range(2))
    drive.dispatch.dispatch()
    assert (first.attempts.count(), second.attempts.count()) == (1, 0)
    drive.run_all(seconds=60)
    second.refresh_from_db()
    assert second.status == Status.SUCCEEDED
    assert stand.vendor.over_limit == 0


def test_queries_keep_to_the_accounts_twenty_a_second(stand, caller):
    """Fifty tasks in flight, as if the vendor had granted more than one; the double counts what comes too fast."""
    ProviderAccount.objects.update(max_running=50)
    job = submit(caller, stand.request())
    first = placed(job)
    ids = [first.external_id] * 50
    updates = drive.async_to_sync(adapter("dashscope", first.account_id).poll)(ids)
    assert len(updates) == 50
    assert stand.vendor.over_limit == 0


def test_a_strangers_task_is_never_taken_for_ours(stand, caller):
    """Others may order on the account: a lost order stays unknown, however alike the list."""
    ProviderAccount.objects.update(settings={})
    stand.trouble("cut_after")
    job = submit(caller, stand.request())
    placed(job)
    grow_old(job)
    drive.hurry()
    drive.async_to_sync(drive.poll.resolve_unknown)()
    attempt = job.attempts.get()
    assert (attempt.status, attempt.external_id) == ("unknown", "")


def test_two_candidates_are_told_apart_by_nobody(stand, caller):
    stand.trouble("cut_after")
    job = submit(caller, stand.request())
    placed(job)
    (task,) = stand.vendor.tasks.values()
    stand.vendor.tasks["another"] = task.__class__("another", task.model, task.request, task.length_ms)
    stand.vendor.created["another"] = stand.vendor.created[task.id]
    drive.hurry()
    drive.async_to_sync(drive.poll.resolve_unknown)()
    assert job.attempts.get().status == "unknown"


def test_the_list_and_a_cancel_wait_for_their_place_among_the_accounts_queries(stand, caller):
    stand.trouble("cut_after")
    job = submit(caller, stand.request())
    placed(job)
    vault.reserve_queries(stand.account.pk, 1000, 17.0, patience=0)  # they are taken for a minute
    drive.hurry()
    drive.async_to_sync(drive.poll.resolve_unknown)()
    with pytest.raises(errors.Throttled):
        drive.async_to_sync(adapter("dashscope", stand.account.pk).cancel)("any")
    assert stand.vendor.count("listing") == stand.vendor.count("cancel") == 0
    assert job.attempts.get().status == "unknown"
    ProviderAccount.objects.update(queries_until=timezone.now())
    drive.hurry()
    drive.async_to_sync(drive.poll.resolve_unknown)()
    assert job.attempts.get().status == "submitted"


@pytest.mark.parametrize("made", [False, True])
def test_a_frame_that_the_vendor_filmed_is_not_the_customers_picture(stand, caller, monkeypatch, made):
    stand.vendor.unfit = "InvalidFile.FacePose" if made else ""
    monkeypatch.setattr(stand.vendor, "trouble", lambda _: problem(400, "InvalidFile.FacePose", "turned"))
    stand.trouble("refusal")
    submit(caller, stand.request())
    start = drive.dispatch.pick()
    order = make_order(start.job, start.attempt, start.route)
    image = replace(order.inputs["image"], made=made)
    order = replace(order, inputs={**order.inputs, "image": image})
    with pytest.raises(errors.Refused) as refusal:
        call(30, adapter("dashscope", stand.account.pk).submit, order)
    told = (errors.Unsuitable, "provider_failed") if made else (errors.Refused, "face_turned")
    assert (type(refusal.value), refusal.value.code) == told


def test_what_waits_there_can_be_canceled_and_what_runs_cannot(stand, caller):
    attempt = placed(submit(caller, stand.request()))
    stop = drive.async_to_sync(adapter("dashscope", attempt.account_id).cancel)
    assert stop(attempt.external_id) is True
    assert stop(attempt.external_id) is False


def test_emo_with_the_boxes_of_its_detector(stand, caller, org):
    for detector in (S2V, EMO):
        Route.objects.create(model=detector, provider="dashscope", account=stand.account, organization=org)
    Route.objects.create(model="emo-v1", provider="dashscope", account=stand.account, organization=org)
    image = picture(org)
    verdict = detect(caller, EMO, image, ratio="1:1").verdict
    assert verdict.fit
    assert detect(caller, S2V, image).verdict.fit
    stand.vendor.unfit = "InvalidFile.NoHuman"
    unfit = detect(caller, S2V, image).verdict
    assert (unfit.fit, unfit.code) == (False, "face_not_found")
    stand.vendor.unfit = ""
    options = {
        "face_bbox": list(verdict.face),
        "ext_bbox": list(verdict.frame),
        "resolution": "1:1",
        "seed": 1,
    }
    request = JobRequest(
        model="emo-v1", inputs={"image": image, "audio": voice(org)}, options=options, dialect="rest"
    )
    job = submit(caller, request)
    drive.run_all(seconds=60)
    job.refresh_from_db()
    assert job.status == Status.SUCCEEDED
    (task,) = stand.vendor.tasks.values()
    assert task.request["input"]["face_bbox"] == list(verdict.face)


def test_animate_by_mode(stand, caller, org):
    Route.objects.create(
        model="wan-2.2-animate", provider="dashscope", account=stand.account, organization=org
    )
    clip = stored(org, "video", make_video(3000), "video/mp4", duration_ms=3000, width=640, height=640)
    inputs = {"image": picture(org), "video": clip}
    for mode, name in (("animate", "wan2.2-animate-move"), ("replace", "wan2.2-animate-mix")):
        stand.vendor.tasks.clear()
        options = {"mode": mode, "seed": 1}
        attempt = placed(
            submit(
                caller, JobRequest(model="wan-2.2-animate", inputs=inputs, options=options, dialect="rest")
            )
        )
        assert attempt.external_id, attempt.note
        assert [task.model for task in stand.vendor.tasks.values()] == [name]
        Attempt.objects.update(status="failed")
