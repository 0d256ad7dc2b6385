"""Sound files in every accepted format, checks of finished videos, and the child's confinement."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery.signals import worker_process_init
from PIL import Image

from jobs import media
from jobs.media import children, nursery, parent
from jobs.media.sandbox import Limits
from tests.jobs import media_files as make

SAMPLES = Path(__file__).parents[1] / "samples"

FILMS = {
    "mp4": ({}, "video/mp4", "h264"),
    "mov": ({"container": "mov"}, "video/quicktime", "h264"),
    "avi": ({"container": "avi", "codec": "mpeg4", "sound": "mp2"}, "video/x-msvideo", "mpeg4"),
    "wmv": ({"container": "asf", "codec": "wmv2", "sound": "libmp3lame"}, "video/x-ms-wmv", "wmv2"),
    "flv": ({"container": "flv", "codec": "flv1", "sound": "libmp3lame"}, "video/x-flv", "flv"),
    "webm": (
        {"container": "webm", "codec": "libvpx", "sound": "libopus", "rate": 48_000},
        "video/webm",
        "vp8",
    ),
    "mkv": ({"container": "matroska"}, "video/x-matroska", "h264"),
    "3gp": ({"container": "3gp", "codec": "mpeg4"}, "video/3gpp", "mpeg4"),
    "ogv": (
        {"container": "ogg", "codec": "libvpx", "sound": "libopus", "rate": 48_000},
        "video/ogg",
        "vp8",
    ),
}
VOICES = {
    "mp3": ({"container": "mp3", "sound": "libmp3lame"}, "audio/mpeg", 0),
    "wav": ({"container": "wav", "sound": "pcm_s16le"}, "audio/wav", 0),
    "float wav": ({"container": "wav", "sound": "pcm_f32le"}, "audio/wav", 0),
    "flac": ({"container": "flac", "sound": "flac"}, "audio/flac", 0),
    "opus": ({"container": "ogg", "sound": "libopus", "rate": 48_000}, "audio/ogg", 0),
    "ogg flac": ({"container": "ogg", "sound": "flac"}, "audio/ogg", 0),
    "webm": ({"container": "webm", "sound": "libopus", "rate": 48_000}, "audio/webm", 0),
    # AAC comes in frames of 1024 samples and says nowhere how much of the last one, or two, is padding.
    "aac": ({"container": "adts", "sound": "aac"}, "audio/aac", 50),
    "m4a": ({"container": "ipod", "sound": "aac"}, "audio/mp4", 25),
}
PICTURES = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}


@pytest.mark.parametrize("name", FILMS)
def test_a_film(tmp_path, name):
    options, content_type, codec = FILMS[name]
    path = make.film(tmp_path / "neutral", **options)
    found = media.probe(path, expect="video")
    assert (found.kind, found.content_type, found.codec) == ("video", content_type, codec)
    assert (found.width, found.height, found.has_audio) == (320, 240, True)
    assert found.fps == pytest.approx(25, abs=0.1)
    assert abs(found.duration_ms - 2000) <= 40
    assert (found.bytes, found.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("name", VOICES)
def test_a_voice(tmp_path, name):
    options, content_type, padding = VOICES[name]
    path = make.film(tmp_path / "neutral", codec=None, **options)
    found = media.probe(path, expect="audio")
    assert (found.kind, found.content_type, found.has_audio) == ("audio", content_type, True)
    assert 2000 <= found.duration_ms <= 2000 + padding
    assert (found.width, found.height, found.fps) == (0, 0, 0)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture(tmp_path, name):
    path = tmp_path / "neutral"
    path.write_bytes(make.image(name, (200, 100)))
    found = media.probe(path, expect="image")
    assert (found.kind, found.content_type) == ("image", f"image/{PICTURES[name]}")
    assert (found.width, found.height, found.duration_ms) == (200, 100, 0)


def test_the_samples():
    voice = media.probe(SAMPLES / "speech.wav", expect="audio")
    assert voice.duration_ms == 12_528
    assert media.probe(SAMPLES / "portrait.jpg", expect="image").width == 512


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_is_measured_upright(tmp_path, kind):
    path = tmp_path / "neutral"
    path.write_bytes(make.sideways(kind))
    found = media.probe(path, expect="image")
    assert (found.width, found.height) == (100, 200)


def test_a_cover_picture_does_not_make_a_recording_a_film(tmp_path):
    voice = make.film(tmp_path / "voice", container="mp3", codec=None, sound="libmp3lame")
    cover = make.image("JPEG")
    frame = b"\0image/jpeg\0\x03\0" + cover
    apic = b"APIC" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
    size = len(apic)
    sizes = bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    path = tmp_path / "neutral"
    path.write_bytes(b"ID3\x03\0\0" + sizes + apic + voice.read_bytes())
    assert media.probe(path, expect="audio").duration_ms == 2000


def test_any_kind_is_told_when_none_is_expected():
    assert media.probe(SAMPLES / "speech.wav").kind == "audio"
    assert media.probe(SAMPLES / "portrait.jpg").kind == "image"


def test_a_refusal_names_what_was_found_and_what_is_accepted():
    with pytest.raises(media.MediaRefused) as caught:
        media.probe(SAMPLES / "speech.wav", expect="image")
    assert "audio recording" in caught.value.message
    assert "PNG" in caught.value.hint


# --- finished videos -------------------------------------------------------------------------------------------


def verdict(path: Path, **options) -> str:
    try:
        media.verify_output(path, **{"expect_ms": 2000, "tolerance_ms": 40, "expect_audio": True, **options})
    except media.OutputRefused as refused:
        return refused.code
    return "fine"


def test_a_good_result_is_described(tmp_path):
    path = make.film(tmp_path / "film")
    found = media.verify_output(path, expect_ms=2000, tolerance_ms=40, expect_audio=True)
    assert (found.width, found.height, found.duration_ms, found.has_audio) == (320, 240, 2000, True)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_result_must_be_as_long_as_the_voice(tmp_path):
    path = make.film(tmp_path / "film")
    assert verdict(path, expect_ms=2040) == "fine"
    assert verdict(path, expect_ms=2041) == "output_length"
    assert verdict(path, expect_ms=1959) == "output_length"


def test_a_result_must_have_sound_if_asked(tmp_path):
    mute = make.film(tmp_path / "mute", sound=None)
    assert verdict(mute) == "output_silent"
    assert verdict(mute, expect_audio=False) == "fine"


def test_a_result_whose_sound_stops_early_is_refused(tmp_path):
    whole, path = make.film(tmp_path / "whole"), tmp_path / "film"
    import av

    with av.open(str(whole)) as source, av.open(str(path), "w", format="mp4") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size and (packet.stream.type == "video" or packet.pts * packet.time_base < 1):
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    assert verdict(path) == "output_silent"


def test_a_result_that_does_not_decode_is_refused(tmp_path):
    path = make.film(tmp_path / "film", movflags="faststart")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert verdict(path) in {"output_damaged", "output_length"}
    start = whole.index(b"mdat") + 8
    path.write_bytes(whole[:start] + os.urandom(len(whole) - start))
    assert verdict(path) in {"output_damaged", "output_length"}


def test_a_result_that_is_no_video_is_refused(tmp_path):
    assert verdict(SAMPLES / "portrait.jpg") == "output_not_video"
    assert verdict(SAMPLES / "speech.wav") == "output_not_video"
    path = tmp_path / "page"
    path.write_text("<html>502 Bad Gateway</html>")
    assert verdict(path) == "output_not_video"


def test_a_poster_shows_an_early_frame_that_is_not_black(tmp_path):
    media.poster(make.film(tmp_path / "film", black=0.5), tmp_path / "poster.jpg")
    with Image.open(tmp_path / "poster.jpg") as poster:
        assert (poster.format, poster.size) == ("JPEG", (320, 240))
        assert poster.convert("L").getpixel((300, 200)) > 60


def test_a_film_that_stays_black_still_has_a_poster(tmp_path):
    media.poster(make.film(tmp_path / "film", black=9), tmp_path / "poster.jpg")
    assert media.probe(tmp_path / "poster.jpg", expect="image").width == 320


def test_a_poster_is_no_larger_than_a_page_needs(tmp_path):
    media.poster(make.film(tmp_path / "film", seconds=0.2, size=(1920, 1080)), tmp_path / "poster.jpg")
    found = media.probe(tmp_path / "poster.jpg", expect="image")
    assert (found.width, found.height) == (1280, 720)


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_a_preview_is_short_small_and_silent(tmp_path, fps):
    film = make.film(tmp_path / "film", seconds=7, size=(854, 480), fps=fps)
    media.preview(film, tmp_path / "preview.mp4")
    found = media.probe(tmp_path / "preview.mp4", expect="video")
    assert (found.codec, found.width, found.height, found.has_audio) == ("h264", 640, 360, False)
    assert abs(found.duration_ms - 6000) <= 100
    assert (tmp_path / "preview.mp4").stat().st_size < film.stat().st_size


def test_a_failed_poster_leaves_no_file(tmp_path):
    with pytest.raises(media.MediaRefused):
        media.poster(SAMPLES / "speech.wav", tmp_path / "poster.jpg")
    with pytest.raises(media.MediaRefused):
        media.preview(SAMPLES / "portrait.jpg", tmp_path / "preview.mp4")
    assert list(tmp_path.iterdir()) == []


# --- the child -------------------------------------------------------------------------------------------------

ANSWER = children.answer  # before a test puts another in its place


@pytest.fixture(params=["from a nursery", "by itself"])
def way(request, monkeypatch):
    """Children are started in both ways everywhere."""
    if request.param == "by itself":
        monkeypatch.setattr(nursery, "works_here", lambda: False)


def plant(monkeypatch, code: str) -> None:
    """Children run this instead, once they are confined."""
    monkeypatch.setattr(
        children,
        "answer",
        lambda _, order, limits: ANSWER("tests.jobs.odd_child", {**order, "code": code}, limits),
    )


GOOD = json.dumps(
    {
        "ok": {
            "kind": "audio",
            "content_type": "audio/wav",
            "container": "wav",
            "codec": "pcm_s16le",
            "bytes": 1,
            "sha256": "",
        }
    }
)
SMALL = Limits(memory_bytes=1 << 30, cpu_seconds=1, file_bytes=64 * 1024)


def child(monkeypatch, code: str) -> str:
    """What the parent makes of a child that runs this instead."""
    plant(monkeypatch, code)
    monkeypatch.setattr(parent, "PROBE", SMALL)
    try:
        media.probe(SAMPLES / "speech.wav", expect="audio")
    except media.MediaRefused as refused:
        return refused.code
    return "believed"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("os.abort()", "probe_crashed"),
        ("print('{\"ok\": {}}')", "probe_crashed"),
        ('print(\'{"ok": {"kind": 1, "evil": 2}}\')', "probe_crashed"),
        (f"print({GOOD!r}, flush=True); os.abort()", "probe_crashed"),
        (f"print({GOOD!r})", "believed"),
        ("raise SystemExit(3)", "probe_crashed"),
        ("print('not json')", "probe_crashed"),
        ("print('[1, 2]')", "probe_crashed"),
        ("print('')", "probe_crashed"),
        ("sys.stdout.write('x' * 10_000_000)", "probe_crashed"),
        ("x = bytearray(2 << 30)", "probe_crashed"),
        ("import ctypes; ctypes.string_at(0)", "probe_crashed"),
        ("[None for _ in iter(int, 1)]", "probe_timeout"),
    ],
)
def test_whatever_becomes_of_the_child_the_caller_gets_a_code(monkeypatch, way, code, outcome):
    assert child(monkeypatch, code) == outcome


def test_a_busy_machine_condemns_no_finished_video(monkeypatch, tmp_path):
    plant(monkeypatch, "os.abort()")
    with pytest.raises(media.MediaRefused) as caught:
        media.verify_output(make.film(tmp_path / "film"), expect_ms=2000, tolerance_ms=40, expect_audio=True)
    assert caught.value.code == "probe_crashed"


def test_a_child_that_sleeps_is_killed_by_the_clock_on_the_wall(monkeypatch, way):
    began = time.monotonic()
    assert child(monkeypatch, "import time; time.sleep(60)") == "probe_timeout"
    assert time.monotonic() - began < 20


def observed(monkeypatch, expression: str) -> object:
    """The value of an expression inside the confined child."""
    plant(monkeypatch, f"print(json.dumps({{'ok': {{'value': {expression}}}}}))")
    return parent._ask({"do": "probe"}, SMALL)["value"]


def test_the_child_sees_none_of_our_secrets(monkeypatch, way):
    monkeypatch.setenv("SECRET_KEY", "hush")
    children.close()
    names = observed(monkeypatch, "sorted(os.environ)")
    assert not [name for name in names if "SECRET" in name or "URL" in name or "KEY" in name]


def test_the_child_loads_no_django():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import jobs.media.child; print('django' in sys.modules)"
    )
    command = [sys.executable, "-I", "-B", "-c", code, str(children.ROOT)]
    assert subprocess.check_output(command, text=True).strip() == "False"


@pytest.mark.skipif(sys.platform != "linux", reason="the system call filter is Linux's")
@pytest.mark.parametrize(
    "attempt",
    [
        "__import__('socket').socket()",
        "__import__('socket').socketpair()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "__import__('subprocess').run(['/bin/true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "open('/tmp/flood', 'wb', 0).write(b'x' * 100_000) == 100_000 or [][0]",
    ],
)
def test_the_child_can_neither_talk_nor_start_anything_nor_flood_the_disk(
    monkeypatch, tmp_path, way, attempt
):
    attempt = attempt.replace("/tmp/flood", str(tmp_path / "flood"))
    setup = f"""
def attempt():
    try:
        {attempt}
        return 'done'
    except (OSError, IndexError) as error:
        return type(error).__name__
"""
    answer = "print(json.dumps({'ok': {'value': [confined, attempt()]}}))"
    plant(monkeypatch, setup + answer)
    confined, outcome = parent._ask({"do": "probe"}, SMALL)["value"]
    assert confined
    assert outcome != "done"


WORKER = """
import sys
sys.path.insert(0, sys.argv[1])
from jobs.media import children, nursery, parent
if sys.argv[3] == "by itself":
    nursery.works_here = lambda: False
order = {"do": "probe", "code": sys.argv[2]}
children.answer("tests.jobs.odd_child", order, parent.PROBE)
"""


def test_the_child_dies_with_its_parent(tmp_path, request, way):
    """kill -9 of a worker in mid-probe leaves nothing behind, no nursery either."""
    note = tmp_path / "pids"
    code = f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}}'); import time; time.sleep(60)"
    how = request.node.callspec.params["way"]
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(children.ROOT), code, how])
    wait_for(lambda: note.exists() and " " in note.read_text())
    born = [int(pid) for pid in note.read_text().split()]
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    wait_for(lambda: not any(alive(pid) for pid in born))


def test_a_process_of_the_worker_has_its_nursery_before_the_first_film():
    children.close()
    worker_process_init.send(None)  # as celery tells each that it begins
    wait_for(lambda: parent.CHILD in children._nurseries)


def test_a_nursery_that_was_killed_is_replaced(monkeypatch, tmp_path):
    pid = observed(monkeypatch, "os.getppid()")
    assert observed(monkeypatch, "os.getppid()") == pid, "one serves many children"
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid))
    assert observed(monkeypatch, "os.getppid()") not in {pid, os.getpid()}


def test_a_nursery_that_is_killed_under_an_order_costs_only_time(monkeypatch, tmp_path):
    note = tmp_path / "seen"
    first = f"import signal; seen = os.path.exists({str(note)!r}); open({str(note)!r}, 'w').close()"
    kill = "seen or os.kill(os.getppid(), signal.SIGKILL)"
    assert child(monkeypatch, f"{first}\n{kill}\nprint({GOOD!r})") == "believed"


def test_many_threads_have_a_child_each(monkeypatch):
    plant(monkeypatch, "import time; time.sleep(0.1); print(json.dumps({'ok': {'value': order['path']}}))")
    with ThreadPoolExecutor(8) as pool:
        asked = [str(number) for number in range(24)]
        answers = pool.map(lambda path: parent._ask({"do": "probe", "path": path}, SMALL)["value"], asked)
        assert list(answers) == asked


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
