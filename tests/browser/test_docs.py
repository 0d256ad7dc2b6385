"""The documentation in front of a reader: it fits, it is found, its examples are copied, it works without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from config.docs import reference
from config.docs.pages import PAGES
from tests.browser.test_pages import WIDE

ADDRESSES = [page.address for page in PAGES]
ADDRESSES += [f"/docs/api/{group.slug}" for group in reference.document().groups] + ["/docs/api/schemas"]


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_page_scrolls_sideways(page, live_stack, width):
    page.set_viewport_size({"width": width, "height": 800})
    for address in ADDRESSES:
        page.goto(live_stack.url + address)
        assert page.evaluate(WIDE) <= 0, address


def test_a_word_is_found_and_leads_to_its_section(page, live_stack):
    page.goto(f"{live_stack.url}/docs")
    page.keyboard.press("/")
    expect(page.get_by_label("Search the documentation")).to_be_focused()
    page.keyboard.type("idempotency conflict")
    expect(page.locator("#found a").first).to_contain_text("idempotency_conflict")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live_stack.url}/docs/errors#idempotency_conflict")
    expect(page.locator("#idempotency_conflict")).to_be_in_viewport()


def test_nothing_is_found_and_escape_closes(page, live_stack):
    page.goto(f"{live_stack.url}/docs/jobs")
    page.get_by_label("Search the documentation").fill("zeppelin")
    expect(page.get_by_text("Nothing found.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Nothing found.")).to_be_hidden()


def test_an_example_is_copied_as_it_stands(context, page, live_stack):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{live_stack.url}/docs/quick-start")
    first = page.locator("figure.example").first
    first.get_by_role("button", name="Copy").click()
    expect(first.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"export VOICEREEL_URL={live_stack.url}\nexport VOICEREEL_API_KEY=vr_...\n"


def test_a_telephone_has_the_pages_and_the_contents_in_menus(page, live_stack):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{live_stack.url}/docs/jobs")
    page.get_by_text("On this page").first.click()
    page.locator(".contents-menu").get_by_role("link", name="Quotes").click()
    expect(page.locator("#quotes")).to_be_in_viewport()
    page.locator(".docs-menu summary").click()
    page.locator(".docs-menu").get_by_role("link", name="Webhooks").click()
    expect(page).to_have_title(re.compile("^Webhooks"))


def test_it_reads_without_scripts(browser, live_stack):
    plain = browser.new_context(java_script_enabled=False)
    page = plain.new_page()
    page.goto(f"{live_stack.url}/docs/errors#insufficient_funds")
    expect(page.locator("#insufficient_funds")).to_be_in_viewport()
    expect(page.get_by_label("Search the documentation")).to_be_hidden()
    plain.close()
