"""API keys over the API itself."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, AuditEntry
from tests.jobs import drive
from tests.world import api_client, make_key

NEW = {"name": "renderer", "scopes": ["jobs:read", "jobs:write"]}


def issue(api, **settings):
    return api.post("/v1/keys", {**NEW, **settings}, format="json")


def problem(answer) -> tuple[int, str, str | None]:
    return answer.status_code, answer.json()["code"], answer.json().get("field")


def test_a_key_is_shown_once_and_works(api, org, alice):
    end = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    answer = issue(
        api, expires_at=end.isoformat(), allowed_networks=["127.0.0.1/8"], spend_cap_micros=5_000_000
    )
    made = answer.json()
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    text = made.pop("key")
    assert made["last4"] == text[-4:]
    assert made["expires_at"] == end.isoformat()
    assert (made["allowed_networks"], made["spend_cap_micros"]) == (["127.0.0.0/8"], 5_000_000)
    assert (made["status"], made["spent_micros"], made["current"]) == ("active", 0, False)
    assert api.get(f"/v1/keys/{made['id']}").json() == made
    assert text not in api.get("/v1/keys").content.decode()
    assert api_client(text).get("/v1/jobs").status_code == 200
    entry = AuditEntry.objects.get(action="key.issue", target_id=made["id"])
    assert (entry.actor_key.last4, entry.after["scopes"]) == (
        ApiKey.objects.get(name="test key").last4,
        made["scopes"],
    )
    assert entry.address == "127.0.0.1"


def test_the_list_is_complete_page_by_page_and_marks_the_key_in_use(api, org):
    ids = [issue(api, name=f"key {n}").json()["id"] for n in range(5)]
    first = api.get("/v1/keys?limit=4").json()
    second = api.get(f"/v1/keys?limit=4&after={first['next']}").json()
    assert [key["id"] for key in first["data"] + second["data"]][:5] == ids[::-1]
    assert (first["has_more"], second["has_more"], second["next"]) == (True, False, None)
    assert [key["name"] for key in first["data"] + second["data"] if key["current"]] == ["test key"]
    assert problem(api.get(f"/v1/keys?after={uuid.uuid4()}")) == (404, "key_not_found", None)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": 7}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["jobs:everything"]}, "scopes"),
        ({"scopes": "jobs:read"}, "scopes"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"allowed_networks": ["everywhere"]}, "allowed_networks"),
        ({"allowed_networks": ["10.0.0.0/33"]}, "allowed_networks"),
        ({"spend_cap_micros": -1}, "spend_cap_micros"),
        ({"spend_cap_micros": 1.5}, "spend_cap_micros"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_settings_are_refused_by_name(api, settings, field):
    answer = issue(api, **settings)
    assert problem(answer) == (422, "parameter_invalid", field)
    assert answer.json()["detail"]
    assert ApiKey.objects.count() == 1


def test_what_is_missing_is_named(api):
    assert problem(api.post("/v1/keys", {"name": "x"}, format="json")) == (422, "parameter_missing", "scopes")


@pytest.mark.parametrize(
    ("own", "asked", "field"),
    [
        ({"expires_at": "soon"}, {"expires_at": "later"}, "expires_at"),
        ({"allowed_networks": ["127.0.0.0/8"]}, {"allowed_networks": ["0.0.0.0/0"]}, "allowed_networks"),
        ({"spend_cap_micros": 5}, {"spend_cap_micros": 5}, "spend_cap_micros"),
    ],
)
def test_a_limited_key_does_not_issue_a_freer_one(org, own, asked, field):
    times = {"soon": timezone.now() + timedelta(hours=1), "later": timezone.now() + timedelta(hours=2)}
    own = {name: times.get(value, value) if isinstance(value, str) else value for name, value in own.items()}
    asked = {
        name: times[value].isoformat() if isinstance(value, str) else value for name, value in asked.items()
    }
    limited = api_client(make_key(org, **own))
    assert problem(issue(limited, **asked)) == (403, "key_limit_escaped", field)
    mine = limited.get("/v1/keys").json()["data"][0]["id"]
    freed = {field: [] if field == "allowed_networks" else None}
    assert problem(limited.patch(f"/v1/keys/{mine}", freed, format="json")) == (
        403,
        "key_limit_escaped",
        field,
    )


def test_an_end_and_networks_are_passed_on(org):
    end = timezone.now() + timedelta(hours=1)
    limited = api_client(make_key(org, expires_at=end, allowed_networks=["127.0.0.0/8"]))
    made = issue(limited).json()
    assert (made["expires_at"], made["allowed_networks"]) == (end.isoformat(), ["127.0.0.0/8"])


def test_no_scope_is_given_away_that_the_key_lacks(org):
    few = api_client(make_key(org, "keys:write", "jobs:read"))
    assert problem(issue(few))[:2] == (403, "scope_missing")
    assert issue(few, scopes=["jobs:read"]).status_code == 201


def test_a_change_counts_at_once(api, org):
    made = issue(api).json()
    theirs = api_client(made["key"])
    assert theirs.get("/v1/jobs").status_code == 200
    answer = api.patch(
        f"/v1/keys/{made['id']}", {"name": "renamed", "scopes": ["files:write"]}, format="json"
    )
    assert (answer.status_code, answer.json()["name"], answer.json()["scopes"]) == (
        200,
        "renamed",
        ["files:write"],
    )
    assert theirs.get("/v1/jobs").status_code == 403
    assert AuditEntry.objects.get(action="key.change").before["name"] == "renderer"
    assert problem(api.patch(f"/v1/keys/{made['id']}", {"id": "x"}, format="json"))[2] == "id"


def test_a_rotation_overlaps_and_keeps_the_cap(api, org):
    drive.fund(org)
    drive.fake_route(org)
    made = issue(api, spend_cap_micros=200_000).json()
    old = api_client(made["key"])
    body = {"model": "wan-2.2-s2v"}
    body["inputs"] = {"image": str(drive.asset(org, "image").id), "audio": str(drive.asset(org, "audio").id)}
    assert old.post("/v1/jobs", body, format="json").status_code == 202
    drive.run_all()

    answer = api.post(f"/v1/keys/{made['id']}/rotate", {"overlap_hours": 2}, format="json")
    newer = answer.json()
    assert answer.status_code == 201
    assert (newer["replaces"], newer["spent_micros"], newer["spend_cap_micros"]) == (
        made["id"],
        120_000,
        200_000,
    )
    new = api_client(newer["key"])
    for client in (old, new):
        refused = client.post("/v1/jobs", body, format="json")
        assert problem(refused)[:2] == (402, "key_spend_cap")
    before = api.get(f"/v1/keys/{made['id']}").json()
    assert before["replaced_by"] == newer["id"]
    assert (
        timedelta(minutes=119)
        < timezone.datetime.fromisoformat(before["expires_at"]) - timezone.now()
        <= timedelta(hours=2)
    )
    again = api.post(f"/v1/keys/{made['id']}/rotate", {}, format="json")
    assert problem(again)[:2] == (409, "key_ended")
    assert newer["id"] in again.json()["detail"]
    assert {e.action for e in AuditEntry.objects.filter(target_id=made["id"])} == {"key.issue", "key.rotate"}


@pytest.mark.parametrize("hours", [-1, 721, "2", 1.5])
def test_an_overlap_has_bounds(api, hours):
    made = issue(api).json()
    answer = api.post(f"/v1/keys/{made['id']}/rotate", {"overlap_hours": hours}, format="json")
    assert problem(answer) == (422, "parameter_invalid", "overlap_hours")


def test_a_key_may_rotate_itself_and_without_overlap_ends_at_once(api, org):
    mine = next(key for key in api.get("/v1/keys").json()["data"] if key["current"])
    newer = api.post(f"/v1/keys/{mine['id']}/rotate", {"overlap_hours": 0}, format="json").json()
    assert api.get("/v1/keys").json()["code"] == "key_expired"
    shown = {key["id"]: key for key in api_client(newer["key"]).get("/v1/keys").json()["data"]}
    assert (shown[mine["id"]]["status"], shown[newer["id"]]["status"]) == ("expired", "active")


def test_a_revoked_key_is_refused_and_stays_in_the_list(api):
    made = issue(api).json()
    for _ in range(2):
        assert api.delete(f"/v1/keys/{made['id']}").status_code == 204
    assert APIClient().get("/v1/jobs", headers={"Authorization": f"Bearer {made['key']}"}).status_code == 401
    assert api.get(f"/v1/keys/{made['id']}").json()["status"] == "revoked"
    assert AuditEntry.objects.filter(action="key.revoke").count() == 1
    assert problem(api.patch(f"/v1/keys/{made['id']}", {"name": "x"}, format="json"))[:2] == (
        409,
        "key_ended",
    )
    assert problem(api.post(f"/v1/keys/{made['id']}/rotate", {}, format="json"))[:2] == (409, "key_ended")


def test_strangers_do_not_find_the_key(api, other_key):
    made, stranger = issue(api).json(), api_client(other_key)
    address = f"/v1/keys/{made['id']}"
    for answer in (
        stranger.get(address),
        stranger.patch(address, {"name": "mine"}, format="json"),
        stranger.delete(address),
        stranger.post(f"{address}/rotate", {}, format="json"),
        stranger.get(f"/v1/keys?after={made['id']}"),
    ):
        assert problem(answer) == (404, "key_not_found", None)
    assert api.get(address).json()["status"] == "active"


def test_a_list_costs_the_same_however_long(api, django_assert_num_queries):
    for number in range(4):
        issue(api, name=str(number))
    api.get("/v1/keys")
    with django_assert_num_queries(4):  # the caller, the keys, what they spent, what replaced them
        api.get("/v1/keys")
