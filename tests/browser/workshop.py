"""A person in the studio, for the tests of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.dialects.accounts import ROUTE
from tests.live import LiveStack

SAMPLES = Path(__file__).parent.parent / "samples"
S2V = "/studio/wan-2.2-s2v"
RENDERED_MS = 60_000
FIT = "One face, clearly seen"
# A file of this machine in the hands of a person who drops or pastes it.
HAND_OVER = """([target, kind, bytes, name, type]) => {
    const held = new DataTransfer();
    held.items.add(new File([Uint8Array.from(atob(bytes), one => one.charCodeAt(0))], name, {type}));
    const event = kind === 'paste'
        ? new ClipboardEvent('paste', {clipboardData: held, bubbles: true})
        : new DragEvent(kind, {dataTransfer: held, bubbles: true, cancelable: true});
    document.querySelector(target).dispatchEvent(event);
}"""
# How far things jumped that nobody had just touched.
SHIFT = """() => new Promise(done => {
    const unasked = list => list.getEntries().filter(shift => !shift.hadRecentInput);
    new PerformanceObserver(list => done(unasked(list).reduce((sum, shift) => sum + shift.value, 0)))
        .observe({type: 'layout-shift', buffered: true});
    setTimeout(() => done(0), 500);
})"""


class Workshop:
    """The page of one model, opened by a signed-in person."""

    def __init__(self, page: Page, stack: LiveStack, account: dict[str, Any], path: str = S2V) -> None:
        self.page, self.stack, self.account = page, stack, account
        page.goto(stack.url + path)

    @property
    def picture(self) -> Locator:
        return self.page.get_by_role("region", name="Picture", exact=True)

    @property
    def voice(self) -> Locator:
        return self.page.get_by_role("region", name="Voice", exact=True)

    @property
    def generate(self) -> Locator:
        return self.page.get_by_role("button", name="Generate")

    def samples(self) -> None:
        self.page.get_by_role("button", name="Use the sample").click()
        expect(self.generate).to_be_enabled()

    def choose(self, slot: Locator, path: Path) -> None:
        slot.locator("input[type=file]").set_input_files(path)

    def hand_over(self, target: str, kind: str, path: Path, type_: str) -> None:
        encoded = base64.b64encode(path.read_bytes()).decode()
        self.page.evaluate(HAND_OVER, [target, kind, encoded, path.name, type_])

    def files(self, kind: str) -> list[dict[str, Any]]:
        """The organization's, the newest first."""
        return self.page.request.get(f"{self.stack.url}/studio/files?kind={kind}").json()["files"]

    def gold(self) -> None:
        """A tier that starts more than two jobs a minute; say so before the first order."""
        change = "UPDATE accounts_organization SET tier = 'gold' WHERE id = %s"
        self.stack.sql(change, self.account["organization"])

    def pretend(self) -> None:
        """Its jobs go to the provider that only pretends."""
        self.stack.sql(ROUTE, self.account["organization"])

    def fit(self) -> None:
        """Every picture passes the look at once, which takes a process of its own and is not what is tested."""
        look = {"fit": True, "person": True, "face": [200, 100, 300, 250], "frame": None, "message": ""}
        self.page.route("**/verdict", lambda route: route.fulfill(json=look))

    def charged(self) -> list[int]:
        rows = self.stack.sql(
            "SELECT charged_micros FROM jobs_job WHERE organization_id = %s ORDER BY id",
            self.account["organization"],
        )
        return [row[0] for row in rows]

    def advanced(self) -> None:
        self.page.get_by_text("Advanced", exact=True).click()


def written(fake: dict[str, Any]) -> str:
    """A prompt that tells the pretending provider what to do."""
    return json.dumps(fake)
