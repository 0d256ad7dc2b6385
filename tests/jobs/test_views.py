"""The dashboard's pages about videos: what they show, when they refresh, and whom they turn away."""

from __future__ import annotations

import re
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role, User
from jobs import estimates
from jobs.events import append
from jobs.models import Job
from jobs.submit import submit
from tests.jobs import drive
from tests.world import make_member, signed_in


@pytest.fixture
def funded(org):
    drive.fund(org)
    drive.fake_route(org)
    return org


@pytest.fixture
def start(funded, caller):
    """Submits a job of Acme; the prompt is the fake provider's script and the video's title."""
    return lambda prompt="": submit(caller, drive.request(funded, prompt))


@pytest.fixture
def finish(start):
    def finished(prompt: str = "") -> Job:
        job = start(prompt)
        drive.run_all()
        job.refresh_from_db()
        return job

    return finished


def text(response) -> str:
    """The words of a page, as a person reads them."""
    body = re.sub(r"(?s)<(script|style|head).*?</\1>|<!--.*?-->", " ", response.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("&#x27;", "'")


def asks_again(response) -> bool:
    return b"every 2s" in response.content or b'id="asking"' in response.content


def parts(response) -> list[str]:
    """Of an answer to a page that asks again: the ids whose places it takes."""
    return re.findall(r'id="([^"]+)"[^>]* hx-swap-oob="true"', response.content.decode())


def test_a_newcomer_is_shown_how_to_make_a_first_video(alice_browser):
    page = alice_browser.get("/gallery")
    assert "Make your first video" in text(page)
    assert 'href="/keys"' in page.content.decode()
    example = re.search(r"(?s)<code[^>]*>(.*?)</code>", page.content.decode())[1]
    assert 10 <= len(example.strip().splitlines()) <= 11
    assert 'base_url="http://testserver"' in example


def test_the_list_shows_state_length_and_price(alice_browser, start):
    start("A calm newsreader")
    words = text(alice_browser.get("/jobs"))
    assert "A calm newsreader Wan 2.2 Speech to Video, 0:04 Waiting its turn alice at most $0.12" in words
    User.objects.update(name="Alice of the Accounting Department")
    assert "Alice of the Accounting Department at most" in text(alice_browser.get("/jobs"))


def test_the_list_asks_again_only_while_something_can_change(alice_browser, start):
    start()
    assert asks_again(alice_browser.get("/jobs/rows"))
    drive.run_all()
    rows = alice_browser.get("/jobs/rows")
    assert not asks_again(rows)
    assert "Ready" in text(rows)
    assert b"<html" not in rows.content


def test_a_finished_video_has_a_player_its_price_and_its_history(alice_browser, finish):
    job = finish("A calm newsreader")
    page = alice_browser.get(f"/jobs/{job.pk}")
    body = page.content.decode()
    source = re.search(r'<video[^>]* src="([^"]+)"', body)[1]
    assert source.startswith("/files/")
    assert Client().get(source).status_code in {200, 302}
    words = text(page)
    assert "Price $0.12" in words
    assert "Billed 4 seconds" in words
    steps = [
        "Submitted, at most $0.12",
        "Given to a machine",
        "Rendered, saving the video",
        "Ready, $0.12 charged",
    ]
    places = [words.index(step) for step in steps]
    assert places == sorted(places)
    assert not asks_again(page)


def test_a_failed_video_says_why_what_to_do_and_that_it_was_free(alice_browser, finish):
    job = finish("[fake fail=face_not_found]")
    words = text(alice_browser.get(f"/jobs/{job.pk}"))
    assert job.error_message in words
    assert "What to do: Use a sharp picture of one person who looks at the camera." in words
    assert "Nothing was charged" in words
    assert "Price Free" in words


def test_a_failure_that_may_pass_advises_to_try_again(alice_browser, finish):
    job = finish("[fake flaky=busy]")
    assert "Submitting the same again can help" in text(alice_browser.get(f"/jobs/{job.pk}"))


def test_a_job_under_way_refreshes_itself_and_can_be_canceled(alice_browser, start):
    job = start()
    page = alice_browser.get(f"/jobs/{job.pk}")
    assert asks_again(page)
    assert b"<video" not in page.content
    page = alice_browser.post(f"/jobs/{job.pk}/cancel", follow=True)
    assert "Canceled, nothing charged" in text(page)
    assert not asks_again(page)


def test_only_what_changes_is_replaced_and_at_the_end_the_player_comes_in(alice_browser, start):
    job = start()
    page = alice_browser.get(f"/jobs/{job.pk}").content.decode()
    assert f'data-news="/studio/jobs/{job.pk}/events"' in page
    fragment = alice_browser.get(f"/jobs/{job.pk}/live")
    assert asks_again(fragment)
    assert parts(fragment) == ["progress", "facts", "receipt", "timeline"]
    assert not re.search(rb"<(html|form|button|input|a|audio|video)\b", fragment.content)
    drive.run_all()
    fragment = alice_browser.get(f"/jobs/{job.pk}/live")
    assert not asks_again(fragment)
    assert parts(fragment) == ["stage", "ending", "balance", "facts", "receipt", "timeline"]
    assert b"<video controls" in fragment.content
    assert f"<title>Ready: {job.options.get('prompt') or 'Wan'}" in fragment.content.decode()
    assert "Share" in text(fragment)


def test_a_job_that_waits_shows_its_place_and_the_time_left(alice_browser, start, monkeypatch):
    first, second = start(), start()
    monkeypatch.setattr(estimates, "paces", lambda _: {None: 30.0})
    assert "Next in line · about 2 min left" in text(alice_browser.get(f"/jobs/{first.pk}"))
    assert "Number 2 in line · about " in text(alice_browser.get(f"/jobs/{second.pk}/live"))


def test_tries_are_numbered(alice_browser, start):
    job = start()
    for kind in ("running", "attempt_ended", "queued", "running", "queued", "running", "attempt_ended"):
        append(job, kind)
    page = alice_browser.get(f"/jobs/{job.pk}").content.decode()
    assert re.findall(r"<li class=\"[a-z]*\"><span>(.*?)</span><time", page)[1:] == [
        "Given to a machine",
        "Try 1 did not work",
        "Waiting for another try",
        "Given to a machine, try 2",
        "Waiting for its next part",
        "Given to a machine, try 2",
        "Try 2 did not work",
    ]


def test_canceling_what_is_finished_says_so(alice_browser, finish):
    page = alice_browser.post(f"/jobs/{finish().pk}/cancel", follow=True)
    assert "already succeeded" in text(page)


def test_a_deleted_video_is_gone(alice_browser, finish):
    job = finish("A calm newsreader")
    source = re.search(r'<video[^>]* src="([^"]+)"', alice_browser.get(f"/jobs/{job.pk}").content.decode())[1]
    page = alice_browser.post(f"/jobs/{job.pk}/delete", follow=True)
    assert "The video is deleted" in text(page)
    assert "A calm newsreader" not in text(page)
    assert alice_browser.get(f"/jobs/{job.pk}").status_code == 404
    assert Client().get(source).status_code == 410


def test_a_video_under_way_is_not_deleted(alice_browser, start):
    job = start()
    page = alice_browser.post(f"/jobs/{job.pk}/delete", follow=True)
    assert "cancel it first" in text(page)
    assert Job.objects.visible().filter(pk=job.pk).exists()


def test_the_table_offers_to_order_again_and_is_narrowed(alice_browser, start):
    failed, waits = start("[fake fail=face_not_found]"), start("A calm newsreader")
    Job.objects.filter(pk=failed.pk).update(status="failed", error_message="There is no face.")
    page = alice_browser.get("/jobs")
    assert f'href="/jobs/{failed.pk}/again">Retry' in page.content.decode()
    assert f'href="/jobs/{waits.pk}/again">Duplicate' in page.content.decode()
    assert "There is no face." in text(page)
    rows = alice_browser.get("/jobs?state=open", headers={"HX-Request": "true"})
    assert "A calm newsreader" in text(rows)
    assert "There is no face." not in text(rows)
    assert "/jobs/rows?state=open" in rows.content.decode()
    assert b"<html" not in rows.content


def test_a_server_of_threads_has_the_browser_come_back_for_news(alice_browser):
    answer = alice_browser.get("/jobs/news")
    assert answer["Content-Type"] == "text/event-stream"
    assert b"".join(answer.streaming_content) == b"retry: 15000\n\ndata: changed\n\n"


def test_the_log_has_every_event_in_the_customers_words(alice_browser, start):
    job = start()
    append(job, "progress", {"progress": 0.42, "clip": 2, "clips": 5})
    append(job, "attempt_ended", {"attempt": 1, "code": "provider_secret"})
    lines = alice_browser.get(f"/jobs/{job.pk}/log").content.decode().splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "Submitted, at most $0.12",
        "Rendered 42 %, clip 2 of 5",
        "Try 1 did not work",
    ]


def test_a_long_list_has_pages(alice_browser, start):
    jobs = [start(f"video number {number:02d}") for number in range(21)]
    first = alice_browser.get("/jobs")
    assert text(first).count("Duplicate video number") == 20
    assert "video number 00" not in text(first)
    older = re.search(r'href="(/jobs\?before=[^"]+)"', first.content.decode())[1]
    second = alice_browser.get(older)
    assert "video number 00" in text(second)
    assert f"/jobs/rows?before={jobs[1].pk}" in second.content.decode()


@pytest.mark.parametrize("before", ["garbage", "'; DROP TABLE jobs_job; --", "\x00"])
def test_a_page_that_does_not_exist_is_404(alice_browser, before):
    assert alice_browser.get("/jobs", {"before": before}).status_code == 404


def test_the_list_costs_the_same_however_long_it_is(alice_browser, start):
    start()
    with CaptureQueriesContext(connection) as short:
        alice_browser.get("/jobs/rows")
    for _ in range(4):
        start()
    with CaptureQueriesContext(connection) as long:
        alice_browser.get("/jobs/rows")
    assert len(long) == len(short)


def test_a_stranger_sees_nothing_of_it(charlie_browser, start):
    job = start("A calm newsreader")
    assert "A calm newsreader" not in text(charlie_browser.get("/gallery"))
    assert charlie_browser.get(f"/gallery?before={uuid.UUID(int=2**128 - 1)}").status_code == 200
    for path in (f"/jobs/{job.pk}", f"/jobs/{job.pk}/live"):
        assert charlie_browser.get(path).status_code == 404
    for path in (f"/jobs/{job.pk}/cancel", f"/jobs/{job.pk}/delete"):
        assert charlie_browser.post(path).status_code == 404
    job.refresh_from_db()
    assert (job.status, job.deleted_at) == ("queued", None)


def test_a_viewer_watches_but_changes_nothing(org, start):
    job = start()
    browser = signed_in(make_member(org, "erin@acme.example", Role.VIEWER))
    page = browser.get(f"/jobs/{job.pk}")
    assert page.status_code == 200
    assert b"/cancel" not in page.content
    assert browser.post(f"/jobs/{job.pk}/cancel").status_code == 403
    assert browser.post(f"/jobs/{job.pk}/delete").status_code == 403
    job.refresh_from_db()
    assert job.status == "queued"


def test_a_viewer_does_not_see_the_balance(org, funded, alice_browser):
    assert "$20.00" in text(alice_browser.get("/gallery"))
    viewer = signed_in(make_member(org, "erin@acme.example", Role.VIEWER))
    assert "$20.00" not in text(viewer.get("/gallery"))


@pytest.mark.parametrize("path", ["/jobs/rows", f"/jobs/{uuid.UUID(int=7)}"])
def test_without_sign_in_one_is_sent_there(db, path):
    assert Client().get(path)["Location"].startswith("/accounts/login/?next=")


def test_a_prompt_is_text_and_never_markup(alice_browser, start):
    start("<script>alert(1)</script>")
    assert b"<script>alert" not in alice_browser.get("/gallery").content
