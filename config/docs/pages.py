"""Which pages the site has, in which order, and what stands on each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from config.docs import facts, markdown
from config.docs.markdown import Rendered

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs"
# Prices and tiers are rows that an operator may edit: a page follows within a minute.
KEPT_SECONDS = 60.0


@dataclass(frozen=True)
class Page:
    slug: str
    title: str
    """As the navigation names it."""

    def __str__(self) -> str:
        return self.slug or "index"

    @property
    def address(self) -> str:
        return f"/docs/{self.slug}" if self.slug else "/docs"

    @property
    def file(self) -> Path:
        return FOLDER / f"{self}.md"


SECTIONS: Mapping[str, tuple[Page, ...]] = {
    "Start": (
        Page("", "Overview"),
        Page("quick-start", "Quick start"),
        Page("authentication", "Keys"),
        Page("models", "Models and prices"),
    ),
    "Our API": (
        Page("files", "Files"),
        Page("jobs", "Jobs"),
        Page("events", "Streams and feed"),
        Page("webhooks", "Webhooks"),
        Page("errors", "Errors"),
        Page("usage", "Balance and usage"),
        Page("limits", "Limits"),
        Page("api", "API reference"),
    ),
    "The SDK you have": (
        Page("wavespeed", "WaveSpeed"),
        Page("dashscope", "DashScope"),
        Page("inferencesh", "inference.sh"),
    ),
    "For operators": (
        Page("settings", "Settings"),
        Page("operating", "Operating"),
        Page("moderation", "Content check"),
        Page("architecture", "Architecture"),
    ),
}
PAGES: tuple[Page, ...] = tuple(chain.from_iterable(SECTIONS.values()))
# Written by us; the API reference is written by the machine from the OpenAPI document.
REFERENCE = "api"
WRITTEN: tuple[Page, ...] = tuple(page for page in PAGES if page.slug != REFERENCE)
BY_SLUG: Mapping[str, Page] = {page.slug: page for page in PAGES}

_kept: dict[str, tuple[float, Rendered]] = {}


def rendered(page: Page) -> Rendered:
    """The page as HTML. Whatever store is away, there is a page: facts that cannot be read say so."""
    until, found = _kept.get(page.slug, (0.0, None))
    if found is None or until < time.monotonic():
        text, complete = facts.fill(page.file.read_text())
        found = markdown.render(text)
        if complete:
            _kept[page.slug] = (time.monotonic() + KEPT_SECONDS, found)
    return found


def neighbours(page: Page) -> tuple[Page | None, Page | None]:
    """The pages before and after."""
    at = PAGES.index(page)
    return (PAGES[at - 1] if at else None, PAGES[at + 1] if at + 1 < len(PAGES) else None)
