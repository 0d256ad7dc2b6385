"""Downloads from a server that misbehaves: every case ends in time, with a code, and leaves no file."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from jobs import fetch
from jobs.fetch import transport
from tests.jobs.hostile_server import BODY, hostile_server


@pytest.fixture
def server(settings):
    with hostile_server() as running:
        settings.FETCH_ALLOW_HOSTS = [running.host]
        yield running


@pytest.fixture
def get(server, tmp_path):
    """Download a path of the hostile server."""

    def call(path: str, *, max_bytes: int = 1_000_000, seconds: float = 10, **options):
        url = f"http://{server.host}{path}"
        return fetch.download(url, tmp_path / "got", max_bytes=max_bytes, timeout_seconds=seconds, **options)

    return call


@pytest.mark.parametrize(
    "path", ["/ok", "/chunked", "/redirect?to=/ok", "/redirect?to=/ok&code=307", "/hops?left=3"]
)
def test_a_file_arrives_whole(get, tmp_path, path):
    got = get(path)
    assert (tmp_path / "got").read_bytes() == BODY
    assert (got.bytes, got.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert list(tmp_path.iterdir()) == [tmp_path / "got"]


def test_the_answer_tells_where_the_file_was(server, get):
    got = get("/redirect?to=/ok")
    assert got.final_url == f"http://{server.host}/ok"
    assert got.content_type == "audio/wav"


def test_nothing_of_ours_is_sent_along(server, get, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    get("/ok")
    sent = server.headers[-1]
    assert sent["Accept-Encoding"] == "identity"
    assert not {"Authorization", "Cookie", "Proxy-Authorization"} & set(sent)


REFUSED = [
    ("/huge", "url_too_large", False),
    ("/endless", "url_too_large", False),
    ("/ok", "url_too_large", False),
    ("/bomb", "url_status", False),
    ("/cut", "url_unreachable", True),
    ("/garbage", "url_unreachable", True),
    ("/many-headers", "url_unreachable", True),
    ("/status?code=204", "url_status", False),
    ("/status?code=206", "url_status", False),
    ("/status?code=304", "url_status", False),
    ("/status?code=403", "url_status", False),
    ("/status?code=404", "url_status", False),
    ("/status?code=429", "url_status", True),
    ("/status?code=500", "url_status", True),
    ("/status?code=503", "url_status", True),
    ("/loop", "url_too_many_redirects", False),
    ("/hops?left=4", "url_too_many_redirects", False),
    ("/redirect?to=http://127.0.0.1:1/", "url_redirect_private", False),
    ("/redirect?to=http://127.0.0.1:8080/", "url_redirect_private", False),
    ("/redirect?to=http://169.254.169.254/latest/meta-data/", "url_redirect_private", False),
    ("/redirect?to=//169.254.169.254/", "url_redirect_private", False),
    ("/redirect?to=http://2852039166/", "url_redirect_private", False),
    ("/redirect?to=http://[::ffff:a9fe:a9fe]/", "url_redirect_private", False),
    ("/redirect?to=http://localhost/", "url_redirect_private", False),
    ("/redirect?to=http://metadata.google.internal/", "url_redirect_private", False),
    ("/redirect?to=file:///etc/passwd", "url_scheme", False),
    ("/redirect?to=gopher://127.0.0.1:6379/_FLUSHALL", "url_scheme", False),
    ("/redirect?to=http://u:p@example.com/", "url_invalid", False),
    ("/redirect?to=http://example.com:22/", "url_invalid", False),
    ("/redirect?to=http://[::1/", "url_unreachable", True),
]


@pytest.mark.parametrize(("path", "code", "retryable"), REFUSED)
def test_misbehaviour_has_a_code_and_leaves_no_file(get, tmp_path, path, code, retryable):
    began = time.monotonic()
    with pytest.raises(fetch.FetchRefused) as caught:
        get(path, max_bytes=5000)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert "127.0.0.1" not in caught.value.message
    assert time.monotonic() - began < 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/silent", "/drip-headers", "/drip-body"])
def test_a_slow_server_costs_the_time_limit_only(get, tmp_path, path):
    began = time.monotonic()
    with pytest.raises(fetch.FetchRefused) as caught:
        get(path, seconds=0.5)
    assert (caught.value.code, caught.value.retryable) == ("url_timeout", True)
    assert time.monotonic() - began < 3
    assert list(tmp_path.iterdir()) == []


def test_all_hops_share_one_time_limit(get):
    began = time.monotonic()
    with pytest.raises(fetch.FetchRefused) as caught:
        get("/redirect?to=/redirect%3Fto=/drip-body", seconds=0.5)
    assert caught.value.code == "url_timeout"
    assert time.monotonic() - began < 3


def test_a_body_ends_where_it_was_announced_to(get, tmp_path):
    assert get("/liar").bytes == 10
    assert (tmp_path / "got").stat().st_size == 10


def test_a_name_that_redirects_to_a_name_with_a_private_answer(get, monkeypatch, server):
    real = socket.getaddrinfo

    def answer(host, port, *args, **kwargs):
        inside = "10.0.0.5" if host == "inside.example" else host
        return real(inside, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(fetch.FetchRefused) as caught:
        get("/redirect?to=http://inside.example/")
    assert caught.value.code == "url_redirect_private"


def test_the_name_is_kept_in_the_host_header(server, tmp_path, settings, monkeypatch):
    real = socket.getaddrinfo
    settings.FETCH_ALLOW_HOSTS = [f"pinned.example:{server.server_port}"]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **kwargs: real(
            "127.0.0.1" if host == "pinned.example" else host, *args, **kwargs
        ),
    )
    url = f"http://pinned.example:{server.server_port}/ok"
    fetch.download(url, tmp_path / "got", max_bytes=10_000, timeout_seconds=5)
    assert server.seen == [f"pinned.example:{server.server_port}/ok"]


def test_a_client_for_webhooks_follows_no_redirect(server):
    with fetch.client(timeout=5) as client:
        answer = client.post(f"http://{server.host}/redirect?to=/ok", content=b"{}")
    assert answer.status_code == 302
    assert len(server.seen) == 1


def test_a_client_for_webhooks_has_one_time_limit_for_everything(server):
    import httpx

    began = time.monotonic()
    with fetch.client(timeout=0.5) as client, pytest.raises(httpx.TimeoutException):
        client.post(f"http://{server.host}/drip-headers", content=b"{}")
    assert time.monotonic() - began < 3


# --- TLS: the certificate must be for the name although the socket goes to an address ----------------------


@pytest.fixture
def https(tmp_path_factory, monkeypatch, settings):
    """An HTTPS server whose certificate is for pinned.example; (port, the names clients asked for)."""
    folder = tmp_path_factory.mktemp("tls")
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder, "pinned.example"))
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    server = HTTPServer(("127.0.0.1", 0), Plain)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=folder / "certificate.pem")
    monkeypatch.setattr(transport, "tls_context", lambda: trusting)
    real = socket.getaddrinfo
    local = {"pinned.example", "other.example"}
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **kwargs: real("127.0.0.1" if host in local else host, *args, **kwargs),
    )
    settings.FETCH_ALLOW_HOSTS = [*local]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.server_port, names
    server.shutdown()
    server.server_close()
    thread.join()


class Plain(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args) -> None:
        pass


def certificate(folder, name):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_tls_asks_for_the_name_and_checks_it(https, tmp_path):
    port, names = https
    got = fetch.download(f"https://pinned.example:{port}/", tmp_path / "x", max_bytes=10, timeout_seconds=5)
    assert got.bytes == 2
    assert names == ["pinned.example"]


def test_tls_refuses_a_certificate_for_another_name(https, tmp_path):
    port, _ = https
    with pytest.raises(fetch.FetchRefused) as caught:
        fetch.download(f"https://other.example:{port}/", tmp_path / "x", max_bytes=10, timeout_seconds=5)
    assert caught.value.code == "url_unreachable"


# --- data: addresses ---------------------------------------------------------------------------------------


def data(content: bytes, head: str = "data:audio/wav;base64,") -> str:
    return head + base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "head",
    ["data:audio/wav;base64,", "data:;base64,", "DATA:audio/wav;BASE64,", "data:audio/wav;charset=x;base64,"],
)
def test_a_data_address_is_decoded(tmp_path, head):
    got = fetch.data_uri(data(BODY, head), tmp_path / "got", 10_000)
    assert (tmp_path / "got").read_bytes() == BODY
    assert got.sha256 == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("data:audio/wav,plain", "url_invalid"),
        ("data:audio/wav;base64", "url_invalid"),
        ("data:audio/wav;base64,a b c d", "url_invalid"),
        ("data:audio/wav;base64,AAA", "url_invalid"),
        ("data:audio/wav;base64,AA=A", "url_invalid"),
        ("data:audio/wav;base64,ÄÄÄÄ", "url_invalid"),
        ("http://example.com/;base64,AAAA", "url_invalid"),
        (data(b"x" * 101), "url_too_large"),
        (data(b"x" * 10_000), "url_too_large"),
    ],
)
def test_a_bad_data_address_has_a_code_and_leaves_no_file(tmp_path, text, code):
    with pytest.raises(fetch.FetchRefused) as caught:
        fetch.data_uri(text, tmp_path / "got", 100)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_data_address_may_be_exactly_as_large_as_allowed(tmp_path):
    assert fetch.data_uri(data(b"x" * 100), tmp_path / "got", 100).bytes == 100
