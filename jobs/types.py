"""Plain data of the product: what a customer asks for, and why it may be refused or fail."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 2**48 - 1


def new_id() -> UUID:
    """A version 7 UUID (RFC 9562): its first 48 bits are the time in ms, so ids sort by age and indexes stay dense."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return UUID(int=value)


def least_id(at: datetime) -> UUID:
    """No id made at this moment or later is smaller, whatever the 80 bits after its time are."""
    milliseconds = (at - EPOCH) // timedelta(milliseconds=1)
    return UUID(int=min(max(milliseconds, 0), LAST_MS) << 80)


def time_of(name: UUID) -> datetime:
    """When an id of ours was made."""
    return EPOCH + timedelta(milliseconds=name.int >> 80)


@dataclass(frozen=True)
class JobRequest:
    """One order as any dialect tells it. `inputs` maps a role to an asset id, an address or a data: URI; `quote` is one
    that was offered for just this order; `tell_place` asks for the job's place in the queue with it.
    """

    model: str
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    dialect: str
    webhook_url: str = ""
    idempotency_key: str = ""
    tags: tuple[str, ...] = ()
    wire: Mapping[str, Any] = field(default_factory=dict)
    quote: str = ""
    tell_place: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a job ended without a result. A failed job is always free. `hint` says what would help."""

    code: str
    message: str
    retryable: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Sample:
    """An order that is to be shown as a programme: its files by role, as ids and as addresses, and what was chosen."""

    model: str
    files: Mapping[str, str]
    addresses: Mapping[str, str]
    options: Mapping[str, Any]
    base_url: str


# Where a reader of an example puts their key.
KEY = "vr_…"


@dataclass(frozen=True)
class Example:
    """An order as a programme: `needs` is what must be installed for it."""

    name: str
    label: str
    code: str
    needs: str = ""
