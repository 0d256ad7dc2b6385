"""The console's page of how routes do."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from jobs.models import Attempt
from jobs.submit import submit
from providers.models import Circuit, Route
from tests.jobs import drive
from tests.world import PASSWORD, at_console

PAGE = "/console/jobs/attempt/routes/"


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


def test_the_figures_are_one_statement(console, films):
    films("", "[fake flaky=engine_failed]")
    with CaptureQueriesContext(connection) as asked:
        console.get(PAGE)
    assert len([query for query in asked if "jobs_attempt" in query["sql"]]) == 1


def test_it_takes_the_right_to_see_routes(db, route):
    watcher = User.objects.create_user("watcher@voicereel.example", PASSWORD, is_staff=True)
    browser = at_console(watcher)
    assert browser.get(PAGE).status_code == 403
    watcher.user_permissions.add(Permission.objects.get(codename="view_route"))
    assert browser.get(PAGE).status_code == 200
