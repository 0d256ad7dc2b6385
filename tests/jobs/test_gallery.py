"""The gallery: what it shows, how it is narrowed, and what is done with several videos at once."""

from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, Role
from jobs import browse, packing, storage
from jobs.models import Asset, Job
from jobs.submit import submit
from jobs.types import least_id
from jobs.views import gallery
from tests.jobs import drive
from tests.jobs.test_views import text
from tests.world import make_member, signed_in

HTMX = {"HX-Request": "true"}
QUERIES = 10


@pytest.fixture
def start(org, caller):
    """Submits a job of Acme, as Alice or whoever is named."""
    drive.fund(org)
    drive.fake_route(org)
    return lambda prompt="", by=caller, **fields: submit(by, drive.request(org, prompt, **fields))


@pytest.fixture
def many(org, alice):
    """Rows of finished jobs without the work, oldest first; newer than any that was made before."""
    made_before = 0

    def made(*prompts: str, **fields) -> list[Job]:
        nonlocal made_before
        stands = {
            "organization": org,
            "user": alice,
            "dialect": "rest",
            "model": "wan-2.2-s2v",
            "status": "succeeded",
            "inputs": {},
            "deadline_at": timezone.now(),
            **fields,
        }
        first = timezone.now() + timedelta(seconds=made_before)
        made_before += len(prompts)
        return Job.objects.bulk_create(
            Job(id=least_id(first + timedelta(milliseconds=n)), options={"prompt": prompt}, **stands)
            for n, prompt in enumerate(prompts)
        )

    return made


@pytest.fixture
def films(many, org, tmp_path):
    """Finished jobs with these prompts and files that are theirs, as short as files are."""

    def made(*prompts: str) -> list[Job]:
        jobs = many(*prompts)
        for job in jobs:
            for role, ending in (("video", "mp4"), ("poster", "jpg")):
                row = Asset(organization=org, job=job, role=role, origin="output", status="ready")
                row.key = storage.new_key(org.pk, row.id, f"{role}.{ending}")
                row.filename = f"{role}.{ending}"
                content = tmp_path / "content"
                content.write_bytes(f"{role} of {job.pk}".encode() * 1000)
                storage.put(row.key, content, content_type="video/mp4")
                row.bytes = content.stat().st_size
                row.save(force_insert=True)
        return jobs

    return made


def names(response) -> list[str]:
    return re.findall(r'<span class="card-name">([^<]*)</span>', response.content.decode())


def test_a_card_shows_poster_state_price_length_and_how_long_it_is_kept(alice_browser, start):
    job = start("A calm newsreader")
    drive.run_all()
    page = alice_browser.get("/gallery")
    assert "0:04 A calm newsreader Ready $0.12" in text(page)
    assert "Kept for 29 more days" in text(page)
    body = page.content.decode()
    for address in re.findall(r'data-film="([^"]+)"', body) + re.findall(r'<img src="(/files[^"]+)"', body):
        assert alice_browser.get(address).status_code in {200, 302}
    assert re.search(r'data-film="/files/[^"]+preview', body)
    Asset.objects.filter(job=job).update(expires_at=timezone.now() + timedelta(hours=30, minutes=1))
    assert "Kept for 30 more hours" in text(alice_browser.get("/gallery"))


def test_cards_under_way_ask_how_they_are_until_they_have_ended(alice_browser, start):
    job = start("A calm newsreader")
    page = alice_browser.get("/gallery").content.decode()
    address = re.search(r'hx-get="(/gallery/news[^"]+)" hx-trigger="every 2s"', page)[1]
    assert address == f"/gallery/news?job={job.pk}"
    assert "every 2s" in alice_browser.get(address).content.decode()
    drive.run_all()
    ended = alice_browser.get(address)
    assert "Ready" in text(ended)
    assert f'id="card-{job.pk}" hx-swap-oob="true"' in ended.content.decode()
    assert "every 2s" not in ended.content.decode()


def test_scrolling_brings_all_videos_once_newest_first(alice_browser, many):
    many(*(f"film {n:03d}" for n in range(60)))
    seen, address = [], "/gallery"
    while address:
        page = alice_browser.get(address)
        seen += names(page)
        found = re.search(r'hx-get="(/gallery/more[^"]+)"', page.content.decode())
        address = found and found[1].replace("&amp;", "&")
    assert seen == [f"film {n:03d}" for n in reversed(range(60))]


@pytest.fixture
def mixed(many, org, caller):
    """Alice's film of last year and of today, Bob's, a failed one and one that waits. Bob."""
    bob = make_member(org, "bob@acme.example", Role.DEVELOPER)
    many("last year", model="emo-v1")
    at = timezone.now() - timedelta(days=365)
    Job.objects.update(id=least_id(at), created_at=at)
    garden, city = many("alice in the garden"), many("bob in the city", user=bob)
    many("this failed", status="failed")
    many("still waiting", status="queued")
    browse.tag(caller, [job.pk for job in (*garden, *city)], "spring")
    browse.tag(caller, [job.pk for job in city], "city")
    return bob


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"state": "failed"}, ["this failed"]),
        ({"state": "open"}, ["still waiting"]),
        ({"state": "ready"}, ["bob in the city", "alice in the garden", "last year"]),
        ({"model": "emo-v1"}, ["last year"]),
        ({"person": "bob"}, ["bob in the city"]),
        ({"tag": "spring"}, ["bob in the city", "alice in the garden"]),
        ({"tag": "spring", "person": "alice"}, ["alice in the garden"]),
        ({"until": "yesterday"}, ["last year"]),
        ({"since": "today", "state": "ready"}, ["bob in the city", "alice in the garden"]),
        ({"text": "GARDEN"}, ["alice in the garden"]),
        ({"text": "in the", "tag": "city"}, ["bob in the city"]),
        ({"text": "100%"}, []),
        ({"tag": "no such tag"}, []),
    ],
    ids=str,
)
def test_filters_narrow_each_other(alice_browser, mixed, alice, asked, found):
    people = {"alice": alice.pk, "bob": mixed.pk}
    days = {"today": timezone.now().date(), "yesterday": timezone.now().date() - timedelta(days=1)}
    asked = {name: people.get(value) or days.get(value) or value for name, value in asked.items()}
    page = alice_browser.get("/gallery", asked)
    assert names(page) == found
    if not found:
        assert "No such videos" in text(page)
    assert names(alice_browser.get("/gallery", asked, headers=HTMX)) == found


def test_a_wrong_filter_is_said_and_narrows_nothing(alice_browser, films):
    films("A calm newsreader")
    page = alice_browser.get("/gallery", {"since": "soon", "model": "no-such", "person": "x"})
    assert names(page) == ["A calm newsreader"]
    assert "Enter a valid date" in text(page)


def test_a_search_says_how_far_it_came_and_goes_on_from_there(alice_browser, many, monkeypatch):
    monkeypatch.setattr(browse, "LOOKED_THROUGH", 10)
    many(*(f"film {n:03d}" for n in range(25)))
    page = alice_browser.get("/gallery", {"text": "film 003"})
    assert names(page) == []
    assert "Search before" in text(page)
    found, address = [], "/gallery/more?text=film+003"
    for _ in range(3):
        page = alice_browser.get(address)
        found.append(names(page))
        following = re.search(r'hx-get="([^"]+)"', page.content.decode())
        address = following and following[1].replace("&amp;", "&")
    assert found == [[], [], ["film 003"]]
    assert address is None


def test_a_star_is_a_persons_own(alice_browser, org, films):
    job, _ = films("my best", "another")
    assert alice_browser.post(f"/jobs/{job.pk}/star").status_code == 302
    assert names(alice_browser.get("/gallery?favourites=on")) == ["my best"]
    assert alice_browser.get("/gallery").content.decode().count('aria-pressed="true"') == 1
    viewer = signed_in(make_member(org, "erin@acme.example", Role.VIEWER))
    assert names(viewer.get("/gallery?favourites=on")) == []
    star = alice_browser.post(f"/jobs/{job.pk}/star", headers=HTMX)
    assert 'aria-pressed="false"' in star.content.decode()
    assert names(alice_browser.get("/gallery?favourites=on")) == []


def test_tags_are_put_on_and_taken_off_many_at_once(alice_browser, api, films):
    jobs = films("one", "two", "three")
    chosen = {"job": [str(jobs[0].pk), str(jobs[1].pk)], "tag": "  summer   sale "}
    answer = alice_browser.post("/gallery/tags", chosen, headers=HTMX)
    assert "“summer sale” is put on 2 videos." in text(answer)
    assert answer.content.decode().count("hx-swap-oob") == 3
    alice_browser.post("/gallery/tags", chosen)  # twice is fine
    assert names(alice_browser.get("/gallery?tag=summer+sale")) == ["two", "one"]
    assert api.get(f"/v1/jobs/{jobs[0].pk}").json()["tags"] == ["summer sale"]
    assert "summer sale" in text(alice_browser.get("/gallery"))

    alice_browser.post("/gallery/tags", {"job": str(jobs[0].pk), "tag": "summer sale", "off": "1"})
    assert names(alice_browser.get("/gallery?tag=summer+sale")) == ["two"]
    assert api.get(f"/v1/jobs/{jobs[0].pk}").json()["tags"] == []


@pytest.mark.parametrize(("tag", "says"), [("", "between 1 and 64"), ("x" * 65, "between 1 and 64")])
def test_a_tag_that_is_none_is_refused(alice_browser, films, tag, says):
    [job] = films("one")
    answer = alice_browser.post("/gallery/tags", {"job": str(job.pk), "tag": tag}, headers=HTMX)
    assert says in text(answer)
    assert Job.objects.get(pk=job.pk).tags == []


def test_a_video_has_so_many_tags_and_no_more(alice_browser, start):
    job = start(tags=tuple(f"t{n}" for n in range(browse.MOST_TAGS)))
    answer = alice_browser.post("/gallery/tags", {"job": str(job.pk), "tag": "one more"}, follow=True)
    assert "20 tags at most" in text(answer)
    assert Job.objects.get(pk=job.pk).tags == [f"t{n}" for n in range(browse.MOST_TAGS)]


def test_deleting_many_leaves_those_under_way_and_says_so(alice_browser, films, start):
    gone = films("one", "two")
    waits = start("three")
    ids = {"job": [str(job.pk) for job in (*gone, waits)]}
    answer = alice_browser.post("/gallery/delete", ids, headers=HTMX)
    assert "2 videos deleted. 1 video under way: cancel first, then delete." in text(answer)
    assert answer.content.decode().count('hx-swap-oob="delete"') == 2
    assert names(alice_browser.get("/gallery")) == ["three"]
    assert not Asset.objects.live().filter(job__in=gone).exists()
    who = AuditEntry.objects.filter(action="job.delete").values_list("target_id", "actor_user__email")
    assert set(who) == {(str(job.pk), "alice@acme.example") for job in gone}


def unpacked(answer) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))


def test_the_chosen_are_downloaded_as_one_archive(alice_browser, films, org):
    jobs = films("A calm/../newsreader", "A calm/../newsreader", "not chosen")
    answer = alice_browser.post("/gallery/archive", {"job": [str(job.pk) for job in jobs[:2]]})
    assert answer["Content-Type"] == "application/zip"
    archive = unpacked(answer)
    assert archive.testzip() is None
    assert archive.namelist() == ["A-calm-newsreader.mp4", "A-calm-newsreader-2.mp4"]
    videos = Asset.objects.filter(job__in=jobs[:2], role="video").order_by("-job_id")
    for video, info in zip(videos, archive.infolist(), strict=True):
        assert info.compress_type == zipfile.ZIP_STORED
        with storage.open(video.key) as file:
            assert archive.read(info) == file.read()


@pytest.mark.parametrize("path", ["tags", "delete", "archive"])
def test_too_many_at_once_are_refused_as_a_whole(alice_browser, films, monkeypatch, path):
    monkeypatch.setattr(gallery, "MOST_CHOSEN", 2)
    chosen = {"job": [str(job.pk) for job in films("one", "two", "three")], "tag": "summer"}
    answer = alice_browser.post(f"/gallery/{path}", chosen, follow=True)
    assert "3 videos are chosen, and 2 go at once. Choose fewer." in text(answer)
    assert names(alice_browser.get("/gallery")) == ["three", "two", "one"]
    assert not Job.objects.exclude(tags=[]).exists()


def test_an_archive_goes_without_what_is_gone_meanwhile(alice_browser, films):
    jobs = films("one", "two")
    entries = [
        packing.Entry(f"{n}.mp4", video.key, video.bytes, video.created_at)
        for n, video in enumerate(Asset.objects.filter(role="video").order_by("pk"))
    ]
    storage.delete([entries[0].key])
    whole = zipfile.ZipFile(io.BytesIO(b"".join(packing.packed(entries))))
    assert whole.namelist() == ["1.mp4"]
    alice_browser.post(f"/jobs/{jobs[0].pk}/delete")
    alice_browser.post(f"/jobs/{jobs[1].pk}/delete")
    answer = alice_browser.post("/gallery/archive", {"job": str(jobs[0].pk)}, follow=True)
    assert "None of these has a video to download" in text(answer)


def test_an_archive_takes_no_more_memory_than_a_piece_of_it(monkeypatch):
    class Zeros(io.RawIOBase):
        left = 64 * 2**20

        def read(self, size=-1):
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    monkeypatch.setattr(storage, "open", lambda key: Zeros())
    entries = [packing.Entry(f"{n}.mp4", "k", 64 * 2**20, timezone.now()) for n in range(2)]
    tracemalloc.start()
    try:
        size = sum(map(len, packing.packed(entries)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 128 * 2**20
    assert peak < 4 * 2**20


def test_a_stranger_changes_and_gets_nothing(charlie_browser, alice_browser, films):
    [job] = films("A calm newsreader")
    for path in ("tags", "delete", "archive"):
        charlie_browser.post(f"/gallery/{path}", {"job": str(job.pk), "tag": "mine"})
    for address in ("/gallery", "/gallery/more", f"/gallery/news?job={job.pk}", "/gallery?text=calm"):
        assert "A calm newsreader" not in text(charlie_browser.get(address))
    assert charlie_browser.post(f"/jobs/{job.pk}/star").status_code == 404
    job.refresh_from_db()
    assert (job.tags, job.deleted_at) == ([], None)
    assert names(alice_browser.get("/gallery")) == ["A calm newsreader"]


def test_a_viewer_looks_and_downloads_but_changes_nothing(org, films):
    [job] = films("A calm newsreader")
    viewer = signed_in(make_member(org, "erin@acme.example", Role.VIEWER))
    page = viewer.get("/gallery").content.decode()
    assert "/gallery/archive" in page
    assert "/gallery/delete" not in page
    assert "Add tag" not in page
    assert viewer.post("/gallery/archive", {"job": str(job.pk)}).status_code == 200


def test_the_gallery_costs_the_same_however_much_there_is(alice_browser, many):
    many(*(f"film {n}" for n in range(40)))
    asked = {"text": "film", "state": "ready", "tag": "", "since": "2026-01-01"}
    with CaptureQueriesContext(connection) as cost:
        assert len(names(alice_browser.get("/gallery", asked))) == 24
    assert len(cost) <= QUERIES, [query["sql"] for query in cost]


def test_after_a_form_without_scripts_one_is_back_where_one_was(alice_browser, films):
    [job] = films("one")
    came = {"Referer": "http://testserver/gallery?state=ready"}
    answer = alice_browser.post(f"/jobs/{job.pk}/star", headers=came)
    assert answer["Location"] == "/gallery?state=ready"
    for elsewhere in ("https://evil.example/gallery", "javascript:alert(1)", "//evil.example"):
        answer = alice_browser.post(f"/jobs/{job.pk}/star", headers={"Referer": elsewhere})
        assert answer["Location"] == "/gallery"


def test_going_back_shows_the_whole_page_not_a_part(alice_browser, films):
    films("one")
    back = {**HTMX, "HX-History-Restore-Request": "true"}
    assert b"<html" in alice_browser.get("/gallery", headers=back).content
