"""What a receiver gets: the documented body, once at the end, with the same id on every try."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.test.utils import override_settings

from jobs.models import Delivery
from tests.dialects.inferencesh.test_tasks import problem
from tests.jobs import drive

# As the vendor's page shows it; the sample's 9 is the number that COMPLETED had before January 2026.
DOCUMENTED = {"id", "status", "output", "error", "session_id", "created_at", "updated_at"}


class Receiver:
    """Keeps what is posted and answers with `statuses` in turn, then with 200."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], dict]] = []
        self.statuses: list[int] = []
        self.server = HTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((dict(self.headers), json.loads(body)))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args) -> None:
                pass

        return Handler

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver():
    found = Receiver()
    with override_settings(FETCH_ALLOW_HOSTS=[f"127.0.0.1:{found.server.server_address[1]}"]):
        yield found
    found.close()


def deliver() -> None:
    assert drive.tell()


def test_a_finished_video_is_told(infsh, inputs, receiver):
    name = infsh.ran(inputs, webhook=receiver.url)["id"]
    drive.run_all()
    deliver()
    ((headers, told),) = receiver.got
    assert set(told) == DOCUMENTED
    assert headers["Content-Type"] == "application/json"
    assert (told["id"], told["status"], told["error"], told["session_id"]) == (name, 10, "", None)
    assert told["output"] == infsh.task(name)["output"]
    assert Delivery.objects.get().status == Delivery.Status.DELIVERED


def test_failures_and_cancels_are_told(infsh, inputs, receiver):
    infsh.ran({**inputs, "prompt": "[fake fail=face_not_found]"}, webhook=receiver.url)
    drive.run_all()
    deliver()
    Delivery.objects.all().delete()
    name = infsh.ran(inputs, webhook=receiver.url)["id"]
    infsh.post(f"/tasks/{name}/cancel")
    deliver()
    (_, failed), (_, cancelled) = receiver.got
    assert (failed["status"], failed["output"]) == (11, None)
    assert failed["error"].startswith("face_not_found: ")
    assert (cancelled["id"], cancelled["status"]) == (name, 12)


def test_a_second_try_has_the_same_id_and_body(infsh, inputs, receiver):
    receiver.statuses = [503]
    infsh.ran(inputs, webhook=receiver.url)
    drive.run_all()
    deliver()
    delivery = Delivery.objects.get()
    Delivery.objects.update(due_at=delivery.created_at)
    deliver()
    (first, one), (second, other) = receiver.got
    assert first["webhook-id"] == second["webhook-id"] == delivery.id.hex
    assert one == other


def test_a_private_receiver_is_refused(infsh, inputs):
    assert problem(infsh.run(inputs, webhook="http://127.0.0.1:9/hook")) == (400, "validation_error")
    assert not Delivery.objects.exists()
