"""What the search box looks through: every section of every page, as plain text."""

from __future__ import annotations

from config.docs import pages, reference
from config.docs.pages import WRITTEN

# The first words of a section are enough to find it, and keep the whole index a short download.
WORDS = 60


def entries() -> list[dict[str, str]]:
    written = [
        {
            "title": page.title,
            "heading": heading,
            "address": f"{page.address}#{anchor}" if anchor else page.address,
            "text": _first_words(text),
        }
        for page in WRITTEN
        for anchor, heading, text in pages.rendered(page).sections
    ]
    return [*written, *reference.document().entries()]


def _first_words(text: str) -> str:
    return " ".join(text.split()[:WORDS])
