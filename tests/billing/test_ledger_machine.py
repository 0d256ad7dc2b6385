"""Random sequences of verbs against a model of the ledger in twenty lines."""

import uuid

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from accounts.models import Organization
from billing import ledger
from billing.errors import BillingError
from billing.models import Transfer
from tests.billing.conftest import assert_sound

MICROS = st.integers(0, 1000)
"""Small amounts, so that money runs out often."""


class Books:
    """The model: what is available, and for each job what it holds and how it ended."""

    def __init__(self) -> None:
        self.available, self.revenue = 0, 0
        self.grants: dict[str, int] = {}
        self.held: dict[uuid.UUID, int] = {}
        self.ended: dict[uuid.UUID, int | None] = {}

    def grant(self, reference: str, micros: int) -> bool:
        if self.grants.setdefault(reference, micros) != micros:
            return False
        self.available = sum(self.grants.values()) - self.revenue - sum(self.held.values())
        return True

    def hold(self, job: uuid.UUID, micros: int) -> bool:
        if job in self.ended or (job in self.held and self.held[job] != micros):
            return False
        return self.change(job, micros)

    def change(self, job: uuid.UUID, micros: int) -> bool:
        more = micros - self.held.get(job, 0)
        if more > 0 and more > self.available:
            return False
        self.available -= more
        self.held[job] = micros
        return True

    def end(self, job: uuid.UUID, taken: int | None) -> bool:
        if job in self.ended:
            return (self.ended[job] is None) == (taken is None)
        if job not in self.held:
            return False
        held = self.held.pop(job)
        self.ended[job] = taken if taken is None else min(taken, held)
        self.available += held - (self.ended[job] or 0)
        self.revenue += self.ended[job] or 0
        return True


class Machine(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.org = Organization.objects.create(name="Machine", slug=uuid.uuid4().hex)
        self.books = Books()

    def same(self, expected: bool, verb, *values, **named) -> None:
        try:
            verb(*values, **named)
        except BillingError:
            assert not expected
        else:
            assert expected

    @rule(target=jobs)
    def new_job(self) -> uuid.UUID:
        return uuid.uuid4()

    @rule(reference=st.integers(0, 9), micros=st.integers(1, 1000))
    def grant(self, reference, micros):
        name = f"{self.org.pk}:{reference}"
        self.same(self.books.grant(name, micros), ledger.grant, self.org, micros, reference=name, reason="")

    @rule(job=jobs, micros=MICROS)
    def hold(self, job, micros):
        self.same(self.books.hold(job, micros), ledger.hold, self.org, job_id=job, amount_micros=micros)

    @rule(job=jobs, micros=MICROS)
    def raise_hold(self, job, micros):
        expected = job in self.books.held and self.books.change(job, micros)
        self.same(expected, ledger.raise_hold, job, micros)

    @rule(job=jobs, micros=MICROS)
    def capture(self, job, micros):
        expected = self.books.end(job, micros)
        self.same(expected, ledger.capture, job, micros)
        if expected:
            assert ledger.capture(job, 0) == self.books.ended[job]

    @rule(job=jobs)
    def release(self, job):
        self.same(self.books.end(job, None), ledger.release, job, reason="")

    @invariant()
    def balances_are_the_models(self):
        found = ledger.balance(self.org)
        assert found.available_micros == self.books.available >= 0
        assert found.held_micros == sum(self.books.held.values())

    def teardown(self):
        assert_sound()
        captured = Transfer.objects.for_org(self.org).filter(kind="capture")
        assert sum(transfer.amount_micros for transfer in captured) == self.books.revenue


class TestMachine(Machine.TestCase, TestCase):
    """Each example runs in a transaction that is rolled back."""

    settings = settings(
        max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
