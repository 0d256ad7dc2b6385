"""The gallery in a real browser: many videos narrowed, marked, taken along and deleted, without a reload."""

from __future__ import annotations

import re
import zipfile
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect
from psycopg.types.json import Jsonb

from jobs.types import least_id, time_of
from tests.browser.workshop import SAMPLES
from tests.dialects.accounts import ROUTE
from tests.rest import Customer

VOICE = SAMPLES.parent.parent / "static/studio/voice.mp3"
GARDENS = ("garden one", "garden two")
OLDER = 28
# The row of a video once more, as one that was made before and has no files.
ONCE_MORE = """
INSERT INTO jobs_job SELECT (jsonb_populate_record(job, %s)).* FROM jobs_job job WHERE id = %s
"""


@pytest.fixture
def gallery(person: Page, live_stack, account) -> Page:
    """Two videos of gardens, and twenty-eight older ones of cities."""
    live_stack.sql("UPDATE accounts_organization SET tier = 'gold' WHERE id = %s", account["organization"])
    live_stack.sql(ROUTE, account["organization"])
    with Customer(live_stack.url, account["api_key"]) as customer:
        inputs = {"image": customer.upload(SAMPLES / "portrait.jpg"), "audio": customer.upload(VOICE)}
        made = [customer.submit(inputs, prompt=prompt)["id"] for prompt in GARDENS]
        for name in made:
            assert customer.finished(name)["status"] == "succeeded"
    first = time_of(UUID(made[0]))
    for number in range(OLDER):
        clone(live_stack, made[0], f"city {number}", first - timedelta(minutes=number + 1))
    person.goto(f"{live_stack.url}/gallery")
    return person


def clone(live_stack, name: str, prompt: str, at: datetime) -> None:
    changed = {"id": str(least_id(at)), "created_at": at.isoformat(), "options": {"prompt": prompt}}
    live_stack.sql(ONCE_MORE, Jsonb(changed), name)


def test_videos_are_found_marked_taken_along_and_deleted(gallery):
    page = gallery
    cards = page.locator(".card")
    expect(cards).to_have_count(24)
    page.locator(".cards-end").scroll_into_view_if_needed()
    expect(cards).to_have_count(len(GARDENS) + OLDER)

    one, two = card(page, "garden one"), card(page, "garden two")
    two.hover()
    expect(two.locator("video")).to_have_attribute("src", re.compile("^/files/"))
    two.get_by_role("button", name="Favourite").click()
    expect(two.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")

    # The chosen, and what is done with them.
    pick(one).check()
    bar = page.get_by_role("group", name="With the chosen videos")
    expect(bar.get_by_text("1 video chosen")).to_be_visible()
    bar.get_by_role("button", name="Choose all shown").click()
    expect(bar.get_by_text("30 videos chosen")).to_be_visible()
    bar.evaluate("bar => { bar.dataset.most = 29; }")
    pick(two).uncheck()
    expect(bar.get_by_role("button", name="Download ZIP")).to_be_enabled()
    pick(two).check()
    expect(bar.get_by_text("30 videos chosen: 29 go at once, choose fewer")).to_be_visible()
    expect(bar.get_by_role("button", name="Download ZIP")).to_be_disabled()
    bar.get_by_role("button", name="Choose none").click()
    expect(bar).to_be_hidden()
    pick(one).check()
    pick(two).check()
    bar.get_by_label("Tag").fill("summer")
    bar.get_by_role("button", name="Add tag").click()
    expect(page.get_by_text("“summer” is put on 2 videos.")).to_be_visible()
    expect(page.locator(".tag", has_text="summer")).to_have_count(2)
    with page.expect_download() as download:
        bar.get_by_role("button", name="Download ZIP").click()
    assert sorted(zipfile.ZipFile(download.value.path()).namelist()) == ["garden-one.mp4", "garden-two.mp4"]

    # A filter keeps of the chosen what it shows, and says what became of the rest.
    page.get_by_label("Search in prompts").fill("garden two")
    expect(cards).to_have_count(1)
    expect(page.get_by_text("1 video that you had chosen is not shown now")).to_be_visible()
    expect(bar.get_by_text("1 video chosen")).to_be_visible()
    page.get_by_label("Search in prompts").fill("")
    page.get_by_label("My favourites only").check()
    expect(page).to_have_url(re.compile("favourites=on"))
    expect(cards).to_have_count(1)
    page.get_by_label("My favourites only").uncheck()
    expect(cards).to_have_count(24)

    expect(pick(two)).to_be_checked()
    pick(one).check()
    bar.get_by_text("Delete", exact=True).click()
    bar.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("2 videos deleted.")).to_be_visible()
    expect(cards.filter(has_text="garden")).to_have_count(0)
    expect(card(page, "city 0")).to_be_visible()


def card(page: Page, name: str) -> Locator:
    return page.locator(".card").filter(has_text=name)


def pick(card: Locator) -> Locator:
    return card.get_by_role("checkbox")


def test_what_a_page_cannot_fetch_is_told_for_what_it_is_and_what_is_gone_is_asked_for_no_more(
    person, live_stack, account, complaints
):
    page = person
    live_stack.sql(ROUTE, account["organization"])
    with Customer(live_stack.url, account["api_key"]) as customer:
        customer.submit(customer.samples(), prompt="[fake stall]")
    page.clock.install()
    page.goto(f"{live_stack.url}/gallery")
    page.route("**/star", lambda route: route.fulfill(status=429))
    page.get_by_role("button", name="Favourite").click()
    expect(page.get_by_text("Too many requests at once.")).to_be_visible()
    page.unroute("**/star")
    page.route("**/star", lambda route: route.fulfill(status=502))
    page.get_by_role("button", name="Favourite").click()
    expect(page.get_by_text("No connection to Voicereel.")).to_be_visible()

    asked: list[str] = []
    page.route(
        "**/gallery/news**", lambda route: (asked.append(route.request.url), route.fulfill(status=404))
    )
    with page.expect_response("**/gallery/news**"):
        page.clock.fast_forward(2_000)
    expect(page.get_by_text("This is not here any more.")).to_be_visible()
    for _ in range(3):
        page.clock.fast_forward(2_000)
    page.evaluate("fetch('/healthz')")
    assert len(asked) == 1
    complaints.clear()  # of the answers
