"""What is translated, without a database: bodies in, tasks and problems out, in the vendor's shapes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from inferencesh.models.errors import APIError
from inferencesh.types import TaskStatus as Vendors

from accounts.errors import AddressNotAllowed, OrganizationSuspended, ScopeMissing, UnknownKey
from billing.errors import InsufficientFunds, RateLimited
from jobs.dialects.inferencesh.wire import files, lines, runs, tasks
from jobs.dialects.inferencesh.wire.apps import parse, slug_of
from jobs.dialects.inferencesh.wire.problems import problem
from jobs.errors import Conflict, Invalid, NoRoute, NotFound, Unpayable
from jobs.models import Job, JobEvent
from jobs.states import Status
from jobs.types import new_id
from providers import catalogue
from tests.dialects.inferencesh.conftest import APP

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
INPUT = {"image": "https://example.com/a.jpg", "audio": "https://example.com/a.wav", "prompt": "hello"}


def run(given=INPUT, **fields) -> runs.Run:
    return runs.run({"app": APP, "input": given, **fields}, catalogue.models())


def job(status: Status = Status.RUNNING, **fields) -> Job:
    known = {
        "id": new_id(),
        "model": "wan-2.2-s2v",
        "status": status,
        "created_at": NOON,
        "queued_at": NOON + timedelta(seconds=1),
        "started_at": NOON + timedelta(seconds=3),
        "inputs": {},
        "options": {},
        "request": {"inputs": {"image": "x"}, "options": {"prompt": "hello"}},
    }
    return Job(**{**known, **fields})


def event(number: int, kind: str, **data) -> JobEvent:
    return JobEvent(id=number, type=kind, data=data, at=NOON + timedelta(seconds=number))


# --- apps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "name", "function"),
    [
        (APP, APP, "run"),
        (f"{APP}@1a2b3c4d", APP, "run"),
        (f"{APP}@latest", APP, "run"),
        (f"{APP}@1a2b:other", APP, "other"),
        (f"{APP}:run", APP, "run"),
    ],
)
def test_a_reference_may_pin_a_version_and_name_a_function(reference, name, function):
    assert parse(reference) == (name, function)


def test_models_without_a_name_of_the_vendors_have_one_of_ours():
    assert slug_of("voicereel/wan-2.2-animate", catalogue.models()) == "wan-2.2-animate"
    assert slug_of("voicereel/wan-2.2-s2v", catalogue.models()) is None


# --- runs ---------------------------------------------------------------------------------------------------------


def test_the_app_s_own_defaults_hold():
    request = run().request
    assert (request.model, request.dialect) == ("wan-2.2-s2v", "inferencesh")
    assert request.inputs == {"image": INPUT["image"], "audio": INPUT["audio"]}
    assert request.options == {
        "prompt": "hello",
        "resolution": "720p",
        "num_frames_per_chunk": 81,
        "fps": 16,
        "enable_first_block_cache": True,
        "first_block_cache_threshold": 0.05,
    }
    assert catalogue.model("wan-2.2-s2v").checked(request.options)


def test_every_documented_field_is_taken():
    given = {
        **INPUT,
        "resolution": "480p",
        "num_frames_per_chunk": 40,
        "fps": 20,
        "seed": 3,
        "enable_first_block_cache": False,
        "first_block_cache_threshold": 0.1,
    }
    wanted = run(given)
    assert wanted.request.options == {k: v for k, v in given.items() if k not in {"image", "audio"}}
    assert wanted.notices == ()


def test_nulls_are_absent_and_files_may_be_objects():
    request = run({**INPUT, "seed": None, "audio": {"uri": "https://x.example/y", "size": None}}).request
    assert "seed" not in request.options
    assert request.inputs["audio"] == "https://x.example/y"


def test_unknown_fields_are_ignored_aloud():
    wanted = run(
        {**INPUT, "max_area": 3}, setup={"a": 1}, infra="private", workers=[], metadata={}, variant="x"
    )
    assert [notice["code"] for notice in wanted.notices] == ["unknown_field"]
    assert "max_area" in wanted.notices[0]["message"]


def test_wait_is_answered_by_a_notice():
    assert [notice["code"] for notice in run(wait=True).notices] == ["answered_at_once"]
    assert run(wait=False, stream=False).notices == ()


@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        ([], Invalid, "input"),
        ({}, Invalid, "app"),
        ({"app": 7}, Invalid, "app"),
        ({"app": "infsh/other"}, NotFound, "app"),
        ({"app": f"{APP}:other"}, Invalid, "function"),
        ({"app": APP, "function": "other"}, Invalid, "function"),
        ({"app": APP, "session": "new"}, Invalid, "session"),
        ({"app": APP, "run_at": "2030-01-01T00:00:00Z"}, Invalid, "run_at"),
        ({"app": APP, "input": "text"}, Invalid, "input"),
        ({"app": APP, "input": {"image": 7}}, Invalid, "image"),
        ({"app": APP, "input": {"image": {}}}, Invalid, "image"),
        ({"app": APP, "webhook": 7}, Invalid, "webhook"),
        ({"app": APP, "webhook": "https://x.example/" + "y" * 2000}, Invalid, "webhook"),
    ],
)
def test_refused_bodies_name_the_field(body, kind, field):
    with pytest.raises(kind) as caught:
        runs.run(body, catalogue.models())
    assert caught.value.field == field


# --- tasks --------------------------------------------------------------------------------------------------------


def test_the_numbers_are_the_sdk_s():
    for number in tasks.TaskStatus:
        assert Vendors[number.name] == number
    assert set(tasks.STATUS) == set(Status)


@pytest.mark.parametrize(
    ("ours", "fields", "number"),
    [
        (Status.PREPARING, {}, 1),
        (Status.QUEUED, {}, 2),
        (Status.RUNNING, {"phase": "waiting"}, 3),
        (Status.RUNNING, {"phase": "rendering"}, 7),
        (Status.RUNNING, {"cancel_requested_at": NOON}, 8),
        (Status.SAVING, {}, 9),
        (Status.SUCCEEDED, {}, 10),
        (Status.FAILED, {}, 11),
        (Status.EXPIRED, {}, 11),
        (Status.CANCELED, {"cancel_requested_at": NOON}, 12),
    ],
)
def test_statuses(ours, fields, number):
    assert tasks.task(job(ours, **fields), [], None)["status"] == number


def test_a_finished_task_is_whole():
    events = [event(1, "created"), event(2, "queued"), event(3, "running"), event(9, "succeeded")]
    done = tasks.task(job(Status.SUCCEEDED, progress=1.0), events, "https://x.example/v.mp4")
    assert done["output"] == {"file": "https://x.example/v.mp4"}
    assert (done["error"], done["progress"], done["status_text"]) == (None, 100, "completed")
    assert done["input"] == {"image": "x", "prompt": "hello"}
    assert (done["created_at"], done["updated_at"]) == (
        "2026-01-15T12:00:00.000Z",
        "2026-01-15T12:00:09.000Z",
    )
    assert not done["session_id"]
    assert "socket" not in done
    assert "data" not in done


def test_nothing_is_put_out_before_the_end():
    assert tasks.task(job(Status.SAVING), [], "https://x.example/v.mp4")["output"] is None


def test_a_failure_says_why_with_its_code():
    failed = tasks.task(job(Status.FAILED, error_code="face_not_found", error_message="No face."), [], None)
    assert failed["error"] == "face_not_found: No face."
    assert tasks.task(job(Status.CANCELED), [], None)["error"]


def test_events_are_changes_of_status_and_logs_are_everything():
    events = [
        event(1, "created"),
        event(2, "queued"),
        event(3, "running"),
        event(4, "phase", phase="waiting"),
        event(5, "phase", phase="rendering", progress=0.25),
        event(6, "progress", progress=0.5, clip=2, clips=4),
        event(7, "saving"),
        event(8, "something new"),
    ]
    shown = tasks.task(job(Status.SAVING), events, None)
    assert [entry["status"] for entry in shown["events"]] == [1, 2, 3, 7, 9]
    assert [entry["id"] for entry in shown["logs"]] == [str(number) for number in range(1, 9)]
    told = [entry["content"] for entry in shown["logs"]]
    assert told == [
        "received", "queued", "dispatched", "waiting", "rendering, 25 %", "clip 2 of 4, 50 %", "uploading",
        "something new",
    ]  # fmt: skip


def test_timings_add_up():
    events = [event(0, "created"), event(1, "queued"), event(3, "running"), event(8, "succeeded")]
    done = job(Status.SUCCEEDED, finished_at=NOON + timedelta(seconds=8))
    found = tasks.timings(done, events, NOON + timedelta(hours=1))
    assert (found["total_duration_ms"], found["total_duration"]) == (8000, "8s")
    assert [(group["label"], group["duration_ms"]) for group in found["groups"]] == [
        ("preparing", 1000),
        ("queued", 2000),
        ("running", 5000),
    ]
    assert [(step["status"], step["duration_ms"], step["next_status"]) for step in found["events"]] == [
        ("received", 1000, "queued"),
        ("queued", 2000, "dispatched"),
        ("dispatched", 5000, "completed"),
        ("completed", 0, ""),
    ]


def test_timings_of_a_task_of_which_nothing_is_known_yet():
    found = tasks.timings(job(Status.QUEUED, started_at=None), [], NOON + timedelta(seconds=5))
    assert (found["total_duration_ms"], found["events"]) == (5000, [])


def test_ids_are_read_with_dashes_and_without():
    name = new_id()
    assert tasks.read_id(str(name)) == tasks.read_id(name.hex) == name
    assert tasks.read_id("task_abc123") is None


# --- lines --------------------------------------------------------------------------------------------------------


def test_a_line_is_ascii_and_one():
    text = "a\u2028b\u0085c\ne ü"
    line = lines.line({"x": text})
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {"x": text}
    assert lines.event({"x": text}).startswith(b"event: update\ndata: {")
    assert lines.event({"x": text}).endswith(b"}\n\n")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/x-ndjson", lines.NDJSON),
        ("application/jsonl, */*", lines.NDJSON),
        ("text/event-stream", lines.SSE),
        ("*/*", lines.SSE),
        ("", lines.SSE),
    ],
)
def test_lines_are_for_who_asks_for_them(accept, form):
    assert lines.form(accept) == form


# --- problems -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Invalid("parameter_invalid", "No.", field="fps"), 400, "validation_error"),
        (Invalid("file_too_large", "No."), 413, "invalid_request"),
        (NotFound("task_not_found", "No."), 404, "not_found"),
        (Conflict("job_ended", "No."), 409, "invalid_transition"),
        (Conflict("idempotency_conflict", "No."), 409, "conflict"),
        (NoRoute("no_route", "No."), 503, "app_maintenance"),
        (Unpayable("insufficient_funds", "No."), 402, "payment_required"),
        (Unpayable("key_spend_cap", "No."), 402, "limit_exceeded"),
        (Unpayable("queued_jobs_limit", "No."), 429, "rate_limited"),
        (InsufficientFunds(needed_micros=2, available_micros=1), 402, "payment_required"),
        (RateLimited("No.", retry_after=7), 429, "rate_limited"),
        (UnknownKey(), 401, "unauthorized"),
        (AddressNotAllowed(), 403, "forbidden"),
        (ScopeMissing("jobs:write"), 403, "insufficient_scope"),
        (OrganizationSuspended(), 403, "account_deactivated"),
    ],
)
def test_the_sdk_reads_code_and_sentence(error, status, code):
    found = problem(error)
    body = found.body("https://video.example.com")
    read = APIError(found.status, body["detail"], json.dumps(body))
    assert (read.status_code, read.code, read.message) == (status, code, error.message)
    assert body["error_code"] == error.code
    assert not {"data", "errors"} & set(body)


def test_what_passes_by_itself_says_when():
    assert problem(RateLimited("No.", retry_after=7)).retry_after == 7
    assert problem(NoRoute("no_route", "No.")).retry_after == 5
    assert problem(Invalid("parameter_invalid", "No.")).retry_after is None


# --- files --------------------------------------------------------------------------------------------------------


def test_the_sdk_s_nulls_are_taken():
    body = {"uri": "", "filename": None, "content_type": "image/png", "path": None, "size": 9, "public": None}
    assert files.announced({"files": [body]}) == [files.Announced("upload", "image/png", 9)]


@pytest.mark.parametrize(
    "body", [None, [], {}, {"files": []}, {"files": [7]}, {"files": [{"size": "9"}]}, {"files": [{"size": True}]},
             {"files": [{"size": 9, "filename": 7}]}, {"files": [{"size": 9}] * 21}],
)  # fmt: skip
def test_broken_announcements_are_refused(body):
    with pytest.raises(Invalid):
        files.announced(body)
