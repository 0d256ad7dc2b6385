"""Addresses that customers may not name: as text, by what their names resolve to, and by rebinding."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from accounts.public import is_public, literal
from jobs import fetch

PRIVATE = [
    "http://127.0.0.1/",
    "http://127.0.0.1:8080/x",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0x7f.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://0x0/",
    "http://10.0.0.1/",
    "http://10.255.255.255:8443/",
    "http://172.16.0.1/",
    "http://172.31.255.254/",
    "http://192.168.1.1/",
    "http://3232235777/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254./",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xA9.0xFE.0xA9.0xFE/",
    "http://169.254.43518/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://192.0.2.7/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://198.51.100.9/",
    "http://203.0.113.9/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::1]:8080/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[2001:db8::1]/",
    "http://[2001:10::1]/",
    "http://[3fff::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[ff0e::1]/",
    "http://[100::1]/",
    "http://[5f00::1]/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://localhost:8080/",
    "http://a.localhost/",
    "http://redis/",
    "http://metadata/",
    "http://metadata.google.internal/",
    "http://printer.local/",
    "http://router.lan/",
    "http://intranet.corp/",
    "http://db.home.arpa/",
]

INVALID = [
    "http://0177.0.0.1/",
    "http://0251.0376.0251.0376/",
    "",
    "http://",
    "http:///path",
    "http:127.0.0.1",
    "//127.0.0.1/",
    "http://user@example.com/",
    "http://user:pass@example.com/",
    "http://127.0.0.1@example.com/",
    "http://example.com@127.0.0.1/",
    "http://:@example.com/",
    "http://example.com:22/",
    "http://example.com:6379/",
    "http://example.com:5432/",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http://example.com:80a/",
    "http://exa mple.com/",
    "http://example.com/a b",
    "http://example.com/\r\nHost: x",
    "http://example.com/\n",
    "http://example.com/\x00",
    "\thttp://example.com/",
    " http://example.com/",
    "http://example.com\\@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://①②⑦.⓪.⓪.①/",
    "http://ⓛocalhost/",
    "http://127。0。0。1/",
    "http://example\u200b.com/",
    "http://example.com\u2028/",
    "http://127.0.0.1%2f@example.com/",
    "http://%31%32%37.0.0.1/",
    "http://" + "a" * 300 + ".com/",
    "http://example.com/" + "a" * 2048,
]

SCHEME = [
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "dict://127.0.0.1:11211/",
    "ws://example.com/",
    "s3://bucket/key",
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "httpx://example.com/",
    "concat:http://127.0.0.1",
    "example.com/path",
    "/etc/passwd",
]

FINE = [
    "http://example.com/",
    "https://example.com/a.wav?sig=%2F",
    "https://example.com:443/",
    "http://example.com:8080/x",
    "https://example.com:8443/x",
    "HTTPS://EXAMPLE.COM/",
    "https://8.8.8.8/",
    "http://134744072/",
    "https://[2606:4700::1111]/",
    "https://bücher.example/",
    "https://example.com./",
    "https://sub.domain.example.co.uk/a/b#fragment",
]


def refusal(url: str) -> str:
    try:
        fetch.check_url(url)
    except fetch.FetchRefused as refused:
        return refused.code
    return "fine"


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_refused_as_text(url):
    assert refusal(url) == "url_private"


@pytest.mark.parametrize("url", INVALID, ids=ascii)
def test_unusable_addresses_are_refused(url):
    # However a parser reads them: some look private to it rather than nonsense.
    assert refusal(url) in {"url_invalid", "url_private", "url_scheme"}


@pytest.mark.parametrize("url", SCHEME)
def test_other_schemes_are_refused(url):
    assert refusal(url) == "url_scheme"


@pytest.mark.parametrize("url", FINE)
def test_public_addresses_pass(url):
    assert refusal(url) == "fine"


def test_a_refusal_never_repeats_the_address():
    with pytest.raises(fetch.FetchRefused) as caught:
        fetch.check_url("http://10.1.2.3/")
    assert "10.1.2.3" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("allowed", "url", "code"),
    [
        ("127.0.0.1:9000", "http://127.0.0.1:9000/", "fine"),
        ("127.0.0.1:9000", "http://127.0.0.1:9001/", "url_private"),
        ("127.0.0.1:9000", "http://2130706433:9000/", "url_private"),
        ("127.0.0.1", "http://127.0.0.1:31337/", "fine"),
        ("127.0.0.1", "http://127.0.0.2/", "url_private"),
        ("minio:9000", "http://minio:9000/", "fine"),
        ("MinIO:9000", "http://minio.:9000/", "fine"),
        ("minio", "http://notminio/", "url_private"),
        ("[::1]:8000", "http://[::1]:8000/", "fine"),
        ("minio:9000", "http://user@minio:9000/", "url_invalid"),
        ("minio:9000", "gopher://minio:9000/", "url_scheme"),
        ("", "http://minio:9000/", "url_private"),
        ("http://x:y:z", "http://x/", "url_private"),
    ],
)
def test_only_hosts_the_operator_names_are_let_through(settings, allowed, url, code):
    settings.FETCH_ALLOW_HOSTS = [allowed] if allowed else []
    assert refusal(url) == code


class Resolver:
    """Stands in for name look-ups; numbers still go to the real one, which the socket layer asks too."""

    def __init__(self, monkeypatch, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.connected: list[str] = []
        self.real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)
        monkeypatch.setattr(socket, "create_connection", self.create_connection)

    def getaddrinfo(self, host, port, *args, **kwargs):
        if literal(host) is not None:
            return self.real(host, port, *args, **kwargs)
        self.asked.append(host)
        answers = self.answers[host.partition(".")[0]]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
            for ip in answer
        ]

    def create_connection(self, address, *args, **kwargs):
        self.connected.append(address[0])
        raise ConnectionRefusedError("no network in this test")


def fetched(url: str, tmp_path: Path) -> str:
    try:
        fetch.download(url, tmp_path / "x", max_bytes=1000, timeout_seconds=5)
    except fetch.FetchRefused as refused:
        return refused.code
    return "fetched"


HOSTILE_ANSWERS = [
    ["127.0.0.1"],
    ["169.254.169.254"],
    ["10.0.0.1"],
    ["192.168.0.10"],
    ["100.64.0.1"],
    ["224.0.0.1"],
    ["0.0.0.0"],
    ["::1"],
    ["::ffff:127.0.0.1"],
    ["64:ff9b::7f00:1"],
    ["2002:7f00:1::"],
    ["2001:0:7f00:1::"],
    ["fd00:ec2::254"],
    ["fe80::1"],
    ["ff0e::1"],
    ["93.184.216.34", "127.0.0.1"],
    ["2606:2800:220:1::1", "10.0.0.1"],
    ["93.184.216.34", "::1"],
]


@pytest.mark.parametrize("answer", HOSTILE_ANSWERS, ids=",".join)
def test_a_name_with_any_private_answer_is_refused_before_connecting(monkeypatch, tmp_path, answer):
    resolver = Resolver(monkeypatch, host=[answer])
    assert fetched("http://host.example/", tmp_path) == "url_private"
    assert resolver.connected == []


def test_a_rebinding_name_is_resolved_once_and_only_the_checked_address_is_tried(monkeypatch, tmp_path):
    resolver = Resolver(monkeypatch, rebind=[["93.184.216.34"], ["127.0.0.1"]])
    assert fetched("http://rebind.example/", tmp_path) == "url_unreachable"
    assert resolver.asked == ["rebind.example"]
    assert resolver.connected == ["93.184.216.34"]


def test_every_attempt_checks_anew(monkeypatch, tmp_path):
    resolver = Resolver(monkeypatch, rebind=[["93.184.216.34"], ["127.0.0.1"]])
    assert fetched("http://rebind.example/", tmp_path) == "url_unreachable"
    assert fetched("http://rebind.example/", tmp_path) == "url_private"
    assert resolver.connected == ["93.184.216.34"]


def test_a_broken_route_does_not_hide_the_next_address(monkeypatch, tmp_path):
    resolver = Resolver(monkeypatch, host=[["2606:2800:220:1::1", "93.184.216.34"]])
    assert fetched("http://host.example/", tmp_path) == "url_unreachable"
    assert resolver.connected == ["2606:2800:220:1::1", "93.184.216.34"]


def test_an_unknown_name_may_be_tried_again(monkeypatch, tmp_path):
    Resolver(monkeypatch, gone=[[]])
    with pytest.raises(fetch.FetchRefused) as caught:
        fetch.download("http://gone.example/", tmp_path / "x", max_bytes=10, timeout_seconds=5)
    assert (caught.value.code, caught.value.retryable) == ("url_unreachable", True)


def test_a_name_server_that_never_answers_costs_the_time_limit_only(monkeypatch, tmp_path):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: over.wait(20) and [])
    began = time.monotonic()
    assert fetch_code_within(0.3, tmp_path) == "url_timeout"
    assert time.monotonic() - began < 3
    over.set()


def fetch_code_within(seconds: float, tmp_path: Path) -> str:
    with pytest.raises(fetch.FetchRefused) as caught:
        fetch.download("http://slow.example/", tmp_path / "x", max_bytes=10, timeout_seconds=seconds)
    return caught.value.code


def test_webhooks_use_the_same_door(monkeypatch):
    resolver = Resolver(monkeypatch, hook=[["169.254.169.254"]])
    with fetch.client(timeout=2) as client, pytest.raises(fetch.FetchRefused) as caught:
        client.post("http://hook.example/", content=b"{}")
    assert caught.value.code == "url_private"
    assert resolver.connected == []


def test_the_list_of_public_addresses():
    import ipaddress

    for public in (
        "1.1.1.1",
        "8.8.8.8",
        "172.15.0.1",
        "172.32.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "223.255.255.255",
    ):
        assert is_public(ipaddress.ip_address(public)), public
    for public in ("2606:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888"):
        assert is_public(ipaddress.ip_address(public)), public
