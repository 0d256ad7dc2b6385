"""Tasks over HTTP: run, read, cancel, delete, and every refusal. The addresses below /infsh/ are the same."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from inferencesh.models.errors import APIError

from jobs.models import Asset, Job
from providers.models import Route
from tests.dialects.inferencesh.conftest import APP, PORTRAIT, SPEECH, as_data
from tests.jobs import drive
from tests.world import api_client, make_key

NOBODY = "00000000-0000-7000-8000-000000000000"


def problem(answer) -> tuple[int, str]:
    assert answer["Content-Type"] == "application/problem+json"
    body = json.loads(answer.content)
    assert body["status"] == answer.status_code
    return answer.status_code, APIError(answer.status_code, body["detail"], answer.content.decode()).code


def test_a_run_becomes_a_task_and_then_a_video(infsh, inputs):
    answer = infsh.run({**inputs, "prompt": "hello"})
    body = answer.json()
    assert (answer.status_code, set(body), body["messages"]) == (200, {"data", "messages"}, [])
    name = body["data"]["id"]
    assert body["data"]["status"] == 2
    assert body["data"]["input"]["image"] == inputs["image"]
    job = Job.objects.get(pk=name)
    assert (job.dialect, job.options["fps"], job.options["resolution"]) == ("inferencesh", 16, "720p")
    drive.run_all()
    task = infsh.task(name)
    assert (task["status"], task["error"]) == (10, None)
    assert task["output"]["file"].startswith("http://testserver/files/")
    assert [entry["status"] for entry in task["events"]][-1] == 10
    assert infsh.get(f"/infsh/tasks/{task['id'].replace('-', '')}").json()["data"] == task


def test_the_smaller_answers(infsh, inputs):
    name = infsh.ran(inputs)["id"]
    drive.run_all()
    status = infsh.get(f"/tasks/{name}/status").json()["data"]
    assert (status["id"], status["status"]) == (name, 10)
    logs = infsh.get(f"/tasks/{name}/logs").json()["data"]
    assert (logs["task_id"], logs["logs"][0]["content"], logs["events"][-1]["status"]) == (
        name,
        "received",
        10,
    )
    timings = infsh.get(f"/tasks/{name}/timings").json()["data"]
    assert timings["total_duration_ms"] >= sum(group["duration_ms"] for group in timings["groups"]) - 3


def test_a_failed_task_says_why(infsh, inputs):
    name = infsh.ran({**inputs, "prompt": "[fake fail=face_not_found]"})["id"]
    drive.run_all()
    task = infsh.task(name)
    assert (task["status"], task["output"]) == (11, None)
    assert task["error"].startswith("face_not_found: ")


def test_data_addresses_become_files(infsh):
    name = infsh.ran({"image": as_data(PORTRAIT, "image/jpeg"), "audio": as_data(SPEECH, "audio/wav")})["id"]
    job = Job.objects.get(pk=name)
    assert job.status == "queued"
    assert job.length_ms > 0
    assert {row["role"] for row in infsh.get(f"/tasks/{name}/files").json()["data"]} == {"input"}


@pytest.mark.parametrize(
    "text", ["data:image/png;base64,????", "data:image/png,abc", "data:image/png;base64,aGVsbG8="]
)
def test_broken_data_addresses_are_refused(infsh, inputs, text):
    answer = infsh.run({**inputs, "image": text})
    assert problem(answer) == (400, "validation_error")
    assert json.loads(answer.content)["field"] == "image"
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"fps": 99}, "fps"),
        ({"resolution": "4k"}, "resolution"),
        ({"first_block_cache_threshold": 3}, "first_block_cache_threshold"),
        ({"enable_first_block_cache": "yes"}, "enable_first_block_cache"),
        ({"prompt": 7}, "prompt"),
        ({"image": None}, "image"),
        ({"image": "plain words"}, "image"),
        ({"image": "http://127.0.0.1/x.png"}, "image"),
    ],
)
def test_refused_inputs_are_named(infsh, inputs, given, field):
    answer = infsh.run({**inputs, **given})
    assert problem(answer) == (400, "validation_error")
    assert json.loads(answer.content)["field"] == field
    assert not Job.objects.exists()


def test_unknown_apps_and_tasks_are_not_found(infsh):
    assert problem(infsh.post("/apps/run", {"app": "infsh/other"})) == (404, "not_found")
    for name in (NOBODY, "task_abc123", "x" * 500):
        assert problem(infsh.get(f"/tasks/{name}")) == (404, "not_found")


def test_other_tenants_tasks_are_not_found(infsh, stranger, inputs):
    name = infsh.ran(inputs)["id"]
    for path in ("", "/stream", "/status", "/logs", "/timings", "/files"):
        assert problem(stranger.get(f"/tasks/{name}{path}")) == (404, "not_found")
    assert problem(stranger.post(f"/tasks/{name}/cancel")) == (404, "not_found")
    assert problem(stranger.delete(f"/tasks/{name}")) == (404, "not_found")
    assert problem(stranger.delete(f"/tasks/{name}/files")) == (404, "not_found")
    assert problem(stranger.run(inputs)) == (400, "validation_error")
    assert Job.objects.get().status == "queued"


def test_keys_are_refused_with_codes(infsh, org, inputs):
    assert problem(api_client("inf_wrong").get(f"/tasks/{NOBODY}")) == (401, "unauthorized")
    reader = api_client(make_key(org, "jobs:read"))
    assert problem(reader.post("/apps/run", {"app": APP}, format="json")) == (403, "insufficient_scope")
    assert problem(reader.post("/files", {}, format="json")) == (403, "insufficient_scope")


def test_without_money_nothing_runs(stranger, other_org):
    drive.fake_route(other_org)
    given = {
        "image": str(drive.asset(other_org, "image").id),
        "audio": str(drive.asset(other_org, "audio").id),
    }
    answer = stranger.run(given)
    assert problem(answer) == (402, "payment_required")
    assert json.loads(answer.content)["error_code"] == "insufficient_funds"


def test_broken_bodies_and_methods_are_problems(infsh):
    broken = infsh.client.post("/apps/run", "{", content_type="application/json")
    assert problem(broken) == (400, "invalid_request")
    deep = infsh.client.post("/apps/run", "[" * 100_000, content_type="application/json")
    assert problem(deep)[0] == 400
    assert problem(infsh.get("/apps/run")) == (405, "method_not_allowed")
    assert problem(infsh.client.post("/apps/run", "x" * (6 << 20), content_type="application/json"))[0] == 413


@pytest.mark.parametrize(
    "part",
    [
        '"prompt": "a\\u0000b"',
        '"prompt": "\\ud800"',
        '"image": "\\u0000"',
        '"image": {"uri": {"uri": "x"}}',
        '"image": ["x"]',
        '"first_block_cache_threshold": 1e999',
        '"fps": 1e999',
        '"seed": 99999999999999999999999',
        '"prompt": {"a": 1}',
        '"prompt": null, "audio": 5',
    ],
)
def test_what_no_database_keeps_is_refused(infsh, inputs, part):
    body = json.dumps({"app": APP, "input": inputs})[:-2] + f", {part}" + "}}"
    assert json.loads(body)
    answer = infsh.client.post("/apps/run", body, content_type="application/json")
    assert problem(answer) == (400, "validation_error")
    assert not Job.objects.exists()


@pytest.mark.parametrize("app", ["\0", "\ud800", "infsh/wan-2-2-s2v@@", "::", "x" * 10_000])
def test_strange_apps_are_not_found(infsh, app):
    body = json.dumps({"app": app})
    answer = infsh.client.post("/apps/run", body, content_type="application/json")
    assert problem(answer) == (404, "not_found")


def test_nothing_is_ever_redirected(infsh, inputs):
    """The SDK would follow a 301 on its POST with a GET and no body."""
    for path in ("/apps/run/", "/infsh/apps/run/", "/files/", "/tasks/"):
        assert infsh.client.post(path, {"app": APP, "input": inputs}, format="json").status_code == 404
    assert not Job.objects.exists()


def test_the_dashboard_and_stored_files_keep_their_own_addresses(infsh, inputs, alice_browser):
    assert alice_browser.get("/gallery").status_code == 200
    assert alice_browser.get("/jobs/rows").status_code == 200
    name = infsh.ran(inputs)["id"]
    drive.run_all()
    address = urlsplit(infsh.task(name)["output"]["file"]).path
    assert alice_browser.get(address).status_code in {200, 302}
    assert problem(infsh.get("/files")) == (405, "method_not_allowed")


def test_an_empty_body_is_an_empty_object(infsh, inputs):
    name = infsh.ran(inputs)["id"]
    answer = infsh.client.post(f"/tasks/{name}/cancel", b"", content_type="application/json")
    assert (answer.status_code, answer.json()["data"]["cancelled"]) == (200, True)
    assert answer.json()["data"]["status"] == 12


def test_cancel_and_then_delete(infsh, inputs):
    name = infsh.ran(inputs)["id"]
    assert problem(infsh.delete(f"/tasks/{name}")) == (409, "invalid_transition")
    assert infsh.post(f"/tasks/{name}/cancel").status_code == 200
    assert infsh.post(f"/tasks/{name}/cancel").status_code == 200
    assert infsh.delete(f"/tasks/{name}").status_code == 204
    assert problem(infsh.get(f"/tasks/{name}")) == (404, "not_found")
    assert Asset.objects.live().count() == 2


def test_a_finished_task_cannot_be_cancelled(infsh, inputs):
    name = infsh.ran(inputs)["id"]
    drive.run_all()
    assert problem(infsh.post(f"/tasks/{name}/cancel")) == (409, "invalid_transition")


def test_deleting_with_files_takes_the_inputs_too(infsh, inputs):
    first, second = infsh.ran(inputs)["id"], infsh.ran({**inputs, "prompt": "second"})["id"]
    infsh.post(f"/tasks/{first}/cancel")
    assert infsh.delete(f"/tasks/{first}?files=true").status_code == 204
    assert Asset.objects.live().count() == 2  # the second still needs them
    infsh.post(f"/tasks/{second}/cancel")
    assert infsh.delete(f"/tasks/{second}?files=true").status_code == 204
    assert not Asset.objects.live().exists()


def test_the_same_idempotency_key_runs_once(infsh, inputs):
    body = {"app": APP, "input": inputs}
    names = {
        infsh.post("/apps/run", body, headers={"Idempotency-Key": "k"}).json()["data"]["id"] for _ in "ab"
    }
    assert len(names) == 1
    other = infsh.post(
        "/apps/run", {"app": APP, "input": {**inputs, "fps": 20}}, headers={"Idempotency-Key": "k"}
    )
    assert problem(other) == (409, "conflict")


def test_data_addresses_sent_again_under_one_key_run_once(infsh):
    image, audio = as_data(PORTRAIT, "image/jpeg"), as_data(SPEECH, "audio/wav")
    body = {"app": APP, "input": {"image": image, "audio": audio}}
    send = lambda body: infsh.post("/apps/run", body, headers={"Idempotency-Key": "k"})
    first, second = (send(body).json()["data"]["id"] for _ in "ab")
    assert first == second
    assert Asset.objects.count() == 2
    other = {"app": APP, "input": {"image": image, "audio": image}}
    assert problem(send(other)) == (409, "conflict")
    assert Job.objects.count() == 1


def test_a_preview_says_so_beside_the_task(infsh, inputs, org):
    Route.objects.filter(organization=org).update(settings={"preview": True})
    assert [notice["code"] for notice in infsh.run(inputs).json()["messages"]] == ["preview"]
