"""Rules of the operator's console that hold for every page that any room registers."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.console.menu import VIEWS
from accounts.models import AuditEntry, Organization
from billing.models import Price
from tests.rows import Rows

QUERIES = 12
FEW, MANY = 5, 60  # a page shows fifty


def address(model: Any, what: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=args)


def cost(console, url: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert console.get(url).status_code == 200, url
    return len(asked)


# --- what a list costs ----------------------------------------------------------------------------------------


def test_every_list_takes_few_queries_however_many_rows_it_shows(console):
    rows = Rows()
    costs: dict[str, list[int]] = {}
    for count in (FEW, MANY):
        for model in admin.site._registry:
            rows.upto(model, count)
        for model in admin.site._registry:
            costs.setdefault(model._meta.label, []).append(cost(console, address(model, "changelist")))
        for name, url in pages(rows).items():
            cache.clear()
            costs.setdefault(name, []).append(cost(console, url))
    assert len(costs) > 35
    assert {page: found for page, found in costs.items() if max(found) > QUERIES or found[1] > found[0]} == {}


def pages(rows: Rows) -> dict[str, str]:
    """Those that are no model's list: of the menu, of one organization, of the book's changes."""
    tenant = rows.made[Organization][0]
    Organization.objects.filter(pk=tenant.pk).update(tier="")  # the made up one is no tier
    named = {name: reverse(page) for views in VIEWS.values() for name, _, page in views}
    return {
        **named,
        "a tenant": reverse("admin:tenant", args=[tenant.pk]),
        "changes of prices": reverse("admin:price_history"),
    }


def test_every_row_takes_few_queries_to_look_at(console):
    rows = Rows()
    for model in admin.site._registry:
        rows.upto(model, FEW)
    costs = {
        model._meta.label: cost(console, address(model, "change", rows.made[model][0].pk))
        for model in admin.site._registry
    }
    assert {page: found for page, found in costs.items() if found > QUERIES} == {}


# --- what a write leaves --------------------------------------------------------------------------------------

# What an operator may change, and a change for each.
CHANGES: dict[str, dict[str, Any]] = {
    "accounts.User": {"name": "Somebody else"},
    "accounts.Organization": {"retention_days": 7},
    "billing.Price": {"max_units": 500},
    "billing.FreeQuota": {"units": 77},
    "billing.Tier": {"running": 77},
    "billing.Limits": {"running": 77},
    "providers.Route": {"priority": 77},
    "providers.ProviderAccount": {"max_running": 77},
    "providers.RoutingPolicy": {"own_wait_seconds": 77},
}
# What an operator may add, filled in as far as the blank form does not.
ADDITIONS: dict[str, dict[str, Any]] = {
    "billing.Price": {"model": "wan-2.2-s2v", "resolution": "240p", "micros_per_unit": 1, "max_units": 600},
    "billing.Tier": {
        "slug": "tin",
        "threshold_micros": 5,
        "submits_per_minute": 5,
        "running": 5,
        "queued": 5,
        "weight": 1,
        "reads_per_second": 5,
        "requests_per_second": 5,
        "storage_bytes": 5,
    },
    "billing.FreeQuota": {"model": "wan-2.2-s2v", "units": 5},
    "billing.Limits": {"organization": "{organization}", "running": 5},
    "billing.Proposal": {
        "organization": "{organization}",
        "kind": "grant",
        "amount_usd": "1",
        "reason": "For a test.",
    },
    "providers.Route": {"model": "wan-2.2-s2v", "provider": "fake"},
    "providers.ProviderAccount": {"provider": "fake", "name": "second"},
    "providers.RoutingPolicy": {"organization": "{organization}", "order": "cheapest"},
}


@pytest.fixture
def request_of(operator):
    request = RequestFactory().get("/console/")
    request.user = operator
    return request


def editable(request: Any, may: str) -> set[str]:
    return {
        model._meta.label
        for model, page in admin.site._registry.items()
        if getattr(page, f"has_{may}_permission")(request)
    }


def test_the_record_is_proved_for_every_page_that_writes(request_of):
    assert editable(request_of, "change") == set(CHANGES)
    assert editable(request_of, "add") == set(ADDITIONS)


class Form(HTMLParser):
    """What a browser would send of a page's forms, untouched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.data: dict[str, str] = {}
        self.select = self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, kind = given.get("name") or "", given.get("type")
        if tag == "select":
            self.select = name
        elif tag == "option" and "selected" in given:
            self.data[self.select] = given.get("value") or ""
        elif tag == "textarea":
            self.data[name], self.text = "", name
        elif tag == "input" and name and kind not in {"submit", "file", "button"}:
            kept = kind not in {"checkbox", "radio"} or "checked" in given
            if kept:
                self.data[name] = given.get("value") or ("on" if kind == "checkbox" else "")

    def handle_data(self, data: str) -> None:
        if self.text:
            self.data[self.text] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.text = ""


def send(console, url: str, changes: dict[str, Any]) -> None:
    typed = Form(console.get(url).text).data | {name: str(value) for name, value in changes.items()}
    answer = console.post(url, {name: value for name, value in typed.items() if name[:1] != "_"})
    assert answer.status_code == 302, answer.context["errors"]


@pytest.mark.parametrize("label", CHANGES)
def test_a_change_is_on_record_with_who_and_what_was_there_before(console, operator, label):
    model = next(model for model in admin.site._registry if model._meta.label == label)
    Price.objects.all().delete()  # a made up one may overlap
    row = Rows().upto(model, 1)[0]
    ((name, value),) = CHANGES[label].items()
    old = getattr(row, name)
    send(console, address(model, "change", row.pk), {name: value})
    entry = AuditEntry.objects.get(target_type=model._meta.label_lower, target_id=str(row.pk))
    assert entry.actor_user == operator
    assert (entry.before[name], entry.after[name]) == (old, value)
    assert entry.address


@pytest.mark.parametrize("label", ADDITIONS)
def test_what_is_added_is_on_record(console, operator, org, label):
    model = next(model for model in admin.site._registry if model._meta.label == label)
    known = set(model._default_manager.values_list("pk", flat=True))
    values = {n: str(v).format(organization=org.pk) for n, v in ADDITIONS[label].items()}
    send(console, address(model, "add"), values)
    row = model._default_manager.exclude(pk__in=known).get()
    entry = AuditEntry.objects.filter(target_type=model._meta.label_lower, target_id=str(row.pk)).earliest(
        "pk"
    )
    assert entry.actor_user == operator
    assert entry.after
    assert entry.address


# --- what an action leaves ------------------------------------------------------------------------------------

FAILED = {"state": "failed"}
# Each action of each page, and what a made up row must be like for it to have something to do.
ACTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("accounts.ApiKey", "revoke_chosen"): {},
    ("jobs.Job", "cancel_jobs"): {"status": "running"},
    ("jobs.Delivery", "replay_deliveries"): {"status": "failed"},
    ("billing.Difference", "resolve"): {},
    ("billing.Proposal", "approve"): {"status": "open"},
    ("billing.Proposal", "decline"): {"status": "open"},
    ("billing.StripeEvent", "retry"): FAILED,
    ("billing.UsageReport", "retry"): FAILED | {"line": None},
    ("billing.TopUp", "retry"): {},
    ("billing.Reversal", "retry"): {},
    **{
        (label, what): {}
        for label in ("providers.Route", "providers.ProviderAccount")
        for what in ("drain", "kill", "reopen", "delete_selected")
    },
    ("providers.ProviderAccount", "test"): {},
    **{
        (label, "delete_selected"): {}
        for label in ("billing.FreeQuota", "billing.Tier", "billing.Limits", "providers.RoutingPolicy")
    },
}
# Asks only: nothing was there before.
LOOKS = {"test"}


def test_the_record_is_proved_for_every_action(request_of):
    found = {
        (model._meta.label, name)
        for model, page in admin.site._registry.items()
        for name in page.get_actions(request_of)
    }
    assert found == set(ACTIONS)


def test_every_action_says_who_may(request_of):
    open_to_all = [
        (model._meta.label, name)
        for model, page in admin.site._registry.items()
        for name, (action, *_) in page.get_actions(request_of).items()
        if not getattr(action, "allowed_permissions", None)
    ]
    assert open_to_all == []


@pytest.mark.parametrize(("label", "action"), ACTIONS)
def test_an_action_is_on_record_with_who_and_what_was_there_before(console, operator, org, label, action):
    model = next(model for model in admin.site._registry if model._meta.label == label)
    row = Rows().upto(model, 1)[0]
    columns = {field.name for field in model._meta.concrete_fields}
    values = ACTIONS[label, action] | ({"organization": org} if "organization" in columns else {})
    if values and not model._meta.get_field(next(iter(values))).primary_key:
        model._default_manager.filter(pk=row.pk).update(**values)
    form = {"action": action, "_selected_action": [str(row.pk)], "post": "yes"}
    assert console.post(address(model, "changelist"), form).status_code == 302
    entry = AuditEntry.objects.filter(target_type=model._meta.label_lower, target_id=str(row.pk)).earliest(
        "pk"
    )
    assert entry.actor_user == operator
    assert entry.before is not None or action in LOOKS
    assert entry.after is not None or action == "delete_selected"
    assert entry.before != entry.after
    assert entry.address
