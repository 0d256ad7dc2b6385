"""A pytest plugin: the platform connected to the double, as it would be to Stripe."""

from __future__ import annotations

import os
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db.models.functions import Now
from django.test import Client

from billing import due
from billing.gateway_models import Due
from tests.stripe_double import payments
from tests.stripe_double.mail import MailRoom
from tests.stripe_double.server import KEY, Double

SECRETS = ["whsec_snapshots", "whsec_thin"]
PASSES = 20


class Desk:
    """Stripe as the tests see it: its world, its mail, and what customers do on its pages."""

    def __init__(self) -> None:
        self.double = Double()
        self.world = self.double.world
        self.mail = MailRoom(self._post, *SECRETS)
        self.world.told = self.mail.take
        self.allowed: list[str] = []

    def _post(self, path: str, body: bytes, signed: str) -> int:
        answer = Client().post(
            path, body, content_type="application/json", headers={"Stripe-Signature": signed}
        )
        return answer.status_code

    def tell(self, **how: Any) -> None:
        """Delivers what waits, and lets the workers finish."""
        assert set(self.mail.deliver(**how)) <= {200}
        work()

    def pay(self, address: str, behaves: str = payments.VISA) -> dict[str, Any]:
        """A customer pays on the page at this address."""
        return payments.complete(self.world, address.rpartition("/")[2], behaves)

    def card(self, organization, behaves: str = payments.VISA) -> str:
        """A card of the organization's customer, saved at Stripe."""
        from billing.models import Customer

        number = Customer.objects.get(organization=organization).number
        return payments.card(self.world, number, behaves)["id"]


def models() -> list[type[Due]]:
    return Due.__subclasses__()


def work(*, hurry: bool = False) -> None:
    """What the sweeper and the workers do, until nothing is due. `hurry`: what is due later is due now, once."""
    for number in range(PASSES):
        for model in models():
            rows = model._default_manager.filter(waiting=True)
            if not (hurry and number == 0):
                rows = rows.filter(due_at__lte=Now())
            rows.update(due_at=Now() - timedelta(minutes=1))
        todo = list(due.due())
        if not todo:
            return
        for task, *args in todo:
            current_app.tasks[task](*args)
    raise AssertionError(f"still due after {PASSES} passes: {todo}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of the real Stripe need an account of one's own: they are deselected where there is no key for one."""
    if os.environ.get("STRIPE_TEST_KEY"):
        return
    chosen = [item for item in items if not item.get_closest_marker("stripe_sandbox")]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


@pytest.fixture
def stripe_off(settings) -> None:
    settings.STRIPE_SECRET_KEY = ""


@pytest.fixture
def desk(settings) -> Generator[Desk, None, None]:
    """Every request the platform makes is checked: one that Stripe would refuse fails the test."""
    made = Desk()
    settings.STRIPE_SECRET_KEY = KEY
    settings.STRIPE_API_URL = made.double.url
    settings.STRIPE_WEBHOOK_SECRETS = SECRETS
    settings.STRIPE_RETRIES = 0
    settings.STRIPE_TIMEOUT_SECONDS = 5
    try:
        yield made
    finally:
        made.double.close()
    assert made.double.violations == []
