"""The permission table: every route, for nobody, for the wrong scope or role, for a stranger, and for its people.

A route that is not in the table fails the suite, so nothing new is let in by being forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from accounts import keys, members
from accounts.models import Role
from accounts.scopes import ALL_SCOPES
from billing.models import TopUp
from jobs import storage, webhooks
from jobs.models import Asset, Delivery, Job, Share
from jobs.personal import DataExport
from jobs.requested import ApiRequest
from jobs.states import Status
from providers.models import ProviderAccount
from tests.jobs import drive
from tests.world import api_client, caller_for, make_key, make_member, signed_in

OPEN = {
    # route: the status it gives to anybody
    "healthz": 200,
    "readyz": 200,
    "status": 200,
    "status/note": 204,
    "": 200,  # the front page; who is signed in sees their own videos there
    "pricing": 200,
    # the documentation, and what it says of pages that there are not
    **dict.fromkeys(["docs", "docs/", "docs/api", "docs/search.json"], 200),
    **dict.fromkeys(["docs/<slug:slug>", "docs/api/<slug:group>", "docs/<path:path>"], 404),
    "v1/openapi.json": 200,
    "v1/": 404,  # every address of /v1 that is none
    ".well-known/jwks.json": 200,
}
# Third-party rooms with doors of their own; accounts' tests walk through sign-in and sign-up.
ELSEWHERE = ("console/", "accounts/")
# Addresses that authorise themselves by a token; tests/jobs/test_files*.py and test_shares.py tamper with those.
SIGNED = {
    "files/<uuid:asset_id>/<str:token>/<str:name>",
    "storage/<str:token>",
    "invitations/<str:token>",
    "s/<str:token>",
    "s/<str:token>/video",
    "s/<str:token>/poster",
    "uploads/<str:token>",
    "infsh/uploads/<str:token>",
    "api/v1/uploads/form",
    "callbacks/<str:signed>",
    "billing/stripe/webhook",
}


ANY_KEY = ""


@dataclass(frozen=True)
class Api:
    """An API route: what it takes to be let in, and the status the allowed get (never 401, 403 or 404)."""

    method: str
    scope: str
    body: object = None
    stranger: int | None = 404  # for another tenant's id; None: the address names nobody's thing
    headers: tuple[tuple[str, str], ...] = ()
    absent: bool = False  # the allowed get 404 as well: there are no such things here


ASYNC = {"headers": (("X-DashScope-Async", "enable"),)}

TABLE: dict[str, list[Api]] = {
    "v1/models": [Api("get", "jobs:read", stranger=None)],
    "v1/jobs": [
        Api("get", "jobs:read", stranger=None),
        Api("post", "jobs:write", {"model": "wan-2.2-s2v"}, stranger=None),
    ],
    "v1/jobs/<uuid:job_id>": [Api("get", "jobs:read"), Api("delete", "jobs:write")],
    "v1/jobs/<uuid:job_id>/cancel": [Api("post", "jobs:write")],
    "v1/jobs/<uuid:job_id>/retry": [Api("post", "jobs:write")],
    "v1/jobs/<uuid:job_id>/receipt": [Api("get", "jobs:read")],
    "v1/jobs/<uuid:job_id>/events": [Api("get", "jobs:read")],
    "v1/quotes": [Api("post", "jobs:read", {"model": "wan-2.2-s2v"}, stranger=None)],
    "v1/events": [Api("get", "jobs:read", stranger=None)],
    "v1/webhooks": [
        Api("get", "jobs:read", stranger=None),
        Api("post", "webhooks:write", {"url": "https://customer.example/"}, stranger=None),
    ],
    "v1/webhooks/<uuid:endpoint_id>": [
        Api("get", "jobs:read"),
        Api("patch", "webhooks:write", {"description": "x"}),
        Api("delete", "webhooks:write"),
    ],
    "v1/webhooks/<uuid:endpoint_id>/rotate": [Api("post", "webhooks:write", {})],
    "v1/webhooks/<uuid:endpoint_id>/test": [Api("post", "webhooks:write")],
    "v1/webhooks/<uuid:endpoint_id>/deliveries": [Api("get", "jobs:read")],
    "v1/webhooks/deliveries/<uuid:delivery_id>": [Api("get", "jobs:read")],
    "v1/webhooks/deliveries/<uuid:delivery_id>/replay": [Api("post", "webhooks:write")],
    "v1/files": [Api("get", "jobs:read", stranger=None), Api("post", "files:write", stranger=None)],
    "v1/files/tickets": [Api("post", "files:write", {"filename": "a.png", "bytes": 5}, stranger=None)],
    "v1/files/<uuid:file_id>": [Api("get", "jobs:read"), Api("delete", "files:write")],
    "v1/files/<uuid:file_id>/complete": [Api("post", "files:write")],
    "v1/detect": [Api("post", "jobs:write", {}, stranger=None)],
    "v1/keys": [
        Api("get", "keys:write", stranger=None),
        Api("post", "keys:write", {"name": "x"}, stranger=None),
    ],
    "v1/keys/<uuid:key_id>": [
        Api("get", "keys:write"),
        Api("patch", "keys:write", {}),
        Api("delete", "keys:write"),
    ],
    "v1/keys/<uuid:key_id>/rotate": [Api("post", "keys:write", {})],
    "v1/provider-accounts": [
        Api("get", "organization:write", stranger=None),
        Api("post", "organization:write", {"provider": "x", "key": "y"}, stranger=None),
    ],
    "v1/provider-accounts/<int:account_id>": [Api("delete", "organization:write")],
    "v1/provider-accounts/<int:account_id>/check": [Api("post", "organization:write")],
    "v1/usage": [Api("get", "billing:read", stranger=None)],
    "v1/webhooks/secret": [Api("get", "jobs:write", stranger=None)],
    "v1/balance": [Api("get", "billing:read", stranger=None)],
    **{
        f"api/v1/{route}{slash}": rows
        for slash in ("", "/")
        for route, rows in {
            "services/aigc/image2video/video-synthesis": [
                Api("post", "jobs:write", {}, stranger=None, **ASYNC)
            ],
            "services/aigc/video-generation/video-synthesis": [
                Api("post", "jobs:write", {}, stranger=None, **ASYNC)
            ],
            "services/aigc/image2video/face-detect": [Api("post", "jobs:write", {}, stranger=None)],
            "tasks": [Api("get", "jobs:read", stranger=None)],
            # what is not one's own is UNKNOWN here, with 200
            "tasks/<str:task_id>": [Api("get", "jobs:read", stranger=200)],
            "tasks/<str:task_id>/cancel": [Api("post", "jobs:write", stranger=400)],
            "uploads": [Api("get", "files:write", stranger=None)],
        }.items()
    },
    "api/v1/^(?P<path>(?s:.*))$": [Api("post", ANY_KEY, {}, stranger=None)],
    **{
        f"{prefix}{route}": rows
        for prefix in ("", "infsh/")
        for route, rows in {
            "apps/run": [Api("post", "jobs:write", {"app": "infsh/wan-2-2-s2v"}, stranger=None)],
            "tasks/<str:task_id>": [Api("get", "jobs:read"), Api("delete", "jobs:write")],
            "tasks/<str:task_id>/stream": [Api("get", "jobs:read")],
            "tasks/<str:task_id>/cancel": [Api("post", "jobs:write")],
            "tasks/<str:task_id>/status": [Api("get", "jobs:read")],
            "tasks/<str:task_id>/logs": [Api("get", "jobs:read")],
            "tasks/<str:task_id>/timings": [Api("get", "jobs:read")],
            "tasks/<str:task_id>/files": [Api("get", "jobs:read"), Api("delete", "jobs:write")],
            "files": [Api("post", "files:write", {"files": [{"size": 5}]}, stranger=None)],
            "sessions": [Api("get", "jobs:read", stranger=None)],
            "sessions/<str:session_id>": [
                Api("get", "jobs:read", absent=True),
                Api("delete", "jobs:write", absent=True),
            ],
            "sessions/<str:session_id>/keepalive": [Api("post", "jobs:write", absent=True)],
        }.items()
    },
    "api/v3/predictions": [Api("post", "jobs:read", {"page": 1, "page_size": 5}, stranger=None)],
    "api/v3/predictions/delete": [Api("post", "jobs:write", {"ids": []}, stranger=None)],
    "api/v3/predictions/<str:prediction_id>/result": [Api("get", "jobs:read")],
    "api/v3/predictions/<str:prediction_id>": [Api("get", "jobs:read")],
    "api/v3/media/uploads": [
        Api(
            "post",
            "files:write",
            {"filename": "a.png", "size": 5, "content_type": "image/png"},
            stranger=None,
        )
    ],
    "api/v3/media/upload/binary": [Api("post", "files:write", stranger=None)],
    "api/v3/upload": [Api("post", "files:write", stranger=None)],
    "api/v3/balance": [Api("get", "billing:read", stranger=None)],
    "api/v3/account/balance": [Api("get", "billing:read", stranger=None)],
    "api/v3/models": [Api("get", ANY_KEY, stranger=None)],
    "api/v3/model/price": [
        Api("post", ANY_KEY, {"model_id": "wavespeed-ai/wan-2.2/speech-to-video"}, stranger=None)
    ],
    "api/v3/model/pricing": [
        Api("post", ANY_KEY, {"model_id": "wavespeed-ai/wan-2.2/speech-to-video"}, stranger=None)
    ],
    "api/v3/user/usage_stats": [
        Api(
            "post",
            "billing:read",
            {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-12-31T00:00:00Z"},
            stranger=None,
        )
    ],
    "api/v3/billings/search": [Api("post", "billing:read", {"page": 1, "page_size": 5}, stranger=None)],
    "api/v3/webhook/secret": [Api("get", "jobs:write", stranger=None)],
    "api/v3/^(?P<path>(?s:.*))$": [
        Api("post", "jobs:write", {"image": "x", "audio": "y"}, stranger=None),
    ],
}


@dataclass(frozen=True)
class Page:
    """A dashboard route: the roles that may use it; all others get 403, strangers 404 (for a thing with an id)."""

    method: str
    roles: frozenset[str]
    stranger: int | None = None


EVERYBODY = frozenset({"owner", "admin", "developer", "billing", "viewer"})
MAKERS = frozenset({"owner", "admin", "developer"})
LEADERS = frozenset({"owner", "admin"})
PAYERS = frozenset({"owner", "billing"})

PAGES: dict[str, list[Page]] = {
    "gallery": [Page("get", EVERYBODY)],
    "gallery/more": [Page("get", EVERYBODY)],
    "gallery/news": [Page("get", EVERYBODY)],
    "gallery/tags": [Page("post", MAKERS)],
    "gallery/delete": [Page("post", MAKERS)],
    "gallery/archive": [Page("post", EVERYBODY)],
    "jobs": [Page("get", EVERYBODY)],
    "jobs/<uuid:job_id>/again": [Page("get", MAKERS, stranger=404), Page("post", MAKERS, stranger=404)],
    "jobs/<uuid:job_id>/tags": [Page("post", MAKERS, stranger=404)],
    "jobs/<uuid:job_id>/star": [Page("post", EVERYBODY, stranger=404)],
    "studio": [Page("get", MAKERS)],
    "studio/<str:slug>": [Page("get", MAKERS)],
    "studio/files": [Page("post", MAKERS)],
    "studio/files/<uuid:file_id>": [
        Page("get", MAKERS, stranger=404),
        Page("delete", MAKERS, stranger=404),
    ],
    "studio/<str:slug>/verdict": [Page("post", MAKERS)],
    "studio/<str:slug>/quote": [Page("post", MAKERS)],
    "studio/<str:slug>/jobs": [Page("post", MAKERS)],
    "studio/<str:slug>/code": [Page("post", MAKERS)],
    "studio/jobs/<uuid:job_id>": [Page("get", EVERYBODY, stranger=404)],
    "studio/jobs/<uuid:job_id>/events": [Page("get", EVERYBODY, stranger=404)],
    "studio/jobs/<uuid:job_id>/clips/<int:index>": [Page("get", EVERYBODY, stranger=404)],
    "studio/jobs/<uuid:job_id>/cancel": [Page("post", MAKERS, stranger=404)],
    "jobs/rows": [Page("get", EVERYBODY)],
    "jobs/news": [Page("get", EVERYBODY)],
    "jobs/<uuid:job_id>/log": [Page("get", EVERYBODY, stranger=404)],
    "jobs/<uuid:job_id>": [Page("get", EVERYBODY, stranger=404)],
    "jobs/<uuid:job_id>/live": [Page("get", EVERYBODY, stranger=404)],
    "jobs/<uuid:job_id>/cancel": [Page("post", MAKERS, stranger=404)],
    "jobs/<uuid:job_id>/delete": [Page("post", MAKERS, stranger=404)],
    "jobs/<uuid:job_id>/shares": [Page("post", MAKERS, stranger=404)],
    "jobs/<uuid:job_id>/shares/<uuid:share_id>/revoke": [Page("post", MAKERS, stranger=404)],
    "billing": [Page("get", EVERYBODY - {"viewer"})],
    "billing/plan": [Page("get", EVERYBODY - {"viewer"})],
    "billing/statement": [Page("get", EVERYBODY - {"viewer"})],
    "billing/statement.csv": [Page("get", EVERYBODY - {"viewer"})],
    "usage": [Page("get", EVERYBODY - {"viewer"})],
    "usage.csv": [Page("get", EVERYBODY - {"viewer"})],
    "billing/topups": [Page("post", PAYERS)],
    "billing/card": [Page("post", PAYERS)],
    "billing/alerts": [Page("post", PAYERS)],
    "billing/auto-topup": [Page("post", PAYERS)],
    "billing/auto-topup/off": [Page("post", PAYERS)],
    "billing/subscribe": [Page("post", PAYERS)],
    "billing/portal": [Page("post", PAYERS)],
    "billing/topups/<uuid:topup_id>/return": [Page("get", EVERYBODY - {"viewer"}, stranger=404)],
    "keys": [Page("get", MAKERS)],
    "keys/<uuid:key_id>": [Page("get", MAKERS, stranger=404), Page("post", MAKERS, stranger=404)],
    "keys/<uuid:key_id>/rotate": [Page("post", MAKERS, stranger=404)],
    "keys/<uuid:key_id>/revoke": [Page("post", MAKERS, stranger=404)],
    "webhooks": [Page("get", MAKERS), Page("post", MAKERS)],
    "webhooks/<uuid:endpoint_id>": [Page("get", MAKERS, stranger=404), Page("post", MAKERS, stranger=404)],
    "webhooks/<uuid:endpoint_id>/switch": [Page("post", MAKERS, stranger=404)],
    "webhooks/<uuid:endpoint_id>/rotate": [Page("post", MAKERS, stranger=404)],
    "webhooks/<uuid:endpoint_id>/test": [Page("post", MAKERS, stranger=404)],
    "webhooks/<uuid:endpoint_id>/replay": [Page("post", MAKERS, stranger=404)],
    "webhooks/<uuid:endpoint_id>/delete": [Page("post", MAKERS, stranger=404)],
    "webhooks/deliveries/<uuid:delivery_id>": [Page("get", MAKERS, stranger=404)],
    "webhooks/deliveries/<uuid:delivery_id>/live": [Page("get", MAKERS, stranger=404)],
    "webhooks/deliveries/<uuid:delivery_id>/replay": [Page("post", MAKERS, stranger=404)],
    "requests": [Page("get", MAKERS)],
    "requests/<uuid:entry_id>": [Page("get", MAKERS, stranger=404)],
    "explorer": [Page("get", MAKERS)],
    "settings/providers": [Page("get", LEADERS), Page("post", LEADERS)],
    "settings/providers/<int:account_id>/test": [Page("post", LEADERS, stranger=404)],
    "settings/providers/<int:account_id>/remove": [Page("post", LEADERS, stranger=404)],
    "settings/privacy": [Page("get", EVERYBODY)],
    "settings/privacy/copy": [Page("post", EVERYBODY)],
    "settings/privacy/delete": [Page("post", EVERYBODY)],
    "settings/privacy/keep": [Page("post", EVERYBODY)],
    "settings/privacy/copies/<uuid:export_id>": [Page("get", LEADERS, stranger=404)],
    "settings/privacy/organization/copy": [Page("post", LEADERS)],
    "settings/privacy/organization/delete": [Page("post", LEADERS)],
    "settings/privacy/organization/keep": [Page("post", LEADERS)],
    "settings/routing": [Page("post", LEADERS)],
    "members": [Page("get", EVERYBODY)],
    "members/<int:member_id>/role": [Page("post", LEADERS, stranger=404)],
    "members/<int:member_id>/remove": [Page("post", LEADERS, stranger=404)],
    "members/invitations/<int:invitation_id>/resend": [Page("post", LEADERS, stranger=404)],
    "members/invitations/<int:invitation_id>/revoke": [Page("post", LEADERS, stranger=404)],
    "settings": [Page("get", LEADERS), Page("post", LEADERS)],
    "settings/profile": [Page("get", EVERYBODY), Page("post", EVERYBODY)],
    "settings/audit": [Page("get", LEADERS)],
    "settings/audit.csv": [Page("get", LEADERS)],
    "organizations": [Page("post", EVERYBODY)],
    "organization/<uuid:organization_id>/leave": [Page("post", EVERYBODY, stranger=404)],
    "organization/<uuid:organization_id>/choose": [Page("post", EVERYBODY, stranger=404)],
}


def routes() -> Iterator[str]:
    def walk(patterns, prefix: str) -> Iterator[str]:
        for entry in patterns:
            here = prefix + str(entry.pattern)
            if isinstance(entry, URLPattern):
                yield here
            else:
                yield from walk(entry.url_patterns, here)

    return walk(get_resolver().url_patterns, "")


def test_every_route_is_in_the_table():
    known = set(OPEN) | SIGNED | set(TABLE) | set(PAGES)
    found = {route for route in routes() if not route.startswith(ELSEWHERE)}
    assert found - known == set(), "new routes need a row in the permission table"
    assert known - found == set(), "rows of routes that are gone"


API_ROWS = [
    pytest.param(route, row, id=f"{row.method} {route}") for route, rows in TABLE.items() for row in rows
]
PAGE_ROWS = [
    pytest.param(route, row, id=f"{row.method} {route}") for route, rows in PAGES.items() for row in rows
]


@pytest.fixture
def things(org, alice, bob):
    """One of each thing an address may name, all of Acme's."""
    drive.fund(org)
    drive.fake_route(org)
    image = drive.asset(org, "image")
    job = Job.objects.create(
        organization=org,
        dialect="rest",
        model="wan-2.2-s2v",
        inputs={},
        options={},
        status=Status.CANCELED,
        error_code="canceled",
        error_message="Canceled.",
        charged_micros=0,
        deadline_at="2030-01-01T00:00:00Z",
    )
    key, _ = keys.issue(org, name="theirs", by=alice, scopes=["keys:write"])
    paid = TopUp.objects.create(
        organization=org,
        amount_micros=5_000_000,
        credited_micros=5_000_000,
        status="paid",
        paid_at="2026-01-01T00:00:00Z",
        waiting=False,
    )
    account = ProviderAccount.objects.create(organization=org, provider="fake", name="own")
    endpoint, _ = webhooks.add(caller_for(org, alice), url="https://customer.example/hook")
    delivery = Delivery.objects.create(
        organization=org,
        job=job,
        endpoint=endpoint,
        type="job.canceled",
        dialect="rest",
        url=endpoint.url,
        lane=str(endpoint.pk),
        status=Delivery.Status.FAILED,
    )
    share = Share.objects.create(
        organization=org, job=job, digest="0" * 64, expires_at="2030-01-01T00:00:00Z"
    )
    entry = ApiRequest.objects.create(
        organization=org,
        request_id="request-of-acme",
        method="GET",
        path="/v1/jobs",
        status=200,
        duration_ms=3,
        at="2026-01-01T00:00:00Z",
    )
    copy = DataExport.objects.create(
        organization=org, requested_by=alice, status="ready", key="acme/copy.zip"
    )
    return {
        "<uuid:export_id>": str(copy.pk),
        "<int:invitation_id>": str(
            members.invite(caller_for(org, alice), "dana@acme.example", Role.VIEWER)[0].pk
        ),
        "<uuid:share_id>": str(share.pk),
        "<uuid:entry_id>": str(entry.pk),
        "<uuid:job_id>": str(job.pk),
        "<uuid:endpoint_id>": str(endpoint.pk),
        "<uuid:delivery_id>": str(delivery.pk),
        "<str:prediction_id>": job.pk.hex,
        "<str:task_id>": str(job.pk),
        "<str:session_id>": "any",
        "<int:account_id>": str(account.pk),
        "<uuid:file_id>": str(image.pk),
        "<uuid:key_id>": str(key.pk),
        "<int:member_id>": str(org.members.get(user=bob).pk),
        "<uuid:organization_id>": str(org.pk),
        "<str:slug>": "wan-2.2-s2v",
        "<int:index>": "0",
        "<uuid:topup_id>": str(paid.pk),
        "^(?P<path>(?s:.*))$": "wavespeed-ai/wan-2.2/speech-to-video",
    }


def filled(route: str, things: dict[str, str]) -> str:
    for name, value in things.items():
        route = route.replace(name, value)
    assert "<" not in route, route
    return "/" + route


def call(client, row: Api, address: str):
    kwargs = {} if row.body is None else {"data": row.body, "format": "json"}
    return getattr(client, row.method)(address, headers=dict(row.headers), **kwargs)


@pytest.mark.parametrize(("route", "row"), API_ROWS)
def test_api_lets_in_only_keys_with_the_scope(things, org, route, row):
    address = filled(route, things)
    jobs, files = Job.objects.count(), Asset.objects.count()
    for text in ("", "nonsense", "vr_" + "0" * 50):
        assert call(api_client(text), row, address).status_code == 401, text
    if row.scope != ANY_KEY:
        others = make_key(org, *(ALL_SCOPES - {row.scope}))
        assert call(api_client(others), row, address).status_code == 403
    assert (Job.objects.count(), Asset.objects.count()) == (jobs, files)
    allowed = call(api_client(make_key(org, row.scope or "jobs:read")), row, address).status_code
    assert allowed not in {401, 403, 405, 500}
    assert (allowed == 404) == row.absent


@pytest.mark.parametrize(("route", "row"), [p for p in API_ROWS if p.values[1].stranger])
def test_api_hides_other_tenants_things(things, other_key, route, row):
    answer = call(api_client(other_key), row, filled(route, things))
    assert answer.status_code == row.stranger
    assert Job.objects.get(pk=things["<uuid:job_id>"]).deleted_at is None


@pytest.mark.parametrize(("route", "row"), PAGE_ROWS)
def test_pages_let_in_only_the_roles(things, org, route, row):
    address = filled(route, things)
    assert getattr(Client(), row.method)(address).status_code in {302, 401}
    for role in sorted(EVERYBODY - row.roles):
        person = make_member(org, f"{role}@acme.example", role)
        assert getattr(signed_in(person), row.method)(address).status_code == 403, role
    role = min(row.roles)
    person = make_member(org, f"{role}-allowed@acme.example", role)
    assert getattr(signed_in(person), row.method)(address).status_code in {200, 204, 302, 303, 409, 422}, role


@pytest.mark.parametrize(("route", "row"), [p for p in PAGE_ROWS if p.values[1].stranger])
def test_pages_hide_other_tenants_things(things, charlie_browser, route, row):
    answer = getattr(charlie_browser, row.method)(filled(route, things))
    assert answer.status_code == row.stranger


@pytest.mark.parametrize(("route", "status"), OPEN.items())
def test_open_routes_need_nobody(db, route, status):
    assert Client().get("/" + route).status_code == status


def test_a_file_address_is_not_guessed(things, other_org):
    good = storage.asset_url(Asset.objects.first().pk, "image.bin").removeprefix("http://testserver")
    assert Client().get(good).status_code in {200, 302}
    head, token, name = good.rsplit("/", 2)
    assert Client().get(f"{head}/{token[:-3]}AAA/{name}").status_code in {403, 404}
