"""Pictures, in the child: size from the header, then the pixels, then upright."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from jobs.media.results import MAX_IMAGE_PIXELS, MAX_SIDE, MIN_SIDE, MediaRefused
from jobs.media.sniff import Type

# EXIF orientations that lie on their side: width and height change places.
SIDEWAYS = {5, 6, 7, 8}
UNREADABLE = "This picture is damaged or cut off."
HINT_UNREADABLE = "Open it in a picture editor, save it again and upload the new file."


def look(file: BinaryIO, found: Type) -> dict[str, Any]:
    """The probe's picture fields. Refuses by the header before any pixel is decoded."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = None  # checked here, by our own numbers and before memory is asked for
    try:
        if found.reader == "WEBP":
            check_size(*webp_size(file))
        with Image.open(file, formats=[found.reader]) as image:
            check_size(*image.size)
            image.load()
            # Asked after loading: Pillow turns a TIFF upright by itself and then forgets its orientation.
            sideways = image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
            width, height = image.size[::-1] if sideways else image.size
    except (MediaRefused, MemoryError):
        raise
    except UnidentifiedImageError:
        raise MediaRefused("image_unreadable", UNREADABLE, HINT_UNREADABLE) from None
    # A damaged picture makes its plugin fail in many ways; every one of them is the file's fault.
    except Exception as error:
        raise MediaRefused("image_unreadable", UNREADABLE, HINT_UNREADABLE) from error
    container = found.reader.lower()
    return {"kind": "image", "container": container, "codec": container, "width": width, "height": height}


def check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_IMAGE_PIXELS:
        raise MediaRefused(
            "image_too_large",
            f"This picture has {width} x {height} pixels.",
            f"At most {MAX_SIDE} pixels a side and {MAX_IMAGE_PIXELS // 1_000_000} megapixels are accepted.",
        )
    if min(width, height) < MIN_SIDE:
        raise MediaRefused(
            "image_too_small",
            f"This picture has only {width} x {height} pixels.",
            f"Each side needs at least {MIN_SIDE} pixels.",
        )


def webp_size(file: BinaryIO) -> tuple[int, int]:
    """A WebP's canvas from its header: Pillow's plugin allocates all of it when it merely opens the file."""
    head = file.read(30)
    file.seek(0)
    chunk = head[12:16]
    if chunk == b"VP8X":
        width, height = int.from_bytes(head[24:27], "little"), int.from_bytes(head[27:30], "little")
        return width + 1, height + 1
    if chunk == b"VP8L":
        packed = int.from_bytes(head[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(head) == 30:  # noqa: PLR2004  the header ends there
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise MediaRefused("image_unreadable", UNREADABLE, HINT_UNREADABLE)
