"""The same order once more, as it was or with changes; and what a video's page tells of its order."""

from __future__ import annotations

import json
import re

import pytest

from jobs.cancel import cancel
from jobs.gallery import drop
from jobs.models import Asset, Job
from jobs.submit import submit
from tests.jobs import drive
from tests.jobs.test_views import text


@pytest.fixture
def job(org, caller):
    """One of Acme that was canceled."""
    drive.fund(org)
    drive.fake_route(org)
    order = drive.request(org, "A calm newsreader", tags=("spring",), options={"seed": 7})
    return cancel(caller, submit(caller, order))


def form_of(page) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(quote|key)" value="([^"]+)"', page.content.decode()))


def test_the_price_is_known_before_and_pressing_twice_orders_once(alice_browser, job):
    page = alice_browser.get(f"/jobs/{job.pk}/again")
    assert "Order for $0.12" in text(page)
    for _ in range(2):
        answer = alice_browser.post(f"/jobs/{job.pk}/again", form_of(page))
    made = Job.objects.exclude(pk=job.pk).get()
    assert answer["Location"] == f"/jobs/{made.pk}"
    assert (made.quoted_micros, made.options, made.tags) == (120_000, job.options, ["spring"])
    assert {role: given["asset"] for role, given in made.inputs.items()} == {
        role: given["asset"] for role, given in job.inputs.items()
    }


def test_without_a_price_that_was_shown_nothing_is_ordered(alice_browser, job):
    for quote in ("", "made up"):
        answer = alice_browser.post(f"/jobs/{job.pk}/again", {"quote": quote, "key": "k"})
        assert answer.status_code == 409
        assert "Order for $0.12" in text(answer)
    assert Job.objects.count() == 1


def test_what_cannot_be_ordered_says_why(alice_browser, job):
    drop(Asset.objects.filter(pk=job.inputs["audio"]["asset"]))
    answer = alice_browser.get(f"/jobs/{job.pk}/again")
    assert answer.status_code == 409
    assert "Order for" not in text(answer)
    assert "audio" in text(answer)
    assert f"/studio/wan-2.2-s2v?from={job.pk}" in answer.content.decode()
    assert "This file has been deleted." in text(alice_browser.get(f"/jobs/{job.pk}"))


def test_the_studio_is_filled_in_like_the_job(alice_browser, charlie_browser, job):
    address = f"/studio/wan-2.2-s2v?from={job.pk}"
    page = alice_browser.get(address).content.decode()
    given = json.loads(re.search(r'<script id="given"[^>]*>(.*?)</script>', page)[1])
    assert {role: file["id"] for role, file in given.items()} == {
        role: source["asset"] for role, source in job.inputs.items()
    }
    assert "A calm newsreader</textarea>" in page
    assert re.search(r'id="option-seed"[^>]* value="7"', page)
    assert charlie_browser.get(address).status_code == 404
    assert alice_browser.get("/studio/wan-2.2-s2v?from=x").status_code == 404


def test_the_page_tells_what_the_video_is_made_from_and_of_its_receipt(alice_browser, job):
    page = alice_browser.get(f"/jobs/{job.pk}")
    assert "Picture Voice 0:04" in text(page)
    assert "Rate $0.03 a second Promised at most $0.12 Charged $0.00, since there is no video" in text(page)
    for address in re.findall(r'<(?:img|audio)[^>]* src="(/files/[^"]+)"', page.content.decode()):
        assert alice_browser.get(address).status_code in {200, 302}


def test_tags_and_stars_on_a_videos_own_page(alice_browser, job):
    alice_browser.post(f"/jobs/{job.pk}/tags", {"tag": "summer"})
    page = alice_browser.get(f"/jobs/{job.pk}").content.decode()
    assert re.findall("Take off ([a-z]+)", page) == ["spring", "summer"]
    page = alice_browser.post(f"/jobs/{job.pk}/tags", {"off": "spring"}, follow=True)
    assert Job.objects.get(pk=job.pk).tags == ["summer"]
    assert "Take off spring" not in page.content.decode()
    assert "between 1 and 64" in text(alice_browser.post(f"/jobs/{job.pk}/tags", {"tag": " "}, follow=True))
    alice_browser.post(f"/jobs/{job.pk}/star")
    assert 'aria-pressed="true"' in alice_browser.get(f"/jobs/{job.pk}").content.decode()
