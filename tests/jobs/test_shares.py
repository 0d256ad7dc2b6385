"""Links to a video: who makes them, who sees what by one, and when one ends."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from jobs.models import Share
from jobs.submit import submit
from tests.jobs import drive

PROMPT = "A secret campaign"


@pytest.fixture
def job(org, caller):
    """A finished video of Acme."""
    drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org, PROMPT))
    drive.run_all()
    return job


@pytest.fixture
def share(job, alice_browser):
    """Makes a link as a person does; its path."""

    def make(**fields) -> str:
        page = alice_browser.post(f"/jobs/{job.pk}/shares", {"days": "7", **fields})
        assert page.status_code == 200, page.headers
        return re.search(r'value="http://[^/]+(/s/[^"]+)"', page.content.decode())[1]

    return make


@pytest.fixture
def stranger():
    return Client()


def watches(client: Client, link: str) -> bool:
    """Whether the link leads all the way to bytes of a film."""
    answer = client.get(f"{link}/video")
    return answer.status_code == 302 and client.get(answer["Location"]).status_code in {200, 302}


def test_a_stranger_watches_by_the_link_and_learns_nothing_else(share, stranger, org, job):
    link = share(title="Our summer film")
    page = stranger.get(link)
    body = page.content.decode()
    assert page.status_code == 200
    assert "<h1>Our summer film</h1>" in body
    assert watches(stranger, link)
    assert page["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in page["Cache-Control"]
    file = stranger.get(f"{link}/video")["Location"]
    for internal in (PROMPT, org.name, "alice", str(job.pk), str(org.pk), "wan-2.2"):
        assert internal not in body
        assert internal not in file


def test_what_others_show_of_the_link_works_without_a_session(share, stranger):
    link = share(title='A "quoted" film')
    body = stranger.get(link).content.decode()
    assert '<meta property="og:title" content="A &quot;quoted&quot; film">' in body
    assert '<meta name="twitter:card" content="summary_large_image">' in body
    poster = re.search(r'og:image" content="http://testserver([^"]+)"', body)[1]
    answer = Client().get(poster)
    assert answer.status_code == 302
    assert Client().get(answer["Location"]).status_code in {200, 302}


def test_the_token_is_nowhere_in_the_database(share):
    token = share(password="a long secret").removeprefix("/s/")
    with connection.cursor() as cursor:
        cursor.execute("SELECT jobs_share::text FROM jobs_share")
        row = cursor.fetchone()[0]
        cursor.execute("SELECT string_agg(accounts_auditentry::text, '') FROM accounts_auditentry")
        row += cursor.fetchone()[0]
    assert token not in row
    assert "a long secret" not in row


def test_a_link_ends_by_itself(share, stranger):
    link = share(days="1")
    assert watches(stranger, link)
    Share.objects.update(expires_at="2026-01-01T00:00:00Z")
    for path in (link, f"{link}/video", f"{link}/poster"):
        answer = stranger.get(path)
        assert answer.status_code == 410
        assert b"This link has ended" in answer.content


def test_a_link_never_outlives_its_video(share, job):
    video = job.assets.get(role="video")
    video.expires_at = timezone.now() + timedelta(days=10)
    video.save()
    share(days="90")
    video.refresh_from_db()
    assert Share.objects.get().expires_at <= video.expires_at


def test_a_revoked_link_opens_nothing_more(share, stranger, alice_browser, job):
    link, other = share(), share()
    made = Share.objects.order_by("id").first()
    assert watches(stranger, link)
    answer = alice_browser.post(f"/jobs/{job.pk}/shares/{made.pk}/revoke", follow=True)
    assert b"The link no longer works." in answer.content
    assert stranger.get(f"{link}/video").status_code == 410
    assert stranger.get(link).status_code == 410
    assert watches(stranger, other)


def test_a_deleted_video_is_gone_by_its_link(share, stranger, alice_browser, job):
    link = share()
    alice_browser.post(f"/jobs/{job.pk}/delete")
    assert stranger.get(link).status_code == 410
    assert stranger.get(f"{link}/video").status_code == 410


def test_a_video_whose_time_is_over_is_gone_by_its_link(share, stranger, job):
    link = share()
    job.assets.update(deleted_at="2026-01-01T00:00:00Z")
    assert stranger.get(link).status_code == 410


def test_a_suspended_organization_shows_nothing(share, stranger, org):
    link = share()
    org.suspended_at = "2026-01-01T00:00:00Z"
    org.save()
    assert stranger.get(link).status_code == 410


def test_a_made_up_link_opens_nothing(stranger, share):
    link = share()
    for path in ("/s/nonsense", link[:-1], f"{link[:-1]}/video"):
        answer = stranger.get(path)
        assert answer.status_code == 404
        assert b"There is no video here" in answer.content


def test_a_password_is_asked_for_before_anything_is_seen(share, stranger):
    link = share(password="open sesame", title="Only for us")
    page = stranger.get(link)
    assert b"This video has a password" in page.content
    assert b"Only for us" not in page.content
    assert b"og:" not in page.content
    assert stranger.get(f"{link}/video").status_code == 403
    assert stranger.get(f"{link}/poster").status_code == 403

    wrong = stranger.post(link, {"password": "open barley"})
    assert wrong.status_code == 422
    assert b"That is not the password" in wrong.content
    assert not watches(stranger, link)

    assert stranger.post(link, {"password": "open sesame"}).status_code == 302
    assert b"Only for us" in stranger.get(link).content
    assert watches(stranger, link)
    assert not watches(Client(), link)


def test_one_password_opens_one_link(share, stranger):
    mine, other = share(password="open sesame"), share(password="open barley")
    stranger.post(mine, {"password": "open sesame"})
    held = next(iter(stranger.cookies.values())).value
    name = f"share-{Share.objects.order_by('-id').first().pk.hex}"
    stranger.cookies[name] = held
    assert watches(stranger, mine)
    assert not watches(stranger, other)


def test_a_password_is_not_guessed(share, stranger):
    link = share(password="open sesame")
    tries = [stranger.post(link, {"password": f"guess {n}"}).status_code for n in range(11)]
    assert tries == [422] * 10 + [429]
    answer = stranger.post(link, {"password": "open sesame"})
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert b"Try again in" in answer.content
    elsewhere = Client(REMOTE_ADDR="198.51.100.7")
    assert elsewhere.post(link, {"password": "open sesame"}).status_code == 302


def test_views_are_counted_and_shown_to_its_people(share, stranger, alice_browser, job):
    link = share(title="Counted")
    for _ in range(3):
        stranger.get(link)
    assert b"3 views" in alice_browser.get(f"/jobs/{job.pk}").content


def test_making_and_revoking_are_in_the_audit_log(share, alice_browser, job, alice):
    share(password="open sesame")
    made = Share.objects.get()
    for _ in range(2):
        alice_browser.post(f"/jobs/{job.pk}/shares/{made.pk}/revoke")
    entries = AuditEntry.objects.filter(target_id=str(made.pk)).order_by("id")
    assert [entry.action for entry in entries] == ["share.make", "share.revoke"]
    assert {entry.actor_user for entry in entries} == {alice}
    assert entries[0].after["password"] is True


def test_what_cannot_be_shared_is_refused_in_its_form(alice_browser, job):
    given = {"days": "30", "title": "For the board", "password": "abc"}
    weak = alice_browser.post(f"/jobs/{job.pk}/shares", given)
    assert weak.status_code == 422
    form = re.search(r'(?s)<section[^>]* id="share".*?</section>', weak.content.decode())[0]
    assert '<details class="folded" open>' in form
    assert 'value="For the board"' in form
    assert re.search(r'<input type="password"[^>]* value="abc"[^>]* autofocus', form)
    assert '<option value="30" selected>' in form
    assert re.search(r"(?s)errorlist.*at least 6 characters", form)
    forever = alice_browser.post(f"/jobs/{job.pk}/shares", {"days": "9999"})
    assert b"9999 is not one of the available choices" in forever.content
    assert alice_browser.get(f"/jobs/{job.pk}/shares")["Location"] == f"/jobs/{job.pk}#share"
    job.assets.update(deleted_at="2026-01-01T00:00:00Z")
    gone = alice_browser.post(f"/jobs/{job.pk}/shares", {"days": "7"})
    assert b"There is no video to share." in gone.content
    assert not Share.objects.exists()


def test_a_video_has_only_so_many_links(share, alice_browser, job):
    for _ in range(20):
        share()
    more = alice_browser.post(f"/jobs/{job.pk}/shares", {"days": "7"}, follow=True)
    assert b"revoke one first" in more.content
    assert Share.objects.count() == 20
