"""Media made by scripts: sound ones in every format, and hostile ones."""

from __future__ import annotations

import io
import math
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

RATE = 44_100
# The tests look at lengths and sides, not at the picture's quality.
FAST = {"libx264": {"preset": "ultrafast"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}}


def film(
    path: Path,
    *,
    container: str = "mp4",
    codec: str | None = "libx264",
    sound: str | None = "aac",
    seconds: float = 2.0,
    size: tuple[int, int] = (320, 240),
    fps: int = 25,
    black: float = 0.0,
    time_base: Fraction | None = None,
    rate: int = RATE,
    **options: str,
) -> Path:
    """A moving bar and a tone. The first `black` seconds of picture are black."""
    with av.open(str(path), "w", format=container, options=options) as out:
        video = out.add_stream(codec, rate=fps) if codec else None
        audio = out.add_stream(sound, rate=rate) if sound else None
        if audio is not None:
            audio.layout = "stereo"
        if video is not None:
            video.width, video.height = size
            video.pix_fmt = "yuv420p"
            video.options = FAST.get(codec, {})
            base = time_base or Fraction(1, fps)
            video.codec_context.time_base = base
            for number in range(round(seconds * fps)):
                frame = picture(size, number, black=number < black * fps)
                frame.pts, frame.time_base = number, base
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if audio is not None:
            write_tone(out, audio, seconds, rate)
    return path


def picture(size: tuple[int, int], number: int, *, black: bool) -> av.VideoFrame:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    if not black:
        pixels[:] = (200, 120, 80)
        pixels[:, : number * 2 % size[0]] = 255
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")


def write_tone(out, stream, seconds: float, rate: int) -> None:
    time = np.arange(round(seconds * rate)) / rate
    samples = np.repeat((np.sin(2 * math.pi * 440 * time) * 8000).astype(np.int16), 2).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate, frame.pts = rate, 0
    context = stream.codec_context
    fitted = av.AudioResampler(
        format=context.format, layout="stereo", rate=rate, frame_size=context.frame_size or 1024
    )
    for piece in [*fitted.resample(frame), *fitted.resample(None)]:
        out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


def wav(
    samples: bytes,
    *,
    rate: int = 8000,
    channels: int = 1,
    bits: int = 16,
    code: int = 1,
    data_size: int | None = None,
) -> bytes:
    """A WAV file whose header says what it is told to."""
    frame = max(1, channels * bits // 8)
    form = struct.pack("<HHIIHH", code, channels, rate, min(rate * frame, 2**32 - 1), frame, bits)
    size = len(samples) if data_size is None else data_size
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + len(head), 2**32 - 1)) + head + samples


def chunk(name: bytes, content: bytes, *, crc: int | None = None) -> bytes:
    checksum = zlib.crc32(name + content) if crc is None else crc
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png(width: int, height: int, *extra: bytes, data: bytes | None = None) -> bytes:
    """An RGB PNG, all black unless told otherwise; `extra` chunks come before the pixels."""
    if data is None:
        packer = zlib.compressobj(9)
        row = b"\0" * (1 + width * 3)
        data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", data) if data else b""
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + pixels + chunk(b"IEND", b"")


def image(kind: str, size: tuple[int, int] = (200, 100), **options) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind, **options)
    return out.getvalue()


def sideways(kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return image(kind, (200, 100), exif=exif)


def bmp_header(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def webp_canvas(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def tiff_loop() -> bytes:
    """A TIFF whose only directory names itself as the next and has no pixels."""
    entries = [(256, 3, 1, 100), (257, 3, 1, 100)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + struct.pack("<I", 8)


def floats(value: float, count: int = 8000) -> bytes:
    samples = np.zeros(count, np.float32)
    samples[count // 2] = value
    return samples.tobytes()


def patched(content: bytes, box: bytes, at: int, value: bytes) -> bytes:
    """`content` with bytes after every `box` name replaced."""
    out, start = bytearray(content), 0
    while (found := content.find(box, start)) >= 0:
        out[found + 4 + at : found + 4 + at + len(value)] = value
        start = found + 4
    return bytes(out)
