"""The console's page of one organization: its figures are those of the books, and what is written there stays."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts import keys
from accounts.errors import OrganizationSuspended
from accounts.models import AuditEntry, Note, User
from billing import quotas
from billing.models import Alert, Limits
from jobs.models import Job
from jobs.submit import submit
from tests.jobs import drive
from tests.world import PASSWORD, at_console, make_key

QUERIES = 12


def page(org, what: str = "") -> str:
    return f"/console/accounts/organization/{org.pk}/{what}"


def words(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


@pytest.fixture
def busy(org, caller):
    """Acme has money, a film and one that waits."""
    drive.fund(org)
    drive.fake_route(org)
    submit(caller, drive.request(org))
    drive.run_all()
    submit(caller, drive.request(org))
    return org


def test_a_new_organization_has_a_page(console, org):
    answer = console.get(page(org))
    assert answer.status_code == 200
    assert "No notes yet" in words(answer)
    assert "alice@acme.example Owner" in words(answer)
    assert f'href="{page(org)}"' in console.get("/console/accounts/organization/").text


def test_it_tells_what_an_organization_has_and_uses(console, busy, bob, key):
    Limits.objects.create(organization=busy, monthly_budget_micros=7_000_000, running=9, queued=40)
    Alert.objects.create(
        organization=busy, kind="budget", month="2026-01-01", percent=80, limit_micros=5, found_micros=4
    )
    quotas.forget()
    found = words(console.get(page(busy)))
    assert "Available $19.76" in found
    assert "Held for jobs $0.12" in found
    assert "Revenue, ever $0.12" in found
    assert "Running jobs 0 9" in found
    assert "Waiting jobs 1 40" in found
    assert re.search(r"Spent this month \$0\.24 \$7\.00", found)
    assert "bob@acme.example Developer" in found
    assert "works $0.00 none" in found
    assert "Share of the budget used: 80 % $0.000004 of $0.000005" in found
    for job in Job.objects.all():
        assert str(job.pk) in found


def test_it_costs_few_queries_however_much_there_is(console, busy, caller, alice, operator):
    costs = []
    for _ in range(2):
        quotas.forget()
        with CaptureQueriesContext(connection) as asked:
            assert console.get(page(busy)).status_code == 200
        costs.append(len(asked))
        for n in range(5):
            make_key(busy, by=alice)
            Note.objects.create(organization=busy, author=operator, text=f"note {n}")
        submit(caller, drive.request(busy))
    assert costs[0] == costs[1] <= QUERIES


def test_an_operator_suspends_and_resumes_with_a_reason(console, operator, org, key):
    assert console.post(page(org, "suspend/"), {"reason": ""}).status_code == 422
    assert keys.authenticate(key, None).organization == org
    for reason in ("Stolen card.", "Again."):  # the second changes nothing
        assert console.post(page(org, "suspend/"), {"reason": reason}).status_code == 302
    with pytest.raises(OrganizationSuspended):
        keys.authenticate(key, None)
    assert "Lift the suspension" in words(console.get(page(org)))
    console.post(page(org, "resume/"), {"reason": "The bank was wrong."})
    assert keys.authenticate(key, None).organization == org
    found = AuditEntry.objects.for_org(org).filter(target_id=str(org.pk), actor_user=operator)
    assert [(e.action, e.before, e.after, bool(e.address)) for e in found.order_by("id")] == [
        (
            "organization.suspend",
            {"suspended": False},
            {"suspended": True, "reason": "Stolen card."},
            True,
        ),
        (
            "organization.resume",
            {"suspended": True},
            {"suspended": False, "reason": "The bank was wrong."},
            True,
        ),
    ]
    assert "Stolen card." in words(console.get(page(org)))


def test_a_note_keeps_its_author_and_is_never_changed(console, operator, org):
    assert console.post(page(org, "note/"), {"text": " "}).status_code == 422
    console.post(page(org, "note/"), {"text": "Asked for <b>more</b> room."})
    note = Note.objects.for_org(org).get()
    assert "Asked for &lt;b&gt;more&lt;/b&gt; room." in console.get(page(org)).text
    assert (note.author, note.text) == (operator, "Asked for <b>more</b> room.")
    entry = AuditEntry.objects.for_org(org).get(action="organization.note")
    assert (entry.actor_user, entry.after) == (operator, {"text": note.text})
    for change in (lambda: Note.objects.update(text="x"), lambda: Note.objects.all().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_who_may_only_look_changes_nothing(org):
    looker = User.objects.create_user("looker@voicereel.example", PASSWORD, is_staff=True)
    console = at_console(looker)
    assert console.get(page(org)).status_code == 403
    looker.user_permissions.add(Permission.objects.get(codename="view_organization"))
    answer = console.get(page(org))
    assert answer.status_code == 200
    assert "Keep the note" not in answer.text
    assert [console.post(page(org, what)).status_code for what in ("note/", "suspend/", "resume/")] == [
        403
    ] * 3


def test_strangers_and_what_is_not_there(console, alice_browser, org, caller):
    assert alice_browser.get(page(org)).status_code == 302
    assert (
        console.get("/console/accounts/organization/00000000-0000-4000-8000-000000000000/").status_code == 404
    )
    assert console.get(page(org, "suspend/")).status_code == 405
