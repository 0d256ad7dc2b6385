"""Reading the customer's picture: size is judged by the header, before a pixel is decoded."""

# ruff: noqa: PLR2004 - thresholds of image and sound stand where they act, each with its meaning beside it
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from providers.local.worker.protocol import RenderError

from .arrays import Picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MIN_SIDE = 64  # a face that can be animated does not fit into less
MAX_SIDE = 12_000
MAX_PIXELS = 64_000_000  # a decoded picture of this size takes 256 MB
WORK_SIDE = 4096  # nothing in a 720p film needs more pixels than this


def read_picture(path: Path) -> Picture:
    """The first frame of the picture, upright, without transparency, at most `WORK_SIDE` pixels long.

    Raises `RenderError` ``image_unreadable``, ``image_too_small`` or ``image_too_large``.
    """
    Image.MAX_IMAGE_PIXELS = None  # the header check below is stricter, and answers with our own code
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]  # a build of Pillow may lack AVIF
    try:
        with Image.open(path, formats=known) as image:
            _check_size(*image.size)
            image.draft("RGB", (WORK_SIDE, WORK_SIDE))  # JPEG: decode straight to a smaller size
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _to_bgr(upright)
    except RenderError:
        raise
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        IndexError,
        KeyError,
    ) as error:
        raise RenderError(
            "image_unreadable",
            "The picture cannot be read: it is damaged or not a picture.",
            "Send a complete JPEG, PNG or WebP file.",
        ) from error


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height as the picture is seen, from its header.  Raises `RenderError` ``image_unreadable``."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) >= 5  # the EXIF orientations that lie on their side
            return (image.height, image.width) if turned else image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RenderError(
            "image_unreadable", "The picture cannot be read.", "Send a complete JPEG, PNG or WebP file."
        ) from error


def cropped(picture: Picture, box: tuple[int, int, int, int], width: int, height: int) -> Picture:
    """The part of a picture in a box that is given in pixels of its own size, `width` by `height`."""
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise RenderError(
            "parameter_invalid",
            f"The box {list(box)} does not lie inside the picture of {width} by {height} pixels.",
            "Send left, top, right and bottom as the detection gave them.",
        )
    if min(right - left, bottom - top) < MIN_SIDE:
        raise RenderError(
            "parameter_invalid", "The box is too small.", f"Each of its sides needs {MIN_SIDE} pixels."
        )
    scale = picture.shape[1] / width
    x, y = round(left * scale), round(top * scale)
    return np.ascontiguousarray(picture[y : round(bottom * scale), x : round(right * scale)])


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise RenderError(
            "image_too_small",
            f"The picture is {width} by {height} pixels, too small to animate.",
            f"Send a picture of at least {MIN_SIDE} pixels on each side, better 512 or more.",
        )
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise RenderError(
            "image_too_large",
            f"The picture is {width} by {height} pixels, more than can be rendered.",
            f"Send at most {MAX_SIDE} pixels on a side and {MAX_PIXELS // 1_000_000} megapixels in all.",
        )


def _to_bgr(image: Image.Image) -> Picture:
    if max(image.size) > WORK_SIDE:
        image.thumbnail((WORK_SIDE, WORK_SIDE), Image.Resampling.BOX)
    if image.mode.startswith(("I", "F")):  # 16-bit and float greyscale: Pillow's own conversion clips at 255
        image = _stretch(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)
    rgb = np.asarray(image.convert("RGB"))
    return np.ascontiguousarray(rgb[:, :, ::-1])


def _stretch(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float64)
    top = 65535.0 if image.mode.startswith("I") else float(values.max())
    # An "I" picture may hold 8-bit values; anything darker than that in 16 bits would be black anyway.
    top = 255.0 if image.mode.startswith("I") and values.max() <= 255 else (top or 1.0)
    return Image.fromarray(np.clip(values / top * 255.0, 0, 255).astype(np.uint8))
