"""What a list of jobs may be narrowed by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Wanted:
    """A filter that is not set narrows nothing."""

    status: str = ""
    model: str = ""
    key: UUID | None = None
    tag: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None
    after: UUID | None = None


def wanted(query: Mapping[str, Any]) -> Wanted:
    """From a query that was checked against its schemas."""
    return Wanted(**{field.name: query[field.name] for field in fields(Wanted) if field.name in query})
