"""What a look at a file yields: a Probe, or a refusal with a stable code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "audio", "video"]

MIN_SIDE = 64
MAX_SIDE = 16_384
MAX_IMAGE_PIXELS = 40_000_000
# 4096 x 2304: one decoded frame stays near 14 MB, a decoder's whole set of them within the child's memory.
MAX_VIDEO_PIXELS = 9_437_184
# Far above any model's limit: here only the work is bounded, the catalogue decides what is too long.
MAX_MEDIA_SECONDS = 2 * 3600

# These speak of our machine at that moment, not of the file: worth another try.
UNDECIDED = frozenset({"probe_timeout", "probe_crashed"})

ACCEPTED: dict[str | None, str] = {
    "image": "JPEG, PNG, WebP, GIF, BMP and TIFF pictures",
    "audio": "MP3, WAV, OGG, AAC, FLAC, WebM, M4A and Opus recordings",
    "video": "MP4, AVI, MOV, WMV, FLV, WebM, MKV, 3GP and OGV videos",
}
ACCEPTED[None] = "; ".join(ACCEPTED.values())


@dataclass(frozen=True)
class Probe:
    """A file as its content shows it, never as its name or header claims.

    Sides in px as displayed (turned upright); `duration_ms` is what really decodes, 0 for images;
    `fps` is 0 for anything but video; `frames` is None where they were not counted.
    """

    kind: Kind
    content_type: str
    container: str
    codec: str
    bytes: int
    sha256: str
    width: int = 0
    height: int = 0
    duration_ms: int = 0
    fps: float = 0.0
    has_audio: bool = False
    frames: int | None = None


class MediaRefused(Exception):
    """A file that cannot be used: a stable code, a sentence for the customer, a hint at what would help."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code = code
        self.message = message
        self.hint = hint
        super().__init__(f"{code}: {message}")


class OutputRefused(Exception):
    """A provider's result that must not be delivered or billed."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")
