"""Submit, look, cancel, list, over HTTP."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from billing import ledger
from billing.models import Limits
from jobs.models import Job
from jobs.states import Status
from jobs.submit import submit
from providers.models import Route
from tests.dialects.dashscope.conftest import GENERATION, SYNTHESIS
from tests.jobs import drive
from tests.world import api_client, caller_for, make_key

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")


def balance(org) -> tuple[int, int]:
    found = ledger.balance(org)
    return found.available_micros, found.held_micros


# --- submit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [SYNTHESIS, SYNTHESIS + "/", GENERATION, GENERATION + "/"])
def test_a_submit_is_200_and_pending_on_both_paths_and_spellings(dash, org, s2v, path):
    answer = dash.submit(s2v, path)
    assert answer.status_code == 200
    job = Job.objects.get()
    assert answer.json() == {
        "output": {"task_id": str(job.pk), "task_status": "PENDING"},
        "request_id": answer["X-Request-Id"],
    }
    assert (job.dialect, job.model, job.options["resolution"]) == ("dashscope", "wan-2.2-s2v", "480p")
    assert balance(org) == (20_000_000 - 120_000, 120_000)


def test_resolution_and_what_the_sdk_always_sends(dash, s2v):
    s2v["input"] |= {"prompt": None, "extend_prompt": True, "function": "video-synthesis"}
    s2v["parameters"] = {"resolution": "720P", "style": "singing", "duration": 5, "seed": 9}
    dash.started(s2v)
    options = Job.objects.get().options
    assert (options["resolution"], options["seed"], options["prompt"]) == ("720p", 9, "")


def test_the_sdks_own_name_of_the_picture(dash, s2v):
    s2v["input"]["img_url"] = s2v["input"].pop("image_url")
    del s2v["parameters"]
    dash.started(s2v)


@pytest.mark.parametrize(
    ("name", "mode"), [("wan2.2-animate-move", "animate"), ("wan2.2-animate-mix", "replace")]
)
@pytest.mark.parametrize(("grade", "resolution"), [("wan-std", "480p"), ("wan-pro", "720p")])
def test_animate(dash, animate, name, mode, grade, resolution):
    animate |= {"model": name, "parameters": {"mode": grade, "check_image": False}}
    animate["input"]["watermark"] = False
    task = dash.started(animate)
    job = Job.objects.get()
    assert (job.model, job.options["mode"], job.options["resolution"]) == (
        "wan-2.2-animate",
        mode,
        resolution,
    )
    drive.run_all()
    ratio = {"wan-std": "standard", "wan-pro": "pro"}[grade]
    assert dash.task(task)["usage"] == {"video_duration": 4.0, "video_ratio": ratio}
    assert dash.tasks(model_name=name).json()["total"] == 1


def test_headers_that_mean_nothing_here_are_passed_over(dash, s2v):
    """The SDK sends them where its user names a workspace or leaves inspection on."""
    headers = {
        "X-DashScope-WorkSpace": "llm-x",
        "X-DashScope-DataInspection": "enable",
        "X-DashScope-SSE": "disable",
    }
    assert dash.submit(s2v, **headers).status_code == 200


def test_a_running_task_has_no_end_and_no_usage_yet(dash, s2v):
    s2v["input"]["prompt"] = "[fake stall]"
    task = dash.started(s2v)
    drive.dispatch.dispatch()
    told, line = dash.task(task), dash.tasks(task_id=task).json()["data"][0]
    assert "usage" not in told
    assert {"submit_time", "scheduled_time"} <= set(told["output"])
    assert "end_time" not in told["output"]
    assert {"gmt_create", "start_time"} <= set(line)
    assert "end_time" not in line
    assert "code" not in told


def test_voices_longer_than_the_vendors_limit_are_accepted(dash, org, s2v):
    """The vendor takes less than 20 s; nobody's programme breaks by being allowed more."""
    s2v["input"]["audio_url"] = str(drive.asset(org, "audio", duration_ms=90_000).id)
    task = dash.started(s2v)
    assert dash.task(task)["output"]["task_status"] == "PENDING"


def test_foreign_addresses_are_accepted_unseen(dash, s2v):
    s2v["input"] = {"image_url": "https://example.com/a.jpg", "audio_url": "https://example.com/a.wav"}
    task = dash.started(s2v)
    assert Job.objects.get().status == Status.PREPARING
    assert dash.task(task)["output"]["task_status"] == "PENDING"


def test_without_the_async_header(dash, s2v):
    answer = dash.submit(s2v, **{"X-DashScope-Async": ""})
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")
    assert "synchronous" in answer.json()["message"]


NO_SUCH_FILE = str(uuid.uuid4())


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"model": None}, "BadRequest.EmptyModel", "model"),
        ({"model": 5}, "InvalidParameter", "model"),
        ({"model": "wan9"}, "InvalidParameter", "Model not exist"),
        ({"input": None}, "BadRequest.EmptyInput", "input"),
        ({"input": {}}, "BadRequest.EmptyInput", "input"),
        ({"input": "text"}, "BadRequest.IllegalInput", "input"),
        ({"input": {"audio_url": "https://example.com/a.wav"}}, "InvalidParameter", "input.image_url"),
        ({"image_url": 5}, "InvalidParameter", "input.image_url"),
        ({"image_url": "nul \0"}, "InvalidParameter", "input.image_url"),
        ({"image_url": "data:image/png;base64,AAAA"}, "InvalidURL", "upload"),
        ({"image_url": "ftp://example.com/a.jpg"}, "InvalidURL", "http"),
        ({"image_url": "http://127.0.0.1/a.jpg"}, "InvalidURL", "public"),
        ({"image_url": NO_SUCH_FILE}, "InvalidURL", "does not exist"),
        (
            {"image_url": "oss://dashscope-instant/x/a.jpg"},
            "InvalidParameter",
            "X-DashScope-OssResourceResolve",
        ),
        ({"parameters": []}, "InvalidParameter", "parameters"),
        ({"parameters": {"style": "shouting"}}, "InvalidParameter", "style"),
        ({"parameters": {"resolution": "1080P"}}, "InvalidParameter", "resolution"),
        ({"parameters": {"resolution": 480}}, "InvalidParameter", "resolution"),
        ({"parameters": {"seed": "x"}}, "InvalidParameter", "seed"),
    ],
)
def test_what_is_wrong_is_named_and_costs_nothing(dash, org, s2v, change, code, says):
    for name, value in change.items():
        part = s2v["input"] if name == "image_url" else s2v
        part[name] = value
    answer = dash.submit(s2v)
    assert answer.status_code == 400, answer.content
    body = answer.json()
    assert set(body) == {"code", "message", "request_id"}
    assert body["code"] == code
    assert says in body["message"]
    assert body["request_id"] == answer["X-Request-Id"]
    assert answer["x-should-retry"] == "false"
    assert not Job.objects.exists()
    assert balance(org) == (20_000_000, 0)


@pytest.mark.parametrize(
    ("parameters", "watermark", "code"),
    [
        (None, False, "BadRequest.EmptyParameters"),
        ({}, False, "InvalidParameter"),
        ({"mode": "wan-max"}, False, "InvalidParameter"),
        ({"mode": "wan-std", "check_image": 1}, False, "InvalidParameter"),
        ({"mode": "wan-std"}, True, "InvalidParameter"),
    ],
)
def test_what_animate_needs(dash, animate, parameters, watermark, code):
    animate["parameters"] = parameters
    animate["input"]["watermark"] = watermark
    answer = dash.submit(animate)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"model": NaN}', b"[" * 100_000, b""])
def test_bodies_that_are_no_json_object(dash, content):
    answer = dash.client.generic(
        "POST", SYNTHESIS, content, content_type="application/json", headers={"X-DashScope-Async": "enable"}
    )
    assert answer.status_code == 400
    assert answer.json()["code"]
    assert answer["Content-Type"] == "application/json"


def test_a_form_is_refused_as_json(dash):
    answer = dash.client.generic("POST", SYNTHESIS, b"a=b", content_type="application/x-www-form-urlencoded",
                                 headers={"X-DashScope-Async": "enable"})  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")


def test_another_tenants_file_does_not_exist(dash, other_org, s2v):
    s2v["input"]["image_url"] = str(drive.asset(other_org, "image").id)
    assert dash.submit(s2v).json()["code"] == "InvalidURL"


def test_keys(dash, org, s2v):
    for text in ("", "sk-nonsense", "vr_" + "0" * 49):
        client = api_client(text)
        answer = client.post(SYNTHESIS, s2v, format="json", headers={"X-DashScope-Async": "enable"})
        assert (answer.status_code, answer.json()["code"]) == (401, "InvalidApiKey"), text
    dash.client = api_client(make_key(org, "jobs:read"))
    answer = dash.submit(s2v)
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")


def test_no_money_no_route_no_patience(dash, org, s2v):
    Limits.objects.filter(organization=org).update(monthly_budget_micros=1)
    answer = dash.submit(s2v)
    assert (answer.status_code, answer.json()["code"]) == (400, "Arrearage")
    Limits.objects.filter(organization=org).update(monthly_budget_micros=None)
    Route.objects.filter(model="wan-2.2-s2v").update(enabled=False)
    answer = dash.submit(s2v)
    assert (answer.status_code, answer.json()["code"]) == (503, "ModelUnavailable")
    assert answer["x-should-retry"] == "false"
    assert not Job.objects.exists()


def test_submits_over_the_limit_are_throttled(dash, org, s2v):
    Limits.objects.filter(organization=org).update(submits_per_minute=1)
    from billing import quotas

    quotas.forget()
    answers = [dash.submit(s2v) for _ in range(3)]
    assert [answer.status_code for answer in answers][-1] == 429
    assert answers[-1].json()["code"] == "Throttling.RateQuota"
    assert int(answers[-1]["Retry-After"]) >= 1
    assert "x-should-retry" not in answers[-1]


def test_an_idempotency_key_gives_the_same_task_and_never_409(dash, s2v):
    headers = {"Idempotency-Key": "once"}
    first = dash.submit(s2v, **headers).json()["output"]["task_id"]
    assert dash.submit(s2v, **headers).json()["output"]["task_id"] == first
    s2v["parameters"]["resolution"] = "720P"
    assert dash.submit(s2v, **headers).status_code == 400


# --- tasks --------------------------------------------------------------------------------------------------


def test_a_task_from_start_to_end(dash, org, s2v):
    task = dash.started(s2v)
    waiting = dash.task(task)["output"]
    assert waiting["task_status"] == "PENDING"
    assert TIME.fullmatch(waiting["submit_time"])
    assert "scheduled_time" not in waiting
    drive.run_all()
    answer = dash.client.get(f"/api/v1/tasks/{task}/")
    body = answer.json()
    output = body["output"]
    assert body["request_id"] == answer["X-Request-Id"]
    assert "code" not in body
    assert (output["task_id"], output["task_status"]) == (task, "SUCCEEDED")
    assert all(TIME.fullmatch(output[name]) for name in ("submit_time", "scheduled_time", "end_time"))
    assert output["results"]["video_url"].startswith("http://testserver/files/")
    assert output["video_url"] == output["results"]["video_url"]
    assert body["usage"] == {"duration": 4.0, "video_count": 1, "SR": 480}
    assert balance(org) == (20_000_000 - 120_000, 0)


def test_times_are_beijings(dash, s2v):
    task = dash.started(s2v)
    Job.objects.update(created_at=timezone.now().replace(microsecond=123_456))
    at = Job.objects.get().created_at + timedelta(hours=8)
    assert dash.task(task)["output"]["submit_time"] == f"{at:%Y-%m-%d %H:%M:%S}.123"


def test_a_running_task(dash, s2v):
    s2v["input"]["prompt"] = "[fake stall]"
    task = dash.started(s2v)
    drive.step()
    drive.step()
    assert dash.task(task)["output"]["task_status"] == "RUNNING"
    assert "usage" not in dash.task(task)
    answer = dash.client.post(f"/api/v1/tasks/{task}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (400, "UnsupportedOperation")


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("face_not_found", "InvalidFile.NoHuman"),
        ("url_timeout", "InvalidURL.Timeout"),
        ("image_too_small", "InvalidFile.Resolution"),
        ("audio_too_long", "InvalidURL"),
        ("something_new", "InternalError"),
    ],
)
def test_a_failed_task_is_200_with_its_reason_inside(dash, org, s2v, failure, code):
    s2v["input"]["prompt"] = f"[fake fail={failure}]"
    task = dash.started(s2v)
    drive.run_all()
    answer = dash.client.get(f"/api/v1/tasks/{task}")
    assert answer.status_code == 200
    output = answer.json()["output"]
    assert (output["task_status"], output["code"]) == ("FAILED", code)
    assert output["message"]
    assert "usage" not in answer.json()
    assert "results" not in output
    assert balance(org) == (20_000_000, 0)


def test_a_task_whose_time_ran_out(dash, s2v):
    task = dash.started(s2v)
    Job.objects.update(status=Status.EXPIRED, error_code="expired", finished_at=timezone.now())
    assert dash.task(task)["output"]["code"] == "InternalError.Timeout"


def unknown(dash, task):
    answer = dash.client.get(f"/api/v1/tasks/{task}")
    assert answer.status_code == 200
    assert answer.json()["output"] == {"task_id": task, "task_status": "UNKNOWN"}


def test_foreign_absent_old_and_deleted_tasks_are_unknown(dash, stranger, s2v):
    task = dash.started(s2v)
    for name in (str(uuid.uuid4()), "nonsense", "x" * 500, "0" * 31 + "g"):
        unknown(dash, name)
    unknown(stranger, task)
    assert stranger.client.post(f"/api/v1/tasks/{task}/cancel").status_code == 400
    assert Job.objects.get().status == Status.QUEUED
    Job.objects.update(created_at=F("created_at") - timedelta(hours=24))
    unknown(dash, task)
    assert dash.client.post(f"/api/v1/tasks/{task}/cancel").json()["code"] == "UnsupportedOperation"
    Job.objects.update(created_at=timezone.now(), deleted_at=timezone.now())
    unknown(dash, task)


def test_jobs_of_other_dialects_are_tasks_too(dash, org, alice):
    job = submit(caller_for(org, alice), drive.request(org))
    drive.run_all()
    assert dash.task(str(job.pk))["output"]["task_status"] == "SUCCEEDED"
    assert dash.task(job.pk.hex)["output"]["task_status"] == "SUCCEEDED"


@pytest.mark.parametrize("slash", ["", "/"])
def test_cancel(dash, org, s2v, slash):
    task = dash.started(s2v)
    address = f"/api/v1/tasks/{task}/cancel{slash}"
    empty = {"model": "", "parameters": {}, "input": ""}
    answer = dash.client.post(address, empty, format="json")
    assert (answer.status_code, answer.json()) == (200, {"request_id": answer["X-Request-Id"]})
    assert dash.task(task)["output"]["task_status"] == "CANCELED"
    assert balance(org) == (20_000_000, 0)
    again = dash.client.post(address)
    assert (again.status_code, again.json()["code"]) == (400, "UnsupportedOperation")


def test_polling_too_often_is_503_because_429_ends_the_sdks_wait(dash, org, s2v):
    from billing import quotas

    task = dash.started(s2v)
    Limits.objects.filter(organization=org).update(reads_per_second=1)
    quotas.forget()
    answers = [dash.client.get(f"/api/v1/tasks/{task}") for _ in range(5)]
    busy = [answer for answer in answers if answer.status_code != 200]
    assert busy
    assert {answer.status_code for answer in busy} == {503}
    assert busy[0].json()["code"] == "Throttling.RateQuota"
    assert busy[0]["Retry-After"] == "1"


def test_other_addresses_are_answered_in_json(dash):
    for path in ("services/aigc/text2image/image-synthesis", "nothing", "tasks/a/b"):
        answer = dash.client.post(f"/api/v1/{path}", {}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
        assert "url error, please check url" in answer.json()["message"]
    answer = dash.client.delete("/api/v1/tasks/x")
    assert answer.status_code == 405
    assert answer.json()["code"]


# --- the list -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/tasks/"])
def test_the_list(dash, stranger, s2v, path):
    tasks = [dash.started(s2v) for _ in range(3)]
    drive.run_all()
    tasks.append(dash.started(s2v))
    body = dash.client.get(path, {"page_size": 2}).json()
    assert (body["total"], body["total_page"], body["page_no"], body["page_size"]) == (4, 2, 1, 2)
    assert [line["task_id"] for line in body["data"]] == tasks[:1:-1]
    waiting, done = body["data"]
    assert waiting["status"] == "PENDING"
    assert "end_time" not in waiting
    assert done["status"] == "SUCCEEDED"
    assert done["model_name"] == "wan2.2-s2v"
    assert done["gmt_create"] <= done["start_time"] <= done["end_time"]
    assert done["user_api_unique_key"].endswith(":wan2.2-s2v")
    assert done["request_id"]
    assert [line["task_id"] for line in body["tasks"]] == tasks[:1:-1]
    assert stranger.client.get(path).json()["total"] == 0


def test_the_lists_filters(dash, s2v, animate):
    first, second = dash.started(s2v), dash.started(animate)

    def ids(**query) -> list[str]:
        return [line["task_id"] for line in dash.tasks(**query).json()["data"]]

    assert ids() == [second, first]
    assert ids(task_id=first) == [first]
    assert ids(task_id="nonsense") == []
    assert ids(model_name="wan2.2-s2v") == [first]
    assert ids(model_name="wan2.2-animate-move") == []
    assert ids(model_name="other") == []
    assert ids(status="PENDING") == [second, first]
    assert ids(status="SUCCEEDED") == ids(status="OTHER") == []
    now = timezone.now() + timedelta(hours=8)
    assert ids(start_time=f"{now - timedelta(hours=1):%Y%m%d%H%M%S}") == [second, first]
    assert ids(end_time=f"{now - timedelta(hours=1):%Y%m%d%H%M%S}") == []
    assert ids(start_time=f"{now + timedelta(hours=1):%Y%m%d%H%M%S}") == []
    assert ids(api_key_id="x", region="y") == [second, first]


@pytest.mark.parametrize(
    "query",
    [
        {"page_no": "0"},
        {"page_no": "x"},
        {"page_size": "101"},
        {"page_size": "-1"},
        {"page_size": "²"},
        {"start_time": "yesterday"},
        {"end_time": "20260230000000"},
        {"start_time": "20260101000000", "end_time": "20260103000000"},
        {"start_time": "20260103000000", "end_time": "20260101000000"},
        {"start_time": "00010101000000"},
    ],
)
def test_wrong_filters_are_named(dash, query):
    answer = dash.tasks(**query)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
