"""What is free of each model: counted in units of its price, used up first, never paid out.

A hold takes what is left under its organization's lock (`billing.posting`) and keeps it apart from its money: free units
are no money, so they count towards no balance, cap or budget. Capture uses them before anything is paid, and what was
not used goes back, all of it where the job fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from accounts.models import Organization
from billing.free_models import THOUSANDTHS, FreeQuota
from billing.models import Price, Unit


@dataclass(frozen=True)
class Terms:
    """What makes units of a price free: their unit, what one costs in micro-dollars (more than zero), and what it takes
    of the quota in thousandths.
    """

    unit: str
    micros: int
    takes: int

    def part(self, price_micros: int, left: int) -> tuple[int, int]:
        """How much of a price is free where `left` thousandths are: (thousandths, micro-dollars). Whole units only."""
        units = min(price_micros // self.micros, left // self.takes)
        return units * self.takes, units * self.micros


@dataclass(frozen=True)
class Quota:
    """What is free of a model, and how far it is used up. In thousandths of a unit."""

    model: str
    unit: str
    given: int
    held: int
    used: int

    @property
    def left(self) -> int:
        """An operator may have lowered the quota below what was used."""
        return max(self.given - self.held - self.used, 0)

    @property
    def units(self) -> str:
        return f"{self.given / THOUSANDTHS:g}"

    @property
    def units_left(self) -> str:
        return f"{self.left / THOUSANDTHS:g}"

    @property
    def percent_left(self) -> int:
        return self.left * 100 // self.given


QUOTAS = """
SELECT q.model, q.unit, q.units::bigint * %(thousandths)s, coalesce(u.held, 0), coalesce(u.used, 0)
FROM (
    SELECT DISTINCT ON (model) model, unit, units FROM billing_freequota
    WHERE organization_id = %(organization)s::uuid OR organization_id IS NULL
    ORDER BY model, organization_id NULLS LAST
) q
LEFT JOIN billing_freeuse u ON u.organization_id = %(organization)s::uuid AND u.model = q.model
WHERE q.units > 0 ORDER BY q.model
"""
LEFT = "SELECT billing_free_left(%s, %s, %s)"


def quotas(organization: Organization) -> list[Quota]:
    """Every model of which something is free for this organization, used up or not. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(QUOTAS, {"organization": str(organization.pk), "thousandths": THOUSANDTHS})
        return [Quota(*row) for row in cursor.fetchall()]


def offered() -> dict[str, int]:
    """The units that everybody begins with, by model."""
    rows = FreeQuota.objects.filter(organization=None, units__gt=0)
    return dict(rows.values_list("model", "units"))


def worth(quota: FreeQuota) -> int:
    """What an organization's own quota, saved or not, and those it has already give it beyond what is everybody's, in
    micro-dollars: at the dearest of today's prices, were all of it used.
    """
    if quota.organization is None:
        return 0
    common, dearest = offered(), _dearest(quota.organization)
    others = FreeQuota.objects.filter(organization=quota.organization).exclude(model=quota.model)
    return sum(
        max(own.units - common.get(own.model, 0), 0) * dearest.get((own.model, own.unit), 0)
        for own in [*others, quota]
    )


def _dearest(organization: Organization) -> dict[tuple[str, str], int]:
    """The highest price of a second or a picture, by model and unit."""
    found: dict[tuple[str, str], int] = {}
    for price in Price.objects.on_sale(organization):
        step = THOUSANDTHS if price.unit == Unit.IMAGE else price.step_ms
        what = (price.model, price.unit)
        found[what] = max(found.get(what, 0), price.micros_per_unit * THOUSANDTHS // step)
    return found


def left(organization_id: UUID, model: str, terms: Terms | None) -> int:
    """Thousandths that a hold could take at this moment; outside of the organization's lock only a foresight."""
    if terms is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(LEFT, [organization_id, model, terms.unit])
        (found,) = cursor.fetchone()
        return int(found)
