"""A customer's server: takes webhooks, and serves files that behave badly."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_AGE = 300
Page = Callable[[BaseHTTPRequestHandler], None]


def verify(secret: str, headers: dict[str, str], body: bytes, *, now: float) -> bool:
    """As the vendor's page tells receivers: hex HMAC-SHA256, the key is what follows `whsec_`, undecoded."""
    headers = {name.lower(): value for name, value in headers.items()}
    if abs(now - int(headers["webhook-timestamp"])) > MAX_AGE:
        return False
    signed = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
    version, _, given = headers["webhook-signature"].partition(",")
    expected = hmac.new(secret[len("whsec_") :].encode(), signed, hashlib.sha256).hexdigest()
    return version == "v3" and hmac.compare_digest(expected, given)


class Receiver:
    """Keeps what is posted and answers with `statuses` in turn, then with 200; GETs are answered by `pages`."""

    def __init__(
        self, port: int = 0, *, statuses: tuple[int, ...] = (), pages: dict[str, Page] | None = None
    ) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.arrived = threading.Semaphore(0)
        self.left = list(statuses)
        self.pages = pages or {}
        self.server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((dict(self.headers), body))
                self.send_response(outer.left.pop(0) if outer.left else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                outer.arrived.release()

            def do_GET(self) -> None:
                outer.pages[self.path](self)

            def log_message(self, *args) -> None:
                pass

        return Handler

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
