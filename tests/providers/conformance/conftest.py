from __future__ import annotations

import pytest

from tests.providers.conformance.stands import STANDS, VendorStand, standing

VENDORS = sorted(slug for slug, kind in STANDS.items() if issubclass(kind, VendorStand))


@pytest.fixture(autouse=True)
def _quick(settings, monkeypatch):
    """A vendor's silence is given up sooner than in life."""
    monkeypatch.setattr("providers.upstream.ANSWER_SECONDS", 2.0)


@pytest.fixture(params=sorted(STANDS))
def stand(request, org):
    with standing(request.param, org) as made:
        yield made


@pytest.fixture(params=VENDORS)
def vendor_stand(request, org, settings):
    with standing(request.param, org) as made:
        settings.FETCH_ALLOW_HOSTS = [made.vendor.host]
        yield made
