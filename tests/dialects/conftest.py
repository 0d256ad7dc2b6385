"""What the tests of every dialect begin with."""

from __future__ import annotations

import pytest
from django.db import transaction

from accounts.models import Organization
from billing import quotas
from billing.models import Limits
from tests.jobs import drive


@pytest.fixture
def served(org) -> Organization:
    """Acme with money and no limit in its way; its jobs go to the fake provider."""
    with transaction.atomic():
        drive.fund(org)
    drive.fake_route(org)
    Limits.objects.create(organization=org, submits_per_minute=1000)
    quotas.forget()
    return org


@pytest.fixture
def inputs(org) -> dict[str, str]:
    """A picture and a voice of 4 s, stored and looked into."""
    return {"image": str(drive.asset(org, "image").id), "audio": str(drive.asset(org, "audio").id)}
