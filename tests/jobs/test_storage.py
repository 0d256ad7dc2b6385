"""One set of promises, kept by every kind of storage: a real S3 server, and plain files behind WSGI and ASGI."""

from __future__ import annotations

import hashlib
import os
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from django.core.files.storage import storages

from jobs import storage
from jobs.storage.s3 import client_of
from tests import services
from tests.jobs.file_servers import asgi_server, wsgi_server

CONTENT = bytes(range(256)) * 40
OTHER = b"another file"
HOUR = 3600


@pytest.fixture(scope="module")
def servers():
    """Their URLs."""
    with wsgi_server() as wsgi, asgi_server() as asgi:
        yield {"wsgi": wsgi, "asgi": asgi}


@pytest.fixture(params=["s3", "wsgi", "asgi"])
def kind(request, settings, tmp_path, servers):
    """Each over real sockets: S3 answers for itself, plain files are served by us."""
    if request.param == "s3":
        services.bucket()
    else:
        use_files(settings, tmp_path, servers[request.param])
    return request.param


def use_files(settings, tmp_path: Path, url: str) -> Path:
    folder = tmp_path / "media"
    place = {"BACKEND": settings.FILE_STORAGE["BACKEND"], "OPTIONS": {"location": folder}}
    settings.STORAGES = {**settings.STORAGES, "default": place}
    settings.PUBLIC_URL = url
    return folder


@pytest.fixture
def key(kind):
    return storage.new_key(uuid.uuid4(), None, "voice.wav")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def stored(key, source):
    storage.put(key, source, content_type="audio/wav")
    return key


def put_address(key: str, **options) -> storage.SignedPut:
    wanted = {"content_type": "audio/wav", "max_bytes": 20_000, "seconds": HOUR, **options}
    return storage.signed_put(key, **wanted)


def tampered(url: str) -> str:
    """The address with one letter of its signature changed."""
    at = len(url) - 6
    return url[:at] + ("a" if url[at] != "a" else "b") + url[at + 1 :]


def test_threads_of_a_process_share_one_client():
    """Each new thread is otherwise a third of a second of work."""
    services.bucket()
    with ThreadPoolExecutor(4) as pool:
        clients = list(pool.map(lambda _: client_of(storages["default"]), range(4)))
    assert {id(client) for client in clients} == {id(client_of(storages["default"]))}


def test_a_forked_process_makes_a_client_of_its_own():
    """Two processes on one connection would read each other's answers."""
    services.bucket()
    parents = client_of(storages["default"])
    pid = os.fork()
    if pid == 0:
        os._exit(client_of(storages["default"]) is parents)
    assert os.waitpid(pid, 0)[1] == 0


# --- objects ---------------------------------------------------------------------------------------------------


def test_what_is_put_comes_back(stored, tmp_path):
    storage.fetch(stored, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == CONTENT
    assert (storage.size(stored), storage.exists(stored)) == (len(CONTENT), True)
    with storage.open(stored) as file:
        assert file.read(10) == CONTENT[:10]


def test_a_second_put_replaces(stored, tmp_path):
    (tmp_path / "other").write_bytes(OTHER)
    storage.put(stored, tmp_path / "other", content_type="audio/wav")
    assert storage.size(stored) == len(OTHER)


def test_a_missing_object_is_missing(key, tmp_path):
    assert storage.size(key) is None
    assert not storage.exists(key)
    with pytest.raises(FileNotFoundError):
        storage.fetch(key, tmp_path / "back")
    with pytest.raises(FileNotFoundError):
        storage.open(key)
    with pytest.raises(FileNotFoundError):
        storage.copy(key, f"{key}.copy")
    assert not (tmp_path / "back").exists()


def test_a_copy_lives_on(stored):
    storage.copy(stored, f"{stored}.copy")
    storage.delete([stored])
    assert storage.size(f"{stored}.copy") == len(CONTENT)


def test_a_folder_is_cleared_with_everything_in_it(kind, source):
    folder, neighbour = f"work/{uuid.uuid4()}", f"work/{uuid.uuid4()}"
    for name in ("a.mp4", "b.mp4", "deep/c.mp4"):
        storage.put(f"{folder}/{name}", source, content_type="video/mp4")
    storage.put(f"{neighbour}/a.mp4", source, content_type="video/mp4")
    storage.put(f"{folder}x/a.mp4", source, content_type="video/mp4")
    assert storage.delete_under(folder) == 3
    assert storage.delete_under(folder) == 0
    assert not storage.exists(f"{folder}/deep/c.mp4")
    assert storage.exists(f"{neighbour}/a.mp4")
    assert storage.exists(f"{folder}x/a.mp4")


def test_deleting_is_final_and_forgiving(stored):
    storage.delete([stored, f"{stored}.never"])
    storage.delete([])
    storage.delete([stored])
    assert not storage.exists(stored)


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "a/", "a\\b", "a b", "a\0", "a/.hidden", "ü"],
)
def test_only_our_own_keys_are_keys(kind, source, name):
    with pytest.raises(ValueError, match="storage key"):
        storage.put(name, source, content_type="audio/wav")
    with pytest.raises(ValueError, match="storage key"):
        storage.signed_get(name, seconds=HOUR)


# --- reading by address ----------------------------------------------------------------------------------------


def test_an_address_reads_the_object(stored):
    answer = httpx.get(storage.signed_get(stored, seconds=HOUR))
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["accept-ranges"] == "bytes"


def test_an_address_says_how_the_file_is_to_be_shown(stored):
    url = storage.signed_get(
        stored, seconds=HOUR, filename='my "voice"\r\nX: y.mp3', inline=False, content_type="audio/mpeg"
    )
    answer = httpx.get(url)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["content-disposition"] == 'attachment; filename="my-voice-X-y.mp3"'


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-10", 206, slice(-10, None)),
        ("bytes=10230-99999", 206, slice(10230, None)),
        ("bytes=10240-", 416, None),
        ("bytes=99999-", 416, None),
    ],
)
def test_a_range_of_the_object(stored, wanted, status, part):
    answer = httpx.get(storage.signed_get(stored, seconds=HOUR), headers={"Range": wanted})
    assert answer.status_code == status
    if part:
        assert answer.content == CONTENT[part]
        assert answer.headers["content-range"].endswith(f"/{len(CONTENT)}")


def test_a_tampered_address_reads_nothing(stored):
    assert httpx.get(tampered(storage.signed_get(stored, seconds=HOUR))).status_code == 403


def test_addresses_expire(stored):
    get = storage.signed_get(stored, seconds=1)
    put = put_address(stored, seconds=1, overwrite=True)
    until(lambda: httpx.get(get).status_code == 403)
    until(lambda: httpx.put(put.url, headers=put.headers, content=OTHER).status_code == 403)


def until(condition) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


def test_an_address_to_read_does_not_write(stored):
    answer = httpx.put(storage.signed_get(stored, seconds=HOUR), content=OTHER)
    assert answer.status_code == 403
    assert storage.size(stored) == len(CONTENT)


def test_an_address_of_a_deleted_object_is_not_found(stored):
    url = storage.signed_get(stored, seconds=HOUR)
    storage.delete([stored])
    assert httpx.get(url).status_code == 404


# --- writing by address ----------------------------------------------------------------------------------------


def test_an_address_for_an_exact_length_takes_no_other(key):
    put = put_address(key, max_bytes=len(CONTENT), exact=True)
    for other in (CONTENT[:-1], CONTENT + b"x", b""):
        assert httpx.put(put.url, headers=put.headers, content=other).status_code == 403
    assert storage.size(key) is None
    assert httpx.put(put.url, headers=put.headers, content=CONTENT).status_code in {200, 201}
    assert storage.size(key) == len(CONTENT)


def test_an_address_takes_the_file(key):
    put = put_address(key)
    assert httpx.put(put.url, headers=put.headers, content=CONTENT).status_code == 200
    assert storage.size(key) == len(CONTENT)
    with storage.open(key) as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(CONTENT).digest()


def test_an_empty_file_is_a_file(key):
    put = put_address(key)
    assert httpx.put(put.url, headers=put.headers, content=b"").status_code == 200
    assert storage.size(key) == 0


def test_a_finished_object_is_not_overwritten(key):
    put = put_address(key)
    assert httpx.put(put.url, headers=put.headers, content=CONTENT).status_code == 200
    assert httpx.put(put.url, headers=put.headers, content=OTHER).status_code in {409, 412}
    assert storage.size(key) == len(CONTENT)


def test_leaving_the_condition_out_overwrites_nothing(key):
    put = put_address(key)
    assert httpx.put(put.url, headers=put.headers, content=CONTENT).status_code == 200
    bare = {"Content-Type": "audio/wav"}
    assert httpx.put(put.url, headers=bare, content=OTHER).status_code in {403, 409, 412}
    assert storage.size(key) == len(CONTENT)


def test_an_address_that_may_overwrite_does(key):
    put = put_address(key, overwrite=True)
    assert httpx.put(put.url, headers=put.headers, content=CONTENT).status_code == 200
    assert httpx.put(put.url, headers=put.headers, content=OTHER).status_code == 200
    assert storage.size(key) == len(OTHER)


def test_another_type_is_refused(key):
    put = put_address(key)
    headers = {**put.headers, "Content-Type": "text/html"}
    assert httpx.put(put.url, headers=headers, content=CONTENT).status_code == 403
    assert not storage.exists(key)


def test_a_tampered_address_writes_nothing(key):
    put = put_address(key)
    assert httpx.put(tampered(put.url), headers=put.headers, content=CONTENT).status_code == 403
    assert not storage.exists(key)


def test_an_address_to_write_does_not_read(stored):
    put = put_address(stored)
    assert httpx.get(put.url).status_code == 403


def test_a_render_reads_and_rewrites_its_clips(kind):
    place = storage.workspace(f"work/{uuid.uuid4()}", seconds=HOUR)
    for content in (CONTENT, OTHER):
        assert httpx.put(place.put_url("clip-0001.mp4"), content=content).status_code == 200
        assert httpx.get(place.get_url("clip-0001.mp4")).content == content
    assert storage.size(place.key("clip-0001.mp4")) == len(OTHER)
    with pytest.raises(ValueError, match="storage key"):
        place.get_url("../../other/secret")


# --- plain files only: what a store cannot promise, or what is its own affair ----------------------------------


@pytest.fixture(params=["wsgi", "asgi"])
def files(request, settings, tmp_path, servers):
    return use_files(settings, tmp_path, servers[request.param])


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_over_the_limit_is_refused_announced_or_not(files):
    key = storage.new_key(uuid.uuid4(), None, "voice.wav")
    put = put_address(key, max_bytes=1000)
    assert httpx.put(put.url, headers=put.headers, content=b"x" * 1001).status_code == 413
    assert leftovers(files) == []
    assert httpx.put(put.url, headers=put.headers, content=b"x" * 1000).status_code == 200


def test_more_bytes_than_announced_nowhere_are_counted(files):
    key = storage.new_key(uuid.uuid4(), None, "voice.wav")
    put = put_address(key, max_bytes=1000)
    answer = httpx.put(put.url, headers=put.headers, content=iter([b"x" * 600, b"x" * 600]))
    # wsgiref cannot read a body without an announced length, and says so.
    assert answer.status_code in {400, 413}
    assert leftovers(files) == []


def test_an_upload_that_breaks_off_leaves_nothing(files):
    key = storage.new_key(uuid.uuid4(), None, "voice.wav")
    url = httpx.URL(put_address(key).url)
    head = f"PUT {url.raw_path.decode()} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: audio/wav\r\n"
    with socket.create_connection((url.host, url.port)) as wire:
        wire.sendall(f"{head}Content-Length: 5000\r\n\r\n".encode() + b"x" * 100)
        wire.shutdown(socket.SHUT_WR)
        while wire.recv(4096):
            pass
    assert leftovers(files) == []
    assert not storage.exists(key)


def test_an_expired_address_does_nothing(files):
    key = storage.new_key(uuid.uuid4(), None, "voice.wav")
    put = put_address(key, seconds=-1)
    assert httpx.put(put.url, headers=put.headers, content=CONTENT).status_code == 403
    assert httpx.get(storage.signed_get(key, seconds=-1)).status_code == 403
    assert leftovers(files) == []


def test_a_broken_write_leaves_neither_half_nor_old(files, tmp_path):
    key = storage.new_key(uuid.uuid4(), None, "voice.wav")
    backend = storage.backend()

    def write_half() -> None:
        with backend.writing(key, overwrite=False) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert leftovers(files) == []


def test_what_a_killed_upload_left_is_cleared_too(files):
    (files / "work" / "w").mkdir(parents=True)
    (files / "work" / "w" / ".clip.mp4.0123.part").write_bytes(b"half")
    assert storage.delete_under("work/w") == 1
    assert leftovers(files) == []


def test_of_two_writers_one_wins(files):
    key = storage.new_key(uuid.uuid4(), None, "voice.wav")
    backend = storage.backend()

    def overtaken() -> None:
        with backend.writing(key, overwrite=False) as slow:
            slow.write(b"slow")
            with backend.writing(key, overwrite=False) as fast:
                fast.write(b"fast")

    with pytest.raises(FileExistsError):
        overtaken()
    with storage.open(key) as file:
        assert file.read() == b"fast"
    assert len(leftovers(files)) == 1


def test_signed_addresses_survive_a_new_secret(files, settings, tmp_path):
    key = storage.new_key(uuid.uuid4(), None, "voice.wav")
    put = put_address(key)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next secret"
    assert httpx.put(put.url, headers=put.headers, content=CONTENT).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert httpx.put(put.url, headers=put.headers, content=CONTENT).status_code == 403


def test_a_store_that_does_not_answer_may_answer_later(settings):
    options = {**settings.S3_STORAGE["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}
    from botocore.config import Config

    options["client_config"] = Config(connect_timeout=1, retries={"max_attempts": 0})
    for name in ("signature_version", "addressing_style"):
        options.pop(name)
    settings.STORAGES = {**settings.STORAGES, "default": {**settings.S3_STORAGE, "OPTIONS": options}}
    with pytest.raises(storage.StorageUnavailable):
        storage.size("a/b")
    storages["default"].connection.meta.client.close()


def test_addresses_name_the_endpoint_that_customers_reach(settings, tmp_path):
    """Inside a cluster the store has another name than outside, and a signature covers the name."""
    port = settings.S3_STORAGE["OPTIONS"]["endpoint_url"].rpartition(":")[2]
    settings.S3_PUBLIC_ENDPOINT = f"http://localhost:{port}"
    key = storage.new_key(uuid.uuid4(), None, "voice.wav")
    (tmp_path / "voice").write_bytes(CONTENT)
    storage.put(key, tmp_path / "voice", content_type="audio/wav")
    address = storage.signed_get(key, seconds=60)
    assert address.startswith(f"http://localhost:{port}/")
    assert httpx.get(address).content == CONTENT
