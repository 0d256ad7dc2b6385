"""What holds for every page: no sideways scrolling, a way by keyboard, and honesty when the line is cut."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PAGES = [
    "/studio",
    "/studio/wan-2.2-s2v",
    "/studio/emo-v1",
    "/gallery",
    "/jobs",
    "/keys",
    "/members",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/logout/",
]
ENTRANCE = ["/", "/pricing", "/status", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"]


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_page_scrolls_sideways(person, live_stack, width):
    person.set_viewport_size({"width": width, "height": 800})
    for path in PAGES:
        person.goto(live_stack.url + path)
        assert person.evaluate(WIDE) <= 0, path


def test_the_way_in_fits_a_small_telephone(page, live_stack):
    page.set_viewport_size({"width": 360, "height": 640})
    for path in ENTRANCE:
        page.goto(live_stack.url + path)
        assert page.evaluate(WIDE) <= 0, path


def test_everything_can_be_done_by_keyboard(person, live_stack):
    person.goto(f"{live_stack.url}/keys")
    person.keyboard.press("Tab")
    expect(person.get_by_role("link", name="Skip to content")).to_be_focused()
    person.keyboard.press("Enter")
    person.keyboard.press("Tab")
    focused = person.evaluate("document.activeElement.closest('main') !== null")
    assert focused

    menu = person.locator("details.menu")
    menu.locator("summary").focus()
    person.keyboard.press("Enter")
    expect(menu.get_by_role("button", name="Sign out")).to_be_visible()
    person.keyboard.press("Escape")
    expect(menu.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(menu.locator("summary")).to_be_focused()


def test_every_field_has_a_label(page, person, live_stack):
    for path in ["/keys", "/members"]:
        person.goto(live_stack.url + path)
        nameless = person.evaluate(
            """[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
               .filter(field => !field.labels.length).map(field => field.name)"""
        )
        assert nameless == []


def test_a_cut_line_is_told_and_forgiven(person, live_stack, complaints):
    person.goto(f"{live_stack.url}/jobs")
    notice = person.get_by_text("No connection to Voicereel")
    expect(notice).to_be_hidden()
    person.route("**/jobs/rows*", lambda route: route.abort())
    person.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(notice).to_be_visible()
    complaints.clear()  # the browser rightly complains about the cut line

    person.unroute("**/jobs/rows*")
    person.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(notice).to_be_hidden()


def test_nothing_is_asked_while_nobody_looks(person, live_stack):
    person.clock.install()
    person.goto(f"{live_stack.url}/billing/plan")
    asked = []
    person.on("request", lambda request: asked.append(request.url))
    person.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    person.clock.run_for(11_000)
    person.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    with person.expect_response(f"{live_stack.url}/billing/plan") as answer:
        person.clock.run_for(11_000)
    assert "In use now" in answer.value.text()
    assert "Your prices" not in answer.value.text()
    assert asked == [f"{live_stack.url}/billing/plan"]


def test_signing_out_ends_the_session(person, live_stack):
    person.locator("details.menu summary").click()
    person.get_by_role("button", name="Sign out").click()
    person.goto(live_stack.url)
    expect(person.get_by_role("link", name="Sign in")).to_be_visible()
