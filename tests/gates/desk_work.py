"""The part of the furnished world that is made at the stack's desk: it runs there, with the stack's settings."""

from __future__ import annotations

import json
import time
from datetime import timedelta

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts import keys, members
from accounts.models import Role, User
from billing import alerts
from billing.models import TopUp
from jobs import shares
from jobs.models import Job
from jobs.requested import ApiRequest
from providers.models import ProviderAccount
from tests.world import PASSWORD, at_console, caller_for, make_member, signed_in

PEOPLE = {
    "admin": Role.ADMIN,
    "developer": Role.DEVELOPER,
    "bookkeeper": Role.BILLING,
    "viewer": Role.VIEWER,
}
OPERATOR = "operator@voicereel.example"
WEEK = timedelta(days=7)
USD = 1_000_000
HOUR = 3600


def furnish(owner_email: str, newcomer_email: str, job_id: str) -> None:
    """Prints {"names", "cookies", "console"} as its last line."""
    owner = User.objects.get(email=owner_email)
    org = owner.memberships.get().organization
    caller, now = caller_for(org, owner), timezone.now()
    people = [make_member(org, f"{name}@acme.example", role) for name, role in PEOPLE.items()]
    _, invitation = members.invite(caller, "soon@acme.example", Role.VIEWER)
    issued = {"scopes": ["jobs:read", "jobs:write"], "by": owner}
    key, _ = keys.issue(org, name="The web shop", spend_cap_micros=50 * USD, **issued)
    keys.issue(org, name="Last spring's campaign", expires_at=now + timedelta(days=2), **issued)
    old, _ = keys.issue(org, name="A key that is no more", **issued)
    keys.revoke(old, owner)
    alerts.set_plan(caller, budget_micros=100 * USD, low_balance_micros=10 * USD)
    paid = {"status": "paid", "paid_at": now, "waiting": False}
    TopUp.objects.create(organization=org, amount_micros=20 * USD, credited_micros=20 * USD, **paid)
    account = ProviderAccount.objects.create(organization=org, provider="fake", name="Our own account")
    job = Job.objects.get(pk=job_id)
    _, share = shares.make(caller, job, life=WEEK, title="Our summer film")
    _, locked = shares.make(caller, job, life=WEEK, title="For the board", password="a long secret")
    revoked, over = shares.make(caller, job, life=WEEK, title="Gone")
    shares.revoke(caller, revoked)
    request = ApiRequest.objects.create(
        organization=org,
        request_id="a-request",
        method="POST",
        path="/v1/jobs",
        status=402,
        code="insufficient_funds",
        duration_ms=12,
        at=now,
    )
    operator = User.objects.create_superuser(OPERATOR, PASSWORD)
    newcomer = User.objects.get(email=newcomer_email)
    careful, passkey = with_second_factors(people[1])
    told = {
        "names": {
            "passkey": str(passkey.pk),
            "invitation": invitation,
            "key": str(key.pk),
            "share": share,
            "locked": locked,
            "over": over,
            "request": str(request.pk),
            "organization": str(org.pk),
            "member": str(org.members.get(user=people[0]).pk),
            "account": str(account.pk),
        },
        "console": console_pages(),
        "cookies": {
            "owner": cookies(just_signed_in(owner)),
            "newcomer": cookies(just_signed_in(newcomer)),
            "careful": cookies(careful),
            "operator": cookies(at_console(operator)),
        },
    }
    print(json.dumps(told))


def with_second_factors(user: User) -> tuple[Client, Authenticator]:
    """The person's session; the passkey, which opens nothing."""
    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)
    credential = {"clientExtensionResults": {"credProps": {"rk": True}}}
    passkey = Authenticator.objects.create(
        user=user, type=Authenticator.Type.WEBAUTHN, data={"name": "My telephone", "credential": credential}
    )
    return just_signed_in(user), passkey


def console_pages() -> list[str]:
    """Every page of the console: its first, every list, one row of each and the blank forms."""
    request = RequestFactory().get("/")
    request.user = User.objects.get(email=OPERATOR)
    found = [reverse("admin:index"), reverse("admin:jobs_route_health")]
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        row = page.get_queryset(request).first()
        if row is not None:
            found.append(reverse(f"{name}_change", args=[row.pk]))
        if page.has_add_permission(request):
            found.append(reverse(f"{name}_add"))
    return found


def just_signed_in(user: User) -> Client:
    """By password, so that nothing asks for it again, however long the gate takes."""
    client = signed_in(user)
    session = client.session
    again = {"method": "password", "at": time.time() + HOUR, "reauthenticated": True}
    session["account_authentication_methods"] = [again]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()
    return client


def cookies(client: Client) -> dict[str, str]:
    return {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}
