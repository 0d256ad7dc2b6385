"""Random sequences of verbs against a model of the ledger in forty lines.

The suite walks a short way that is always the same. `make ledger` goes at least 10,000 steps of a new one each time;
ARGS=--hypothesis-seed=7 repeats one.
"""

from __future__ import annotations

import os
import uuid
from typing import ClassVar

from django.db.models.functions import Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from accounts.models import Organization
from billing import free, ledger, prices, quotes, reversals
from billing.errors import BillingError
from billing.models import Account, FreeQuota, Price, TopUp, Transfer, TransferKind
from tests.billing.conftest import assert_sound
from tests.world import make_user

FULL = os.environ.get("LEDGER") == "full"
STEPS = 10_000 if FULL else 400
CENT = 10_000
# Small amounts and few names, so that money runs out often and much is asked for twice.
MICROS = st.integers(1, 20 * CENT)
SECONDS = st.integers(1, 9)
# Free units: more than a few jobs take, fewer than all.
FREE = 25
NAMES = st.sampled_from("abcdefgh")


class Books:
    """The model: what is available, what was posted by name, how many units are free, and for each job what it holds
    (the whole price), what of it is free (units, micro-dollars), and how it ended.
    """

    def __init__(self) -> None:
        self.available = self.revenue = 0
        self.free = FREE
        self.given: dict[uuid.UUID, tuple[int, int]] = {}
        self.posted: dict[str, int] = {}
        self.held: dict[uuid.UUID, int] = {}
        self.ended: dict[uuid.UUID, int | None] = {}

    def post(self, name: str, micros: int, *, may: bool = True) -> bool:
        if name in self.posted or not may:
            return self.posted.get(name) == micros
        self.posted[name] = micros
        self.available += micros
        return True

    def hold(self, job: uuid.UUID, micros: int, unit: int = 0) -> bool:
        if job in self.ended or self.held.get(job, micros) != micros:
            return False
        return self.change(job, micros, unit)

    def change(self, job: uuid.UUID, micros: int, unit: int) -> bool:
        """`unit`: what one unit of the price costs; nothing where none of it can be free."""
        if self.held.get(job) == micros:
            return True
        had, had_micros = self.given.get(job, (0, 0))
        units = min(micros // unit, self.free + had) if unit else 0
        more = micros - units * unit - (self.held.get(job, 0) - had_micros)
        if more > max(0, self.available):
            return False
        self.available -= more
        self.free -= units - had
        self.held[job], self.given[job] = micros, (units, units * unit)
        return True

    def end(self, job: uuid.UUID, taken: int | None) -> bool:
        if job in self.ended or job not in self.held:
            return job in self.ended and (self.ended[job] is None) == (taken is None)
        held, (units, free) = self.held.pop(job), self.given.pop(job)
        price = min(taken or 0, held)
        paid = max(0, price - free)
        self.ended[job] = None if taken is None else paid
        self.free += units - (-(-units * min(price, free) // free) if free else 0)
        self.available += held - free - paid
        self.revenue += paid
        return True


class Machine(RuleBasedStateMachine):
    """A job is (id, what was quoted, the price then); a top-up (row, micros); a dispute (name, micros)."""

    walked: ClassVar[int] = 0
    jobs, topups, disputes = Bundle("jobs"), Bundle("topups"), Bundle("disputes")

    def __init__(self) -> None:
        super().__init__()
        self.org = Organization.objects.create(name="Machine", slug=uuid.uuid4().hex)
        FreeQuota.objects.update_or_create(model="m", organization=self.org, defaults={"units": FREE})
        self.operator = make_user(f"{uuid.uuid4().hex}@house.example")
        self.books = Books()
        self.refunded: dict[uuid.UUID, int] = {}

    def same(self, expected: bool, verb, *values, **named) -> None:
        transfers = Transfer.objects.count()
        try:
            verb(*values, **named)
        except BillingError:
            assert not expected
            assert Transfer.objects.count() == transfers
        else:
            assert expected

    def twice(self, expected: bool, verb, *values, **named) -> None:
        """Every answer may be lost and the verb asked for again: the second time nothing moves."""
        self.same(expected, verb, *values, **named)
        transfers = Transfer.objects.count()
        self.same(expected, verb, *values, **named)
        assert Transfer.objects.count() == transfers

    def named(self, name: str) -> str:
        return f"{self.org.pk}:{name}"

    # --- the price book ---

    @initialize(micros=MICROS)
    def first_price(self, micros):
        self.sold = Price(organization=self.org, model="m", min_units=1, max_units=60)
        self.change_price(micros)

    @rule(micros=MICROS)
    def change_price(self, micros):
        self.sold.micros_per_unit = micros // 4
        prices.save(self.sold, by=self.operator)

    @rule(target=jobs)
    def new_job(self):
        return (
            uuid.uuid4(),
            quotes.quote(self.org, model="m", resolution="", measured_ms=1000),
            self.sold.micros_per_unit,
        )

    # --- money in and out ---

    @rule(name=NAMES, micros=MICROS)
    def grant(self, name, micros):
        expected = self.books.post(f"grant {name}", micros)
        self.twice(expected, ledger.grant, self.org, micros, reference=self.named(name), reason="")

    @rule(target=topups, cents=st.integers(1, 20))
    def topup(self, cents):
        payment, micros = f"pi_{uuid.uuid4().hex}", cents * CENT
        self.books.post(payment, micros)
        self.twice(True, ledger.topup, self.org, micros, reference=payment, reason="")
        row = TopUp.objects.create(
            organization=self.org,
            amount_micros=micros,
            credited_micros=micros,
            paid_cents=cents,
            payment=payment,
            status="paid",
            paid_at=Now(),
            waiting=False,
        )
        return row, micros

    @rule(topup=topups, cents=st.integers(0, 20), spent_too=st.booleans())
    def refund(self, topup, cents, spent_too):
        row, paid = topup
        micros, before = cents * CENT, self.refunded.get(row.pk, 0)
        may = 0 < micros <= paid - before and (spent_too or micros <= self.books.available)
        expected = self.books.post(f"refund {row.pk} {before}", -micros, may=may)
        self.refunded[row.pk] = before + (micros if expected else 0)
        self.same(expected, reversals.refund, row, micros, by=self.operator, reason="", spent_too=spent_too)

    @rule(topup=topups)
    def refund_what_is_held(self, topup):
        """While a job holds everything, nothing of the top-up is unspent."""
        row, paid = topup
        rest, free, pk = paid - self.refunded.get(row.pk, 0), self.books.available, uuid.uuid4()
        if rest <= 0 or free <= 0:
            return
        self.twice(self.books.hold(pk, free), ledger.hold, self.org, job_id=pk, amount_micros=free, model="m")
        self.same(False, reversals.refund, row, rest, by=self.operator, reason="", spent_too=False)
        self.twice(self.books.end(pk, None), ledger.release, pk, reason="")

    @rule(target=disputes, name=NAMES, micros=MICROS)
    def dispute(self, name, micros):
        expected = self.books.post(f"dispute {name}", -micros)
        named = {"kind": TransferKind.DISPUTE, "reference": f"{self.named(name)}:1", "reason": ""}
        self.twice(expected, ledger.take_back, self.org, micros, **named)
        return name, -self.books.posted[f"dispute {name}"]

    @rule(dispute=consumes(disputes))
    def win(self, dispute):
        name, micros = dispute
        expected = self.books.post(f"won {name}", micros)
        named = {"kind": TransferKind.DISPUTE, "reference": f"{self.named(name)}:2", "reason": ""}
        self.twice(expected, ledger.give_back, self.org, micros, **named)

    @rule(name=NAMES, micros=MICROS)
    def write_off(self, name, micros):
        expected = self.books.post(f"written off {name}", micros, may=micros <= -self.books.available)
        self.twice(expected, ledger.write_off, self.org, micros, reference=self.named(name), reason="")

    # --- a job's money ---

    @rule(job=jobs, seconds=SECONDS)
    def hold(self, job, seconds):
        pk, quote, price = job
        expected, micros = self.books.hold(pk, seconds * price, price), quote.at(seconds * 1000).total_micros
        named = {"amount_micros": micros, "model": "m", "terms": quote.terms}
        self.twice(expected, ledger.hold, self.org, job_id=pk, **named)

    @rule(job=jobs, seconds=SECONDS)
    def raise_hold(self, job, seconds):
        pk, quote, price = job
        expected = pk in self.books.held and self.books.change(pk, seconds * price, price)
        self.twice(expected, ledger.raise_hold, pk, quote.at(seconds * 1000).total_micros, terms=quote.terms)

    @rule(job=jobs, seconds=SECONDS)
    def capture(self, job, seconds):
        pk, quote, price = job
        expected = self.books.end(pk, seconds * price)
        self.twice(expected, ledger.capture, pk, quote.at(seconds * 1000).total_micros)
        if expected:
            assert ledger.capture(pk, 0) == self.books.ended[pk]

    @rule(job=jobs)
    def release(self, job):
        self.twice(self.books.end(job[0], None), ledger.release, job[0], reason="")

    # --- after every step ---

    @invariant()
    def the_books_are_sound(self):
        Machine.walked += 1
        assert_sound()

    @invariant()
    def balances_are_the_models(self):
        found = {row.kind: row.balance_micros for row in Account.objects.for_org(self.org)}
        expected = {
            "available": self.books.available,
            "held": sum(self.books.held.values()) - sum(free for _, free in self.books.given.values()),
            "revenue": self.books.revenue,
            "funding": -sum(self.books.posted.values()),
        }
        assert found == (expected if found else {})
        assert sum(found.values()) == 0

    @invariant()
    def free_units_are_the_models(self):
        (quota,) = free.quotas(self.org)
        assert quota.left == self.books.free * 1000
        assert quota.held == sum(units for units, _ in self.books.given.values()) * 1000

    @invariant()
    def only_money_that_went_back_makes_a_debt(self):
        gone = -sum(micros for micros in self.books.posted.values() if micros < 0)
        assert ledger.balance(self.org).available_micros >= -gone


class TestMachine(Machine.TestCase, TestCase):
    """Each example runs in a transaction that is rolled back."""

    settings = settings(
        max_examples=STEPS // 35,
        stateful_step_count=50,
        deadline=None,
        derandomize=not FULL,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        print(f"{Machine.walked} steps")
        assert Machine.walked >= STEPS
