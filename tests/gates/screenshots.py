"""Takes docs/screenshots anew, from the furnished world: `make screenshots`. The suite does not collect this file."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image
from playwright.sync_api import Page, expect

from config.embedded.home import CHECKOUT
from tests.gates.eye import Eye
from tests.gates.furnished import furnish
from tests.gates.places import NEWCOMER, OPERATOR, OWNER, STRANGER, Sight

FOLDER = CHECKOUT / "docs" / "screenshots"
MOST_BYTES = 6_000_000
# A page without photographs keeps its true colours.
TRUE_BYTES = 200_000
# Those in sight; the others load when somebody scrolls to them.
DECODED = """() => Promise.all([...document.images]
    .filter(image => image.getBoundingClientRect().top < innerHeight).map(image => image.decode().catch(() => null)))"""


@dataclass(frozen=True)
class Shot:
    name: str
    who: str
    address: str
    width: int = 1440
    theme: str = "light"
    act: Callable[[Page], None] | None = None


def with_the_sample(page: Page) -> None:
    page.get_by_role("button", name="Use the sample").click()
    expect(page.get_by_role("button", name="Generate")).to_be_enabled(timeout=30_000)
    expect(page.get_by_text("One face, clearly seen")).to_be_visible(timeout=30_000)
    page.evaluate("scrollTo(0, 0)")


def as_code(page: Page) -> None:
    with_the_sample(page)
    page.get_by_role("button", name="Show code").click()
    expect(page.get_by_role("tablist", name="Languages").get_by_role("tab").first).to_be_visible()


def with_three_chosen(page: Page) -> None:
    for box in page.get_by_role("checkbox", name=re.compile("^Choose ")).all()[:3]:
        box.check()


SHOTS = [
    Shot("front", STRANGER, "/"),
    Shot("front-360", STRANGER, "/", 360),
    Shot("pricing", STRANGER, "/pricing"),
    Shot("docs", STRANGER, "/docs/quick-start"),
    Shot("status", STRANGER, "/status", theme="dark"),
    Shot("sign-in-360", STRANGER, "/accounts/login/", 360, "dark"),
    Shot("sign-up", STRANGER, "/accounts/signup/"),
    Shot("not-found", STRANGER, "/docs/no/such"),
    Shot("invitation-360", STRANGER, "/invitations/{invitation}", 360),
    Shot("share", STRANGER, "/s/{share}", theme="dark"),
    Shot("share-over", STRANGER, "/s/{over}"),
    Shot("studio-models", OWNER, "/studio"),
    Shot("studio", OWNER, "/studio/wan-2.2-s2v"),
    Shot("studio-dark-360", OWNER, "/studio/wan-2.2-s2v", 360, "dark"),
    Shot("studio-filled", OWNER, "/studio/wan-2.2-s2v", act=with_the_sample),
    Shot("studio-filled-768", OWNER, "/studio/wan-2.2-s2v", 768, "dark", with_the_sample),
    Shot("studio-code", OWNER, "/studio/wan-2.2-s2v", act=as_code),
    Shot("gallery", OWNER, "/gallery"),
    Shot("gallery-dark", OWNER, "/gallery", theme="dark"),
    Shot("gallery-chosen", OWNER, "/gallery", act=with_three_chosen),
    Shot("gallery-empty-360", NEWCOMER, "/gallery", 360),
    Shot("job-running", OWNER, "/jobs/{running}"),
    Shot("job-done", OWNER, "/jobs/{rendered}"),
    Shot("job-failed-360", OWNER, "/jobs/{failed}", 360),
    Shot("jobs", OWNER, "/jobs"),
    Shot("jobs-768", OWNER, "/jobs", 768),
    Shot("keys", OWNER, "/keys"),
    Shot("webhook", OWNER, "/webhooks/{endpoint}", theme="dark"),
    Shot("requests", OWNER, "/requests"),
    Shot("explorer", OWNER, "/explorer"),
    Shot("billing", OWNER, "/billing"),
    Shot("plan", OWNER, "/billing/plan"),
    Shot("statement-768", OWNER, "/billing/statement", 768, "dark"),
    Shot("usage", OWNER, "/usage", theme="dark"),
    Shot("members", OWNER, "/members"),
    Shot("audit", OWNER, "/settings/audit"),
    Shot("privacy", OWNER, "/settings/privacy"),
    Shot("providers", OWNER, "/settings/providers"),
    Shot("second-factor", OWNER, "/accounts/2fa/"),
    Shot("console", OPERATOR, "/console/"),
    Shot("console-organization", OPERATOR, "/console/accounts/organization/{organization}/", theme="dark"),
]


def test_the_screenshots_are_taken(browser, live_stack):
    world = furnish(live_stack, rendered=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    eyes = {who: Eye(browser, world, who) for who in (STRANGER, OWNER, NEWCOMER, OPERATOR)}
    for shot in SHOTS:
        eye = eyes[shot.who]
        eye.open(Sight(shot.who, shot.address), shot.width, shot.theme)
        if shot.act:
            shot.act(eye.page)
        eye.page.evaluate(DECODED)
        keep(shot.name, eye.page.screenshot())
    for eye in eyes.values():
        eye.close()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < MOST_BYTES


def keep(name: str, png: bytes) -> None:
    """In 256 colours where all of them would be much to keep."""
    picture, file = Image.open(io.BytesIO(png)).convert("RGB"), FOLDER / f"{name}.png"
    picture.save(file, optimize=True)
    if file.stat().st_size > TRUE_BYTES:
        picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)
