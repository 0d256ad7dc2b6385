"""Copies of data and deletions: what is in the one, what is left of the other, and that neither is lost."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest
from django.conf import settings as configured
from django.core import mail
from django.db import connection
from django.test import Client

from accounts import audit, keys, members
from accounts.errors import KeyRevoked
from accounts.models import AuditEntry, Member, Organization, Role, User
from billing import ledger_check
from jobs import erasing, exports, notices, storage, sweep, webhooks
from jobs.models import Asset, Attempt, Job
from jobs.personal import DataExport, Erasure
from jobs.submit import submit
from tests.jobs import drive
from tests.world import PASSWORD, caller_for, make_key, make_member, signed_in

PROMPT = "A secret campaign"


def sure(user: User) -> Client:
    """A browser of somebody who has just shown who they are."""
    client = signed_in(user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def work() -> None:
    """What the sweeper wakes of all this, until nothing is due."""
    tasks = {
        "jobs.export": exports.build,
        "jobs.erase": erasing.erase,
        "jobs.stop_all": erasing.stop_all,
        "jobs.tell_export": notices.tell_export,
        "jobs.tell_erasure": notices.tell_erasure,
        "jobs.tell_ended": notices.tell_ended,
    }
    for _ in range(10):
        woken = [wakeup for wakeup in sweep.due() if wakeup[0] in tasks]
        for task, pk in woken:
            tasks[task](pk)
        if not woken:
            return
    pytest.fail(f"still due: {woken}")


def everything(*tables: str) -> str:
    """All rows of all tables, or of these, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = tables or [name for (name,) in cursor.fetchall()]
        text = []
        for name in names:
            cursor.execute(f'SELECT "{name}"::text FROM "{name}"')
            text += [f"{name} {row}" for (row,) in cursor.fetchall()]
    return "\n".join(text)


def objects(prefix: object) -> list[str]:
    return storage.backend().under(str(prefix))


@pytest.fixture
def film(org, caller) -> Job:
    drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org, PROMPT, tags=("campaign",)))
    drive.run_all()
    job.refresh_from_db()
    return job


@pytest.fixture
def at_once(settings) -> None:
    settings.ERASURE_GRACE_DAYS = 0


# --- copies ---


def lines(archive: zipfile.ZipFile, name: str) -> list[dict]:
    return [json.loads(line) for line in archive.read(f"{name}.jsonl").decode().splitlines()]


def fetched(browser: Client, page: str = "/settings/privacy") -> zipfile.ZipFile:
    link = re.search(r"/settings/privacy/copies/[0-9a-f-]+", browser.get(page).content.decode())[0]
    order = DataExport.objects.get(pk=link.rpartition("/")[2])
    assert browser.get(link).status_code == 302
    return zipfile.ZipFile(io.BytesIO(storage.open(order.key).read()))


def test_an_organizations_copy_holds_its_rows_and_files_and_no_secret(
    alice_browser, org, film, other_org, operator
):
    text = make_key(org)
    webhooks.add(caller_for(org, film.user), url="https://customer.example/hook")
    audit.record("organization.resume", by=operator, target=org, organization=org)
    page = alice_browser.post("/settings/privacy/organization/copy", follow=True)
    assert b"being made" in page.content
    work()
    letter = mail.outbox[-1]
    assert (letter.to, "is ready" in letter.body) == (["alice@acme.example"], True)
    archive = fetched(alice_browser)
    assert lines(archive, "jobs")[0]["options"]["prompt"] == PROMPT
    assert {row["user__email"] for row in lines(archive, "members")} == {"alice@acme.example"}
    assert lines(archive, "webhooks")[0]["url"] == "https://customer.example/hook"
    assert sum(row["amount_micros"] for row in lines(archive, "transfers")) > 0
    packed = {
        name.split("/")[1]: archive.getinfo(name).file_size for name in archive.namelist() if "files/" in name
    }
    live = Asset.objects.live().filter(organization=org)
    assert packed == {str(asset.pk): asset.bytes for asset in live}
    whole = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".jsonl")).decode()
    for secret in (text, operator.email, "umbra", "sealed", "digest", "cost_micros"):
        assert secret not in whole.lower()


def test_files_that_are_too_much_together_stay_out_and_the_copy_says_so(alice_browser, film, settings):
    settings.EXPORT_FILES_BYTES = 10
    alice_browser.post("/settings/privacy/organization/copy")
    work()
    archive = fetched(alice_browser)
    assert not [name for name in archive.namelist() if name.startswith("files/")]
    assert "not in here" in archive.read("README.txt").decode()


def test_a_persons_copy_is_theirs_alone(alice_browser, alice, bob, film):
    bobs = signed_in(bob)
    bobs.post("/settings/privacy/copy")
    work()
    archive = fetched(bobs)
    assert lines(archive, "you")[0]["email"] == bob.email
    assert lines(archive, "jobs") == []
    order = DataExport.objects.get()
    for other in (alice_browser, Client()):
        assert other.get(f"/settings/privacy/copies/{order.pk}").status_code in {302, 404}
    assert alice_browser.get(f"/settings/privacy/copies/{order.pk}").status_code == 404


def test_one_copy_is_made_at_a_time_and_ends(alice_browser, org, film):
    alice_browser.post("/settings/privacy/organization/copy")
    page = alice_browser.post("/settings/privacy/organization/copy", follow=True)
    assert b"being made already" in page.content
    work()
    order = DataExport.objects.get()
    DataExport.objects.update(expires_at="2026-01-01T00:00:00Z")
    exports.expire()
    assert not storage.exists(order.key)
    assert alice_browser.get(f"/settings/privacy/copies/{order.pk}").status_code == 404


def test_a_copy_whose_maker_died_is_made_by_another(alice_browser, film, monkeypatch):
    alice_browser.post("/settings/privacy/organization/copy")
    order = DataExport.objects.get()

    def die(*_, **__):
        raise SystemExit  # as a killed process: nothing is tidied up

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put", die)
        with pytest.raises(SystemExit):
            exports.build(str(order.pk))
    exports.build(str(order.pk))  # still leased: nobody else is at it
    assert DataExport.objects.get().status == "waiting"
    DataExport.objects.update(lease_until="2026-01-01T00:00:00Z")
    work()
    assert DataExport.objects.get().status == "ready"


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER, Role.BILLING])
def test_only_leaders_copy_and_only_owners_delete(org, role):
    browser = sure(make_member(org, "erin@acme.example", role))
    assert b"Delete your account" in browser.get("/settings/privacy").content
    assert browser.post("/settings/privacy/organization/copy").status_code == 403
    assert browser.post("/settings/privacy/organization/delete", {"name": org.name}).status_code == 403
    admin = sure(make_member(org, "adam@acme.example", Role.ADMIN))
    page = admin.post("/settings/privacy/organization/delete", {"name": org.name}, follow=True)
    assert b"Only an owner" in page.content
    assert not Erasure.objects.exists()


# --- an organization's end ---


def test_what_stops_at_once_and_what_comes_back(org, alice, caller, film, key):
    share = signed_in(alice).post(f"/jobs/{film.pk}/shares", {"days": "7"})
    link = re.search(r'value="http://[^/]+(/s/[^"]+)"', share.content.decode())[1]
    waiting = submit(caller, drive.request(org))
    browser = sure(alice)
    wrong = browser.post("/settings/privacy/organization/delete", {"name": "Acne"}, follow=True)
    assert b"That is not its name" in wrong.content
    page = browser.post("/settings/privacy/organization/delete", {"name": "Acme"}, follow=True)
    assert b"is deleted on" in page.content
    work()
    with pytest.raises(KeyRevoked):
        keys.authenticate(key, None)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.charged_micros) == ("canceled", 0)
    assert Client().get(link).status_code == 410
    assert browser.get(f"/jobs/{film.pk}").status_code == 200
    assert browser.post("/keys", {"name": "x", "scopes": ["jobs:read"]}).status_code == 403
    assert ["will be deleted" in letter.subject for letter in mail.outbox] == [True]
    assert objects(org.pk)

    browser.post("/settings/privacy/organization/keep")
    org.refresh_from_db()
    assert (org.closing_at, org.suspended_at) == (None, None)
    assert Client().get(link).status_code == 200
    Erasure.objects.update(due_at="2026-01-01T00:00:00Z")
    work()
    assert objects(org.pk)


def test_after_it_no_object_and_no_word_of_the_organization_is_left(
    org, alice, bob, film, other_org, charlie, at_once
):
    keep = drive.asset(other_org, "image")
    webhooks.add(caller_for(org, alice), url="https://customer.example/hook")
    members.invite(caller_for(org, alice), "dana@acme.example", Role.VIEWER)
    exports.ask(caller_for(org, alice))
    work()
    attempt = Attempt.objects.filter(job=film).first()
    storage.put(f"work/{attempt.pk}/left.bin", drive.SAMPLES / "portrait.jpg", content_type="image/jpeg")
    assert objects(org.pk)
    charged = film.charged_micros
    mail.outbox.clear()

    browser = sure(alice)
    browser.post("/settings/privacy/organization/delete", {"name": "Acme"})
    work()

    order = Erasure.objects.get()
    assert order.status == "done"
    assert objects(org.pk) == objects(f"work/{attempt.pk}") == []
    assert order.files > 3
    assert storage.exists(keep.key)
    about = everything()
    for word in (PROMPT, "Acme", "campaign", "customer.example/hook", "dana@acme.example"):
        assert word not in about
    film.refresh_from_db()
    assert (film.charged_micros, film.model, film.user) == (charged, "wan-2.2-s2v", None)
    assert list(ledger_check.check()) == []
    assert not Member.objects.filter(organization=org).exists()
    assert [letter.to for letter in mail.outbox if "was deleted" in letter.subject] == [[alice.email]]
    assert order.letters == []
    assert browser.get("/settings/profile").status_code == 200
    assert Organization.objects.get(pk=org.pk).name == "Deleted organization"


def test_it_cannot_be_called_off_once_it_has_begun(org, alice, film, at_once, monkeypatch):
    order = erasing.close(caller_for(org, alice))
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "_delete_rows", _die)
        with pytest.raises(SystemExit):
            erasing.erase(str(order.pk))
    assert objects(org.pk) == []
    assert sure(alice).post("/settings/privacy/organization/keep", follow=True).status_code == 200
    order.refresh_from_db()
    assert order.status == "erasing"
    Erasure.objects.update(lease_until="2026-01-01T00:00:00Z")  # the dead process' claim runs out
    work()
    order.refresh_from_db()
    assert order.status == "done"
    assert PROMPT not in everything("jobs_job", "jobs_jobevent")


def _die(*_):
    raise SystemExit


def test_it_waits_for_a_job_that_cannot_be_stopped(org, alice, caller, film, at_once):
    running = submit(caller, drive.request(org))
    Job.objects.filter(pk=running.pk).update(status="running")
    order = erasing.close(caller_for(org, alice))
    erasing.erase(str(order.pk))
    order.refresh_from_db()
    assert (order.status, order.tries) == ("scheduled", 1)
    assert Asset.objects.filter(organization=org).exists()


def test_who_owes_pays_first(org, alice, film):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_account SET balance_micros = -5000000 WHERE organization_id = %s AND kind = %s",
            [org.pk, "available"],
        )
    page = sure(alice).post("/settings/privacy/organization/delete", {"name": "Acme"}, follow=True)
    assert b"5.00" in page.content
    assert not Erasure.objects.exists()


def test_an_operators_suspension_outlives_a_deletion_that_was_called_off(org, alice):
    org.suspended_at = "2026-01-01T00:00:00Z"
    org.save()
    browser = sure(alice)
    browser.post("/settings/privacy/organization/delete", {"name": "Acme"})
    browser.post("/settings/privacy/organization/keep")
    org.refresh_from_db()
    assert org.suspended_at is not None
    assert org.closing_at is None


# --- a person's end ---


def test_a_person_is_forgotten_and_what_they_did_stays_nameless(org, alice, bob, film, at_once):
    audit.record("webhook.create", by=caller_for(org, bob), target=org)
    AuditEntry.objects.filter(actor_user=bob).exists()
    browser = sure(bob)
    page = browser.post("/settings/privacy/delete", {"email": bob.email}, follow=True)
    assert b"deleted on" in page.content
    work()
    assert "bob@acme" not in everything().replace("django_session", "")
    bob.refresh_from_db()
    assert not bob.is_active
    assert not Member.objects.filter(user=bob).exists()
    assert AuditEntry.objects.filter(actor_user=bob, action="webhook.create").exists()
    assert browser.get("/settings/profile").status_code == 302
    again = Client().post("/accounts/login/", {"login": "bob@acme.example", "password": PASSWORD})
    assert again.status_code == 200
    assert [letter.to for letter in mail.outbox if "was deleted" in letter.subject] == [["bob@acme.example"]]


def test_a_lone_owners_organization_goes_along(org, alice, film, at_once):
    page = sure(alice)
    assert b"is deleted with it" in page.get("/settings/privacy").content
    page.post("/settings/privacy/delete", {"email": alice.email})
    work()
    assert objects(org.pk) == []
    assert "alice@acme" not in everything()
    assert set(Erasure.objects.values_list("status", flat=True)) == {"done"}


def test_the_last_owner_of_others_hands_over_first_and_an_operator_stays(org, alice, bob, operator):
    page = sure(alice).post("/settings/privacy/delete", {"email": alice.email}, follow=True)
    assert b"would have no owner" in page.content
    page = sure(operator).post("/settings/privacy/delete", {"email": operator.email}, follow=True)
    assert b"You are an operator here" in page.content
    assert not Erasure.objects.exists()


def test_a_person_changes_their_mind(org, alice, bob, settings):
    browser = sure(bob)
    browser.post("/settings/privacy/delete", {"email": bob.email})
    browser.post("/settings/privacy/keep")
    Erasure.objects.update(due_at="2026-01-01T00:00:00Z")
    work()
    bob.refresh_from_db()
    assert bob.is_active
    assert configured.ERASURE_GRACE_DAYS == 7


def test_a_deletion_asks_again_who_it_is(org, alice):
    page = signed_in(alice).post("/settings/privacy/organization/delete", {"name": "Acme"})
    assert page["Location"].startswith("/accounts/reauthenticate/")
    assert not Erasure.objects.exists()
