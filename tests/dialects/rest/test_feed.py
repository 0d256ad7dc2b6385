"""The account-wide feed: everything once, in order, whoever commits late."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from jobs import events
from jobs.models import Job, JobEvent
from jobs.states import Status

pytestmark = pytest.mark.django_db(transaction=True)


def make_job(org) -> Job:
    fields = {"dialect": "rest", "model": "wan-2.2-s2v", "inputs": {}, "options": {}, "status": Status.QUEUED}
    return Job.objects.create(organization=org, deadline_at="2030-01-01T00:00:00Z", **fields)


def read_until(read, count: int, *, seconds: float = 60) -> list:
    """Reads on until so many came: a writing transaction anywhere on the server, such as a neighbouring test's,
    holds the feed back until it ends."""
    end, got = time.monotonic() + seconds, []
    while len(got) < count:
        assert time.monotonic() < end, got
        got += read()
        time.sleep(0.05)
    return got


def test_the_feed_pages_through_everything_once(org, other_org, api):
    job, foreign = make_job(org), make_job(other_org)
    for number in range(5):
        events.append(job, f"step_{number}")
        events.append(foreign, "not_yours")
    after = [""]

    def page() -> list[str]:
        answer = api.get(f"/v1/events?limit=2&after={after[0]}").json()
        after[0] = answer["next"]
        assert len(answer["data"]) <= 2
        return [event["type"] for event in answer["data"]]

    assert read_until(page, 5) == [f"step_{number}" for number in range(5)]
    assert page() == []
    events.append(job, "later")
    assert read_until(page, 1) == ["later"]
    assert api.get("/v1/events?after=yesterday").status_code == 422


def test_an_event_that_commits_late_is_not_overtaken(org):
    """Its id is lower than one that is already visible; a reader of ids alone would never see it."""
    job = make_job(org)
    written, commit = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            events.append(job, "slow")
            written.set()
            commit.wait(10)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert written.wait(10)
    events.append(job, "quick")
    by_id = list(JobEvent.objects.filter(job=job).values_list("type", flat=True))
    assert by_id == ["quick"]  # "slow" has the lower id and is not there yet
    early, cursor = events.feed(org.pk)
    assert early == []  # so "quick" waits for it
    commit.set()
    thread.join()
    late = read_until(lambda: events.feed(org.pk, after=cursor)[0], 2)
    assert [event.type for event in late] == ["slow", "quick"]


WRITERS, ROUNDS = 6, 15


def test_pages_read_while_many_write_miss_nothing_and_tell_nothing_twice(org, api):
    """Each writer holds its transaction open for a while of its own, so that ids become visible out of order."""
    jobs = [make_job(org) for _ in range(WRITERS)]

    def write(number: int) -> None:
        chance = random.Random(number)
        for step in range(ROUNDS):
            with transaction.atomic(), connection.cursor() as cursor:
                events.append(jobs[number], f"{number}.{step}a")
                cursor.execute("SELECT pg_sleep(%s)", [chance.uniform(0, 0.05)])
                events.append(jobs[number], f"{number}.{step}b")
        connection.close()

    after = [""]

    def page() -> list[dict]:
        answer = api.get(f"/v1/events?limit=7&after={after[0]}").json()
        after[0] = answer["next"]
        return answer["data"]

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(write, number) for number in range(WRITERS)]
        got = read_until(page, WRITERS * ROUNDS * 2)
        assert all(one.result() is None for one in writing)
    ids = [event["id"] for event in got]
    assert len(set(ids)) == len(ids) == WRITERS * ROUNDS * 2
    assert ids != sorted(ids)  # or nobody was overtaken, and nothing was shown
    for job in jobs:
        mine = [event["id"] for event in got if event["job"] == str(job.pk)]
        assert mine == sorted(mine)
    assert page() == []
