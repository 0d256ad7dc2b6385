"""Jobs longer than their route takes at once: cut at pauses, filmed part by part, joined under the whole voice."""

from __future__ import annotations

import io
import itertools
import wave
from datetime import timedelta

import av
import numpy as np
import pytest

from billing import ledger
from jobs import cancel, media, parts, storage, sweep, switches
from jobs.models import Asset, Attempt, Job
from jobs.submit import submit
from jobs.types import JobRequest
from providers.models import FakeTask, ProviderAccount, Route
from tests.jobs import drive
from tests.providers.conformance.stands import picture, standing, stored

RATE = 16_000
SECONDS = 9
# The first is short of the limit and long, the second nearer but short: see jobs.media.parts.
PAUSES = ((2.5, 3.0), (3.3, 3.5), (5.0, 5.3))
LIMIT_MS = 4000
CUTS = [0, 2750, 5150, 9000]


def spoken(seconds: float = SECONDS, pauses=PAUSES) -> bytes:
    at = np.arange(int(RATE * seconds)) / RATE
    tone = np.sin(2 * np.pi * 220 * at) * 8000
    for start, end in pauses:
        tone[int(start * RATE) : int(end * RATE)] = 0
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(tone.astype("<i2").tobytes())
    return file.getvalue()


def long_job(org, caller, prompt: str = "", *, seconds: float = SECONDS, pauses=PAUSES) -> Job:
    voice = stored(org, "audio", spoken(seconds, pauses), "audio/wav", duration_ms=round(seconds * 1000))
    inputs = {"image": picture(org), "audio": voice}
    options = {"prompt": prompt, "seed": 7}
    return submit(caller, JobRequest(model="wan-2.2-s2v", inputs=inputs, options=options, dialect="rest"))


@pytest.fixture
def route(org) -> Route:
    drive.fund(org)
    Route.objects.filter(organization=None).delete()
    account = ProviderAccount.objects.create(provider="fake", name="short")
    fields = {"max_length_ms": LIMIT_MS, "cut_longer": True, "cost_micros_per_second": 1000}
    return drive.fake_route(org, account=account, priority=1, **fields)


def died(*_: object) -> None:
    raise RuntimeError("died")


def story(job: Job) -> list[tuple]:
    return list(job.attempts.order_by("number").values_list("route_id", "part", "status"))


def film_of(job: Job, tmp_path):
    path = tmp_path / "film.mp4"
    storage.fetch(Asset.objects.get(job=job, role="video").key, path)
    return path


def levels(path) -> list[float]:
    """How bright each frame is."""
    with av.open(str(path)) as film:
        return [float(frame.to_ndarray(format="gray").mean()) for frame in film.decode(video=0)]


def loudness(path) -> np.ndarray:
    """Of each 50 ms of the film's sound."""
    with av.open(str(path)) as film:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
        rate = film.streams.audio[0].rate
    size = rate // 20
    whole = sound[: len(sound) // size * size].reshape(-1, size)
    return np.sqrt((whole.astype(float) ** 2).mean(axis=1))


def test_a_long_voice_is_cut_at_its_pauses_and_its_films_are_joined(route, org, caller, tmp_path):
    job = long_job(org, caller)
    drive.run_all(60)
    job.refresh_from_db()
    assert job.status == "succeeded", (job.error_code, story(job))
    assert story(job) == [(route.pk, part, "succeeded") for part in (1, 2, 3)]
    assert job.attempts.latest("number").cuts == CUTS
    assert job.charged_micros == job.quoted_micros == 9 * 30_000, "the price is the quote, as always"
    lengths = list(job.attempts.order_by("number").values_list("cost_micros", flat=True))
    assert lengths == [2750, 2400, 3850]
    path = film_of(job, tmp_path)
    bright = levels(path)
    assert len(bright) == 90, "ten frames a second, to the frame"
    falls = [index for index in range(1, len(bright)) if bright[index] < bright[index - 1] - 30]
    assert falls == [28, 52], "each part begins in its own frame"
    loud = loudness(path)
    assert abs(len(loud) - SECONDS * 20) <= 2
    for index in range(2, SECONDS * 20 - 2):
        at = (index + 0.5) / 20
        silent = any(start + 0.1 < at < end - 0.1 for start, end in PAUSES)
        tone = not any(start - 0.1 < at < end + 0.1 for start, end in PAUSES)
        assert not (silent and loud[index] > 0.02), at
        assert not (tone and loud[index] < 0.1), at


def test_each_part_begins_with_the_last_picture_of_the_one_before(route, org, caller, tmp_path):
    job = long_job(org, caller)
    drive.dispatch.dispatch()
    drive.run_all(60)
    first, second, _ = job.attempts.order_by("number")
    kept = tmp_path / "last.png"
    storage.fetch(f"work/{first.pk}/last.png", kept)
    assert media.probe(kept, expect="image").width == first.result["picture"]["width"] == 64
    shown = av.open(str(kept)).decode(video=0)
    assert abs(float(next(shown).to_ndarray(format="gray").mean()) - 179) < 6, "the last frame, not the first"
    piece = tmp_path / "piece.wav"
    storage.fetch(f"work/{second.pk}/piece.wav", piece)
    assert media.probe(piece).duration_ms == CUTS[2] - CUTS[1]


def test_without_a_pause_the_quietest_place_is_cut(route, org, caller):
    job = long_job(org, caller, seconds=7, pauses=())
    drive.run_all(60)
    job.refresh_from_db()
    assert job.status == "succeeded"
    cuts = job.attempts.latest("number").cuts
    assert all(1000 <= end - start <= LIMIT_MS for start, end in itertools.pairwise(cuts)), cuts


def test_a_part_that_fails_takes_the_whole_job_to_the_next_route(route, org, caller, tmp_path):
    job = long_job(org, caller)
    whole = drive.fake_route(org, priority=2)
    while job.attempts.count() < 2:
        drive.step()
    FakeTask.objects.filter(tag=job.attempts.get(part=2).tag).update(script={"flaky": "engine_failed"})
    drive.run_all(60)
    job.refresh_from_db()
    assert job.status == "succeeded"
    assert story(job) == [
        (route.pk, 1, "succeeded"),
        (route.pk, 2, "failed"),
        (whole.pk, 0, "succeeded"),
    ]
    assert job.attempts.get(part=0).cost_micros == 0
    assert len(levels(film_of(job, tmp_path))) == 90


def test_a_refusal_of_a_part_fails_the_job_free(route, org, caller):
    job = long_job(org, caller)
    while job.attempts.count() < 2:
        drive.step()
    FakeTask.objects.filter(tag=job.attempts.get(part=2).tag).update(script={"fail": "content_refused"})
    drive.run_all(60)
    job.refresh_from_db()
    assert (job.status, job.error_code, job.charged_micros) == ("failed", "content_refused", 0)
    assert ledger.balance(org).held_micros == 0


def test_a_lost_answer_of_a_part_is_found_and_nothing_is_ordered_twice(route, org, caller):
    job = long_job(org, caller, "[fake drop]")
    drive.run_all(60)
    job.refresh_from_db()
    assert job.status == "succeeded"
    assert FakeTask.objects.count() == 3
    assert [part for _, part, _ in story(job)] == [1, 2, 3]


def test_a_process_that_dies_between_two_parts_is_followed_by_another(route, org, caller):
    job = long_job(org, caller)
    drive.dispatch.dispatch()
    while not job.attempts.filter(part=1, status="succeeded").exists():
        drive.hurry()
        drive.async_to_sync(drive.polling.poll_due)()
    drive.dispatch.dispatch()
    assert job.attempts.count() == 1, "nothing goes on by itself"
    Job.objects.filter(pk=job.pk).update(due_at=job.created_at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_queue", died)
        with pytest.raises(RuntimeError):
            parts.next_part(str(job.pk))
    Job.objects.filter(pk=job.pk).update(lease_until=None, due_at=job.created_at - timedelta(minutes=1))
    assert ("jobs.next_part", str(job.pk)) in list(sweep.due())
    drive.run_all(60)
    job.refresh_from_db()
    assert job.status == "succeeded"
    assert FakeTask.objects.count() == 3, "no part was ordered again"


@pytest.mark.parametrize("between", [False, True])
def test_cancel_stops_the_chain(route, org, caller, between):
    job = long_job(org, caller, "" if between else "[fake stall]")
    drive.dispatch.dispatch()
    while between and not job.attempts.filter(part=1, status="succeeded").exists():
        drive.hurry()
        drive.async_to_sync(drive.polling.poll_due)()
    cancel.cancel(caller, job)
    cancel.cancel_at_provider(str(job.pk))
    drive.run_all(30)
    job.refresh_from_db()
    assert (job.status, job.charged_micros) == ("canceled", 0)
    assert Attempt.objects.count() == 1
    assert ledger.balance(org).held_micros == 0


def test_a_drained_route_finishes_what_it_has_begun_and_a_killed_one_does_not(route, org, caller, alice):
    drained = long_job(org, caller)
    drive.dispatch.dispatch()
    switches.drain(route, by=alice)
    drive.run_all(60)
    assert [part for _, part, _ in story(drained)] == [1, 2, 3]
    switches.reopen(route, by=alice)
    other = drive.fake_route(org, priority=2)
    killed = long_job(org, caller)
    while killed.attempts.count() < 2:
        drive.step()
    switches.kill(route, by=alice)
    switches.stop_killed()
    drive.run_all(60)
    assert story(killed)[-1] == (other.pk, 0, "succeeded")


def test_nothing_is_cut_where_the_operator_does_not_allow_it(route, org, caller):
    Route.objects.update(cut_longer=False)
    with pytest.raises(Exception, match="at most 4 s"):
        long_job(org, caller)


def test_at_dashscopes_double_a_voice_of_25_seconds_is_two_tasks(org, caller, settings):
    """Its film is smaller than the pictures that it takes, and nobody but the customer's picture is looked at."""
    drive.fund(org)
    Route.objects.filter(organization=None).delete()
    with standing("dashscope", org) as stand:
        settings.FETCH_ALLOW_HOSTS = [stand.vendor.host]
        Route.objects.update(cut_longer=True)
        job = long_job(org, caller, seconds=25, pauses=((15.0, 15.6),))
        drive.run_all(120)
        job.refresh_from_db()
        assert job.status == "succeeded", (job.error_code, list(job.attempts.values_list("note", flat=True)))
        assert job.attempts.latest("number").cuts == [0, 15_300, 25_000]
        assert [task.length_ms for task in stand.vendor.tasks.values()] == [15_300, 9_700]
        assert stand.vendor.over_limit == 0
        assert len(stand.vendor.looks) == 1
        assert abs(Asset.objects.get(job=job, role="video").duration_ms - 25_000) <= 100
