"""The type of a file by its first bytes; its name and claimed type are never asked.

A type names the only demuxer or picture plugin that may read the file, so that text called .mp4 cannot become
a playlist that opens other files or addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

HEAD = 4096
ID3_HEADER = 10
MAX_TAGS = 4
GUID_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
# Boxes that a QuickTime or MP4 file may begin with.
MOV_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"uuid"}
DIB_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}

STILL_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1"), "a HEIC picture"),
    **dict.fromkeys((b"avif", b"avis"), "an AVIF picture"),
}


@dataclass(frozen=True)
class Type:
    """`family` is picture (Pillow reads it) or stream (FFmpeg does); `reader` the plugin or demuxer."""

    name: str
    family: str
    reader: str
    content_type: str


PICTURES = {
    "jpeg": Type("JPEG", "picture", "JPEG", "image/jpeg"),
    "png": Type("PNG", "picture", "PNG", "image/png"),
    "webp": Type("WebP", "picture", "WEBP", "image/webp"),
    "gif": Type("GIF", "picture", "GIF", "image/gif"),
    "bmp": Type("BMP", "picture", "BMP", "image/bmp"),
    "tiff": Type("TIFF", "picture", "TIFF", "image/tiff"),
}
STREAMS = {
    "wav": Type("WAV", "stream", "wav", "audio/wav"),
    "mp3": Type("MP3", "stream", "mp3", "audio/mpeg"),
    "aac": Type("AAC", "stream", "aac", "audio/aac"),
    "flac": Type("FLAC", "stream", "flac", "audio/flac"),
    "ogg": Type("OGG", "stream", "ogg", "audio/ogg"),
    "mov": Type("MP4", "stream", "mov", "video/mp4"),
    "matroska": Type("Matroska", "stream", "matroska", "video/x-matroska"),
    "avi": Type("AVI", "stream", "avi", "video/x-msvideo"),
    "asf": Type("WMV", "stream", "asf", "video/x-ms-wmv"),
    "flv": Type("FLV", "stream", "flv", "video/x-flv"),
}
# Things customers do send; named so that the refusal can say what was found.
FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#EXTM3U", "an HLS playlist"),
    (b"ffconcat", "a list of other files"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"8BPS", "a Photoshop document"),
    (b"MThd", "a MIDI file"),
    (b"#!AMR", "an AMR recording"),
    (b"FORM", "an AIFF recording"),
    (b"\x00\x00\x01\xba", "an MPEG programme stream"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
)


def sniff(file: BinaryIO) -> Type | None:
    """The accepted type the content begins with, or None. Leaves the file at its start."""
    head = file.read(HEAD)
    file.seek(0)
    found = _picture(head) or _riff(head) or _stream(head)
    if found is None and head.startswith(b"ID3") and len(head) > ID3_HEADER:
        return _after_tags(file, head)
    return found


def _picture(head: bytes) -> Type | None:
    if head.startswith(b"\xff\xd8\xff"):
        return PICTURES["jpeg"]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PICTURES["png"]
    if head.startswith((b"GIF87a", b"GIF89a")):
        return PICTURES["gif"]
    if head.startswith((b"II*\x00", b"MM\x00*")):
        return PICTURES["tiff"]
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in DIB_HEADERS:
        return PICTURES["bmp"]
    return None


def _riff(head: bytes) -> Type | None:
    if head[:4] not in {b"RIFF", b"RF64"}:
        return None
    return {b"WAVE": STREAMS["wav"], b"AVI ": STREAMS["avi"], b"WEBP": PICTURES["webp"]}.get(head[8:12])


def _stream(head: bytes) -> Type | None:
    for magic, key in (
        (b"OggS", "ogg"),
        (b"fLaC", "flac"),
        (b"\x1a\x45\xdf\xa3", "matroska"),
        (GUID_ASF, "asf"),
    ):
        if head.startswith(magic):
            return STREAMS[key]
    if head.startswith(b"FLV\x01"):
        return STREAMS["flv"]
    if head[4:8] in MOV_BOXES and not _still(head):
        return STREAMS["mov"]
    return _frame_sync(head)


def _frame_sync(head: bytes) -> Type | None:
    """MPEG audio has no magic, only the sync bits of its first frame; zero bytes may come before them."""
    start = head.lstrip(b"\x00")[:4]
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:  # noqa: PLR2004  eleven set bits
        return None
    version, layer = start[1] >> 3 & 3, start[1] >> 1 & 3
    if layer == 0:  # ADTS: twelve set bits, layer always 0
        return STREAMS["aac"] if start[1] & 0xF0 == 0xF0 and start[2] >> 2 & 15 < 13 else None  # noqa: PLR2004  as ADTS has it
    bit_rate, sample_rate = start[2] >> 4, start[2] >> 2 & 3
    reserved = version == 1 or bit_rate == 15 or sample_rate == 3  # noqa: PLR2004  values the standard reserves
    return None if reserved else STREAMS["mp3"]


def _after_tags(file: BinaryIO, head: bytes) -> Type | None:
    """ID3v2 tags come before MP3, by bad habit before AAC and FLAC too, and sometimes twice."""
    at = 0
    for _ in range(MAX_TAGS):
        size = head[6:10]
        if not head.startswith(b"ID3") or len(size) < 4 or any(byte & 0x80 for byte in size):  # noqa: PLR2004  as ID3 has it
            break
        # Four bytes of seven bits each; the tag's own header is not in them.
        at += ID3_HEADER + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
        file.seek(at)
        head = file.read(HEAD)
    file.seek(0)
    return STREAMS["flac"] if head.startswith(b"fLaC") else _frame_sync(head)


def _still(head: bytes) -> str:
    """HEIF and AVIF pictures are boxes too; their brand tells them from film."""
    if head[4:8] != b"ftyp":
        return ""
    return STILL_BRANDS.get(head[8:12], "")


def describe(file: BinaryIO) -> str:
    """What an unaccepted file looks like, for the refusal's sentence."""
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        return "an empty file"
    if _still(head):
        return _still(head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, name in FOREIGN:
        if text[: len(magic)].lower() == magic.lower():
            return name
    if b"<svg" in head.lower():
        return "an SVG drawing"
    if _is_text(head):
        return "a text file"
    return "a file of an unknown type"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut by the end of what was read.
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode()
    return all(character.isprintable() or character in "\r\n\t\f" for character in text)
