"""Circuits of routes: opened by failures, tried by one attempt at a time, closed by a success."""

from __future__ import annotations

import pytest
from django.db import connection

from jobs.models import Attempt, Job
from jobs.submit import submit
from providers import circuit
from providers.models import Circuit, ProviderAccount, Route
from tests.jobs import drive

SICK, WELL = "[fake flaky=engine_failed]", ""


@pytest.fixture
def first(org) -> Route:
    """The route that everything takes while it works."""
    drive.fund(org)
    account = ProviderAccount.objects.create(provider="fake", name="first")
    return drive.fake_route(org, account=account, priority=1)


@pytest.fixture
def second(org, first) -> Route:
    return drive.fake_route(org, priority=2)


@pytest.fixture
def film(org, caller):
    """Orders a film and sees it to its end: the routes that it took."""

    def made(prompt: str = WELL) -> list[int]:
        job = submit(caller, drive.request(org, prompt))
        drive.run_all()
        return list(job.attempts.order_by("number").values_list("route_id", flat=True))

    return made


def is_open(route: Route) -> bool:
    return Circuit.objects.get(route=route).opened_at is not None


def opened(route: Route, film) -> None:
    """Five failures on this route alone."""
    others = Route.objects.exclude(pk=route.pk).filter(organization=route.organization_id)
    others.update(enabled=False)
    for _ in range(5):
        assert not Circuit.objects.filter(route=route, opened_at__isnull=False).exists(), "few say nothing"
        assert film(SICK) == [route.pk]
    others.update(enabled=True)
    assert is_open(route)


def later(seconds: float) -> None:
    """As if so much time had passed for the circuits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE providers_circuit SET probe_at = probe_at - %(s)s * interval '1 s',"
            " counted_at = counted_at - %(s)s * interval '1 s', opened_at = opened_at - %(s)s * interval '1 s'",
            {"s": seconds},
        )


def test_a_route_that_fails_is_left_alone_and_its_jobs_take_another(first, second, film):
    assert film(SICK) == [first.pk, second.pk]
    Circuit.objects.all().delete()
    opened(first, film)
    assert film() == [second.pk]


def test_films_that_are_of_no_use_open_a_circuit(first, org, caller):
    """The provider calls each of them a success, and charges for it."""
    for _ in range(5):
        submit(caller, drive.request(org, "[fake lie=garbage]"))
    drive.run_all()
    assert is_open(first)


def test_one_attempt_at_a_time_tries_it_again_and_a_success_closes_it(first, second, film, org, caller):
    Route.objects.filter(pk=second.pk).update(max_running=50)
    opened(first, film)
    later(circuit.PAUSE_SECONDS)
    for _ in range(3):
        submit(caller, drive.request(org))
    drive.dispatch.dispatch()
    taken = list(Attempt.objects.order_by("-pk").values_list("route_id", flat=True)[:3])
    assert sorted(taken) == [first.pk, second.pk, second.pk]
    drive.run_all()
    assert not is_open(first)
    assert film() == [first.pk]
    film(SICK)
    assert not is_open(first), "it begins anew"


def test_each_probe_that_fails_doubles_the_pause(first, second, film):
    opened(first, film)
    for pause in (20, 40, 80):
        later(pause - 5)
        assert film() == [second.pk], pause
        later(5)
        assert film(SICK) == [first.pk, second.pk], pause
    assert is_open(first)


def test_where_every_circuit_is_open_none_counts(first, second, film):
    opened(first, film)
    opened(second, film)
    assert film() == [first.pk]
    assert not is_open(first), "what works there closes it"


def test_a_few_failures_among_successes_open_nothing(first, second, film):
    for prompt in (WELL, WELL, SICK, WELL, SICK, WELL, SICK):
        film(prompt)
    assert not is_open(first)


def test_what_was_long_ago_is_forgotten(first, second, film):
    for _ in range(4):
        film(SICK)
    later(circuit.HALF_LIFE)
    film(SICK)
    assert not is_open(first)


@pytest.mark.parametrize("prompt", ["[fake refuse=bad_picture]", "[fake fail=face_not_found]"])
def test_a_provider_that_says_no_to_an_order_is_well(first, second, film, prompt):
    for _ in range(6):
        film(prompt)
    assert Circuit.objects.get(route=first).failures == 0


def test_a_throttled_route_is_not_blamed(first, second, film):
    film("[fake throttle=3 order=abc]")
    assert not Circuit.objects.filter(failures__gt=0).exists()


def test_lost_answers_count_once_each(first, second, film, org, caller):
    for _ in range(5):
        submit(caller, drive.request(org, "[fake drop]"))
    drive.dispatch.dispatch()
    assert is_open(first)
    assert round(Circuit.objects.get(route=first).failures) == 5
    assert Attempt.objects.filter(status="unknown").count() == 5
    drive.run_all()
    assert is_open(first), "they began before it opened"
    assert set(Job.objects.values_list("status", flat=True)) == {"succeeded"}


def test_only_one_takes_the_probe(first, second, film):
    opened(first, film)
    later(circuit.PAUSE_SECONDS)
    assert circuit.opened() == (frozenset(), frozenset({first.pk}))
    assert circuit.probe(first.pk)
    assert not circuit.probe(first.pk)
    assert circuit.opened() == (frozenset({first.pk}), frozenset())
