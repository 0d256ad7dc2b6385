"""The stable addresses customers get: what they serve, to whom, and that we know them again."""

from __future__ import annotations

import uuid
from pathlib import Path

import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from jobs import storage, uploads
from jobs.errors import Invalid
from jobs.files.ranges import Unsatisfiable, parse
from jobs.models import Asset
from tests.jobs import media_files as make
from tests.world import caller_for

CONTENT = bytes(range(256)) * 40
SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture(params=["s3", "files"])
def kind(request, settings, tmp_path):
    if request.param == "files":
        place = {"BACKEND": settings.FILE_STORAGE["BACKEND"], "OPTIONS": {"location": tmp_path / "media"}}
        settings.STORAGES = {**settings.STORAGES, "default": place}
    return request.param


@pytest.fixture
def asset(kind, org, tmp_path):
    return make_asset(org, tmp_path)


def make_asset(org, tmp_path, **fields) -> Asset:
    asset_id = uuid.uuid4()
    (tmp_path / "source").write_bytes(CONTENT)
    wanted = {
        "status": Asset.Status.READY,
        "origin": Asset.Origin.OUTPUT,
        "kind": "video",
        "content_type": "video/mp4",
        "sha256": "ab" * 32,
        **fields,
    }
    key = storage.new_key(org.pk, asset_id, "film.mp4")
    storage.put(key, tmp_path / "source", content_type="application/x-stored")
    return Asset.objects.create(id=asset_id, organization=org, key=key, bytes=len(CONTENT), **wanted)


def path_of(url: str) -> str:
    return url.removeprefix("http://testserver")


def get(client, asset: Asset, *, seconds: int | None = None, query: str = "", **headers):
    """(status, headers, body), a redirect to the store followed as a browser would."""
    url = path_of(storage.asset_url(asset.id, "film.mp4", seconds=seconds)) + query
    answer = client.get(url, headers=headers)
    if answer.status_code == 302:
        assert answer["Cache-Control"].startswith("private")
        answer = httpx.get(answer["Location"], headers=headers)
        return answer.status_code, answer.headers, answer.content
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return answer.status_code, answer.headers, body


def test_a_finished_file_is_shown(client, asset):
    status, headers, body = get(client, asset)
    assert (status, body) == (200, CONTENT)
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Content-Disposition"] == 'inline; filename="film.mp4"'


def test_it_is_saved_when_asked(client, asset):
    _, headers, _ = get(client, asset, query="?download")
    assert headers["Content-Disposition"] == 'attachment; filename="film.mp4"'


def test_a_player_may_seek(client, asset):
    status, headers, body = get(client, asset, Range="bytes=100-199")
    assert (status, body) == (206, CONTENT[100:200])
    assert headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"
    assert headers["Content-Length"] == "100"


def test_head_tells_the_size(client, asset):
    answer = client.head(path_of(storage.asset_url(asset.id, "film.mp4")))
    assert answer.status_code == 200
    assert answer["Content-Length"] == str(len(CONTENT))
    assert answer["Content-Type"] == "video/mp4"
    assert answer.content == b""


@pytest.mark.parametrize("claimed", ["text/html", "image/svg+xml", "video/mp4"])
def test_an_upload_nobody_has_looked_into_is_a_plain_download(client, kind, org, tmp_path, claimed):
    pending = make_asset(org, tmp_path, status=Asset.Status.PENDING, content_type=claimed, sha256="")
    _, headers, _ = get(client, pending)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("method", ["get", "head"])
def test_what_does_not_open_an_address(client, asset, method):
    good = path_of(storage.asset_url(asset.id, "film.mp4"))
    other = path_of(storage.asset_url(uuid.uuid4(), "film.mp4"))
    old = path_of(storage.asset_url(asset.id, "film.mp4", seconds=-5))
    token, foreign = good.split("/")[3], other.split("/")[3]
    ask = getattr(client, method)
    assert ask(good.replace(token, token[:-1] + ("A" if token[-1] != "A" else "B"))).status_code == 403
    assert ask(good.replace(token, foreign)).status_code == 403
    assert ask(good.replace(token, "x")).status_code == 403
    assert ask(good.replace(token, f"zzzzzz-{token.partition('-')[2]}")).status_code == 403
    assert ask(old).status_code == 403
    assert ask(other).status_code == 404


def test_a_deleted_file_is_gone(client, asset):
    url = path_of(storage.asset_url(asset.id, "film.mp4"))
    Asset.objects.filter(pk=asset.pk).update(deleted_at=timezone.now())
    assert client.get(url).status_code == 410


def test_nothing_can_be_written_there(client, asset):
    url = path_of(storage.asset_url(asset.id, "film.mp4"))
    for method in (client.put, client.post, client.delete):
        assert method(url, b"x", content_type="video/mp4").status_code == 405


def test_plain_files_come_with_the_headers_of_a_careful_server(client, asset, kind):
    if not isinstance(storage.storages["default"], FileSystemStorage):
        assert kind == "s3"
        return
    _, headers, _ = get(client, asset)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["ETag"] == f'"{"ab" * 32}"'
    assert get(client, asset, If_None_Match=headers["ETag"])[0] == 304
    changed = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert get(client, asset, **changed)[0] == 200
    assert get(client, asset, Range="bytes=99999-")[0] == 416


# --- addresses are stable, and known again ---------------------------------------------------------------------


def test_asking_again_gives_the_same_address_for_a_while():
    asset_id = uuid.uuid4()
    addresses = {storage.asset_url(asset_id, "film.mp4") for _ in range(20)}
    assert len(addresses) == 1


def test_an_address_lives_at_least_as_long_as_promised(monkeypatch):
    now = 1_800_000_000
    asset_id = uuid.uuid4()
    monkeypatch.setattr("jobs.storage.tokens.time.time", lambda: now)
    url = storage.asset_url(asset_id, "film.mp4", seconds=800)
    monkeypatch.setattr("jobs.storage.tokens.time.time", lambda: now + 799)
    assert storage.asset_id_of(url) == asset_id
    monkeypatch.setattr("jobs.storage.tokens.time.time", lambda: now + 901)
    with pytest.raises(storage.AddressExpired):
        storage.asset_id_of(url)


@pytest.mark.parametrize(
    ("public", "form", "known"),
    [
        ("https://reel.example", "{url}", True),
        ("https://reel.example", "{http}", True),
        ("https://reel.example", "https://REEL.example{path}", True),
        ("https://reel.example", "https://reel.example:443{path}", True),
        ("https://reel.example", "{url}?download", True),
        ("https://reel.example", " {url} ", True),
        ("https://reel.example", "{url}x", True),
        ("https://reel.example", "https://other.example{path}", False),
        ("https://reel.example", "https://reel.example.evil.example{path}", False),
        ("https://reel.example", "https://reel.example@evil.example{path}", False),
        ("https://reel.example", "https://reel.example:8443{path}", False),
        ("https://reel.example", "https://reel.example/x{path}", False),
        ("https://reel.example", "ftp://reel.example{path}", False),
        ("https://reel.example", "{path}", False),
        ("https://reel.example", "", False),
        ("https://reel.example", "https://[", False),
        ("https://reel.example", "https://reel.example:x{path}", False),
        ("http://127.0.0.1:8000", "http://localhost:8000{path}", True),
        ("http://127.0.0.1:8000", "http://[::1]:8000{path}", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:9000{path}", False),
        ("https://reel.example/app", "{url}", True),
        ("https://reel.example/app", "https://reel.example{path}", True),
    ],
)
def test_our_own_addresses_are_recognised(settings, public, form, known):
    settings.PUBLIC_URL = public
    asset_id = uuid.uuid4()
    url = storage.asset_url(asset_id, "my film.mp4")
    path = url.removeprefix(public)
    text = form.format(url=url, path=path, http=url.replace("https:", "http:"))
    assert storage.asset_id_of(text) == (asset_id if known else None)


def test_a_forged_address_is_not_ours(settings):
    url = storage.asset_url(uuid.uuid4(), "film.mp4")
    parts = url.split("/")
    parts[4] = str(uuid.uuid4())
    assert storage.asset_id_of("/".join(parts)) is None


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("my film.mp4", "my-film.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\voice.WAV", "voice.WAV"),
        ("Füße.mp3", "Fue.mp3"),
        ("声.wav", "wav"),
        ("...", "file"),
        ("", "file"),
        ('a"\r\nb.png', "a-b.png"),
        ("a" * 300 + ".mp4", "a" * 76 + ".mp4"),
        (".htaccess", "htaccess"),
    ],
)
def test_names_are_made_safe(name, safe):
    assert storage.safe_name(name) == safe


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=99-", (99, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=5-1000", (5, 100)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_ranges(header, part):
    assert parse(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_ranges_outside_the_file(header):
    with pytest.raises(Unsatisfiable):
        parse(header, 100)


# --- uploads ---------------------------------------------------------------------------------------------------


@pytest.fixture
def by(org, alice):
    return caller_for(org, alice)


def store(org, by, content: bytes, name: str = "my voice.wav") -> Asset:
    return uploads.store(org, file=ContentFile(content, name), filename=name, by=by)


def test_a_form_upload_is_looked_into_at_once(kind, org, by):
    asset = store(org, by, (SAMPLES / "speech.wav").read_bytes())
    assert (asset.status, asset.kind, asset.duration_ms) == (Asset.Status.READY, "audio", 12_528)
    assert (asset.filename, asset.content_type) == ("my voice.wav", "audio/wav")
    assert asset.key.startswith(f"{org.pk}/")
    assert storage.size(asset.key) == asset.bytes
    assert Asset.objects.for_org(org).get(pk=asset.pk).sha256 == asset.sha256


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"not a voice at all\n" * 9, "not_media"),
        (make.png(1, 1), "image_too_small"),
        (make.wav(b""), "audio_empty"),
        (b"x" * 5001, "file_too_large"),
    ],
)
def test_a_useless_form_upload_is_refused_and_not_kept(org, by, settings, content, code):
    settings.UPLOAD_MAX_BYTES = 5000
    with pytest.raises(Invalid) as caught:
        store(org, by, content)
    assert caught.value.code == code
    assert not Asset.objects.exists()


def test_a_ticket_takes_the_file_it_announces(kind, org, by):
    asset, put = uploads.ticket(org, filename="a b.png", size=5, content_type="image/png", by=by)
    assert (asset.status, asset.filename, asset.bytes) == (Asset.Status.PENDING, "a b.png", 5)
    assert put.headers == {"Content-Type": "image/png", "If-None-Match": "*"}
    assert put.url.startswith("http")
    if kind == "s3":
        assert httpx.put(put.url, headers=put.headers, content=b"12345").status_code == 200
        assert storage.size(asset.key) == 5


def test_a_ticket_needs_no_type(kind, org, by):
    _, put = uploads.ticket(org, filename="upload", size=5, by=by)
    assert put.headers == {"If-None-Match": "*"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"size": 0}, "file_empty"),
        ({"size": -1}, "file_empty"),
        ({"size": 201 * 1024**2}, "file_too_large"),
        ({"content_type": "image/png\r\nX: y"}, "content_type_invalid"),
        ({"content_type": "png"}, "content_type_invalid"),
        ({"content_type": "a/" + "b" * 200}, "content_type_invalid"),
    ],
)
def test_a_ticket_is_refused_before_anything_is_kept(org, by, fields, code):
    with pytest.raises(Invalid) as caught:
        uploads.ticket(
            org, **{"filename": "x.png", "size": 5, "content_type": "image/png", "by": by, **fields}
        )
    assert caught.value.code == code
    assert not Asset.objects.exists()
