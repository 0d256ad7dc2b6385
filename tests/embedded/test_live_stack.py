"""The process tree of `manage.py up`, from the outside."""

from __future__ import annotations

import gzip
import urllib.request


def test_answers_and_finds_its_organizations(live_stack):
    with urllib.request.urlopen(f"{live_stack.url}/readyz") as answer:
        assert answer.status == 200
    made = live_stack.create_org("Acme", credit_usd=20)
    assert made["api_key"].startswith("vr_")
    assert live_stack.sql("SELECT count(*) FROM accounts_organization WHERE name = %s", "Acme") == [(1,)]


def test_scripts_and_styles_are_sent_packed(live_stack):
    asked = urllib.request.Request(
        f"{live_stack.url}/static/js/studio/main.js", headers={"Accept-Encoding": "gzip"}
    )
    with urllib.request.urlopen(asked) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"class Studio" in gzip.decompress(answer.read())


def test_a_killed_process_comes_back(live_stack):
    old = live_stack.kill("worker")
    assert live_stack.wait_restarted("worker", old) != old
    assert "worker | ended with -9; starts again in" in live_stack.logs()
