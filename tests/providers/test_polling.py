"""When providers are asked, and that none is kept waiting by another, or an answer by the one before it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.utils import timezone

from jobs import paces, poll, polling
from jobs.models import Attempt, Job
from jobs.submit import submit
from providers.base import Account, Callback
from providers.models import FakeTask
from providers.upstream import Upstream, kept_connections
from tests.jobs import drive
from tests.providers.conformance.stands import standing

# --- when ---------------------------------------------------------------------------------------------------


def test_questions_are_rare_early_frequent_near_the_expected_end_and_rare_again():
    waits = [paces.interval(age, 300, least=3, most=20) for age in (0, 200, 280, 296, 300, 320, 400, 9000)]
    assert waits == [20, 20, 5, 3, 3, 5, 20, 20]


def test_where_nothing_is_expected_an_end_is_seen_late_by_a_share_of_what_it_took():
    waits = [paces.interval(age, None, least=3, most=20) for age in (0, 20, 40, 1000)]
    assert waits == [3, 5, 10, 20]


def test_orders_of_one_moment_do_not_come_back_in_one_moment():
    waits = {paces.jittered(10) for _ in range(50)}
    assert len(waits) > 40
    assert min(waits) >= 9
    assert max(waits) <= 11


@pytest.fixture
def stand(org, settings):
    with standing("wavespeed", org) as made:
        settings.FETCH_ALLOW_HOSTS = [made.vendor.host]
        yield made


@pytest.fixture
def placed(stand, caller):
    """`placed(n)`: so many orders at the vendor, due to be asked about, that will not end by themselves."""
    stand.stall()

    def place(count: int = 1) -> list[Attempt]:
        for _ in range(count):
            submit(caller, stand.request())
        while Job.objects.filter(status="queued").exists():
            assert drive.dispatch.dispatch()
        drive.hurry()
        return list(Attempt.objects.order_by("pk"))

    return place


def seconds_until_due(attempt: Attempt) -> float:
    attempt.refresh_from_db()
    return (attempt.due_at - timezone.now()).total_seconds()


def test_what_the_route_took_lately_decides_when_the_next_question_is_due(placed):
    first, second = placed(2)
    now = timezone.now()
    took = timedelta(seconds=60)
    paces.forget()
    Attempt.objects.filter(pk=first.pk).update(status="succeeded", submitted_at=now - took, finished_at=now)
    for age, least, most in ((30, 6.5, 8.5), (59, 2, 3.5), (84, 5, 7), (1000, 17, 22)):
        Attempt.objects.filter(pk=second.pk).update(submitted_at=now - timedelta(seconds=age))
        drive.hurry()
        async_to_sync(polling.poll_due)()
        assert least < seconds_until_due(second) < most, age
    paces.forget()


# --- calls --------------------------------------------------------------------------------------------------


def test_a_call_that_comes_while_its_order_is_asked_about_has_it_asked_once_more(stand, placed):
    (attempt,) = placed()
    stand.vendor.fault("poll", "slow")

    async def ask_and_be_called() -> None:
        asking = polling.Polling()
        assert await asking.ask() == 1
        await until(lambda: stand.vendor.count("poll") == 1)
        await sync_to_async(poll.bring_forward)(attempt, Callback(attempt.external_id))
        stand.vendor.released.set()
        await until(lambda: asking.answers)
        await asking.write()

    async_to_sync(ask_and_be_called)()
    attempt.refresh_from_db()
    assert (attempt.lease_until, attempt.poll_failures) == (None, 0)
    assert seconds_until_due(attempt) <= 0


# --- who waits for whom -------------------------------------------------------------------------------------


async def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_an_answer_is_written_down_while_another_of_the_account_is_waited_for(stand, placed):
    placed(3)
    stand.vendor.fault("poll", "slow")

    async def ask() -> None:
        asking = polling.Polling()
        assert await asking.ask() == 3
        await until(lambda: len(asking.answers) == 2)
        await asking.write()
        assert await Attempt.objects.filter(lease_until=None).acount() == 2
        stand.vendor.released.set()
        await until(lambda: asking.answers)
        await asking.write()
        assert not asking.busy

    async_to_sync(ask)()
    assert not Attempt.objects.exclude(lease_until=None).exists()


def test_an_account_with_many_slow_answers_gets_no_more_and_the_others_go_on(stand, placed, monkeypatch):
    monkeypatch.setattr(polling, "SHARE", 2)
    monkeypatch.setattr(polling, "AT_ONCE", 2)
    attempts = placed(5)
    stand.vendor.fault("poll", *["slow"] * 5)
    other = attempts[-1]
    Attempt.objects.filter(pk=other.pk).update(provider="fake", account_id=None, external_id=str(other.pk))
    FakeTask.objects.create(id=other.pk, tag=other.tag, script={"stall": ""}, order={})

    async def ask() -> None:
        asking = polling.Polling()
        assert [await asking.ask(), await asking.ask()] == [3, 0]
        await until(lambda: asking.answers)
        assert [answer.question.id for answer in asking.answers] == [other.pk]
        assert asking.busy == {("wavespeed", stand.account.pk): 2}
        stand.vendor.released.set()
        await until(lambda: len(asking.answers) == 3)
        await asking.write()

    async_to_sync(ask)()


def test_who_stops_lets_go_what_it_was_asking_about(stand, placed):
    placed(2)
    stand.vendor.fault("poll", "slow", "slow")

    async def ask_and_stop() -> None:
        asking = polling.Polling()
        await asking.ask()
        await until(lambda: stand.vendor.count("poll") == 2)
        await asking.close()

    async_to_sync(ask_and_stop)()
    assert set(Attempt.objects.values_list("lease_until", "poll_failures")) == {(None, 0)}
    assert len(polling.claim_due()) == 2


def test_questions_go_over_connections_that_stay_open(stand, placed):
    placed(4)

    async def ask() -> None:
        async with kept_connections():
            clients = []
            for _ in range(2):
                asking = polling.Polling()
                await asking.ask()
                await until(lambda asking=asking: len(asking.answers) == 4)
                await asking.write()
                clients.append(
                    Upstream(
                        Account(base_url=stand.vendor.url), base_url="", headers={}, complaint=_none
                    ).http
                )
                await sync_to_async(drive.hurry)()
            assert clients[0] is clients[1]
            assert not clients[0].is_closed
        assert clients[0].is_closed

    async_to_sync(ask)()


def _none(status, said):
    return None
