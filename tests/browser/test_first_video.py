"""From the sign-in form to a playing video, in a real browser against the whole platform."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.rest import SAMPLES, Customer

RENDERED_MS = 90_000
LATER = re.compile("Looking at|Rendering|Joining|Saving|Ready")
# Promises, since our policy forbids the page the strings that playwright's wait_for_function evaluates.
DURATION = """video => new Promise((done, failed) => {
    if (video.readyState >= 1) return done(video.duration);
    video.addEventListener('loadedmetadata', () => done(video.duration));
    video.addEventListener('error', () => failed(video.error.message));
})"""
PLAYED = """async video => {
    video.muted = true;
    await video.play();
    await new Promise(done => video.addEventListener('timeupdate', () => video.currentTime > 0 && done()));
    return video.currentTime;
}"""


def test_a_person_signs_in_sees_a_job_become_ready_and_plays_it(person, live_stack, account):
    person.goto(f"{live_stack.url}/jobs")
    expect(person.get_by_role("heading", name="Make your first video")).to_be_visible()
    with Customer(live_stack.url, account["api_key"]) as customer:
        customer.submit(customer.samples(), prompt="A calm newsreader")
    row = person.get_by_role("row", name="A calm newsreader")  # it came by itself
    expect(row.get_by_text(LATER)).to_be_visible(timeout=RENDERED_MS)  # and went on by itself
    row.get_by_role("link", name="A calm newsreader").first.click()
    person.evaluate("document.querySelector('audio').heard = true")
    person.get_by_label("New tag").fill("half a w")
    person.get_by_role("link", name="Log").focus()
    video = person.locator("#stage video")
    with person.expect_response(re.compile("poster"), timeout=RENDERED_MS):
        expect(video).to_be_visible(timeout=RENDERED_MS)  # and so did the page
    # which was not loaded anew: what was played, typed and held is as it was
    assert person.evaluate("document.querySelector('audio').heard")
    assert person.get_by_label("New tag").input_value() == "half a w"
    expect(person.get_by_role("link", name="Log")).to_be_focused()
    expect(person.locator(".bar .balance")).to_have_text(re.compile(r"\$19\.61$"))
    assert video.evaluate(DURATION) == pytest.approx(12.7, abs=0.6)
    assert video.evaluate(PLAYED) > 0
    expect(person.get_by_text("$0.39 charged")).to_be_visible()
    with person.expect_download() as download:
        person.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".mp4")


def test_a_newcomer_signs_up_makes_a_key_and_runs_the_example(page, live_stack, tmp_path):
    page.goto(live_stack.url)
    page.get_by_role("link", name="Make a video").click()
    page.get_by_label("Email").fill("newcomer@example.com")
    page.get_by_label("Organization").fill("Newcomers")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_label("Password (again)").fill("correct horse battery")
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("link", name="Videos").click()
    expect(page.get_by_role("heading", name="Make your first video")).to_be_visible()
    live_stack.sql("UPDATE accounts_organization SET tier = 'gold' WHERE name = 'Newcomers'")
    give_credit(live_stack, "Newcomers")
    example = page.locator("#example").inner_text()

    page.get_by_role("link", name="API keys", exact=True).first.click()
    page.get_by_label("Name").fill("my first script")
    page.get_by_role("button", name="Create key").click()
    key = page.get_by_label("API key", exact=True).input_value()

    script = tmp_path / "first.py"
    script.write_text(example.replace("vr_…", key))
    for name in ("portrait.jpg", "speech.wav"):
        (tmp_path / name).write_bytes((SAMPLES / name).read_bytes())
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert re.fullmatch(r"http://\S+\.mp4\n", done.stdout), done.stdout + done.stderr

    page.goto(f"{live_stack.url}/gallery")
    expect(page.get_by_role("main").get_by_role("link").get_by_text("Ready")).to_be_visible()


def give_credit(live_stack, name: str) -> None:
    live_stack.manage(
        "shell",
        "-c",
        "from django.db import transaction; from accounts.models import Organization; from billing import ledger\n"
        f"with transaction.atomic(): ledger.grant(Organization.objects.get(name={name!r}), 20_000_000, "
        f"reference={name!r}, reason='test')",
    )
