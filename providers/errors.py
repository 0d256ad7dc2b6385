"""What can go wrong at a provider. Each leaf means a different action of the caller.

ProviderError
├── Refused            the provider said no to this order: nobody else is asked, `code` says why
├── Unsuitable         this provider cannot make this order, or not on this route: another one may
├── AccountRefused     our account there may not order (key, credit, permission): another route, and an operator's work
├── Throttled          too many requests: the same route, later (`retry_after` seconds); where that says so again, another
├── Unavailable        the order certainly did not arrive: another route or later
├── OutcomeUnknown     the answer was lost after the order may have arrived: hold on, ask `find`
├── NotFound           the provider does not know this external id (any more)
├── Forged             a callback that is not the provider's
├── Resting            every route that is left said "later" a moment ago (never reaches an adapter)
└── NoRoute            no route serves this model now (never reaches an adapter)
"""

from __future__ import annotations


class ProviderError(Exception):
    """Base. `code` is stable and ours, `message` is for operators' logs, never for customers."""

    code = "provider_error"

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message or self.code)
        self.message = message
        self.code = code or self.code


class Refused(ProviderError):
    """Permanent for this order. `customer_message` and `hint` may be shown as they are."""

    code = "provider_refused"

    def __init__(
        self, message: str = "", *, code: str = "", customer_message: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, code=code)
        self.customer_message = customer_message
        self.hint = hint


class Unsuitable(Refused):
    """As Refused, but of this provider alone."""

    code = "provider_unsuitable"


class AccountRefused(ProviderError):
    code = "provider_account"


class Throttled(ProviderError):
    code = "provider_throttled"

    def __init__(self, message: str = "", *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ProviderError):
    code = "provider_unavailable"


class OutcomeUnknown(ProviderError):
    code = "outcome_unknown"


class NotFound(ProviderError):
    code = "not_found_at_provider"


class Forged(ProviderError):
    code = "callback_forged"


class Resting(ProviderError):
    code = "routes_resting"


class NoRoute(ProviderError):
    """`message` is a sentence for the customer. `field`: the input that no route takes, under a code that says why."""

    code = "no_route"

    def __init__(self, message: str = "", *, code: str = "", field: str = "") -> None:
        super().__init__(message, code=code)
        self.field = field
