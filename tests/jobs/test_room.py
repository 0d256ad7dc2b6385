"""How much room an organization's files may take: uploads are refused when it is used up, results never."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from billing import quotas
from billing.models import Limits
from jobs import room, storage, uploads
from jobs.models import Asset
from jobs.states import Status
from tests.billing.conftest import in_threads
from tests.jobs import drive

PICTURE = (drive.SAMPLES / "portrait.jpg").read_bytes()


def may_keep(org, pictures: float) -> None:
    Limits.objects.update_or_create(
        organization=org, defaults={"storage_bytes": int(pictures * len(PICTURE))}
    )
    quotas.forget()


def upload(api):
    return api.post("/v1/files", {"file": SimpleUploadedFile("a.jpg", PICTURE, "image/jpeg")})


def test_uploads_are_refused_when_there_is_no_room(org, api):
    may_keep(org, 2.5)
    first, second, third = (upload(api) for _ in range(3))
    assert (first.status_code, second.status_code) == (201, 201)
    assert (third.status_code, third.json()["code"]) == (422, "storage_full")
    ticket = api.post("/v1/files/tickets", {"filename": "a.jpg", "bytes": len(PICTURE)}, format="json")
    assert (ticket.status_code, ticket.json()["code"]) == (422, "storage_full")
    assert room.used(org) == 2 * len(PICTURE)
    assert Asset.objects.for_org(org).count() == 2

    assert api.delete(f"/v1/files/{first.json()['id']}").status_code == 204
    assert upload(api).status_code == 201


def test_the_other_dialects_say_so_in_their_own_words(org, api):
    may_keep(org, 0.5)
    file = {"file": SimpleUploadedFile("a.jpg", PICTURE, "image/jpeg")}
    refused = api.post("/api/v3/media/upload/binary", file)
    assert refused.status_code == 413
    assert "no room" in refused.json()["message"]


def test_a_file_larger_than_announced_counts_with_what_it_is(org, api):
    may_keep(org, 0.5)
    ticket = api.post("/api/v3/media/uploads", {"filename": "a.jpg", "size": 10}, format="json").json()[
        "data"
    ]
    sent = httpx.put(
        ticket["upload"]["url"], headers=ticket["upload"]["headers"], content=PICTURE, trust_env=False
    )
    assert sent.status_code == 200
    asset = uploads.complete(Asset.objects.get())
    assert (asset.status, asset.refusal["code"]) == ("refused", "storage_full")
    assert room.used(org) == len(PICTURE)


def test_what_counted_before_counts_once(org, other_org, api):
    """Neither the announced bytes twice nor the files of others."""
    drive.asset(other_org, "image")
    may_keep(org, 1.5)
    announced = {"filename": "a.jpg", "size": len(PICTURE) - 10}
    ticket = api.post("/api/v3/media/uploads", announced, format="json").json()["data"]
    headers = ticket["upload"]["headers"]
    httpx.put(ticket["upload"]["url"], headers=headers, content=PICTURE, trust_env=False).raise_for_status()
    assert uploads.complete(Asset.objects.for_org(org).get()).status == "ready"
    assert room.used(org) == len(PICTURE)


def test_results_are_kept_all_the_same(org, api):
    drive.fund(org)
    drive.fake_route(org)
    inputs = {role: str(drive.asset(org, role).id) for role in ("image", "audio")}
    may_keep(org, 0)
    made = api.post("/v1/jobs", {"model": "wan-2.2-s2v", "inputs": inputs}, format="json").json()
    drive.run_all()
    answer = api.get(f"/v1/jobs/{made['id']}").json()
    assert answer["status"] == Status.SUCCEEDED
    assert answer["outputs"]


@pytest.mark.django_db(transaction=True)
def test_parallel_uploads_take_no_more_than_there_is(org, api):
    may_keep(org, 3)

    def keep(number: int) -> str:
        row = Asset(organization=org, origin="upload", key=f"test/{number}", bytes=len(PICTURE))
        try:
            room.keep(row)
        except room.Invalid as refusal:
            return refusal.code
        return "kept"

    assert sorted(in_threads(12, keep)) == ["kept"] * 3 + ["storage_full"] * 9


def test_a_store_that_is_away_leaves_no_row(org, api, monkeypatch):
    def away(key: str, path: Path, *, content_type: str) -> None:
        raise storage.StorageUnavailable("away")

    monkeypatch.setattr(storage, "put", away)
    assert upload(api).status_code == 503
    assert not Asset.objects.for_org(org).exists()
