"""What the views of the vendors' dialects share: JSON both ways, and errors sorted once, worded by each dialect."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.core.exceptions import SuspiciousOperation
from django.http import Http404
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from accounts.auth import KeyNotAccepted
from accounts.errors import AccessError
from accounts.tenancy import Caller
from billing.errors import BillingError
from jobs.bodies import AlwaysJson, BoundedJson
from jobs.errors import JobError
from jobs.storage import StorageUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")


class JsonView(APIView):
    """JSON in, JSON out, whatever happens. A dialect says how it words errors (`get_exception_handler`)."""

    parser_classes = [BoundedJson]
    content_negotiation_class = AlwaysJson
    metadata_class = None

    @property
    def caller(self) -> Caller:
        caller = self.request.auth
        assert isinstance(caller, Caller)
        return caller


@dataclass(frozen=True)
class Words(Generic[T]):
    """A dialect's words for every kind of error."""

    refused: Callable[[JobError | BillingError | AccessError], T]
    of_framework: Callable[[APIException], T]
    nothing_here: T
    store_away: T
    unreadable: T
    internal: T

    def of(self, error: Exception, view: object) -> T:
        match error:
            case JobError() | BillingError() | AccessError():
                return self.refused(error)
            case KeyNotAccepted():
                return self.refused(error.error)
            case APIException():
                return self.of_framework(error)
            case Http404():
                return self.nothing_here
            case StorageUnavailable():
                log.warning("the file store did not answer: %s", error)
                return self.store_away
            case SuspiciousOperation() | RecursionError():
                return self.unreadable
        # The traceback is ours; what the caller sent is not in it and stays out of the log.
        log.error("%s failed", type(view).__name__, exc_info=error)
        return self.internal


def pause_of(throttled: APIException) -> int:
    """Whole seconds until a throttled caller may come back."""
    return max(1, math.ceil(getattr(throttled, "wait", None) or 1))
