"""The console's page of providers: how their routes do, and the switches."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, User
from jobs.models import Attempt
from jobs.submit import submit
from providers.admin import switch_of
from providers.models import Circuit, ProviderAccount, Route
from tests.jobs import drive
from tests.world import PASSWORD, at_console

PAGE = "/console/jobs/attempt/routes/"
SWITCH = "/console/jobs/attempt/routes/switch/"


@pytest.fixture(autouse=True)
def fresh():
    cache.clear()


@pytest.fixture
def route(org) -> Route:
    drive.fund(org)
    return drive.fake_route(org)


@pytest.fixture
def films(org, caller, route):
    def made(*prompts: str) -> None:
        for prompt in prompts:
            submit(caller, drive.request(org, prompt))
        drive.run_all()

    return made


def line(console) -> str:
    """The words of Acme's route."""
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", console.get(PAGE).text))
    found = re.search(r"wan-2.2-s2v by fake Acme (.*?)(?= [a-z0-9.-]+ by |$)", words)
    assert found, words
    return found[1]


def test_a_route_that_was_never_used_is_there(console, route):
    assert line(console).startswith("closed 0 ")
    assert PAGE in console.get("/console/").text


def test_errors_are_those_of_the_route_alone(console, films):
    refused, sick = "[fake refuse=bad_picture]", "[fake flaky=engine_failed]"
    films("", "", refused, sick)
    assert line(console).startswith("closed 4 25 % (1) ")


def test_times_are_of_what_succeeded(console, films):
    films("", "[fake fail=face_not_found]")
    attempt = Attempt.objects.get(status="succeeded")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_attempt SET finished_at = created_at + interval '12.5 s' WHERE id = %s", [attempt.pk]
        )
    assert "12.5 s 12.5 s 0" in line(console)


def test_what_is_in_flight_is_shown_with_the_oldest(console, org, caller, route):
    for _ in range(2):
        submit(caller, drive.request(org, "[fake stall]"))
    submit(caller, drive.request(org, "[fake drop]"))
    drive.dispatch.dispatch()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_attempt SET created_at = now() - interval '90 s' WHERE status = 'unknown'"
        )
    shown = line(console)
    assert shown.startswith("closed 1 100 % (1) ")
    assert re.search(r" 3 (89|9\d) s", shown)


def test_the_circuit_and_the_switch_are_told(console, films, route):
    films(*["[fake flaky=engine_failed]"] * 5)
    assert line(console).startswith("open 5 100 % (5)")
    Circuit.objects.update(probe_at="2020-01-01T00:00:00Z")
    assert line(console).startswith("half-open 5 ")
    Route.objects.filter(pk=route.pk).update(enabled=False)
    assert line(console).startswith("half-open, switched off 5 ")


def test_it_costs_the_same_however_many_routes_there_are(console, org, films):
    films("", "[fake flaky=engine_failed]")
    costs = []
    for _ in range(2):
        cache.clear()
        with CaptureQueriesContext(connection) as asked:
            console.get(PAGE)
        costs.append(len(asked))
        for n in range(5):
            account = ProviderAccount.objects.create(provider="fake", name=f"more {len(costs)} {n}")
            drive.fake_route(org, account=account)
    assert costs[0] == costs[1] <= 12


def test_the_margin_is_that_of_the_books(console, films, route):
    Route.objects.filter(pk=route.pk).update(cost_micros_per_second=10_000)
    films("", "")
    assert "$0.16 of $0.24 open Drain Kill" in line(console)


def test_lost_orders_can_be_resolved_from_there(console, org, caller, route):
    assert "No order's answer is lost." in html.unescape(console.get(PAGE).text)
    submit(caller, drive.request(org, "[fake drop]"))
    drive.dispatch.dispatch()
    lost = Attempt.objects.get(status="unknown")
    page = console.get(PAGE).text
    assert f"/console/jobs/attempt/{lost.pk}/resolve/" in page
    assert str(lost.job_id) in page


def press(console, kind: str, target, what: str):
    return console.post(SWITCH, {"kind": kind, "pk": target.pk, "what": what})


@pytest.mark.parametrize("kind", ["route", "account"])
def test_an_operator_switches_routes_and_accounts_there(console, operator, org, kind):
    account = ProviderAccount.objects.create(provider="fake", name="main")
    route = drive.fake_route(org, account=account)
    target = route if kind == "route" else account
    asked = console.get(SWITCH, {"kind": kind, "pk": target.pk, "what": "kill"})
    assert "is stopped within seconds" in asked.text
    target.refresh_from_db()
    assert target.enabled, "asked is not done"
    for what, state in (("drain", "drained"), ("kill", "killed"), ("reopen", "open")):
        answer = press(console, kind, target, what)
        assert (answer.status_code, answer["Location"]) == (302, PAGE)
        target.refresh_from_db()
        assert switch_of(target) == state
        entry = AuditEntry.objects.filter(target_id=str(target.pk)).latest("pk")
        assert (entry.action.partition(".")[2], entry.actor_user, bool(entry.address)) == (
            what,
            operator,
            True,
        )
        assert entry.before["enabled"] != entry.after["enabled"] or what == "kill"
        shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", console.get(PAGE).text))
        assert {"drained": "drained Reopen Kill", "killed": "killed Reopen", "open": "open Drain Kill"}[
            state
        ] in shown


def test_who_may_not_switch_finds_no_buttons(db, route):
    watcher = User.objects.create_user("watcher@voicereel.example", PASSWORD, is_staff=True)
    watcher.user_permissions.add(Permission.objects.get(codename="view_route"))
    browser = at_console(watcher)
    assert "Drain" not in re.sub(r"<[^>]+>", " ", browser.get(PAGE).text)
    assert press(browser, "route", route, "drain").status_code == 403
    assert browser.get(SWITCH, {"kind": "route", "pk": route.pk, "what": "kill"}).status_code == 403
    route.refresh_from_db()
    assert route.enabled


def test_what_cannot_be_switched_is_not_there(console, route):
    for odd in ({"kind": "job"}, {"what": "explode"}, {"pk": "x"}, {"pk": "9" * 30}, {"pk": "999999"}):
        sent = {"kind": "route", "pk": str(route.pk), "what": "drain", **odd}
        assert console.post(SWITCH, sent).status_code == 404


def test_customers_accounts_are_not_ours_and_nothing_is_told_as_such(console, org):
    Route.objects.all().delete()
    assert "No provider has an account or a route yet" in console.get(PAGE).text
    ProviderAccount.objects.create(provider="wavespeed", name="theirs", organization=org)
    assert "theirs" not in console.get(PAGE).text
    ProviderAccount.objects.create(provider="wavespeed", name="ours")
    page = console.get(PAGE).text
    assert "ours" in page
    assert "No route leads there yet" in page


def test_it_takes_the_right_to_see_routes(db, route):
    watcher = User.objects.create_user("watcher@voicereel.example", PASSWORD, is_staff=True)
    browser = at_console(watcher)
    assert browser.get(PAGE).status_code == 403
    watcher.user_permissions.add(Permission.objects.get(codename="view_route"))
    assert browser.get(PAGE).status_code == 200
