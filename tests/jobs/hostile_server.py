"""A web server that misbehaves on request: by its path it drips, lies, floods or redirects."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BODY = b"a voice" * 1000
BOMB = gzip.compress(b"\0" * 50_000_000)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HostileServer

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Host", "") + self.path)
        self.server.headers.append(dict(self.headers))
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, parts.path.strip("/").replace("-", "_") or "ok")()

    do_POST = do_GET  # noqa: N815  the name the base class looks for

    def start(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.flush()

    def ok(self) -> None:
        self.start(Content_Length=len(BODY), Content_Type="audio/wav")
        self.wfile.write(BODY)

    def chunked(self) -> None:
        self.start(Transfer_Encoding="chunked")
        for at in range(0, len(BODY), 1000):
            piece = BODY[at : at + 1000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def status(self) -> None:
        self.start(int(self.query["code"]), Content_Length=0)

    def redirect(self) -> None:
        self.start(int(self.query.get("code", 302)), Location=self.query["to"], Content_Length=0)

    def loop(self) -> None:
        self.start(302, Location="/loop", Content_Length=0)

    def hops(self) -> None:
        left = int(self.query["left"])
        self.start(302, Location=f"/hops?left={left - 1}" if left > 1 else "/ok", Content_Length=0)

    def huge(self) -> None:
        """Announces 5 GB and sends nothing: whoever waits for a body has not looked at the announcement."""
        self.start(Content_Length=5_000_000_000)
        self.server.over.wait(20)

    def endless(self) -> None:
        self.start()
        while not self.server.over.is_set():
            self.wfile.write(b"x" * 65536)

    def liar(self) -> None:
        """Announces little and sends much; HTTP ends the body at the announced length."""
        self.start(Content_Length=10)
        self.wfile.write(b"x" * 100_000)

    def bomb(self) -> None:
        self.start(Content_Encoding="gzip", Content_Length=len(BOMB))
        self.wfile.write(BOMB)

    def cut(self) -> None:
        self.start(Content_Length=1000)
        self.wfile.write(b"only this")

    def silent(self) -> None:
        self.server.over.wait(20)

    def drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.over.wait(0.02):
            self.wfile.write(b"X-A: b\r\n")

    def drip_body(self) -> None:
        self.start(Content_Length=1_000_000)
        while not self.server.over.wait(0.02):
            self.wfile.write(b"x")

    def garbage(self) -> None:
        self.wfile.write(b"\x00\xffSSH-2.0 not http\r\n\r\n")

    def many_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-Big: " + b"a" * 300_000 + b"\r\n\r\n")


class HostileServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        pass


@contextmanager
def hostile_server() -> Generator[HostileServer, None, None]:
    server = HostileServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
