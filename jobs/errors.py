"""Refusals of the product. Each leaf is one kind of answer a dialect gives.

JobError
├── Invalid        the request is wrong: `field` names the parameter
├── NotFound       no such thing for this caller
├── Conflict       the same idempotency key with another body; a state that does not allow it
├── NoRoute        no provider serves this model now
└── Unpayable      money or quota says no (wraps a billing error's code)
"""

from __future__ import annotations


class JobError(Exception):
    """Base: a stable `code`, a sentence for a person, the field it is about, and whether a retry can help."""

    def __init__(self, code: str, message: str, *, field: str = "", retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.retryable = retryable


class Invalid(JobError):
    pass


class NotFound(JobError):
    pass


class Conflict(JobError):
    pass


class NoRoute(JobError):
    pass


class Unpayable(JobError):
    pass
