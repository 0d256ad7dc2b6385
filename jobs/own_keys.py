"""A customer's own accounts at providers: their jobs are rendered there, for the platform's fee alone.

A price is agreed for the customer's accounts or for ours, and never moves between them: where the customer's account
refuses, the job fails and says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import audit
from accounts.tenancy import Caller
from jobs.dispatch import PICK_LOCK
from jobs.errors import Conflict, Invalid, NotFound
from jobs.models import Attempt
from jobs.states import ATTEMPT_OPEN
from providers import catalogue, errors, vault
from providers.base import Adapter
from providers.calls import call
from providers.models import ProviderAccount, Route
from providers.registry import adapter, adapter_class

MOST = 5
MOST_LETTERS = 512
ASK_SECONDS = 20
NAME_LETTERS = 64


def offered() -> dict[str, type[Adapter]]:
    """The providers at which a customer may have an account, by slug."""
    found = {slug: adapter_class(slug) for slug in settings.PROVIDERS}
    return {slug: kind for slug, kind in found.items() if kind.customers_keys}


def add(
    caller: Caller,
    *,
    provider: str,
    key: str,
    name: str = "",
    region: str = "",
    request: HttpRequest | None = None,
) -> ProviderAccount:
    """The key is sealed and never shown again. From now on new jobs go there. Raises Invalid and Conflict."""
    kind = offered().get(provider)
    if kind is None:
        known = ", ".join(offered())
        raise Invalid("provider_unknown", f"Providers that take accounts: {known}.", field="provider")
    key, name, region = key.strip(), name.strip()[:NAME_LETTERS] or provider, region.strip()
    if not key or len(key) > MOST_LETTERS or not key.isascii():
        raise Invalid("key_invalid", "Paste the key as the provider shows it.", field="key")
    regions = sorted({place for bounds in (kind.bounds or {}).values() for place in bounds.regions})
    if region and region not in regions:
        known = ", ".join(regions) or "none"
        raise Invalid("region_unknown", f"Regions of this provider: {known}.", field="region")
    own = listed(caller)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PICK_LOCK])
        if own.count() >= MOST:
            raise Conflict("provider_accounts_limit", f"{MOST} accounts at most; remove one first.")
        if own.filter(provider=provider, name=name).exists():
            raise Invalid("name_taken", "There is an account of this name already.", field="name")
        row = ProviderAccount(organization=caller.organization, provider=provider, name=name)
        row.settings = {"region": region} if region else {}
        vault.keep(row, key=key)
        row.save()
        for model in _models(kind):
            Route.objects.create(
                model=model, provider=provider, account=row, organization=caller.organization
            )
        _record("own_provider_account.add", caller, row, request)
    return row


def _models(kind: type[Adapter]) -> Iterator[str]:
    """Those of the catalogue that it makes."""
    return (slug for slug in catalogue.models() if kind.bounds is None or slug in kind.bounds)


def listed(caller: Caller) -> QuerySet[ProviderAccount]:
    return ProviderAccount.objects.filter(organization=caller.organization).order_by("pk")


def find(caller: Caller, account_id: int) -> ProviderAccount:
    row = listed(caller).filter(pk=account_id).first()
    if row is None:
        raise NotFound("provider_account_not_found", "There is no such account.")
    return row


def test(row: ProviderAccount) -> str:
    """What is wrong, in a sentence that says what to do; nothing where the provider takes the key."""
    try:
        call(ASK_SECONDS, adapter(row.provider, row.pk).verify)
    except errors.AccountRefused:
        return "The provider refused the key. Check that it is whole, valid and has credit."
    except (errors.ProviderError, TimeoutError):
        return "The provider did not answer. Try again in a minute."
    return ""


def remove(caller: Caller, row: ProviderAccount, *, request: HttpRequest | None = None) -> None:
    """The key is forgotten; new jobs are rendered and billed as usual. Conflict while jobs run there."""
    with transaction.atomic():
        # No dispatch between the look and the removal.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PICK_LOCK])
        if Attempt.objects.filter(account_id=row.pk, status__in=ATTEMPT_OPEN).exists():
            raise Conflict("account_in_use", "Jobs still run there. Wait for their end, or cancel them.")
        _record("own_provider_account.remove", caller, row, request)
        Route.objects.filter(account=row).delete()
        row.delete()


def _record(action: str, caller: Caller, row: ProviderAccount, request: HttpRequest | None) -> None:
    facts = {"provider": row.provider, "name": row.name}
    audit.record(
        action, by=caller, target=row, organization=caller.organization, after=facts, request=request
    )
