"""Some small pictures of a picture or a film, in the child, for whoever judges what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from PIL import Image, ImageOps

from jobs.media.pictures import look
from jobs.media.sniff import Type, sniff
from jobs.media.stills import frame_time, upright
from jobs.media.streams import film, film_fields, one_thread, opened, unreadable

QUALITY = 90


def samples(file: BinaryIO, folder: str, most: int, side: int) -> dict[str, Any]:
    """`most` at the most, as JPEGs of `side` px at the most, named by their number; how many were made."""
    found = sniff(file)
    if found is None:
        raise unreadable("video")
    shown = _of_picture(file, found, most) if found.family == "picture" else _of_film(file, found, most)
    made = 0
    for picture in shown:
        small = picture.convert("RGB")
        small.thumbnail((side, side))
        small.save(Path(folder) / f"{made}.jpg", "JPEG", quality=QUALITY)
        made += 1
    return {"made": made}


def spread(count: int, most: int) -> list[int]:
    """Numbers below `count`, `most` at the most: the first, the last, and evenly what is between."""
    few = min(count, most)
    return sorted({round(place * (count - 1) / max(few - 1, 1)) for place in range(few)})


def _of_picture(file: BinaryIO, found: Type, most: int) -> Iterator[Image.Image]:
    """One, or some of those that an animated picture shows one after the other."""
    look(file, found)
    file.seek(0)
    with Image.open(file, formats=[found.reader]) as image:
        for number in spread(getattr(image, "n_frames", 1), most):
            image.seek(number)
            yield ImageOps.exif_transpose(image)


def _of_film(file: BinaryIO, found: Type, most: int) -> Iterator[Image.Image]:
    """Frames that lie evenly over its length: each is looked up in the file, not all decoded."""
    with opened(file, found, "video") as container:
        stream = film(container)
        if stream is None:
            raise unreadable("video")
        length = Fraction(film_fields(container, stream)["duration_ms"], 1000)
    file.seek(0)
    with opened(file, found, "video") as container:
        stream = film(container)
        assert stream is not None and stream.time_base is not None  # noqa: PT018  as the probe has found it
        one_thread(stream)
        start = stream.start_time or 0
        for place in range(most):
            # In the middle of its share, so that neither a fade in nor a fade out is all that is seen.
            wanted = start * stream.time_base + length * (2 * place + 1) / (2 * most)
            if (picture := _at(container, stream, wanted)) is not None:
                yield picture


def _at(container: Any, stream: Any, wanted: Fraction) -> Image.Image | None:
    """The first frame from that second on, else the last before it."""
    last = None
    try:
        container.seek(int(wanted / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            last = frame
            if (frame_time(frame) or wanted) >= wanted:
                break
    except av.FFmpegError:
        pass
    return None if last is None else upright(last)
