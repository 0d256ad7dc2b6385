"""From the front page to a video that a stranger watches: one scenario, few clicks, nothing reloaded by hand."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_first_video import DURATION, PLAYED
from tests.browser.workshop import RENDERED_MS

MOST_CLICKS = 12


class Hand:
    """Clicks, and counts."""

    def __init__(self) -> None:
        self.clicks = 0

    def click(self, target: Locator) -> None:
        target.click(timeout=RENDERED_MS)
        self.clicks += 1


def fill(hand: Hand, page: Page) -> None:
    """One click into the form; the keyboard does the rest."""
    hand.click(page.get_by_label("Email"))
    for text in ("first@newcomer.example", "First Films", "correct horse battery", "correct horse battery"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")


@pytest.fixture
def as_shipped(live_stack) -> Generator[None, None, None]:
    """A hundred seconds of the model are free: nobody has to grant anything first."""
    live_stack.sql("INSERT INTO billing_freequota (model, unit, units) VALUES ('wan-2.2-s2v', 'second', 100)")
    yield
    live_stack.sql("DELETE FROM billing_freequota")


@pytest.mark.usefixtures("as_shipped")
def test_a_newcomer_shares_a_finished_video_in_few_clicks(page, live_stack, browser, complaints):
    hand = Hand()
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    page.goto(live_stack.url)
    hand.click(page.get_by_role("link", name="Make a video"))
    fill(hand, page)
    hand.click(page.get_by_role("button", name="Create account"))
    expect(page.get_by_role("heading", name="What would you like to make?")).to_be_visible()

    hand.click(page.get_by_role("link", name="Wan 2.2 Speech to Video"))
    hand.click(page.get_by_role("button", name="Use the sample"))
    hand.click(page.get_by_role("button", name="Generate · free"))
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=RENDERED_MS)
    video = page.locator("article video")
    assert video.evaluate(DURATION) == pytest.approx(4.8, abs=0.2)
    assert video.evaluate(PLAYED) > 0

    hand.click(page.get_by_role("link", name="Share"))
    page.wait_for_url("**/jobs/*#share")  # until it is loaded, not only begun
    hand.click(page.get_by_role("button", name="Make a link"))
    page.wait_for_url("**/shares")
    link = page.get_by_label("Link to the video").input_value()
    job = (
        page.get_by_role("link", name="Back to the video")
        .get_attribute("href")
        .split("/")[2]
        .partition("#")[0]
    )
    assert hand.clicks <= MOST_CLICKS
    assert [url.partition("?")[0].removeprefix(live_stack.url) for url in loads] == [
        "/",
        "/accounts/signup/",
        "/studio",
        "/studio/wan-2.2-s2v",
        f"/jobs/{job}#share",
        f"/jobs/{job}/shares",
    ]  # each page once: nothing was reloaded

    strangers = browser.new_context()
    strangers.on("page", complaints.watch)
    stranger = strangers.new_page()
    stranger.goto(link)
    shared = stranger.locator("video")
    assert shared.evaluate(DURATION) == pytest.approx(4.8, abs=0.2)
    assert shared.evaluate(PLAYED) > 0
    strangers.close()
