"""The developers' pages: keys with their limits and successors, webhooks with their deliveries, the log, the explorer."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from jsonschema import Draft202012Validator

from accounts import keys
from accounts.errors import KeyExpired
from accounts.models import ApiKey, AuditEntry, Role
from billing.models import KeySpend
from jobs import webhooks
from jobs.dialects.rest import explorer
from jobs.dialects.rest.openapi import document
from jobs.models import Delivery, WebhookEndpoint
from jobs.requested import ApiRequest
from jobs.types import least_id
from tests.world import caller_for, make_key, make_member, signed_in

KEY = re.compile(r"vr_[0-9A-Za-z]{49}")
MOST_QUERIES = 10


def page(response) -> str:
    return response.content.decode()


# --- keys ---


def change(browser, key: ApiKey, **other):
    same = {"name": key.name, "scopes": key.scopes, "expires_in_days": "0"}
    return browser.post(f"/keys/{key.pk}", same | other, follow=True)


@pytest.fixture
def row(key) -> ApiKey:
    return ApiKey.objects.get()


def test_an_empty_list_of_keys_says_how_to_begin(alice_browser):
    shown = page(alice_browser.get("/keys"))
    assert "No keys yet" in shown
    assert "/v1/models" in shown


def test_a_key_is_changed_by_its_form(alice_browser, row):
    change(
        alice_browser,
        row,
        name="robot",
        scopes=["jobs:read"],
        expires_in_days="7",
        allowed_networks="203.0.113.0/24",
        spend_cap_usd="2.5",
    )
    row.refresh_from_db()
    assert (row.name, row.scopes, row.spend_cap_micros) == ("robot", ["jobs:read"], 2_500_000)
    assert row.allowed_networks == ["203.0.113.0/24"]
    assert (row.expires_at - timezone.now()).days == 6
    assert AuditEntry.objects.filter(action="key.change").count() == 1


def test_a_form_saved_as_it_stands_changes_nothing(alice_browser, org, alice):
    end = timezone.now() + timedelta(days=3)
    make_key(org, "jobs:read", by=alice, expires_at=end, allowed_networks=["10.0.0.0/8"], spend_cap_micros=1)
    row = ApiKey.objects.get()
    shown = page(alice_browser.get(f"/keys/{row.pk}"))
    assert 'value="0.000001"' in shown
    change(alice_browser, row, allowed_networks="10.0.0.0/8", spend_cap_usd="0.000001")
    row.refresh_from_db()
    assert (row.expires_at, row.spend_cap_micros) == (end, 1)
    assert not AuditEntry.objects.filter(action="key.change").exists()


def test_a_developer_may_leave_a_key_what_it_has_but_give_it_no_more(bob, org, alice):
    make_key(org, "jobs:read", "members:write", by=alice)
    row = ApiKey.objects.get()
    browser = signed_in(bob)
    change(browser, row, name="kept")
    row.refresh_from_db()
    assert (row.name, row.scopes) == ("kept", ["jobs:read", "members:write"])
    assert change(browser, row, scopes=["jobs:read", "organization:write"]).status_code == 422
    row.refresh_from_db()
    assert row.scopes == ["jobs:read", "members:write"]


def test_a_rotated_key_works_beside_its_successor_for_the_time_chosen(alice_browser, key, row):
    response = alice_browser.post(f"/keys/{row.pk}/rotate", {"overlap_hours": "24"})
    new = KEY.search(page(response))[0]
    assert "no-store" in response["Cache-Control"]
    assert new not in page(alice_browser.get("/keys"))
    assert keys.authenticate(new, None).key.replaces_id == row.pk
    assert keys.authenticate(key, None).key.pk == row.pk
    row.refresh_from_db()
    assert timedelta(hours=23) < row.expires_at - timezone.now() <= timedelta(hours=24)


def test_a_key_rotated_without_overlap_ends_at_once(alice_browser, key, row):
    shown = page(alice_browser.post(f"/keys/{row.pk}/rotate", {"overlap_hours": "0"}))
    assert "works no longer" in shown
    with pytest.raises(KeyExpired):
        keys.authenticate(key, None)


def test_a_second_rotation_is_refused_with_a_word(alice_browser, row):
    alice_browser.post(f"/keys/{row.pk}/rotate", {"overlap_hours": "24"})
    again = alice_browser.post(f"/keys/{row.pk}/rotate", {"overlap_hours": "24"}, follow=True)
    assert "was replaced by" in page(again)
    assert ApiKey.objects.count() == 2


def test_the_bar_shows_what_is_spent_of_the_cap(alice_browser, org, alice):
    make_key(org, by=alice, spend_cap_micros=4_000_000)
    KeySpend.objects.create(key=ApiKey.objects.get(), spent_micros=1_000_000, held_micros=500_000)
    shown = page(alice_browser.get("/keys"))
    assert "$1.00 of $4.00 spent, $0.50 set aside" in shown
    assert 'max="4000000" value="1500000"' in shown


def test_keys_are_listed_page_by_page(alice_browser, org, monkeypatch):
    monkeypatch.setattr("jobs.views.keys.PAGE", 2)
    names = {f"number {n}" for n in range(5)}
    for name in names:
        keys.issue(org, name=name, by=None, scopes=["jobs:read"])
    newest = ApiKey.objects.order_by("-created_at")[:3]
    ApiKey.objects.filter(pk=newest[0].pk).update(revoked_at=timezone.now())
    ApiKey.objects.filter(pk=newest[2].pk).update(expires_at=timezone.now())
    over = {newest[0].name, newest[2].name}
    seen, address = [], "/keys"
    while address:
        shown = page(alice_browser.get(address))
        seen += re.findall(r"number \d</a>", shown)
        older = re.search(r"\?before=[0-9a-f-]+", shown)
        address = f"/keys{older[0]}" if older else ""
    assert len(seen) == 5
    assert {text.removesuffix("</a>") for text in seen} == names
    assert {text.removesuffix("</a>") for text in seen[-2:]} == over  # what works comes first


# --- webhooks ---

HOOK = {"url": "https://customer.example/hook", "events": ["job.succeeded", "job.failed"]}


@pytest.fixture
def endpoint(org, alice) -> WebhookEndpoint:
    return webhooks.add(caller_for(org, alice), url=HOOK["url"])[0]


def delivery(endpoint: WebhookEndpoint, **fields) -> Delivery:
    plain = {"type": "ping", "dialect": "rest", "url": endpoint.url, "lane": str(endpoint.pk)}
    return Delivery.objects.create(organization=endpoint.organization, endpoint=endpoint, **plain | fields)


def test_an_endpoint_is_added_and_its_secret_shown_once(alice_browser):
    response = alice_browser.post("/webhooks", HOOK)
    secret = re.search(r"whsec_[^\"]+", page(response))[0]
    assert "no-store" in response["Cache-Control"]
    row = WebhookEndpoint.objects.get()
    assert webhooks.secrets_of(row) == [secret.replace("&#x2B;", "+")]
    assert row.events == ["job.failed", "job.succeeded"]
    assert secret not in page(alice_browser.get("/webhooks"))
    assert secret not in page(alice_browser.get(f"/webhooks/{row.pk}"))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"url": "http://10.0.0.1/hook"}, "errorlist"),
        ({"url": "no address"}, "errorlist"),
        ({"events": []}, "errorlist"),
        ({"events": ["job.nonsense"]}, "errorlist"),
    ],
)
def test_an_address_or_event_that_cannot_be_is_refused_in_place(alice_browser, wrong, word):
    response = alice_browser.post("/webhooks", HOOK | wrong)
    assert response.status_code == 422
    assert word in page(response)
    assert not WebhookEndpoint.objects.exists()


def test_an_endpoint_is_changed_switched_and_deleted(alice_browser, endpoint):
    address = f"/webhooks/{endpoint.pk}"
    alice_browser.post(address, HOOK | {"description": "the shop", "events": ["*"]})
    alice_browser.post(f"{address}/switch", {"enabled": "0"})
    endpoint.refresh_from_db()
    assert (endpoint.description, endpoint.events, endpoint.enabled) == ("the shop", ["*"], False)
    alice_browser.post(f"{address}/switch", {"enabled": "1"})
    endpoint.refresh_from_db()
    assert endpoint.enabled
    alice_browser.post(f"{address}/delete")
    assert alice_browser.get(address).status_code == 404


def test_a_rotated_secret_signs_beside_the_new_one(alice_browser, endpoint):
    before = webhooks.secrets_of(endpoint)
    alice_browser.post(f"/webhooks/{endpoint.pk}/rotate", {"overlap_hours": "24"})
    endpoint.refresh_from_db()
    both = webhooks.secrets_of(endpoint)
    assert len(both) == 2
    assert both[1:] == before


def test_an_endpoint_that_we_switched_off_says_why_and_how_to_go_on(alice_browser, endpoint):
    webhooks.disable(endpoint, WebhookEndpoint.Reason.FAILING)
    shown = page(alice_browser.get(f"/webhooks/{endpoint.pk}"))
    assert "We switched this endpoint off" in shown
    assert "Switch on" in shown
    refused = alice_browser.post(f"/webhooks/{endpoint.pk}/test", follow=True)
    assert "Switch it on first" in page(refused)


def test_a_delivery_shows_its_message_and_what_came_back(alice_browser, endpoint):
    sent = delivery(endpoint, status=Delivery.Status.FAILED, reason="tries_used_up", tries=1)
    sent.log.create(status=503, answer="out of <order>", duration_ms=42)
    sent.log.create(status=None, answer="No answer within 15 seconds.", duration_ms=15_000)
    shown = page(alice_browser.get(f"/webhooks/deliveries/{sent.pk}"))
    for words in ("503", "out of &lt;order&gt;", "No answer within", "All ten tries failed", sent.pk.hex):
        assert words in shown
    assert "&quot;type&quot;: &quot;ping&quot;" in shown
    alice_browser.post(f"/webhooks/deliveries/{sent.pk}/replay")
    sent.refresh_from_db()
    assert (sent.status, sent.tries) == ("due", 0)


def test_what_was_given_up_in_a_time_is_sent_again_and_nothing_else(alice_browser, endpoint, org, alice):
    other, _ = webhooks.add(caller_for(org, alice), url="https://customer.example/other")
    failed = {"status": Delivery.Status.FAILED, "finished_at": timezone.now()}
    mine = delivery(endpoint, **failed)
    old = delivery(endpoint, id=least_id(timezone.now() - timedelta(hours=2)), **failed)
    done = delivery(endpoint, status=Delivery.Status.DELIVERED)
    theirs = delivery(other, **failed)
    answer = alice_browser.post(f"/webhooks/{endpoint.pk}/replay", {"hours": "1"}, follow=True)
    assert "1 on the way again" in page(answer)
    states = {row.pk: row.status for row in Delivery.objects.all()}
    assert states == {mine.pk: "due", old.pk: "failed", done.pk: "delivered", theirs.pk: "failed"}


# --- requests ---


def entry(org, key=None, **fields) -> ApiRequest:
    plain = {"request_id": "r-1", "method": "GET", "path": "/v1/jobs", "status": 200, "duration_ms": 3}
    return ApiRequest.objects.create(organization=org, key=key, at=timezone.now(), **plain | fields)


def test_requests_are_found_by_id_key_outcome_and_path(alice_browser, org, other_org, row):
    good = entry(org, row)
    bad = entry(org, path="/api/v3/balance", status=404, code="not_found", request_id="r-2")
    broken = entry(org, path="/v1/files", status=503, request_id="r-3")
    entry(other_org, path="/v1/umbra", request_id="r-1")

    def found(**query) -> set:
        shown = page(alice_browser.get("/requests", query))
        assert "/v1/umbra" not in shown
        return set(re.findall(r"/requests/([0-9a-f-]{36})", shown))

    def ids(*rows) -> set:
        return {str(row.pk) for row in rows}

    assert found() == ids(good, bad, broken)
    assert found(q="r-1") == ids(good)
    assert found(key=str(row.pk)) == ids(good)
    assert found(status="error") == ids(bad, broken)
    assert found(status="5") == ids(broken)
    assert found(path="balance") == ids(bad)
    assert found(path="nowhere") == set()
    detail = page(alice_browser.get(f"/requests/{bad.pk}"))
    assert "WaveSpeed" in detail
    assert "not_found" in detail


def test_the_log_is_read_page_by_page_within_its_filter(alice_browser, org, monkeypatch):
    monkeypatch.setattr("jobs.views.requests.PAGE", 2)
    for n in range(5):
        # Ids made within one millisecond have no order.
        entry(org, path=f"/v1/n{n}", id=UUID(int=2 * n + 1))
        entry(org, path="/v1/else", id=UUID(int=2 * n + 2))
    seen, address = [], "/requests?path=/v1/n"
    while address:
        shown = page(alice_browser.get(address))
        seen += re.findall(r"/v1/n\d</span>", shown)
        older = re.search(r'href="\?([^"]*before=[^"]+)"', shown)
        address = f"/requests?{older[1].replace('&amp;', '&')}" if older else ""
    assert [text[:6] for text in seen] == ["/v1/n4", "/v1/n3", "/v1/n2", "/v1/n1", "/v1/n0"]


@pytest.mark.parametrize("query", ["before=x", "key=x"])
def test_an_id_that_is_none_is_not_found(alice_browser, query):
    assert alice_browser.get(f"/requests?{query}").status_code == 404


# --- explorer ---


def test_the_explorer_has_every_operation_that_needs_a_key():
    known = {
        node["operationId"]
        for methods in document()["paths"].values()
        for name, node in methods.items()
        if name in explorer.METHODS and node["operationId"] != "getOpenApi"
    }
    assert {row.name for _, rows in explorer.groups() for row in rows} == known


def test_every_example_body_is_taken_as_it_stands():
    """By the very checkers of the API, so a schema that changes cannot leave a stale example behind."""
    schemas = {"components": document()["components"]}
    for path, methods in document()["paths"].items():
        for name, node in methods.items():
            content = node.get("requestBody", {}).get("content", {}) if name in explorer.METHODS else {}
            if explorer.JSON in content:
                schema = content[explorer.JSON]["schema"]
                made = explorer.example(schema)
                Draft202012Validator({**schemas, **schema}).validate(made), path


def test_an_operation_is_chosen_by_name(alice_browser):
    shown = page(alice_browser.get("/explorer?operation=createJob"))
    assert "wan-2.2-s2v" in shown
    assert alice_browser.get("/explorer?operation=nonsense").status_code == 404


# --- all of them ---


def test_no_page_costs_more_than_ten_queries(alice_browser, org, alice, endpoint, row):
    for n in range(12):
        make_key(org, by=make_member(org, f"erin-{n}@acme.example", Role.DEVELOPER), spend_cap_micros=5)
        delivery(endpoint, status=Delivery.Status.DELIVERED)
        entry(org, row)
    sent = delivery(endpoint)
    sent.log.create(status=200, answer="ok", duration_ms=1)
    logged = entry(org, row)
    for address in (
        "/keys",
        f"/keys/{row.pk}",
        "/webhooks",
        f"/webhooks/{endpoint.pk}",
        f"/webhooks/deliveries/{sent.pk}",
        "/requests",
        f"/requests/{logged.pk}",
        "/explorer",
    ):
        with CaptureQueriesContext(connection) as asked:
            assert alice_browser.get(address).status_code == 200
        assert len(asked) <= MOST_QUERIES, (address, [query["sql"][:90] for query in asked])
