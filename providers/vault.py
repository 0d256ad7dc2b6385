"""Provider accounts: their sealed keys, and the shares of their limits.

What is opened here goes to an adapter and nowhere else.
"""

from __future__ import annotations

import asyncio
from functools import partial

from asgiref.sync import sync_to_async
from django.db import connection

from accounts.seals import Seal, SealBroken
from providers.base import Account, Limits
from providers.errors import AccountRefused, Throttled
from providers.models import ProviderAccount

RESERVE = """
UPDATE providers_provideraccount SET queries_until =
    greatest(queries_until, clock_timestamp()) + make_interval(secs => %(length)s)
WHERE id = %(id)s AND queries_until <= clock_timestamp() + make_interval(secs => %(patience)s)
RETURNING extract(epoch FROM queries_until - clock_timestamp()) - %(length)s
"""

# Of the queries that are allowed: evenly sent requests still bunch on their way.
PACE = 0.85
# Longer than this a single query does not wait for its place.
TURN_SECONDS = 5.0
NO_LIMITS = Limits()
_seal = Seal(b"providers.vault")


def account(account_id: int, limits: Limits = NO_LIMITS) -> Account:
    """The account as an adapter wants it. AccountRefused when it is gone, or sealed under another key."""
    row = ProviderAccount.objects.filter(pk=account_id).first()
    if row is None:
        raise AccountRefused(f"there is no provider account {account_id}")
    try:
        key, secret = (_seal.open(sealed) if sealed else "" for sealed in (row.sealed_key, row.sealed_secret))
    except SealBroken:
        raise AccountRefused(
            f"the key of {row} was sealed under another SECRET_KEY; enter it again"
        ) from None
    rate = (row.queries_per_second or limits.queries_per_second or 0) * PACE
    return Account(
        base_url=row.base_url.rstrip("/"),
        key=key,
        secret=secret,
        settings=row.settings,
        queries_per_second=rate,
        turn=partial(_turn, row.pk, rate) if rate else None,
    )


def keep(row: ProviderAccount, *, key: str = "", secret: str = "") -> None:
    """Seal what is given into the row; what is empty stays as it was. The caller saves."""
    if key:
        row.sealed_key = _seal.close(key)
    if secret:
        row.sealed_secret = _seal.close(secret)


async def _turn(account_id: int, rate: float) -> None:
    wait = await sync_to_async(reserve_queries)(account_id, 1, rate, patience=TURN_SECONDS)
    if wait is None:
        raise Throttled("the account's queries are taken", retry_after=TURN_SECONDS)
    await asyncio.sleep(wait)


def reserve_queries(account_id: int, count: int, per_second: float, *, patience: float) -> float | None:
    """Take the account's next `count` places for status queries: the seconds until the first of them.

    None, and nothing taken, when that were more than `patience`. One statement on the account's row, so the limit holds
    over all processes; each place lies 1/`per_second` after the one before it.
    """
    with connection.cursor() as cursor:
        cursor.execute(RESERVE, {"id": account_id, "length": count / per_second, "patience": patience})
        row = cursor.fetchone()
    return max(float(row[0]), 0.0) if row else None
