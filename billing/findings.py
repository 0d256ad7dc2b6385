"""What a rule of the reconciliation looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Span:
    """What happened in between is compared."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Finding:
    """`what` names the comparison, with its unit; `at` is when the subject happened, where the rule has a span."""

    what: str
    subject: str
    expected: int | str
    found: int | str
    job_id: UUID | None = None
    at: datetime | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.subject} should be {self.expected}, is {self.found}"


Rule = Callable[[Span], Iterable[Finding]]
