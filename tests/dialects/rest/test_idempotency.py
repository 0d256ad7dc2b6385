"""One request, sent twice, is done once."""

from __future__ import annotations

import io
import threading
import time
import tracemalloc
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.datastructures import MultiValueDict
from rest_framework.test import APIRequestFactory

from billing.models import Account
from jobs.dialects.rest import idempotency
from jobs.kept import KeptAnswer
from jobs.models import Asset, Job
from tests.jobs import drive
from tests.world import api_client, make_key


@pytest.fixture
def order(org):
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    inputs = {role: str(drive.asset(org, role).id) for role in ("image", "audio")}
    return {"model": "wan-2.2-s2v", "inputs": inputs, "options": {"prompt": "", "seed": 7}}


def post(client, address: str, body=None, *, key: str = "k1"):
    return client.post(address, body, format="json", headers={"Idempotency-Key": key})


def upload(client, content: bytes, name: str = "portrait.jpg"):
    file = io.BytesIO(content)
    file.name = name
    headers = {"Idempotency-Key": "k1"}
    return client.post("/v1/files", {"file": file}, format="multipart", headers=headers)


def refusal(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_an_order_is_answered_again_as_it_was_at_first(order, api):
    first = post(api, "/v1/jobs", order)
    drive.run_all()
    again = post(api, "/v1/jobs", dict(reversed(order.items())))
    assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
    assert again["Location"] == first["Location"]
    assert again["Content-Type"] == first["Content-Type"] == "application/json"
    assert (again["Idempotent-Replayed"], first.headers.get("Idempotent-Replayed")) == ("true", None)
    assert Job.objects.count() == 1


def test_another_request_under_the_key_is_a_conflict(order, api):
    job = post(api, "/v1/jobs", order).json()
    for answer in (
        post(api, "/v1/jobs", {**order, "tags": ["new"]}),
        post(api, "/v1/quotes", order),
        post(api, f"/v1/jobs/{job['id']}/cancel"),
    ):
        assert refusal(answer) == (409, "idempotency_conflict")
        assert answer.json()["field"] == "Idempotency-Key"
    assert Job.objects.get().status == "queued"


def test_every_unsafe_method_keeps_its_answer(order, api):
    job = post(api, "/v1/jobs", order).json()
    quotes = [post(api, "/v1/quotes", order, key="k2") for _ in range(2)]
    assert quotes[0].content == quotes[1].content
    cancels = [post(api, f"/v1/jobs/{job['id']}/cancel", key="k3") for _ in range(2)]
    assert cancels[0].content == cancels[1].content
    retries = [post(api, f"/v1/jobs/{job['id']}/retry", key="k4") for _ in range(2)]
    assert retries[0].json()["id"] == retries[1].json()["id"] != job["id"]
    address, headers = f"/v1/jobs/{job['id']}", {"Idempotency-Key": "k5"}
    assert [api.delete(address, headers=headers).status_code for _ in range(2)] == [204, 204]
    assert api.delete(address).status_code == 404


def test_a_file_is_stored_once(org, api):
    portrait = (drive.SAMPLES / "portrait.jpg").read_bytes()
    first, again = upload(api, portrait), upload(api, portrait)
    assert (first.status_code, again.content) == (201, first.content)
    assert Asset.objects.count() == 1
    assert refusal(upload(api, portrait + b"x")) == (409, "idempotency_conflict")
    assert refusal(upload(api, portrait, "other.jpg")) == (409, "idempotency_conflict")


def test_a_refused_request_may_be_tried_again_under_its_key(order, api):
    wrong = {**order, "model": "sora"}
    assert refusal(post(api, "/v1/jobs", wrong)) == (422, "model_unknown")
    assert refusal(post(api, "/v1/jobs", wrong)) == (422, "model_unknown")
    assert post(api, "/v1/jobs", order).status_code == 202


def test_a_failure_of_ours_is_not_kept(order, api, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("jobs.dialects.rest.views.jobs.submit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            post(api, "/v1/jobs", order)
    assert post(api, "/v1/jobs", order).status_code == 202


def test_each_key_has_names_of_its_own_but_a_job_is_ordered_once_by_all(order, org, api, other_key):
    first = post(api, "/v1/jobs", order)
    colleague = post(api_client(make_key(org)), "/v1/jobs", order)
    assert colleague.json()["id"] == first.json()["id"]
    assert "Idempotent-Replayed" not in colleague.headers
    assert refusal(post(api_client(other_key), "/v1/jobs", order))[1] == "file_unknown"
    assert refusal(post(api_client(make_key(org, "jobs:read")), "/v1/jobs", order)) == (403, "scope_missing")


@pytest.mark.parametrize("name", ["", "x" * 256, "caf\u00e9", "a\tb"])
def test_a_key_is_a_short_text(order, api, name):
    answer = post(api, "/v1/jobs", order, key=name)
    assert refusal(answer) == (422, "parameter_invalid"), answer.json()
    assert answer.json()["field"] == "Idempotency-Key"
    assert not Job.objects.exists()


def test_a_day_later_the_key_is_free_again_but_not_for_a_second_job(order, api):
    quote, job = post(api, "/v1/quotes", order, key="k2"), post(api, "/v1/jobs", order)
    KeptAnswer.objects.update(expires_at=Now() - timedelta(seconds=1))
    again = post(api, "/v1/quotes", {**order, "options": {"resolution": "720p"}}, key="k2")
    assert (again.status_code, "Idempotent-Replayed" in again.headers) == (201, False)
    assert again.json()["id"] != quote.json()["id"]
    assert post(api, "/v1/jobs", order).json()["id"] == job.json()["id"]
    KeptAnswer.objects.filter(idempotency_key="k2").update(expires_at=Now() - timedelta(seconds=1))
    assert idempotency.forget() == 1
    assert list(KeptAnswer.objects.values_list("idempotency_key", flat=True)) == ["k1"]


def test_what_is_kept_cannot_be_read_in_the_database(order, api):
    answer = post(api, "/v1/jobs", order).json()
    kept = KeptAnswer.objects.get()
    assert answer["id"] not in kept.sealed
    KeptAnswer.objects.update(sealed="gAAAA" + kept.sealed[5:-9] + "AAAAAAAA=")
    assert refusal(post(api, "/v1/jobs", order)) == (409, "idempotency_conflict")


def test_a_request_whose_process_died_is_done_by_the_next(order, api):
    """What a dead process leaves is a row that is at work until its lease runs out."""
    post(api, "/v1/quotes", order)
    KeptAnswer.objects.update(status=None, sealed="", lease_until=Now() + timedelta(seconds=60))
    busy = post(api, "/v1/quotes", order)
    assert (*refusal(busy), int(busy["Retry-After"]) >= 1) == (409, "idempotency_in_progress", True)
    assert busy.json()["retryable"] is True
    KeptAnswer.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert refusal(post(api, "/v1/quotes", {**order, "options": {}})) == (409, "idempotency_conflict")
    assert post(api, "/v1/quotes", order).status_code == 201
    assert post(api, "/v1/quotes", order)["Idempotent-Replayed"] == "true"


def test_who_comes_back_late_does_not_overwrite_the_next_ones_answer(order, api, org):
    first = post(api, "/v1/quotes", order)
    kept = KeptAnswer.objects.get()
    late = idempotency.Claim(kept.pk, kept.fence)
    KeptAnswer.objects.update(status=None, lease_until=Now() - timedelta(seconds=1))
    second = post(api, "/v1/quotes", order)
    late.keep(first)
    late.let_go()
    assert post(api, "/v1/quotes", order).content == second.content


@pytest.mark.django_db(transaction=True)
def test_while_the_first_is_at_work_the_second_waits_outside(order, org, key):
    answers = []

    def send() -> None:
        answers.append(post(api_client(key), "/v1/jobs", order))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(5)]
    with transaction.atomic():
        # Whoever orders must set money aside, and waits here for the account.
        list(Account.objects.select_for_update().filter(organization=org))
        for thread in threads:
            thread.start()
        while len(answers) < 4:
            time.sleep(0.01)
        assert {refusal(answer) for answer in answers} == {(409, "idempotency_in_progress")}
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409]
    assert Job.objects.count() == 1
    assert post(api_client(key), "/v1/jobs", order)["Idempotent-Replayed"] == "true"


def test_a_large_file_is_hashed_piece_by_piece(rf):
    request = APIRequestFactory().post("/v1/files")
    with TemporaryUploadedFile("big.wav", "audio/wav", 64 * 1024**2, None) as file:
        file.file.truncate(64 * 1024**2)
        request.data = MultiValueDict({"file": [file]})
        tracemalloc.start()
        first = idempotency.body_hash(request)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert file.tell() == 0
        assert first == idempotency.body_hash(request)
    assert peak < 1024**2
