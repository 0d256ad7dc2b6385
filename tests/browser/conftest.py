"""A person in front of a real browser. Whatever the browser complains about fails the test that saw it."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from playwright.sync_api import BrowserContext, Page


class Complaints(list[str]):
    """Errors, warnings and broken policies that pages reported. A test that provokes some clears them."""

    def watch(self, page: Page) -> None:
        page.on("console", lambda m: self.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("requestfailed", self._failed)

    def _failed(self, request) -> None:
        # A player stops a download that it no longer needs, a left page its last refresh.
        if request.failure != "net::ERR_ABORTED":
            self.append(f"{request.url}: {request.failure}")


@pytest.fixture(autouse=True)
def complaints(context: BrowserContext) -> Generator[Complaints, None, None]:
    seen = Complaints()
    context.on("page", seen.watch)
    yield seen
    assert not seen


@pytest.fixture
def account(live_stack) -> dict[str, str]:
    return live_stack.create_org("Acme Film & Voice")


@pytest.fixture
def person(page: Page, live_stack, account) -> Page:
    """The owner of a new organization, signed in by the form."""
    page.goto(f"{live_stack.url}/accounts/login/")
    page.get_by_label("Email").fill(account["login"])
    page.get_by_label("Password").fill(account["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{live_stack.url}/studio")
    return page
