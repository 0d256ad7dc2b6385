"""Signing up, in and out, as a browser does it."""

from __future__ import annotations

import re
import uuid

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts import members
from accounts.models import Member, Organization, Role, User
from billing import ledger
from tests.world import PASSWORD, make_user, signed_in

NEW = {"email": "Frank@New.example", "password1": PASSWORD, "password2": PASSWORD}


def sign_up(client: Client, **more):
    return client.post("/accounts/signup/", NEW | more)


def test_a_new_person_gets_an_organization_and_owns_it(db):
    client = Client()
    response = sign_up(client, organization="Frank & Co")
    assert response.status_code == 302
    member = Member.objects.get()
    assert (member.user.email, member.role) == ("frank@new.example", "owner")
    assert (member.organization.name, member.organization.slug) == ("Frank & Co", "frank-co")


def test_without_a_name_the_organization_is_named_for_the_person(db):
    sign_up(Client())
    assert Organization.objects.get().name == "frank's workspace"


def test_two_organizations_of_one_name_get_two_slugs(org):
    sign_up(Client(), organization="Acme")
    slugs = list(Organization.objects.order_by("created_at").values_list("slug", flat=True))
    assert slugs[0] == "acme"
    assert re.fullmatch(r"acme-[0-9a-f]{8}", slugs[1])


def test_an_invited_person_joins_and_gets_no_organization_of_their_own(caller, org):
    _, token = members.invite(caller, "frank@new.example", Role.DEVELOPER)
    client = Client()
    page = client.get(reverse("invitation", args=[token]))
    assert b"Join Acme" in page.content
    form = client.get("/accounts/signup/").content.decode()
    assert re.search(r'<input[^>]* name="email"[^>]* value="frank@new.example"[^>]* disabled', form)
    assert 'name="organization"' not in form
    assert f"/accounts/login/?next=/invitations/{token}" in form
    sign_up(client, email="somebody@else.example", organization="Mine")
    assert Organization.objects.get() == org
    assert Member.objects.get(user__email="frank@new.example").role == "developer"


def test_an_invitation_is_laid_aside(caller, org):
    _, token = members.invite(caller, "dana@acme.example", Role.DEVELOPER)
    client = Client()
    client.get(reverse("invitation", args=[token]))
    client.get("/accounts/signup/?without=invitation")
    sign_up(client)
    assert not org.members.filter(user__email="frank@new.example").exists()
    assert Organization.objects.count() == 2


def test_an_invitation_that_ended_meanwhile_gives_no_place_and_says_so(caller, org):
    invitation, token = members.invite(caller, "frank@new.example", Role.DEVELOPER)
    client = Client()
    client.get(reverse("invitation", args=[token]))
    members.revoke(caller, invitation)
    page = client.post("/accounts/signup/", NEW, follow=True)
    assert b"ask for an invitation to this address" in page.content
    assert not org.members.filter(user__email="frank@new.example").exists()


def test_an_invitation_to_another_address_says_for_whom_it_is(caller, bob):
    _, token = members.invite(caller, "dana@acme.example", Role.DEVELOPER)
    page = signed_in(bob).get(reverse("invitation", args=[token])).content
    assert b"You are signed in as bob@acme.example, for whom it is not" in page
    assert b">Join</button>" not in page


def test_a_signed_in_person_joins_by_the_mailed_link(alice_browser, org):
    alice_browser.post("/members", {"email": "dana@acme.example", "role": "viewer"})
    link = re.search(r"/invitations/\S+", mail.outbox[0].body)[0]
    client = Client()
    client.force_login(make_user("dana@acme.example"), backend="django.contrib.auth.backends.ModelBackend")
    response = client.post(link)
    assert response.status_code == 302
    assert org.members.get(user__email="dana@acme.example").role == "viewer"


def test_an_invitation_that_cannot_be_mailed_is_handed_over_by_hand(alice_browser, org, monkeypatch):
    def broken(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr(mail.EmailMultiAlternatives, "send", broken)
    page = alice_browser.post("/members", {"email": "dana@acme.example", "role": "viewer"}, follow=True)
    assert b"could not be sent" in page.content
    link = re.search(r"/invitations/[\w-]+", page.content.decode())[0]
    assert b"Join Acme" in Client().get(link).content


def test_an_invitation_that_does_not_exist_is_404(db):
    assert Client().get("/invitations/nonsense").status_code == 404


@pytest.mark.parametrize("password", ["short", "password1234", "8462915370"])
def test_a_weak_password_is_refused(db, password):
    response = sign_up(Client(), password1=password, password2=password)
    assert response.status_code == 200
    assert not User.objects.exists()


def test_the_address_is_known_in_any_case(alice):
    response = Client().post("/accounts/login/", {"login": "ALICE@acme.example", "password": PASSWORD})
    assert response.status_code == 302


def test_a_wrong_password_stays_outside_and_says_so(alice):
    response = Client().post("/accounts/login/", {"login": alice.email, "password": "wrong"})
    assert response.status_code == 200
    assert b"not correct" in response.content


def test_a_failed_welcome_leaves_neither_person_nor_organization(db, settings):
    settings.ORGANIZATION_CREATED = ["tests.accounts.test_signup.refuse"]
    with pytest.raises(RuntimeError):
        sign_up(Client())
    assert not User.objects.exists()
    assert not Organization.objects.exists()


def refuse(organization: Organization) -> None:
    raise RuntimeError


def test_a_forgotten_password_is_replaced_by_a_mailed_link(alice, org):
    client = Client()
    client.post("/accounts/password/reset/", {"email": alice.email})
    link = re.search(r"http://[^/]+(/accounts/password/reset/key/\S+)", mail.outbox[0].body)[1]
    page = client.get(link, follow=True)
    assert b"Choose a new password" in page.content
    new = "an even better battery"
    client.post(page.redirect_chain[-1][0], {"password1": new, "password2": new})
    assert Client().login(email=alice.email, password=new)


def test_signing_out_needs_a_post(alice_browser):
    assert b"Sign out?" in alice_browser.get("/accounts/logout/").content
    assert "_auth_user_id" in alice_browser.session
    alice_browser.post("/accounts/logout/")
    assert "_auth_user_id" not in alice_browser.session


def test_a_new_organization_starts_with_the_welcome_credit(db, settings):
    settings.SIGNUP_CREDIT_USD = "0.50"
    sign_up(Client())
    assert ledger.balance(Organization.objects.get()).available_micros == 500_000


NOBODY_LISTENS = {
    "default": {"BACKEND": "accounts.cache.CalmRedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
}


def test_people_get_in_while_redis_is_away(alice, org, settings):
    settings.CACHES = NOBODY_LISTENS
    wrong = Client().post("/accounts/login/", {"login": alice.email, "password": "wrong"})
    assert (wrong.status_code, b"not correct" in wrong.content) == (200, True)
    right = Client().post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert right.status_code == 302


def test_guessing_passwords_is_slowed_down(db):
    # A person of their own: the count outlives the test.
    guess = {"login": make_user(f"{uuid.uuid4().hex}@acme.example").email, "password": "wrong"}
    answers = [Client().post("/accounts/login/", guess, REMOTE_ADDR="203.0.113.77") for _ in range(8)]
    assert b"Too many failed" in answers[-1].content
