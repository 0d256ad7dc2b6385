"""The door of the console, and what its long lists have in common."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import audit
from accounts.models import AuditEntry, User
from tests.world import PASSWORD, signed_in

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(secret: str = SECRET) -> str:
    return format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))


def sign_in(client: Client, user: User):
    return client.post("/accounts/login/?next=/console/", {"login": user.email, "password": PASSWORD})


def test_a_stranger_is_sent_to_the_products_own_sign_in(db):
    answer = Client().get("/console/accounts/user/", follow=True)
    assert [urlsplit(url).path for url, _ in answer.redirect_chain] == ["/console/login/", "/accounts/login/"]


@pytest.mark.parametrize("path", ["/console/", "/console/accounts/user/", "/console/billing/proposal/add/"])
def test_a_customer_is_refused(alice_browser, path):
    answer = alice_browser.get(path, follow=True)
    assert answer.status_code == 403


def test_staff_without_a_second_factor_are_asked_to_set_one_up(operator):
    answer = signed_in(operator).get("/console/", follow=True)
    assert "/accounts/2fa/totp/activate/" in [urlsplit(url).path for url, _ in answer.redirect_chain]


def test_a_second_factor_that_this_session_never_used_is_asked_for(operator):
    TOTP.activate(operator, SECRET)
    browser = signed_in(operator)
    answer = browser.get("/console/", follow=True)
    assert urlsplit(answer.redirect_chain[-1][0]).path == "/accounts/2fa/reauthenticate/"
    wrong = browser.post("/accounts/2fa/reauthenticate/?next=/console/", {"code": "000000"})
    assert wrong.status_code == 200
    assert browser.get("/console/").status_code == 302
    browser.post("/accounts/2fa/reauthenticate/?next=/console/", {"code": code()})
    assert browser.get("/console/").status_code == 200


def test_the_whole_way_in(operator):
    TOTP.activate(operator, SECRET)
    browser = Client()
    assert urlsplit(sign_in(browser, operator).url).path == "/accounts/2fa/authenticate/"
    assert browser.get("/console/").status_code == 302, "half a sign-in is none"
    browser.post("/accounts/2fa/authenticate/", {"code": code()})
    assert browser.get("/console/").status_code == 200


def test_the_first_operator_sets_the_factor_up_and_is_in(operator):
    browser = Client()
    sign_in(browser, operator)
    asked = browser.get("/console/", follow=True)
    assert urlsplit(asked.redirect_chain[-1][0]).path == "/accounts/reauthenticate/"
    form = browser.post(asked.redirect_chain[-1][0], {"password": PASSWORD}, follow=True)
    assert urlsplit(form.redirect_chain[-1][0]).path == "/accounts/2fa/totp/activate/"
    secret = browser.session["mfa.totp.secret"]
    browser.post("/accounts/2fa/totp/activate/", {"code": code(secret)})
    # the code just used opens nothing else; the next one does
    again = browser.get("/console/", follow=True)
    assert urlsplit(again.redirect_chain[-1][0]).path == "/accounts/2fa/reauthenticate/"
    recovery = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES).wrap().get_unused_codes()[0]
    browser.post("/accounts/2fa/reauthenticate/?next=/console/", {"code": recovery})
    assert browser.get("/console/").status_code == 200


def test_second_factors_are_sealed_at_rest(operator):
    TOTP.activate(operator, SECRET)
    assert SECRET not in str(Authenticator.objects.get().data)


def test_who_is_no_staff_any_more_is_out_at_once(console, operator):
    assert console.get("/console/").status_code == 200
    User.objects.filter(pk=operator.pk).update(is_staff=False)
    assert console.get("/console/").status_code == 302


# --- long lists ----------------------------------------------------------------------------------------------


@pytest.fixture
def entries(org, alice) -> list[int]:
    """120 entries of the record, oldest first, beside those that making the organization left."""
    made = [audit.record("test.entry", by=alice, target=org, organization=org).pk for _ in range(120)]
    return [*AuditEntry.objects.filter(pk__lt=made[0]).order_by("pk").values_list("pk", flat=True), *made]


def page(console: Client, path: str) -> tuple[list[int], str | None]:
    """The keys of the rows shown, and the link to older ones."""
    html = console.get(path).content.decode()
    keys = [int(found) for found in re.findall(r"/console/accounts/auditentry/(\d+)/change/", html)]
    older = re.search(r'rel="next" href="([^"]+)"', html)
    return keys, older and older[1].replace("&amp;", "&")


def test_every_row_is_on_one_page(console, entries):
    seen, path = [], "/console/accounts/auditentry/"
    while path:
        keys, older = page(console, path)
        seen += dict.fromkeys(keys)
        path = older and "/console/accounts/auditentry/" + older
    assert seen == sorted(set(entries) | set(AuditEntry.objects.values_list("pk", flat=True)), reverse=True)


def test_pages_keep_the_filter_and_the_search(console, entries, org):
    _, older = page(console, "/console/accounts/auditentry/?action=test.entry&q=acme")
    assert {"action": ["test.entry"], "q": ["acme"]}.items() <= parse_qs(older.removeprefix("?")).items()


def test_a_page_never_counts_nor_skips(console, entries):
    _, older = page(console, "/console/accounts/auditentry/")
    with CaptureQueriesContext(connection) as asked:
        console.get("/console/accounts/auditentry/" + older)
    sql = " ".join(query["sql"] for query in asked if "accounts_auditentry" in query["sql"]).upper()
    assert "OFFSET" not in sql
    assert "COUNT(" not in sql
    assert len(asked) <= 12


def test_a_made_up_page_is_no_error(console, entries):
    assert console.get("/console/accounts/auditentry/?after=x").status_code == 302


@pytest.mark.parametrize("word", ["acme", "Acme", "ACME"])
def test_a_search_finds_the_organizations_rows(console, entries, other_org, word):
    found, _ = page(console, f"/console/accounts/auditentry/?q={word}")
    assert found
    assert set(found) <= set(
        AuditEntry.objects.filter(organization__slug="acme").values_list("pk", flat=True)
    )


def test_a_search_for_an_id_finds_the_row(console, entries, org):
    assert page(console, f"/console/accounts/auditentry/?q={entries[7]}")[0] == [entries[7]]
    assert page(console, f"/console/accounts/auditentry/?q={org.pk}")[0]
    assert page(console, "/console/accounts/auditentry/?q=nothing-of-the-kind")[0] == []


def test_the_side_bar_names_every_page(console):
    html = console.get("/console/").content.decode()
    for path in ("accounts/organization/", "jobs/job/", "billing/transfer/", "providers/route/"):
        assert f'href="/console/{path}"' in html
