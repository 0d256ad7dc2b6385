"""The double itself: Stripe's API over HTTP on loopback, as strict as the installed SDK's own types.

A request with an unknown or mistyped parameter is answered with 400 AND kept in `violations`, which fails the test
that used the fixture; an answer of the double that the SDK's types do not allow likewise.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from stripe._api_version import _ApiVersion

from tests.stripe_double import contract, endpoints, payments, subscriptions
from tests.stripe_double.contract import ContractBroken, Operation
from tests.stripe_double.world import COLLECTIONS, HANDLERS, Object, Refusal, World, missing

assert endpoints  # importing them registers their handlers
assert payments
assert subscriptions

KEY = "sk_test_double"
KEY_LIFE = 24 * 3600
HELD_SECONDS = 60
REFUSALS = {
    "500_before": (500, "api_error", "Something went wrong on Stripe's end.", None),
    "400": (400, "invalid_request_error", "This may not be asked.", None),
    "401": (401, "invalid_request_error", "Expired API Key provided.", "api_key_expired"),
    "403": (403, "invalid_request_error", "The provided key does not have the permissions.", None),
    "409": (409, "invalid_request_error", "Another request is in progress.", "lock_timeout"),
    "429": (429, "invalid_request_error", "Too many requests hit the API too quickly.", "rate_limit"),
}


@dataclass
class Fault:
    """What goes wrong with the next requests to an address: see `Double.fail`."""

    kind: str
    path: str
    method: str
    times: int
    first: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    met: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Call:
    """A request the double has seen."""

    method: str
    path: str
    params: Object
    key: str | None
    version: str | None


@dataclass
class Kept:
    """An answer kept under its idempotency key."""

    request: tuple[str, str, str]
    at: int
    answer: tuple[int, Object] | None = None


class Dropped(Exception):
    """The connection ends without an answer."""


class Double:
    def __init__(self) -> None:
        self.world = World()
        self.lock = threading.RLock()
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.kept: dict[str, Kept] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()

    def close(self) -> None:
        for fault in self.faults:
            fault.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def fail(self, kind: str, path: str, *, method: str = "post", times: int = 1, first: int = 0) -> Fault:
        """The next `times` requests to `path`, once `first` of them went well, meet a fault:

        500_before: nothing happened; 500_after: it happened, and the answer says 500; drop_before and drop_after: the
        same without any answer; 400, 401, 403, 409 and 429: refused; delay: it happened, the answer waits for `release`;
        delay_before: it happens after `release`, although whoever asked may be gone.
        """
        fault = Fault(kind, path, method, times, first)
        self.faults.append(fault)
        return fault

    def seen(self, method: str, path: str) -> list[Call]:
        return [call for call in self.calls if (call.method, call.path) == (method, path)]

    # --- one request ---

    def answer(self, method: str, target: str, body: str, headers: Any) -> tuple[int, Object]:
        """Status and body. Raises Dropped."""
        address = urlsplit(target)
        found = self._fault(method, address.path)
        fault = found.kind if found else ""
        if found and fault == "delay_before":
            found.release.wait(HELD_SECONDS)
        if fault in REFUSALS or fault == "drop_before":
            return _refused(fault)
        if headers.get("Authorization") != f"Bearer {KEY}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided."}}
        with self.lock:
            status, answered = self._once(method, address.path, address.query, body, headers)
        if found and fault == "delay":
            found.met.set()
            found.release.wait(HELD_SECONDS)
        if fault == "drop_after":
            raise Dropped
        if fault == "500_after":
            return self._keep_failure(headers)
        return status, answered

    def _fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            found = next(
                (f for f in self.faults if f.times and f.method == method and path.startswith(f.path)), None
            )
            if found and found.first:
                found.first -= 1
                return None
            if found:
                found.times -= 1
                if found.kind != "delay":
                    found.met.set()
            return found

    def _keep_failure(self, headers: Any) -> tuple[int, Object]:
        """Stripe replays a stored failure to whoever asks again under the same key."""
        answer = (500, {"error": {"type": "api_error", "message": "Something went wrong on Stripe's end."}})
        kept = self.kept.get(headers.get("Idempotency-Key") or "")
        if kept:
            kept.answer = answer
        return answer

    def _once(self, method: str, path: str, query: str, body: str, headers: Any) -> tuple[int, Object]:
        key = headers.get("Idempotency-Key")
        if method != "post" or not key:
            return self._perform(method, path, query, body, headers)
        known = self.kept.get(key)
        if known and self.world.now - known.at < KEY_LIFE:
            if known.request != (method, path, body):
                message = "Keys for idempotent requests can only be used with the same parameters."
                return 400, {"error": {"type": "idempotency_error", "message": message}}
            if known.answer:
                return known.answer
        kept = self.kept[key] = Kept((method, path, body), self.world.now)
        kept.answer = self._perform(method, path, query, body, headers)
        if kept.answer[0] == 400:
            del self.kept[key]  # what failed validation never began
        return kept.answer

    def _perform(self, method: str, path: str, query: str, body: str, headers: Any) -> tuple[int, Object]:
        version = headers.get("Stripe-Version")
        if version != _ApiVersion.CURRENT:
            self.violations.append(f"{method} {path}: Stripe-Version is {version}")
        found = contract.find(method, path)
        if found is None:
            self.violations.append(f"{method} {path}: the SDK knows no such address")
            return 404, {"error": {"type": "invalid_request_error", "message": "Unrecognized request URL."}}
        operation, numbers = found
        try:
            params = _read(operation, query, body)
            self.calls.append(Call(method, path, params, headers.get("Idempotency-Key"), version))
            answered = self._handled(operation, numbers, params, path)
        except ContractBroken as broken:
            self.violations.append(f"{method} {path}: {broken}")
            error = {"type": "invalid_request_error", "message": broken.message, "param": broken.param}
            return 400, {"error": error}
        except Refusal as refusal:
            return refusal.status, {"error": refusal.error}
        return self._checked(operation, answered, params)

    def _handled(self, operation: Operation, numbers: tuple[str, ...], params: Object, path: str) -> Object:
        handler = HANDLERS.get((operation.method, operation.path))
        if handler:
            return handler(self.world, params, *numbers)
        kind = COLLECTIONS.get(path if not numbers else path.rpartition("/")[0])
        if kind is None:
            raise missing("handler", f"{operation.method} {operation.path}")
        if operation.method == "get":
            return self.world.get(kind, numbers[0]) if numbers else self.world.listing(kind, params, path)
        if operation.method == "delete":
            del self.world.objects[numbers[0]]
            return {"id": numbers[0], "object": kind, "deleted": True}
        if numbers:
            return self.world.change(self.world.get(kind, numbers[0]), params)
        return self.world.create(kind, params)

    def _checked(self, operation: Operation, answered: Object, params: Object) -> tuple[int, Object]:
        answered = json.loads(json.dumps(answered, default=str))
        for path in params.get("expand", []):
            self._expand(answered, path.split("."))
        try:
            if not answered.get("deleted"):
                contract.check(answered, operation.answer)
        except ContractBroken as broken:
            self.violations.append(f"own answer to {operation.method} {operation.path}: {broken}")
        return 200, answered

    def _expand(self, place: Any, path: list[str]) -> None:
        """An id becomes the object."""
        if isinstance(place, list):
            for entry in place:
                self._expand(entry, path)
        elif isinstance(place, dict) and place.get(path[0]) is not None:
            value = place[path[0]]
            if isinstance(value, str):
                place[path[0]] = json.loads(json.dumps(self.world.objects[value], default=str))
            if path[1:]:
                self._expand(place[path[0]], path[1:])

    # --- the wire ---

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two packets: without this the second waits 40 ms for the first to be acknowledged.
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                try:
                    status, answered = outer.answer(self.command.lower(), self.path, body, self.headers)
                except Dropped:
                    self.close_connection = True
                    return
                except Exception as error:  # noqa: BLE001  the double's own mistake must not look like Stripe's
                    outer.violations.append(f"{self.command} {self.path}: {error!r}")
                    status, answered = 500, {"error": {"type": "api_error", "message": repr(error)}}
                with contextlib.suppress(ConnectionError):  # whoever asked was killed
                    self._write(status, json.dumps(answered).encode())

            def _write(self, status: int, raw: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.send_header("Request-Id", f"req_{time.monotonic_ns()}")
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_DELETE = _serve  # noqa: N815  the base class looks for these names

            def log_message(self, *args) -> None:
                pass

        return Handler


def _read(operation: Operation, query: str, body: str) -> Object:
    if operation.v2 and body:
        params: Object = json.loads(body)
        contract.check(params, operation.params)
        return params
    if operation.v2 and "page=" in query:  # an address of Stripe's own making, which the SDK only follows
        rest = [(name, value) for name, value in parse_qsl(query) if name != "page"]
        return operation.read(urlencode(rest), body) | {"page": dict(parse_qsl(query))["page"]}
    return operation.read(query, body)


def _refused(kind: str) -> tuple[int, Object]:
    if kind == "drop_before":
        raise Dropped
    status, kind_of, message, code = REFUSALS[kind]
    return status, {"error": {"type": kind_of, "message": message, **({"code": code} if code else {})}}
