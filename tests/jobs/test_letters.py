"""Every letter that leaves the house, by what causes it: to whom, one line of subject, and the same in text and HTML."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from html import unescape

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from accounts.models import User
from billing import alerts
from jobs import notices, webhooks
from jobs.models import Job, WebhookEndpoint
from jobs.personal import JobLetter
from jobs.submit import submit
from tests.jobs import drive
from tests.jobs.test_erasing import sure, work
from tests.world import PASSWORD, caller_for, signed_in

NAME = 'Films & "Sons"'
# Letters to an address are counted, and the count outlives the test.
NEWCOMER = f"{uuid.uuid4().hex}@acme.example"


@pytest.fixture
def house(org, alice):
    """Acme under a name that is awkward in HTML; Alice has confirmed her address."""
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    org.name = NAME
    org.save()
    drive.fund(org)
    drive.fake_route(org)
    return org


def filmed(house, prompt: str = "") -> Job:
    alice = User.objects.get(email="alice@acme.example")
    User.objects.update(letters_when_finished=True)
    job = submit(caller_for(house, alice), drive.request(house, prompt))
    drive.run_all()
    work()
    return job


def confirm(house) -> None:
    form = {"email": NEWCOMER, "password1": PASSWORD, "password2": PASSWORD}
    Client().post("/accounts/signup/", form)


def reset(house) -> None:
    Client().post("/accounts/password/reset/", {"email": "alice@acme.example"})


def change_password(house) -> None:
    browser = sure(User.objects.get(email="alice@acme.example"))
    new = "an even better battery"
    browser.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})


def invite(house) -> None:
    browser = signed_in(User.objects.get(email="alice@acme.example"))
    browser.post("/members", {"email": "dana@acme.example", "role": "viewer"})


def look_for_money(house, field: str, usd: str) -> None:
    browser = signed_in(User.objects.get(email="alice@acme.example"))
    browser.post("/billing/alerts", {"budget": "", "low_balance": "", field: usd})
    submit(caller_for(house, User.objects.get(email="alice@acme.example")), drive.request(house))
    alerts.look()


def disable(house) -> None:
    alice = User.objects.get(email="alice@acme.example")
    endpoint, _ = webhooks.add(caller_for(house, alice), url="https://customer.example/hook")
    WebhookEndpoint.objects.update(
        enabled=False,
        disabled_reason="gone",
        disabled_at="2026-01-01T00:00:00Z",
        tell_at="2026-01-01T00:00:00Z",
    )
    notices.tell_disabled(str(endpoint.pk))


def copy(house) -> None:
    signed_in(User.objects.get(email="alice@acme.example")).post("/settings/privacy/organization/copy")
    work()


def close(house) -> None:
    browser = sure(User.objects.get(email="alice@acme.example"))
    browser.post("/settings/privacy/organization/delete", {"name": NAME})
    work()


LETTERS: dict[str, tuple[Callable, str, str, str]] = {
    # what causes it, to whom, what its subject and its text say
    "confirm": (confirm, NEWCOMER, "Confirm", "/accounts/confirm-email/"),
    "reset": (reset, "alice@acme.example", "Password", "/accounts/password/reset/key/"),
    "password": (change_password, "alice@acme.example", "Password Changed", "change your password at once"),
    "invitation": (invite, "dana@acme.example", f"Join {NAME}", "/invitations/"),
    "finished": (filmed, "alice@acme.example", "Your video is finished", "/jobs/"),
    "failed": (
        lambda house: filmed(house, "[fake fail=face_not_found]"),
        "alice@acme.example",
        "could not be made",
        "Nothing was charged",
    ),
    "budget": (
        lambda house: look_for_money(house, "budget", "0.05"),
        "alice@acme.example",
        NAME,
        "of this month's budget",
    ),
    "balance": (
        lambda house: look_for_money(house, "low_balance", "1000"),
        "alice@acme.example",
        NAME,
        "/billing",
    ),
    "webhook": (disable, "alice@acme.example", NAME, "customer.example/hook"),
    "copy": (copy, "alice@acme.example", "copy of your data is ready", "/settings/privacy"),
    "closing": (close, "alice@acme.example", "will be deleted", "call it off"),
}


@pytest.mark.parametrize("kind", LETTERS)
def test_a_letter(house, kind):
    cause, to, subject, words = LETTERS[kind]
    cause(house)
    [letter] = mail.outbox
    assert letter.to == [to]
    assert subject in letter.subject
    assert "\n" not in letter.subject
    assert letter.body.startswith("Hello,\n\n")
    assert words in letter.body
    assert not re.search(r"{[{%]", letter.body)
    [(html, content_type)] = letter.alternatives
    assert content_type == "text/html"
    assert 'role="article"' in html
    assert not re.search(r"<(img|link|script)|src=", html)
    assert NAME not in html  # as HTML must write it
    plain = unescape(re.sub(r"<[^>]+>", " ", html))
    assert words.rstrip("/") in plain + " ".join(re.findall(r'href="([^"]+)"', html))
    page = re.search(r"https?://(?!customer)\S+", letter.body)  # that a password was changed leads nowhere
    assert page is None or page[0].rstrip(".") in unescape(html)


def test_letters_about_jobs_are_asked_for(house, alice, caller):
    submit(caller, drive.request(house))
    drive.run_all()
    work()
    assert mail.outbox == []
    assert not JobLetter.objects.exists()


def test_a_letter_about_a_job_that_could_not_be_sent_is_sent_once_later(house, monkeypatch):
    def away(*_):
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(mail.EmailMultiAlternatives, "send", away)
        with pytest.raises(ConnectionRefusedError):
            filmed(house)
    work()
    assert mail.outbox == []  # put off
    JobLetter.objects.update(tell_at="2026-01-01T00:00:00Z")
    work()
    work()
    assert len(mail.outbox) == 1
