"""Files nobody should trust: each is refused with its code, or measured by what it really holds; none hurts us."""

from __future__ import annotations

import functools
import random
import time
import zipfile
import zlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import pytest

from jobs import media
from tests.jobs import media_files as make

SAMPLES = Path(__file__).parents[1] / "samples"
NOISE = random.Random(5).randbytes(20_000)


def a_zip() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("evil.txt", "x")
    return out.getvalue()


@functools.cache
def clip(**options) -> bytes:
    """The bytes of a short film."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return make.film(Path(folder) / "film", **options).read_bytes()


def portrait() -> bytes:
    return (SAMPLES / "portrait.jpg").read_bytes()


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def second() -> bytes:
    return bytes(16_000)


SVG = (
    b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
)
HLS = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
DASH = b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>'
SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 6379 RTP/AVP 96\n"
ID3 = b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f"

# name: (content, the kind asked for, the code)
REFUSED = {
    # pictures
    "one pixel": (lambda: make.png(1, 1), "image", "image_too_small"),
    "63 px on one side": (lambda: make.png(63, 500), "image", "image_too_small"),
    "30 000 px in the header only": (lambda: make.png(30_000, 30_000, data=b""), "image", "image_too_large"),
    "30 000 px wide line": (lambda: make.png(30_000, 70), "image", "image_too_large"),
    "pixel flood of 16 000 px": (lambda: make.png(16_000, 16_000, data=NOISE), "image", "image_too_large"),
    "41 megapixels": (lambda: make.png(6_404, 6_404, data=NOISE), "image", "image_too_large"),
    "sides of two thousand million": (
        lambda: make.png(2**31 - 1, 2**31 - 1, data=b""), "image", "image_too_large"),
    "BMP header of 30 000 px": (lambda: make.bmp_header(30_000, 30_000), "image", "image_too_large"),
    "BMP header without pixels": (lambda: make.bmp_header(100, 100), "image", "image_unreadable"),
    "WebP canvas of 16 384 px": (lambda: make.webp_canvas(16_384, 16_384), "image", "image_too_large"),
    "WebP canvas without a picture": (lambda: make.webp_canvas(100, 100), "image", "image_unreadable"),
    "WebP of an unknown chunk": (lambda: b"RIFF\x20\0\0\0WEBPXXXX" + bytes(20), "image", "image_unreadable"),
    "truncated JPEG": (lambda: half(portrait()), "image", "image_unreadable"),
    "JPEG cut in its header": (lambda: portrait()[:30], "image", "image_unreadable"),
    "JPEG magic and noise": (lambda: b"\xff\xd8\xff\xe0" + NOISE, "image", "image_unreadable"),
    "truncated PNG": (lambda: half(make.image("PNG")), "image", "image_unreadable"),
    "PNG with a wrong checksum": (
        lambda: make.png(100, 100, make.chunk(b"tEXt", b"a\0b", crc=1)), "image", "image_unreadable"),
    "PNG text bomb": (
        lambda: make.png(100, 100, make.chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000)))),
        "image", "image_unreadable"),
    "truncated GIF": (lambda: half(make.image("GIF")), "image", "image_unreadable"),
    "GIF that is a script": (lambda: b"GIF89a/*" + b"*/=1;alert(1)" * 9, "image", "image_unreadable"),
    "truncated WebP": (lambda: half(make.image("WEBP")), "image", "image_unreadable"),
    "truncated TIFF": (lambda: half(make.image("TIFF")), "image", "image_unreadable"),
    "TIFF directory loop": (make.tiff_loop, "image", "image_unreadable"),
    "SVG": (lambda: SVG, "image", "not_media"),
    "web page": (lambda: b"<!DOCTYPE html><script>alert(1)</script>", "image", "not_media"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n/x {x} def x\n", "image", "not_media"),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + NOISE, "image", "not_media"),
    "icon": (lambda: b"\0\0\1\0\1\0\x10\x10" + NOISE, "image", "not_media"),
    "PDF": (lambda: b"%PDF-1.7\n" + NOISE, "image", "not_media"),
    "sound as a picture": (lambda: make.wav(second()), "image", "wrong_type"),
    "film as a picture": (clip, "image", "wrong_type"),
    # sound
    "nothing": (lambda: b"", "audio", "not_media"),
    "one byte": (lambda: b"\xff", "audio", "not_media"),
    "noise": (lambda: b"\x07" + NOISE, "audio", "not_media"),
    "text renamed .mp3": (lambda: b"This is not a voice.\n" * 50, "audio", "not_media"),
    "Latin-1 text": (lambda: b"caf\xe9\n" * 50, "audio", "not_media"),
    "HLS playlist": (lambda: HLS, "audio", "not_media"),
    "HLS playlist after spaces": (lambda: b"\xef\xbb\xbf  \n" + HLS, "audio", "not_media"),
    "list of other files": (lambda: CONCAT, "audio", "not_media"),
    "DASH manifest": (lambda: DASH, "audio", "not_media"),
    "session description": (lambda: SDP, "audio", "not_media"),
    "zip": (a_zip, "audio", "not_media"),
    "program": (lambda: b"\x7fELF" + NOISE, "audio", "not_media"),
    "MIDI": (lambda: b"MThd\0\0\0\6\0\1\0\1\0\x60", "audio", "not_media"),
    "a tag and nothing behind it": (lambda: ID3, "audio", "not_media"),
    "a tag around a playlist": (lambda: b"ID3\x04\0\0\0\0\0\0" + HLS, "audio", "not_media"),
    "WAV without samples": (lambda: make.wav(b""), "audio", "audio_empty"),
    "WAV that announces and holds nothing": (lambda: make.wav(b"", data_size=10**9), "audio", "audio_empty"),
    "WAV cut in its header": (lambda: make.wav(b"")[:20], "audio", "audio_unreadable"),
    "WAV at 0 Hz": (lambda: make.wav(second(), rate=0), "audio", "audio_unreadable"),
    "WAV at 1 Hz": (lambda: make.wav(second(), rate=1), "audio", "audio_unreadable"),
    "WAV at 4 GHz": (lambda: make.wav(second(), rate=2**32 - 1), "audio", "audio_unreadable"),
    "WAV of 64 channels": (lambda: make.wav(second() * 8, channels=64), "audio", "audio_unreadable"),
    "WAV of no channels": (lambda: make.wav(second(), channels=0), "audio", "audio_unreadable"),
    "WAV of an unknown codec": (lambda: make.wav(NOISE, code=0x7777), "audio", "audio_unreadable"),
    "WAV with a sample that is no number": (
        lambda: make.wav(make.floats(float("nan")), bits=32, code=3), "audio", "audio_unreadable"),
    "WAV with an endless sample": (
        lambda: make.wav(make.floats(float("-inf")), bits=32, code=3), "audio", "audio_unreadable"),
    "WAV of three hours": (
        lambda: make.wav(bytes(4000 * 3600 * 3), rate=4000, bits=8), "audio", "media_too_long"),
    "MP3 magic and noise": (lambda: b"\xff\xfb\x90\x00" + NOISE, "audio", "audio_unreadable"),
    "OGG magic and noise": (lambda: b"OggS" + NOISE, "audio", "audio_unreadable"),
    "FLAC magic and noise": (lambda: b"fLaC" + NOISE, "audio", "audio_unreadable"),
    "AAC magic and noise": (lambda: b"\xff\xf1\x50\x80" + NOISE, "audio", "audio_unreadable"),
    "picture as a voice": (portrait, "audio", "wrong_type"),
    "film as a voice": (clip, "audio", "wrong_type"),
    # film
    "truncated MP4": (lambda: half(clip()), "video", "video_unreadable"),
    "MP4 of a header only": (lambda: b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "video", "video_unreadable"),
    "MP4 magic and noise": (lambda: b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + NOISE, "video", "video_unreadable"),
    "MP4 box of zero bytes": (lambda: b"\0\0\0\0moov" + NOISE, "video", "video_unreadable"),
    "MKV magic and noise": (lambda: b"\x1a\x45\xdf\xa3" + NOISE, "video", "video_unreadable"),
    "AVI magic and noise": (lambda: b"RIFF\0\0\0\0AVI " + NOISE, "video", "video_unreadable"),
    "FLV of a header only": (lambda: b"FLV\x01\x05\0\0\0\x09\0\0\0\0", "video", "video_unreadable"),
    "WMV magic and noise": (
        lambda: bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + NOISE, "video", "video_unreadable"),
    "film of 16 px": (lambda: clip(codec="mpeg4", size=(16, 16)), "video", "video_too_small"),
    "a frame every 1/90000 s": (
        lambda: clip(time_base=Fraction(1, 90_000), sound=None), "video", "video_unreadable"),
    "HLS playlist as a film": (lambda: HLS, "video", "not_media"),
    "picture as a film": (portrait, "video", "wrong_type"),
    "voice as a film": (lambda: make.wav(second()), "video", "wrong_type"),
    "sound-only MP4 as a film": (lambda: clip(container="ipod", codec=None), "video", "wrong_type"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_its_code(tmp_path, name):
    content, kind, code = REFUSED[name]
    path = tmp_path / "neutral"
    path.write_bytes(content())
    began = time.monotonic()
    with pytest.raises(media.MediaRefused) as caught:
        media.probe(path, expect=kind)
    assert caught.value.code == code, caught.value
    assert caught.value.message.endswith(".")
    assert time.monotonic() - began < 20


LYING = {
    "WAV that announces ten hours": (lambda: make.wav(second(), data_size=16_000 * 36_000), "audio", 1000),
    "WAV that announces the most a header can": (lambda: make.wav(second(), data_size=2**32 - 1), "audio", 1000),
    "FLAC that announces nothing": (
        lambda: clip(container="flac", codec=None, sound="flac")[:18] + bytes(8)
        + clip(container="flac", codec=None, sound="flac")[26:], "audio", None),
    "MP4 that announces a moment, everywhere": (
        lambda: make.patched(make.patched(clip(), b"mvhd", 16, b"\0\0\0\1"), b"mdhd", 16, b"\0\0\0\1"),
        "video", 2000),
    "MP4 that announces days": (
        lambda: make.patched(make.patched(clip(), b"mvhd", 16, b"\x7f\0\0\0"), b"mdhd", 16, b"\x7f\0\0\0"),
        "video", 2000),
    "MP4 that points to another file": (
        lambda: make.patched(clip(), b"url ", 0, b"\0\0\0\0"), "video", 2000),
    "eleven minutes": (lambda: make.wav(bytes(8000 * 660), bits=8), "audio", 660_000),
    "picture with a zip behind it": (lambda: portrait() + a_zip(), "image", 0),
    "voice with text behind it": (
        lambda: clip(container="mp3", codec=None, sound="libmp3lame") + b"TAG" + b"x" * 125, "audio", 2000),
}  # fmt: skip


@pytest.mark.parametrize("name", LYING)
def test_it_is_measured_by_what_it_holds(tmp_path, name):
    content, kind, length = LYING[name]
    path = tmp_path / "neutral"
    path.write_bytes(content())
    found = probe_or_refusal(path, kind)
    if length is None:
        assert found == f"{kind}_unreadable" or found.duration_ms == 2000
    else:
        assert abs(found.duration_ms - length) <= 1, found


def probe_or_refusal(path: Path, kind: str) -> media.Probe | str:
    try:
        return media.probe(path, expect=kind)
    except media.MediaRefused as refused:
        return refused.code


def test_a_film_cut_short_is_as_long_as_what_is_left(tmp_path):
    path = make.film(tmp_path / "film", seconds=4, sound=None, movflags="faststart")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    found = probe_or_refusal(path, "video")
    assert found == "video_unreadable" or 0 < found.duration_ms < 4000


SEEDS = {
    "mp4": (clip, "video"),
    "webm": (lambda: clip(container="webm", codec="libvpx", sound="libopus", rate=48_000), "video"),
    "avi": (lambda: clip(container="avi", codec="mpeg4", sound="mp2"), "video"),
    "mp3": (lambda: clip(container="mp3", codec=None, sound="libmp3lame"), "audio"),
    "ogg": (lambda: clip(container="ogg", codec=None, sound="libopus", rate=48_000), "audio"),
    "png": (lambda: make.image("PNG"), "image"),
    "tiff": (lambda: make.image("TIFF"), "image"),
    "webp": (lambda: make.image("WEBP"), "image"),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SEEDS)
def test_damage_anywhere_never_reaches_the_caller(tmp_path, name, seed):
    content, kind = SEEDS[name]
    dice = random.Random(f"{name}{seed}")
    damaged = bytearray(content())
    for _ in range(dice.randint(1, 40)):
        # Headers are at the start, indexes at the end; damage there is worth more.
        at = dice.choice([dice.randrange(len(damaged)), dice.randrange(200), -1 - dice.randrange(200)])
        damaged[at] = dice.randrange(256)
    path = tmp_path / "neutral"
    path.write_bytes(damaged)
    found = probe_or_refusal(path, kind)
    assert isinstance(found, media.Probe) or not found.startswith("probe_")
