"""The studio while lines are cut, sessions end and jobs go: what was chosen and ordered stays."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from providers.fake.video import make_video
from tests.browser.workshop import FIT, S2V, SAMPLES, Workshop

ORDERS = "**/wan-2.2-s2v/jobs"
STALLS = "[fake stall]"
# Whatever is heard or listened to in the page.
WITNESS = """
    window.voices = [];
    window.streams = [];
    window.Audio = class extends Audio { constructor(...given) { super(...given); voices.push(this); } };
    window.EventSource = class extends EventSource { constructor(...given) { super(...given); streams.push(this); } };
"""
OPEN_STREAMS = "streams.filter(stream => stream.readyState !== EventSource.CLOSED).length"
PLAYING = "voices.filter(voice => !voice.paused).length"

SEEN = """seen => {
    Object.defineProperty(document, "hidden", {value: !seen, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    """The machine may be busy."""
    expect.set_options(timeout=20_000)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture
def workshop(person: Page, live_stack, account) -> Workshop:
    person.add_init_script(WITNESS)
    made = Workshop(person, live_stack, account)
    made.gold()
    made.pretend()
    made.fit()
    return made


def test_an_order_whose_answer_was_lost_is_placed_once_and_followed(workshop, complaints):
    page = workshop.page
    workshop.samples()
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.fetch().text())
        route.abort()

    page.route(ORDERS, lose, times=1)
    with page.expect_response(ORDERS) as answer:
        workshop.generate.click()
        expect(page.get_by_text("Checking whether it was ordered…")).to_be_visible()
        expect(workshop.generate).to_be_disabled()
        expect(page.get_by_role("button", name="Stop looking")).to_be_visible()
    assert answer.value.json()["id"] in lost[0]
    expect(page.get_by_text("Checking whether it was ordered…")).to_be_hidden()
    expect(page.locator("article")).to_have_count(1)
    assert f"job={answer.value.json()['id']}" in page.url
    assert len(workshop.charged()) == 1

    # Who stops looking and presses again asks about the same order.
    page.route(ORDERS, lose)
    workshop.generate.click()
    page.get_by_role("button", name="Stop looking").click()
    unsure = page.get_by_role("alert").filter(has_text="It is not known whether this was ordered.")
    expect(unsure.get_by_role("link", name="Your jobs")).to_be_visible()
    expect(page.locator("article")).to_have_count(1)
    page.unroute(ORDERS)
    with page.expect_response(ORDERS) as answer:
        workshop.generate.click()
    assert answer.value.json()["id"] in lost[-1]
    assert len(workshop.charged()) == 2
    complaints.clear()  # of the cut line


def test_a_clip_that_does_not_come_is_passed_over_and_a_new_order_ends_the_old_stream_and_voice(
    workshop, complaints
):
    page = workshop.page
    page.get_by_label("Prompt").fill(STALLS)
    workshop.samples()

    def two_clips(route: Route) -> None:
        state = route.fetch(url=route.request.url.removesuffix("/events")).json()
        told = {**state, "status": "running", "ready": 2, "clip": 2, "clips": 3}
        route.fulfill(content_type="text/event-stream", body=f"data: {json.dumps(told)}\n\n")

    page.route("**/events", two_clips)
    page.route("**/clips/0", lambda route: route.fulfill(status=409))
    page.route("**/clips/1", lambda route: route.fulfill(content_type="video/mp4", body=make_video(4000)))
    workshop.generate.click()
    page.get_by_role("button", name="Play what is ready").click()
    expect(page.locator("article video")).to_have_attribute("src", re.compile("/clips/1$"))
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert page.evaluate(PLAYING) == 1

    page.unroute("**/events")
    first = page.url
    workshop.generate.click()
    page.wait_for_url(lambda url: "job=" in url and url != first)
    assert page.evaluate(PLAYING) == 0
    assert page.evaluate(OPEN_STREAMS) == 1
    complaints.clear()  # of the clip


def test_a_server_that_is_away_is_told_and_a_job_that_is_gone_is_asked_for_no_more(workshop, complaints):
    page = workshop.page
    page.get_by_label("Prompt").fill(STALLS)
    workshop.samples()
    page.clock.install()
    workshop.generate.click()
    expect(page.locator("article")).to_be_visible()
    assert page.evaluate(OPEN_STREAMS) == 1
    page.evaluate(SEEN, False)
    page.clock.fast_forward(40_000)
    assert page.evaluate(OPEN_STREAMS) == 0  # nobody looks

    page.route("**/studio/jobs/**", lambda route: route.abort())
    notice = page.get_by_text("No connection to Voicereel. This page goes on trying.")
    with page.expect_event("requestfailed"):
        page.evaluate(SEEN, True)
    expect(notice).to_be_hidden()  # one failure is none yet
    page.clock.fast_forward(5_000)
    expect(notice).to_be_visible()

    page.unroute("**/studio/jobs/**")
    gone = {"code": "job_not_found", "message": "There is no such job."}
    page.route("**/studio/jobs/**", lambda route: route.fulfill(status=404, json=gone))
    page.clock.fast_forward(60_000)
    expect(page.get_by_text("This video is not here any more.")).to_be_visible()
    expect(notice).to_be_hidden()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.fast_forward(300_000)
    page.evaluate("fetch('/healthz')")
    assert [url for url in asked if "/studio/jobs/" in url] == []
    complaints.clear()  # of the cut line


def test_who_has_to_sign_in_again_finds_everything_as_it_was(workshop, account, complaints):
    page = workshop.page
    page.goto(f"{workshop.stack.url}{S2V}?job={uuid.uuid4()}")
    expect(page.get_by_text("This video is not here any more.")).to_be_visible()
    there = page.url
    page.get_by_label("Prompt").fill("A calm newsreader")
    workshop.choose(workshop.picture, SAMPLES / "portrait.jpg")
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    page.context.clear_cookies(name="sessionid")
    workshop.choose(workshop.voice, SAMPLES / "speech.wav")
    page.get_by_label("Email").fill(account["login"])
    page.get_by_label("Password").fill(account["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(there)
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    expect(page.get_by_label("Prompt")).to_have_value("A calm newsreader")

    # Other pages lose nothing either; a file that is gone meanwhile is passed over.
    workshop.choose(workshop.voice, SAMPLES / "speech.wav")
    expect(workshop.generate).to_be_enabled()
    page.get_by_role("link", name="Other models").click()
    [voice] = workshop.files("audio")
    workshop.stack.sql("UPDATE jobs_asset SET deleted_at = now() WHERE id = %s", voice["id"])
    page.goto(workshop.stack.url + S2V)
    expect(workshop.picture.get_by_text(FIT)).to_be_visible()
    expect(page.get_by_label("Prompt")).to_have_value("A calm newsreader")
    expect(workshop.voice.get_by_text("Choose a file")).to_be_visible()

    page.get_by_role("button", name="Start anew").click()
    expect(page.get_by_label("Prompt")).to_have_value("")
    expect(workshop.picture.get_by_text("Choose a file")).to_be_visible()
    expect(page.get_by_role("button", name="Start anew")).to_be_hidden()
    complaints.clear()  # of the job that is none
