"""One browser page that is looked over at every width and in both themes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Browser, Page

from tests.gates.furnished import World
from tests.gates.places import OPERATOR, STRANGER, Sight

WIDTHS = (360, 768, 1440)
HEIGHT = 900
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What a page does while it loads, noted from its first moment on: how far things jump, when the largest is there.
NOTES = """
    window.seen = {shift: 0, lcp: 0};
    const watch = (type, note) => new PerformanceObserver(list => list.getEntries().forEach(note))
        .observe({type, buffered: true});
    watch('layout-shift', entry => { if (!entry.hadRecentInput) seen.shift += entry.value; });
    watch('largest-contentful-paint', entry => { seen.lcp = entry.startTime; });
"""
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(seen))))"
# The theme changes colours and nothing else, so in the other one only colours are asked about.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
LOOK = """only => axe.run(document, {
    resultTypes: ['violations'], preload: false, iframes: false, rules: {'target-size': {enabled: true}},
    ...(only ? {runOnly: only} : {}),
}).then(found => found.violations.flatMap(rule => rule.nodes.map(
    node => `${rule.id}: ${node.target} ${node.failureSummary.split('\\n').slice(1, 2)}`)))"""


@cache
def axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


class Eye:
    """Opens pages as one of the world's people and notes what they weigh and complain about."""

    def __init__(self, browser: Browser, world: World, who: str) -> None:
        self.world = world
        self.who = who
        self.context = browser.new_context(
            locale="en-US", viewport={"width": WIDTHS[0], "height": HEIGHT}, reduced_motion="reduce"
        )
        self.context.set_default_timeout(30_000)
        self.context.add_init_script(NOTES)
        if who != STRANGER:
            found = world.cookies[who].items()
            self.context.add_cookies(
                [{"name": name, "value": value, "url": world.stack.url} for name, value in found]
            )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.weights: dict[str, float] = {}
        self._media: set[str] = set()
        self._watch(self.page)

    def _watch(self, page: Page) -> None:
        page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in {"error", "warning"} else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        wire = self.context.new_cdp_session(page)
        wire.send("Network.enable")
        wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
        wire.on("Network.responseReceived", self._received)
        wire.on("Network.loadingFinished", self._finished)

    def _received(self, told: dict[str, Any]) -> None:
        svg = "svg" in told["response"].get("mimeType", "")
        if told["type"] == "Media" or (told["type"] == "Image" and not svg):
            self._media.add(told["requestId"])

    def _finished(self, told: dict[str, Any]) -> None:
        self.weights[told["requestId"]] = told["encodedDataLength"]

    @property
    def weight(self) -> float:
        """Bytes that came over the wire for the page, pictures and films aside."""
        return sum(size for request, size in self.weights.items() if request not in self._media)

    def open(self, sight: Sight, width: int = WIDTHS[0], theme: str = "light") -> dict[str, float]:
        """Loads the page anew; {"shift", "lcp" in ms} once it is painted."""
        self.show(width, theme)
        self.complaints.clear()
        self.weights.clear()
        self._media.clear()
        address = sight.address.format_map(self.world.names)
        answer = self.page.goto(self.world.stack.url + address, wait_until="load")
        assert answer
        assert (answer.status, answer.request.redirected_from) == (sight.status, None), self.page.url
        seen = self.page.evaluate(SETTLED)
        if sight.status != 200:
            # The browser says so of a page that is none.
            self.complaints[:] = [text for text in self.complaints if f"status of {sight.status}" not in text]
        return seen

    def show(self, width: int, theme: Any) -> None:
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")

    def faults(self, widths: Sequence[int]) -> list[str]:
        """What axe finds at these widths and in both themes, and where the page must be pushed sideways."""
        found: list[str] = []
        self.page.evaluate(axe())
        for width in widths:
            for theme, only in (("light", None), ("dark", COLOURS)):
                self.show(width, theme)
                found += [f"{width} {theme}: {fault}" for fault in self.page.evaluate(LOOK, only)]
            wide = self.page.evaluate(WIDE)
            # The console's lists are tables of an operator's desk; they scroll where they must.
            if wide > 0 and self.who != OPERATOR:
                found.append(f"{width}: {wide} px too wide")
        return found

    def close(self) -> None:
        self.context.close()
