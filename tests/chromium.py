"""A real browser for the page tests: `page` is a Playwright page in a fresh desktop-sized context."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from config.embedded.home import CHECKOUT

NAMES = ("chromium", "chromium-browser", "google-chrome")
FETCHED = CHECKOUT / ".cache" / "chromium" / "chromium"
FLAGS = [
    "--no-sandbox",  # root, and containers without user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # a microphone that hums, and nobody to ask whether it may
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def executable() -> str:
    """$CHROMIUM, else one on PATH, else the one that `make test` fetched from npm."""
    named = os.environ.get("CHROMIUM")
    found = (
        named
        or next(filter(None, map(shutil.which, NAMES)), None)
        or (str(FETCHED) if FETCHED.exists() else None)
    )
    if not found:
        pytest.fail(
            "A browser is missing: install chromium, set CHROMIUM, or install npm and run `make test`."
        )
    return found


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    """One for each module: while it lives an event loop runs here, and `asyncio.run` elsewhere would refuse."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Generator[BrowserContext, None, None]:
    fresh = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    fresh.set_default_timeout(15_000)
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
