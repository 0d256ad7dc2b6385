"""Why money or a limit says no. Every leaf asks its reader for a different action.

    BillingError(code, message, retryable)
    ├── InsufficientFunds      insufficient_funds    add credit
    ├── SpendCapReached        key_spend_cap         raise the key's cap, or use another key
    ├── BudgetReached          monthly_budget        raise the budget, or wait for the next month
    ├── QuotaReached           queued_jobs_limit, ... wait until a job ends, or ask for a higher limit
    ├── RateLimited            rate_limited          wait retry_after seconds
    ├── ModelNotAllowed        model_not_allowed     choose another model, or ask for this one
    ├── PriceMissing           price_missing         the operator sets a price
    ├── TopUpAmount            topup_amount          choose another amount
    ├── CardMissing            card_missing          save a card
    ├── TopUpPlanWrong         topup_plan            correct the automatic top-up
    ├── TaxNeedsPage           topup_tax             buy credit on the payment page
    ├── CreditSpent            credit_spent          refund less, or let the operator override
    ├── RefundOff              refund_off            refund on Stripe's own pages, or set its key first
    ├── OwnProposal            proposal_own          ask another operator
    ├── ProposalClosed         proposal_closed       it was decided before
    ├── GatewayError           what Stripe answered, or did not
    │   ├── GatewayOff         payments_off          no keys are set: credit comes from the operator
    │   ├── GatewayAway        payments_away         no answer: it may have happened; look, then ask again
    │   ├── GatewayBusy        payments_busy         nothing happened; ask again later
    │   ├── GatewayDenied      payments_denied       nothing happened: the operator mends our key
    │   ├── PaymentDeclined    payment_declined      another card
    │   │   └── AuthenticationNeeded                 payment_authentication: the cardholder must be there
    │   └── GatewayRefused     payments_refused      our request was wrong: a person must look
    └── LedgerError            a caller's mistake, never a customer's
        ├── HoldMissing        hold_missing          no money was ever held for this job
        ├── HoldMismatch       hold_mismatch         the job already holds another amount
        ├── AlreadyResolved    hold_resolved         the hold was captured or released before
        ├── ReferenceTaken     reference_taken       the reference names another posting
        └── OwesLess           write_off_amount      write off less

Codes are stable: dialects map them to their own numbers. A refusal changes nothing.
"""

from __future__ import annotations

from uuid import UUID

from billing.money import format_usd


class BillingError(Exception):
    """`retryable` says whether the very same request can succeed later without anybody doing anything."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable


class InsufficientFunds(BillingError):
    def __init__(self, *, needed_micros: int, available_micros: int) -> None:
        message = (
            f"This costs up to {format_usd(needed_micros)} USD, "
            f"but only {format_usd(max(available_micros, 0))} USD is available. Add credit and try again."
        )
        super().__init__("insufficient_funds", message)
        self.needed_micros = needed_micros
        self.available_micros = available_micros


class SpendCapReached(BillingError):
    def __init__(self, *, cap_micros: int, used_micros: int, needed_micros: int) -> None:
        message = (
            f"This API key may spend {format_usd(cap_micros)} USD in all and has used "
            f"{format_usd(used_micros)} USD; this request needs {format_usd(needed_micros)} USD."
        )
        super().__init__("key_spend_cap", message)


class BudgetReached(BillingError):
    def __init__(self, *, budget_micros: int, used_micros: int, needed_micros: int) -> None:
        message = (
            f"This month's budget is {format_usd(budget_micros)} USD, of which {format_usd(used_micros)} USD "
            f"is used or reserved; this request needs {format_usd(needed_micros)} USD."
        )
        super().__init__("monthly_budget", message)


class QuotaReached(BillingError):
    """A limit on jobs: code names which one."""


class RateLimited(BillingError):
    """`retry_after` is in whole seconds, at least 1, for the Retry-After header."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__("rate_limited", message, retryable=True)
        self.retry_after = retry_after


class ModelNotAllowed(BillingError):
    def __init__(self, model: str) -> None:
        super().__init__("model_not_allowed", f"This organization may not use the model {model}.")


class PriceMissing(BillingError):
    def __init__(self, model: str, resolution: str, unit: str) -> None:
        at = f" at {resolution}" if resolution else ""
        super().__init__("price_missing", f"There is no price for {model}{at} per {unit} today.")


class LedgerError(BillingError):
    """The caller broke the ledger's rules; a customer should never see one."""


class HoldMissing(LedgerError):
    def __init__(self, job_id: UUID) -> None:
        super().__init__("hold_missing", f"Job {job_id} has no hold.")


class HoldMismatch(LedgerError):
    def __init__(self, job_id: UUID) -> None:
        super().__init__("hold_mismatch", f"Job {job_id} already holds another amount or for another payer.")


class AlreadyResolved(LedgerError):
    def __init__(self, job_id: UUID, status: str) -> None:
        super().__init__("hold_resolved", f"The hold of job {job_id} is already {status}.")


class ReferenceTaken(LedgerError):
    def __init__(self, reference: str) -> None:
        super().__init__("reference_taken", f"The reference {reference} already names another posting.")


class GatewayError(BillingError):
    """Stripe did not do what was asked. `unknown`: it may have been done all the same."""

    unknown = False


class GatewayOff(GatewayError):
    def __init__(self) -> None:
        super().__init__("payments_off", "This installation takes no payments: its operator gives credit.")


class GatewayAway(GatewayError):
    unknown = True

    def __init__(self) -> None:
        message = "The payment service does not answer at the moment. Nothing is lost; try again in a minute."
        super().__init__("payments_away", message, retryable=True)


class GatewayBusy(GatewayError):
    def __init__(self) -> None:
        message = "The payment service is busy. Try again in a minute."
        super().__init__("payments_busy", message, retryable=True)


class GatewayDenied(GatewayError):
    """Our key is wrong, revoked or may not do this. Once it is mended, everything that waits goes on."""

    def __init__(self) -> None:
        message = "Payments are interrupted: the payment service does not take this installation's key."
        super().__init__("payments_denied", message, retryable=True)


class PaymentDeclined(GatewayError):
    """`reason` is the bank's word for it, `payment` the payment's id where there is one."""

    def __init__(self, *, reason: str, payment: str) -> None:
        super().__init__("payment_declined", "The bank declined the payment.")
        self.reason = reason
        self.payment = payment


class AuthenticationNeeded(PaymentDeclined):
    def __init__(self, *, payment: str) -> None:
        super().__init__(reason="authentication_required", payment=payment)
        self.code = "payment_authentication"
        self.message = "The bank wants the cardholder to confirm the payment."


class GatewayRefused(GatewayError):
    """Our request was wrong, or what it names is not there: asking again cannot help. `reason` is Stripe's code."""

    MISSING = "resource_missing"

    def __init__(self, *, reason: str, detail: str) -> None:
        super().__init__("payments_refused", "The payment service refused the request.")
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class TopUpAmount(BillingError):
    def __init__(self, *, least_micros: int, most_micros: int) -> None:
        message = (
            f"Between {format_usd(least_micros)} and {format_usd(most_micros)} USD at once, in whole cents."
        )
        super().__init__("topup_amount", message)


class CreditSpent(BillingError):
    def __init__(self, *, left_micros: int) -> None:
        message = (
            f"Only {format_usd(max(left_micros, 0))} USD of this payment is unspent and can be refunded."
        )
        super().__init__("credit_spent", message)


class RefundOff(BillingError):
    def __init__(self) -> None:
        message = "Without STRIPE_SECRET_KEY nothing can be paid back to a card: the top-up keeps its credit."
        super().__init__("refund_off", message)


class OwnProposal(BillingError):
    def __init__(self) -> None:
        super().__init__("proposal_own", "Somebody else has to approve what you proposed.")


class ProposalClosed(BillingError):
    def __init__(self, status: str) -> None:
        super().__init__("proposal_closed", f"It is {status} already.")


class OwesLess(LedgerError):
    def __init__(self, *, owed_micros: int) -> None:
        message = f"The organization owes {format_usd(max(owed_micros, 0))} USD; no more can be written off."
        super().__init__("write_off_amount", message)


class CardMissing(BillingError):
    def __init__(self) -> None:
        super().__init__("card_missing", "There is no saved card yet. Save one first, then switch this on.")


class TopUpPlanWrong(BillingError):
    def __init__(self) -> None:
        message = "The threshold must be above zero, and the daily cap at least one top-up."
        super().__init__("topup_plan", message)


class TaxNeedsPage(BillingError):
    def __init__(self) -> None:
        message = "Tax is added on the payment page only, so credit cannot be bought automatically here."
        super().__init__("topup_tax", message)
