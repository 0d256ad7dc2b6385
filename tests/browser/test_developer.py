"""A developer in a real browser: a key that is made, used, seen in the log and rotated; a webhook that arrives."""

from __future__ import annotations

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import expect

WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SOON_MS = 15_000


class Receiver(ThreadingHTTPServer):
    """A customer's server: answers as it is told, and keeps what it was sent."""

    answer = 200

    def __init__(self, port: int) -> None:
        self.got: list[bytes] = []
        super().__init__(("127.0.0.1", port), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        body = b"thank you" if self.server.answer < 300 else b"not today"
        self.send_response(self.server.answer)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver(live_stack) -> Generator[Receiver, None, None]:
    server = Receiver(live_stack.receivers[5])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(live_stack, key: str, path: str = "/v1/models") -> httpx.Response:
    return httpx.get(live_stack.url + path, headers={"Authorization": f"Bearer {key}"}, trust_env=False)


def made(person) -> str:
    return person.get_by_label("API key", exact=True).input_value()


def reload_until(person, locator) -> None:
    """The log is a few seconds behind the answers."""
    for _ in range(20):
        person.reload()
        if locator.count():
            break
        person.wait_for_timeout(500)
    expect(locator.first).to_be_visible()


def test_a_key_is_made_used_seen_in_the_log_and_rotated(person, live_stack):
    person.goto(f"{live_stack.url}/keys")
    person.get_by_label("Name").fill("render farm")
    person.get_by_label("It may spend at most").fill("5")
    person.get_by_role("button", name="Create key").click()
    key = made(person)
    answer = ask(live_stack, key)
    assert answer.status_code == 200

    person.get_by_role("link", name="back to the keys").click()
    expect(person.get_by_text("$0.00 of $5.00 spent")).to_be_visible()
    expect(person.get_by_text("from 127.0.0.1")).to_be_visible()

    person.get_by_role("link", name="Requests").click()
    person.get_by_label("Request id").fill(answer.headers["X-Request-Id"])
    person.get_by_role("button", name="Show").click()
    line = person.get_by_role("link", name="GET /v1/models")
    reload_until(person, line)
    line.click()
    expect(person.get_by_text(answer.headers["X-Request-Id"])).to_be_visible()
    person.get_by_role("link", name="render farm").click()

    person.get_by_label("The old key works on").select_option("For an hour")
    person.get_by_role("button", name="Make the new key").click()
    new = made(person)
    expect(person.get_by_text("works until")).to_be_visible()
    assert [ask(live_stack, text).status_code for text in (key, new)] == [200, 200]

    person.get_by_role("link", name="back to the keys").click()
    old = person.get_by_role("listitem").filter(has_text=f"…{key[-4:]}")
    old.get_by_text("Revoke", exact=False).first.click()
    old.get_by_role("button", name="Revoke this key").click()
    assert [ask(live_stack, text).status_code for text in (key, new)] == [401, 200]


def test_a_webhook_is_added_tested_seen_and_sent_again(person, live_stack, receiver):
    person.goto(f"{live_stack.url}/webhooks")
    person.get_by_label("Address").fill(f"http://127.0.0.1:{receiver.server_port}/hook")
    person.get_by_label("Everything").check()
    person.get_by_role("button", name="Add endpoint").click()
    assert person.get_by_label("Secret").input_value().startswith("whsec_")
    person.get_by_role("link", name="to the endpoint").click()

    receiver.answer = 500
    person.get_by_role("button", name="Send a test message").click()
    expect(person.get_by_text("not today").first).to_be_visible(timeout=SOON_MS)  # it came by itself
    receiver.answer = 200
    expect(person.get_by_text("thank you")).to_be_visible(timeout=SOON_MS)
    expect(person.locator(".badge", has_text="Delivered")).to_be_visible(timeout=SOON_MS)
    assert len(receiver.got) == 2

    person.get_by_role("button", name="Send it again").click()
    expect(person.get_by_text("thank you")).to_have_count(2, timeout=SOON_MS)
    assert len(receiver.got) == 3
    person.get_by_role("link", name="Back to the endpoint").click()
    expect(person.get_by_role("row").filter(has_text="Test message")).to_have_count(1)


def test_the_explorer_sends_a_real_request_and_keeps_no_key(person, live_stack, account, complaints):
    person.goto(f"{live_stack.url}/explorer")
    person.get_by_label("API key", exact=True).fill(account["api_key"])
    person.get_by_role("button", name="Send").click()
    expect(person.get_by_text("200 OK")).to_be_visible()
    expect(person.locator("#answer")).to_contain_text('"wan-2.2-s2v"')
    expect(person.locator("#answer .tok-key").first).to_be_visible()
    kept = person.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert account["api_key"] not in kept
    assert account["api_key"] not in person.locator("#curl").inner_text()

    person.get_by_label("Operation").focus()
    person.keyboard.press("ArrowDown")  # chooses, and goes nowhere
    assert person.url.endswith("/explorer")
    person.get_by_label("Operation").select_option("createQuote")
    person.get_by_role("button", name="Show").click()
    expect(person.get_by_role("heading", name="price")).to_be_visible()
    assert person.url.endswith("?operation=createQuote")
    assert person.get_by_label("API key", exact=True).input_value() == account["api_key"]
    person.get_by_label("API key", exact=True).fill("")
    person.get_by_label("Body, in JSON").fill("{")
    person.get_by_role("button", name="Send").click()
    expect(person.get_by_text("This is no JSON")).to_be_visible()
    person.get_by_label("Body, in JSON").fill("{}")
    person.get_by_role("button", name="Send").click()
    expect(person.get_by_text("401 Unauthorized")).to_be_visible()
    complaints.clear()  # the browser counts a refusal among its errors


def test_the_same_as_curl_is_what_was_sent(person, live_stack):
    person.goto(f"{live_stack.url}/explorer?operation=listJobs")
    person.get_by_label("limit").fill("3")
    shown = person.locator("#curl").inner_text()
    assert "/v1/jobs?limit=3'" in shown
    assert "$VOICEREEL_KEY" in shown


def test_the_developers_pages_fit_a_small_telephone(person, live_stack, account, receiver):
    person.set_viewport_size({"width": 360, "height": 740})
    ask(live_stack, account["api_key"], "/v1/jobs/00000000-0000-0000-0000-000000000000/receipt")
    for path in ("/keys", "/webhooks", "/explorer?operation=createJob", "/requests"):
        person.goto(live_stack.url + path)
        assert person.evaluate(WIDE) <= 0, path
    reload_until(person, person.get_by_role("link", name="GET /v1/jobs"))
    assert person.evaluate(WIDE) <= 0
