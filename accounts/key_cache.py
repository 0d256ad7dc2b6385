"""Keys that were accepted a moment ago, so that a busy one costs the database a query every few seconds only.

A copy lives KEPT_MS. Whoever changes a key, its organization or its maker calls `forget`, and the change holds at
once; where that word is lost (the process died, Redis did not answer), it holds when the copy has run out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import redis
from django.db import connection, models, transaction

from accounts.models import ApiKey, Organization, User
from accounts.rows import from_json
from accounts.shortcut import shortcut

KEPT_MS = 5_000
# A forgotten key is not kept again for so long: somebody may have read the row before the change.
FORGOTTEN_MS = 2_000
# Of the person only what a request may need; never the password's hash.
USER = ("id", "email", "name", "is_active", "is_staff", "is_superuser")
KEY_WITHOUT = {"digest"}


def find(digest: bytes) -> ApiKey | None:
    """The key with its organization and its maker, if it was accepted a moment ago. No statement."""
    if connection.in_atomic_block:  # it may see what nobody else does yet
        return None
    kept = shortcut().ask(lambda store: store.get(_name(digest)), None)
    return _read(digest, json.loads(kept)) if kept else None


def keep(key: ApiKey) -> None:
    """Remember a key that was just accepted, at most until it expires. `key` came through with_clock()."""
    if connection.in_atomic_block:
        return
    life = KEPT_MS
    if key.expires_at:
        life = min(life, int((key.expires_at - key.now).total_seconds() * 1000))
    if life > 0:
        name, text = _name(bytes(key.digest)), _written(key)
        shortcut().ask(lambda store: store.set(name, text, px=life, nx=True), None)


def forget(keys: models.QuerySet[ApiKey]) -> None:
    """When the running transaction has committed, these keys are read anew."""
    names = [_name(bytes(digest)) for digest in keys.values_list("digest", flat=True)]
    transaction.on_commit(partial(_forget, names), robust=True)


def _forget(names: Iterable[str]) -> None:
    def mark(store: redis.Redis) -> None:
        with store.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.set(name, "", px=FORGOTTEN_MS)
            pipe.execute()

    shortcut().tell(mark, None)


def _name(digest: bytes) -> str:
    return f"key:{digest.hex()}"


def _written(key: ApiKey) -> str:
    rows = {"key": _values(key), "organization": _values(key.organization), "now": key.now}
    if key.created_by:
        rows["user"] = {name: getattr(key.created_by, name) for name in USER}
    return json.dumps(rows, default=_text)


def _values(row: models.Model) -> dict[str, Any]:
    fields = row._meta.concrete_fields  # noqa: SLF001  Django's documented name
    return {str(f.column): getattr(row, f.attname) for f in fields if f.column not in KEY_WITHOUT}


def _text(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _read(digest: bytes, rows: dict[str, Any]) -> ApiKey:
    key = from_json(ApiKey, rows["key"])
    key.digest = digest
    key.now = datetime.fromisoformat(rows["now"])
    key.organization = from_json(Organization, rows["organization"])
    key.created_by = from_json(User, rows["user"]) if "user" in rows else None
    return key
