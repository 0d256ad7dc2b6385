"""What the vendors' doubles share: a small web server on loopback whose operations misbehave on request.

A double is written from what is known about its vendor, never from an adapter or a dialect of ours, and it checks
what it is sent as the vendor would: a request that the vendor would refuse is refused here.
"""

from __future__ import annotations

import io
import json
import re
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from providers.fake.video import make_video

# Done instead of the operation, or after it: what a caller sees of both may be the same.
BEFORE = ("refusal", "throttle", "denied", "error", "cut_before", "redirect", "slow", "proxy_404")
AFTER = ("error_after", "cut_after", "garbage", "wrong_type", "huge", "proxy_503", "proxy_408")
MISSING = 404


@dataclass
class Call:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    named: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        try:
            return json.loads(self.body or b"null")
        except ValueError:
            return None


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    # what is announced where that is not what is sent
    length: int | None = None

    def raw(self) -> tuple[bytes, str]:
        if isinstance(self.body, bytes):
            return self.body, "application/octet-stream"
        return (b"" if self.body is None else json.dumps(self.body).encode()), "application/json"


class Vendor(ThreadingHTTPServer):
    """Subclasses name their operations in ROUTES (method, path pattern, operation) and have a method for each."""

    daemon_threads = True
    request_queue_size = 256
    ROUTES: ClassVar[list[tuple[str, str, str]]] = []
    # JSON of other types than the vendor's, one for each time
    WRONG: ClassVar[list[Any]] = [[], {"data": 5}, {"data": {"id": 7}, "output": [], "id": {}}, "text"]

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.calls: list[tuple[str, Call]] = []
        self.tasks: dict[str, Task] = {}
        self.faults: dict[str, list[str]] = {}
        self.released = threading.Event()
        self.lock = threading.RLock()
        self.wrong = 0
        self.dead = False
        # How often a task is asked for before it has ended; and how it ends: None is well
        self.polls_to_end = 1
        self.ending: Any = None
        self.trespasses = 0
        # where it wants files, if that is not itself
        self.elsewhere = ""

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def store(self) -> str:
        return self.elsewhere or self.url

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def fault(self, operation: str, *kinds: str) -> None:
        """The next calls of the operation go wrong so, one kind a call."""
        assert all(kind in {*BEFORE, *AFTER, "expired", "flood"} for kind in kinds), kinds
        self.faults.setdefault(operation, []).extend(kinds)

    def count(self, operation: str) -> int:
        return Counter(name for name, _ in self.calls)[operation]

    def heal(self) -> None:
        self.faults.clear()

    def answer(self, call: Call) -> Answer | None:
        """None: the connection is cut without an answer."""
        if self.dead:
            return None
        if call.path == "/inside":
            self.trespasses += 1
            return Answer(200, {"secret": "inside"})
        operation = self.named(call)
        if not operation:
            return self.unknown_path()
        with self.lock:
            self.calls.append((operation, call))
            kind = self.faults[operation].pop(0) if self.faults.get(operation) else ""
        if kind == "slow":
            self.released.wait(30)
        if kind in BEFORE and kind != "slow":
            return self.instead(kind, operation)
        with self.lock:
            answer: Answer = getattr(self, operation)(call)
        return self.spoilt(kind, answer) if kind else answer

    def named(self, call: Call) -> str:
        for method, pattern, operation in self.ROUTES:
            found = re.fullmatch(pattern, call.path)
            if method == call.method and found:
                call.named = found.groupdict()
                return operation
        return ""

    def instead(self, kind: str, operation: str) -> Answer | None:
        if kind == "cut_before":
            return None
        if kind == "redirect":
            # A host that nobody allowed, however much the double itself may be.
            return Answer(302, None, {"Location": f"http://localhost:{self.server_port}/inside"})
        return proxys(kind) or self.trouble(kind)

    def spoilt(self, kind: str, answer: Answer) -> Answer | None:
        if kind == "cut_after":
            return None
        if kind == "error_after":
            return self.trouble("error")
        if kind == "garbage":
            return Answer(200, b'{"id": "tas')
        if kind == "huge":
            return Answer(200, b'{"pad": "' + b"x" * 3_000_000 + b'"}')
        if kind == "wrong_type":
            self.wrong += 1
            return Answer(200, self.WRONG[self.wrong % len(self.WRONG)])
        if kind == "flood":
            return Answer(200, b"x" * 1000, length=5_000_000_000)
        if kind == "expired":
            return Answer(403, b"<Error>Expired</Error>")
        return proxys(kind) or answer

    def trouble(self, kind: str) -> Answer:
        """refusal (of the content), throttle, denied (the key) or error (theirs) in the vendor's own shape."""
        raise NotImplementedError

    def unknown_path(self) -> Answer:
        return Answer(MISSING, b"no such path")

    def words(self) -> list[str]:
        """What a customer must never read: the vendor's names, hosts, ids and sentences."""
        return [self.host, *self.tasks]


def proxys(kind: str) -> Answer | None:
    """What whatever stands before a vendor says by itself."""
    name, _, status = kind.partition("_")
    return Answer(int(status), b"<html>Not the vendor speaks.</html>") if name == "proxy" else None


@dataclass
class Task:
    id: str
    model: str
    request: dict[str, Any]
    length_ms: int
    polls: int = 0
    # how this one ends where the vendor's other tasks end otherwise
    ending: Any = None
    canceled: bool = False
    created: float = field(default_factory=time.time)

    def film(self) -> bytes:
        return make_video(self.length_ms)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Vendor

    def log_message(self, *args: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()

    def serve(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.command, parts.path, query, headers, self.body())
        answer = self.server.answer(call)
        if answer is None:
            self.close_connection = True
            self.connection.close()
            return
        raw, kind = answer.raw()
        self.send_response(answer.status)
        for name, value in {"Content-Type": kind, **answer.headers, "Content-Length": str(len(raw))}.items():
            self.send_header(
                name, value if name != "Content-Length" or answer.length is None else str(answer.length)
            )
        self.end_headers()
        self.wfile.write(raw)
        self.close_connection |= answer.length is not None

    do_GET = do_POST = do_PUT = do_DELETE = serve  # noqa: N815  the names the base class looks for

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)


@contextmanager
def running(vendor: Vendor) -> Iterator[Vendor]:
    thread = threading.Thread(target=vendor.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        vendor.released.set()
        vendor.shutdown()
        vendor.server_close()
        thread.join()


def sound_ms(content: bytes) -> int:
    """How long a WAV file sounds."""
    with wave.open(io.BytesIO(content)) as sound:
        return int(sound.getnframes() * 1000 / sound.getframerate() + 0.5)


def picture_size(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size


def multipart(call: Call) -> dict[str, bytes]:
    """The parts of a form by name."""
    boundary = call.headers["content-type"].partition("boundary=")[2].strip('"').encode()
    parts = {}
    for piece in call.body.split(b"--" + boundary)[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        assert name, head
        parts[name[1].decode()] = content.removesuffix(b"\r\n")
    return parts


Reader = Callable[[str], bytes]
