"""Temporary uploads: a policy, a form without a key, and `oss://` inputs."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from jobs.dialects.dashscope.wire import uploads as wire
from jobs.models import Asset, Job
from tests.jobs import drive

POLICY = "/api/v1/uploads?action=getPolicy&model=wan2.2-s2v"
RESOLVE = {"X-DashScope-OssResourceResolve": "enable"}


def policy(dash) -> dict:
    answer = dash.client.get(POLICY)
    assert answer.status_code == 200
    assert answer.json()["request_id"] == answer["X-Request-Id"]
    return answer.json()["data"]


def send(data: dict, name: str = "a.jpg", sample: str = "portrait.jpg", **changes):
    """The form as the SDK sends it, by a client without a key."""
    form = {
        "OSSAccessKeyId": data["oss_access_key_id"],
        "Signature": data["signature"],
        "policy": data["policy"],
        "key": f"{data['upload_dir']}/{name}",
        "x-oss-object-acl": data["x_oss_object_acl"],
        "x-oss-forbid-overwrite": data["x_oss_forbid_overwrite"],
        "success_action_status": "200",
        **changes,
    }
    if sample:
        form["file"] = SimpleUploadedFile(name, (drive.SAMPLES / sample).read_bytes())
    path = data["upload_host"].removeprefix("http://testserver")
    return APIClient().post(path, form, format="multipart")


def test_a_policy_has_what_the_sdk_reads(dash):
    data = policy(dash)
    assert data["upload_dir"].startswith("dashscope-instant/")
    assert data["upload_host"].startswith("http://testserver/api/v1/")
    assert (data["x_oss_object_acl"], data["x_oss_forbid_overwrite"]) == ("private", "true")
    assert (data["expire_in_seconds"], data["max_file_size_mb"]) == (300, 200)


def test_uploads_become_inputs(dash, org, s2v):
    data = policy(dash)
    assert send(data).status_code == 200
    assert send(data, "a b.wav", "speech.wav").status_code == 200
    folder = f"oss://{data['upload_dir']}"
    s2v["input"] = {"image_url": f"{folder}/a.jpg", "audio_url": f"{folder}/a b.wav"}
    assert dash.submit(s2v, **RESOLVE).status_code == 200
    job = Job.objects.get()
    assert (job.status, job.organization) == ("queued", org)
    assert Asset.objects.get(pk=job.inputs["image"]["asset"]).filename == "a.jpg"


def test_what_is_uploaded_is_its_owners_alone(dash, other_org, stranger, s2v):
    data = policy(dash)
    send(data)
    drive.fund(other_org)
    s2v["input"]["image_url"] = f"oss://{data['upload_dir']}/a.jpg"
    s2v["input"]["audio_url"] = str(drive.asset(other_org, "audio").id)
    answer = stranger.submit(s2v, **RESOLVE)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidURL")


def test_a_name_is_used_once(dash):
    data = policy(dash)
    assert send(data).status_code == 200
    answer = send(data, sample="speech.wav")
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")
    assert Asset.objects.get().kind == "image"


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": "x"},
        {"Signature": "x"},
        {"Signature": ""},
        {"key": "dashscope-instant/other/a.jpg"},
        {"key": "a.jpg"},
        {"key": ""},
    ],
)
def test_forged_forms(dash, changes):
    answer = send(policy(dash), **changes)
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")
    assert not Asset.objects.exists()


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc/passwd", "x" * 300, "a\\b", ""])
def test_names_that_are_paths_are_refused(dash, name):
    data = policy(dash)
    answer = send(data, key=f"{data['upload_dir']}/{name}")
    assert answer.status_code == 403


@pytest.mark.parametrize("name", ["..", "..%2F..%2Fx", "\u00e4 \u6f22.jpg", "-rf"])
def test_other_names_are_only_names(dash, org, name):
    data = policy(dash)
    assert send(data, key=f"{data['upload_dir']}/{name}").status_code == 200
    kept = Asset.objects.get()
    assert kept.key.startswith(drive.storage.new_key(org.pk, kept.pk, "x").rsplit("/", 1)[0])
    assert ".." not in kept.key.split("/")


def test_a_policy_expires(dash, monkeypatch):
    data = policy(dash)
    monkeypatch.setattr(wire, "POLICY_SECONDS", -1)
    answer = send(data)
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")


def test_one_policy_does_not_serve_another_organization(dash, org):
    from django.utils import timezone

    data = policy(dash)
    org.suspended_at = timezone.now()
    org.save()
    assert send(data).status_code == 403


def test_forms_without_a_file_and_files_that_are_no_media(dash):
    data = policy(dash)
    answer = send(data, sample="")
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
    answer = send(data, sample="README.md")
    assert answer.status_code == 400
    assert answer.json()["code"].startswith("InvalidFile")


def test_only_policies_are_given_out(dash):
    for path in ("/api/v1/uploads", "/api/v1/uploads/?action=list", "/api/v1/uploads?action=getPolicy"):
        answer = dash.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")
