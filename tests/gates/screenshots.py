"""Takes docs/screenshots anew, from the furnished world: `make screenshots`. The suite does not collect this file."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass

from PIL import Image

from config.embedded.home import CHECKOUT
from tests.gates.eye import Eye
from tests.gates.furnished import furnish
from tests.gates.places import NEWCOMER, OPERATOR, OWNER, STRANGER, Sight

FOLDER = CHECKOUT / "docs" / "screenshots"
MOST_BYTES = 3_000_000
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


SHOTS = [
    Shot("front", STRANGER, "/"),
    Shot("front-360", STRANGER, "/", 360),
    Shot("pricing", STRANGER, "/pricing"),
    Shot("docs", STRANGER, "/docs/quick-start"),
    Shot("status", STRANGER, "/status", theme="dark"),
    Shot("sign-in-360", STRANGER, "/accounts/login/", 360, "dark"),
    Shot("share", STRANGER, "/s/{share}", theme="dark"),
    Shot("studio-models", OWNER, "/studio"),
    Shot("studio", OWNER, "/studio/wan-2.2-s2v"),
    Shot("studio-dark-360", OWNER, "/studio/wan-2.2-s2v", 360, "dark"),
    Shot("gallery", OWNER, "/gallery"),
    Shot("gallery-dark", OWNER, "/gallery", theme="dark"),
    Shot("gallery-empty-360", NEWCOMER, "/gallery", 360),
    Shot("job-running", OWNER, "/jobs/{running}"),
    Shot("job-done", OWNER, "/jobs/{rendered}"),
    Shot("job-failed-360", OWNER, "/jobs/{failed}", 360),
    Shot("jobs", OWNER, "/jobs"),
    Shot("keys", OWNER, "/keys"),
    Shot("webhook", OWNER, "/webhooks/{endpoint}", theme="dark"),
    Shot("requests", OWNER, "/requests"),
    Shot("billing", OWNER, "/billing"),
    Shot("usage", OWNER, "/usage", theme="dark"),
    Shot("members", OWNER, "/members"),
    Shot("audit", OWNER, "/settings/audit"),
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
        eye.page.evaluate(DECODED)
        keep(shot.name, eye.page.screenshot())
    for eye in eyes.values():
        eye.close()
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < MOST_BYTES


def keep(name: str, png: bytes) -> None:
    """In 256 colours, which a page needs no more of."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
