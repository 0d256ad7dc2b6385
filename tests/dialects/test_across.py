"""One job, four dialects: submitted by any, it is read, canceled and deleted through every other.

And whoever it does not belong to sees nothing of it anywhere, whatever the verb and however the id is written.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from itertools import product

import pytest
from django.db.models import F
from django.utils import timezone

from jobs.expire import expire
from jobs.models import Asset, Job, JobEvent
from jobs.states import Status
from tests.dialects.speakers import SPEAKERS, Speaker
from tests.jobs import drive
from tests.world import api_client

pytestmark = pytest.mark.django_db
ORDER = ("rest", "wavespeed", "dashscope", "inferencesh")
# What each dialect, in that order, says of each of our states.
WORDS = {
    "preparing": ("preparing", "created", "PENDING", 1),
    "queued": ("queued", "created", "PENDING", 2),
    "running": ("running", "processing", "RUNNING", 7),
    "saving": ("saving", "processing", "RUNNING", 9),
    "succeeded": ("succeeded", "completed", "SUCCEEDED", 10),
    "failed": ("failed", "failed", "FAILED", 11),
    "canceled": ("canceled", "cancelled", "CANCELED", 12),
    "expired": ("expired", "timeout", "FAILED", 11),
}
CODES = {
    "failed": ("face_not_found", 1401, "InvalidFile.NoHuman", "face_not_found"),
    "canceled": ("canceled", 1405, "", "canceled"),
    "expired": ("expired", 5004, "InternalError.Timeout", "expired"),
}
MODELS = {
    "wan-2.2-s2v": ("wan-2.2-s2v", "wavespeed-ai/wan-2.2/speech-to-video", "wan2.2-s2v", "infsh/wan-2-2-s2v"),
    "wan-2.2-animate": (
        "wan-2.2-animate",
        "wavespeed-ai/wan-2.2/animate",
        "wan2.2-animate-move",
        "voicereel/wan-2.2-animate",
    ),
    "emo-v1": ("emo-v1", "voicereel/emo-v1", "emo-v1", "voicereel/emo-v1"),
}
PROMPTS = {"running": "[fake stall]", "failed": "[fake fail=face_not_found hint=Look_ahead.]"}


@pytest.fixture
def speakers(served, key) -> dict[str, Speaker]:
    return {name: speaker(api_client(key)) for name, speaker in SPEAKERS.items()}


def brought(speaker: Speaker, org, state: str) -> Job:
    """A job submitted by this dialect, brought into the state."""
    voice = "pending" if state == "preparing" else "ready"
    files = {"image": drive.asset(org, "image"), "audio": drive.asset(org, "audio", status=voice)}
    name = speaker.submit({role: str(row.id) for role, row in files.items()}, PROMPTS.get(state, "[fake ]"))
    row = Job.objects.filter(pk=name)
    for _ in range(50 if state in {"running", "saving", "succeeded", "failed"} else 0):
        if row.filter(status=state).exclude(phase="waiting").exists():
            break
        drive.hurry()
        drive.dispatch.dispatch()
        drive.async_to_sync(drive.polling.poll_due)()
        if state == "succeeded" and row.filter(status=Status.SAVING).exists():
            drive.settle.save(str(name))
    if state == "canceled":
        assert speaker.client.post(f"/v1/jobs/{name}/cancel").status_code == 200
    if state == "expired":
        Job.objects.filter(pk=name).update(deadline_at=timezone.now() - timedelta(seconds=1))
        expire(str(name))
    job = Job.objects.get(pk=name)
    assert job.status == state
    return job


def asset_of(address: str) -> uuid.UUID:
    return uuid.UUID(re.search(r"/files/([0-9a-f-]{36})/", address)[1])


# --- the same job everywhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "state"), list(product(ORDER, WORDS)))
def test_a_job_of_one_dialect_is_the_same_in_all(speakers, org, by, state):
    job = brought(speakers[by], org, state)
    assert job.dialect == by
    seen = {name: speaker.read(job) for name, speaker in speakers.items()}
    assert tuple(seen[name].word for name in ORDER) == WORDS[state]
    assert tuple(seen[name].model for name in ORDER) == MODELS["wan-2.2-s2v"]
    for name, one in seen.items():
        assert one.id == speakers[name].name(job)
        assert abs(one.created - job.created_at) < timedelta(milliseconds=1)
    codes = tuple(seen[name].code or "" for name in ORDER)
    assert codes == CODES.get(state, ("", "", "", ""))
    videos = {asset_of(one.output) if one.output else None for one in seen.values()}
    kept = Asset.objects.filter(job=job, role="video").values_list("pk", flat=True)
    assert videos == (set(kept) if state == "succeeded" else {None})


def test_a_failure_gives_its_sentence_and_its_hint_everywhere(speakers, org):
    job = brought(speakers["rest"], org, "failed")
    assert (job.error_message, job.error_hint) == ("The script failed.", "Look ahead.")
    assert speakers["rest"].get(f"/v1/jobs/{job.pk}")["error"]["hint"] == "Look ahead."
    for name in ORDER[1:]:
        assert speakers[name].read(job).message == "The script failed. Look ahead."


@pytest.mark.parametrize("model", MODELS)
def test_each_dialect_has_a_name_for_every_model(speakers, org, model):
    job = brought(speakers["rest"], org, "queued")
    options = {"mode": "animate", "resolution": "480p"} if model == "wan-2.2-animate" else job.options
    Job.objects.update(model=model, options=options)
    assert tuple(speakers[name].read(job).model for name in ORDER) == MODELS[model]


def test_the_lists_hold_the_jobs_of_all_dialects_newest_first(speakers, org):
    jobs = [brought(speakers[name], org, "queued") for name in ORDER]
    for name in ("rest", "wavespeed", "dashscope"):
        found = speakers[name].listed()
        assert [one.id for one in found] == [speakers[name].name(job) for job in reversed(jobs)]
        assert {one.word for one in found} == {WORDS["queued"][ORDER.index(name)]}
    told = {row["job"] for row in speakers["rest"].get("/v1/events")["data"]}
    assert told <= {str(job.pk) for job in jobs}


def test_inferencesh_has_no_list(speakers):
    """Its Python SDK knows none; what the vendor's other clients post to is refused, not taken for a task."""
    assert speakers["inferencesh"].client.post("/tasks/list", {}, format="json").status_code == 405


CANCEL = {
    "rest": lambda client, job: client.post(f"/v1/jobs/{job.pk}/cancel"),
    "wavespeed": lambda client, job: client.post(
        "/api/v3/predictions/delete", {"ids": [job.pk.hex]}, format="json"
    ),
    "dashscope": lambda client, job: client.post(f"/api/v1/tasks/{job.pk}/cancel"),
    "inferencesh": lambda client, job: client.post(f"/tasks/{job.pk}/cancel"),
}
DELETE = {
    "rest": lambda client, job: client.delete(f"/v1/jobs/{job.pk}"),
    "wavespeed": CANCEL["wavespeed"],
    "inferencesh": lambda client, job: client.delete(f"/tasks/{job.pk}"),
}


@pytest.mark.parametrize(("by", "through"), [(a, b) for a, b in product(ORDER, CANCEL) if a != b])
def test_a_waiting_job_is_canceled_through_every_other_dialect(speakers, org, by, through):
    job = brought(speakers[by], org, "queued")
    assert CANCEL[through](speakers[through].client, job).status_code == 200
    job.refresh_from_db()
    assert job.status == Status.CANCELED
    if through != "wavespeed":  # there, to cancel is to delete
        assert tuple(speakers[name].read(job).word for name in ORDER) == WORDS["canceled"]


@pytest.mark.parametrize(("by", "through"), [(a, b) for a, b in product(ORDER, DELETE) if a != b])
def test_a_finished_job_is_deleted_through_every_other_dialect_and_gone_in_all(speakers, org, by, through):
    job = brought(speakers[by], org, "succeeded")
    address = speakers["rest"].read(job).output
    assert DELETE[through](speakers[through].client, job).status_code in {200, 204}
    client = speakers["rest"].client
    assert client.get(f"/v1/jobs/{job.pk}").status_code == 404
    assert client.get(f"/tasks/{job.pk}").status_code == 404
    assert client.get(f"/api/v1/tasks/{job.pk}").json()["output"]["task_status"] == "UNKNOWN"
    # the only one with a word for it
    assert client.get(f"/api/v3/predictions/{job.pk.hex}").json()["data"]["status"] == "deleted"
    assert client.get(address.removeprefix("http://testserver")).status_code == 410
    for name in ("rest", "wavespeed", "dashscope"):
        assert speakers[name].listed() == []


def test_after_a_day_only_dashscope_has_forgotten_it(speakers, org):
    job = brought(speakers["dashscope"], org, "succeeded")
    Job.objects.update(created_at=F("created_at") - timedelta(hours=24))
    job.refresh_from_db()
    task = speakers["dashscope"].get(f"/api/v1/tasks/{job.pk}")["output"]
    assert task == {"task_id": str(job.pk), "task_status": "UNKNOWN"}
    for name in ("rest", "wavespeed", "inferencesh"):
        assert asset_of(speakers[name].read(job).output)


# --- nobody else's --------------------------------------------------------------------------------------------------

NOT_FOUND, UNKNOWN, NOT_PENDING, NONE_DELETED = "404", "UNKNOWN", "UnsupportedOperation", "0"
# Every address that takes an id, and what it says of one that is nobody's.
VERBS = [
    ("get", "/v1/jobs/{}", NOT_FOUND),
    ("delete", "/v1/jobs/{}", NOT_FOUND),
    ("post", "/v1/jobs/{}/cancel", NOT_FOUND),
    ("post", "/v1/jobs/{}/retry", NOT_FOUND),
    ("get", "/v1/jobs/{}/receipt", NOT_FOUND),
    ("get", "/v1/jobs/{}/events", NOT_FOUND),
    ("stream", "/v1/jobs/{}/events", NOT_FOUND),
    ("get", "/api/v3/predictions/{}", NOT_FOUND),
    ("get", "/api/v3/predictions/{}/result", NOT_FOUND),
    ("ids", "/api/v3/predictions/delete", NONE_DELETED),
    ("get", "/api/v1/tasks/{}", UNKNOWN),
    ("get", "/api/v1/tasks/{}/", UNKNOWN),
    ("get", "/api/v1/tasks?task_id={}", NONE_DELETED),
    ("post", "/api/v1/tasks/{}/cancel", NOT_PENDING),
    ("post", "/api/v1/tasks/{}/cancel/", NOT_PENDING),
    *[
        (method, f"{prefix}/tasks/{{}}{end}", NOT_FOUND)
        for prefix in ("", "/infsh")
        for method, end in (
            ("get", ""),
            ("delete", ""),
            ("delete", "?files=true"),
            ("get", "/status"),
            ("get", "/logs"),
            ("get", "/timings"),
            ("get", "/files"),
            ("delete", "/files"),
            ("post", "/cancel"),
            ("stream", "/stream"),
            ("lines", "/stream"),
        )
    ],
]
ACCEPT = {"stream": "text/event-stream", "lines": "application/x-ndjson"}


def said(client, method: str, path: str, name: str) -> str:
    """What the address says of the id, in one word."""
    if method == "ids":
        return str(client.post(path, {"ids": [name]}, format="json").json()["data"]["deleted_count"])
    headers = {"Accept": ACCEPT[method]} if method in ACCEPT else {}
    call = getattr(client, "get" if method in ACCEPT else method)
    answer = call(path.format(name), headers=headers)
    if answer.status_code == 404:
        return NOT_FOUND
    body = answer.json()
    if "output" in body:
        assert body["output"] == {"task_id": name, "task_status": UNKNOWN}
        return UNKNOWN
    return str(body.get("code") or body.get("total"))


def spelled(job: Job, path: str) -> str:
    return job.pk.hex if path.startswith("/api/v3") else str(job.pk)


def test_another_tenants_job_is_seen_nowhere_and_touched_by_no_verb(speakers, org, other_org, other_key):
    drive.fund(other_org)
    stranger = api_client(other_key)
    for state in ("queued", "running", "succeeded", "failed"):
        job = brought(speakers["rest"], org, state)
        before = Job.objects.filter(pk=job.pk).values().get()
        events = JobEvent.objects.filter(job=job).count()
        files = Asset.objects.live().count()
        for method, path, word in VERBS:
            assert said(stranger, method, path, spelled(job, path)) == word, (state, method, path)
        assert Job.objects.filter(pk=job.pk).values().get() == before
        assert (JobEvent.objects.filter(job=job).count(), Asset.objects.live().count()) == (events, files)
    for name in ("rest", "wavespeed", "dashscope"):
        assert SPEAKERS[name](stranger).listed() == []
    assert stranger.get("/v1/events").json()["data"] == []


def test_its_owner_is_told_something_by_each_of_those_addresses(speakers, org):
    """Or the test above would prove nothing."""
    for method, path, word in VERBS:
        job = brought(speakers["rest"], org, "queued")
        assert said_or_streamed(speakers["rest"].client, method, path, spelled(job, path)) != word, path


def said_or_streamed(client, method: str, path: str, name: str) -> str:
    if method not in ACCEPT:
        return owned(client, method, path, name)
    answer = client.get(path.format(name), headers={"Accept": ACCEPT[method]})
    assert answer.status_code == 200
    return next(iter(answer.streaming_content)).decode()


def owned(client, method: str, path: str, name: str) -> str:
    if method == "ids" or "?task_id=" in path:
        return said(client, method, path, name)
    answer = getattr(client, method)(path.format(name))
    return NOT_FOUND if answer.status_code == 404 else answer.content.decode()


ODD = [
    "nonsense",
    "0",
    "-1",
    "null",
    "00000000-0000-0000-0000-000000000000",
    "0" * 32,
    "f" * 31,
    "f" * 33,
    "g" * 32,
    "x" * 3000,
    "%00",
    "\u0661" * 32,
    "%F0%9F%8E%AC",
    "%ff",
    "{{}}",
    "' OR 1=1 --",
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: ascii(odd[:20]))
def test_an_id_that_is_none_is_like_one_of_nobody(speakers, odd):
    client = speakers["rest"].client
    for method, path, word in VERBS:
        if word == UNKNOWN:
            assert client.get(path.format(odd)).json()["output"]["task_status"] == UNKNOWN, path
        else:
            assert said(client, method, path, odd) == word, (method, path)


@pytest.mark.parametrize("path", ["..", ".", "a/b", "%2e%2e%2f", "a%2Fb", ""])
def test_an_id_that_reads_like_a_path_leads_nowhere(speakers, path):
    for _, address, _ in VERBS:
        assert speakers["rest"].client.get(address.format(path)).status_code < 500, address


@pytest.mark.parametrize(
    "change",
    [
        lambda name: f"{{{name}}}",
        lambda name: f"urn:uuid:{name}",
        lambda name: f"%20{name}",
        lambda name: f"{name[:8]}-{name[8:]}",
        lambda name: f"{name[:8]}_{name[9:]}",
        lambda name: f"{name}%00",
        lambda name: f"{name}%0a",
    ],
    ids=["braces", "urn", "space", "a dash more", "underscore", "nul", "line feed"],
)
def test_an_id_in_another_writing_names_nothing(speakers, org, change):
    client, job = speakers["rest"].client, brought(speakers["rest"], org, "queued")
    for name in (str(job.pk), job.pk.hex):
        for path in ("/v1/jobs/{}", "/api/v3/predictions/{}", "/tasks/{}", "/infsh/tasks/{}"):
            assert client.get(path.format(change(name))).status_code == 404, path
        task = client.get(f"/api/v1/tasks/{change(name)}").json()["output"]
        assert task["task_status"] == UNKNOWN
