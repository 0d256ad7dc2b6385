"""Files that a platform must refuse, made in memory."""

from __future__ import annotations

import io
import wave
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
from PIL import Image

from tests.dialects.wavespeed.live import PORTRAIT

FIVE_GB = 5 * 1024**3


def picture(width: int, height: int) -> bytes:
    """A smooth gradient: a proper picture without a face."""
    row = np.linspace(40, 200, width, dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(np.repeat(row[None, :], height, axis=0)).save(out, "PNG")
    return out.getvalue()


def truncated_jpeg() -> bytes:
    content = Path(PORTRAIT).read_bytes()
    return content[: len(content) // 2]


def silence(seconds: float) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * round(seconds * 8000))
    return out.getvalue()


def to_metadata(request: BaseHTTPRequestHandler) -> None:
    request.send_response(302)
    request.send_header("Location", "http://169.254.169.254/latest/meta-data/")
    request.end_headers()


def announces_five_gb(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(FIVE_GB))
    request.end_headers()


def sends_without_end(request: BaseHTTPRequestHandler) -> None:
    """No length at all; up to 5 GB, until the other side hangs up."""
    request.send_response(200)
    request.end_headers()
    block = b"\xff\xd8\xff\xe0" + bytes(1 << 20)
    try:
        for _ in range(FIVE_GB >> 20):
            request.wfile.write(block)
    except OSError:
        request.close_connection = True
