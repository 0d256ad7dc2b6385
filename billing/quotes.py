"""What a request costs, known before it is accepted.

cost = rate x clamp(ceil(milliseconds / step), min, max), all of it data of the price book. The quote carries
the whole price with it, so that a job is charged at what it was promised however often the book changes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from accounts.models import Organization
from billing.errors import PriceMissing
from billing.free import Terms
from billing.free_models import THOUSANDTHS
from billing.models import Price, Unit
from billing.money import format_usd


@dataclass(frozen=True)
class Line:
    """One line of the bill, as a person reads it."""

    text: str
    units: int
    micros_per_unit: int
    total_micros: int


@dataclass(frozen=True)
class Quote:
    """A price for a measured length. `billed_units` are seconds unless the price has another step."""

    model: str
    resolution: str
    unit: str
    measured_ms: int
    billed_units: int
    micros_per_unit: int
    total_micros: int
    price_id: int
    step_ms: int
    min_units: int
    max_units: int
    lines: tuple[Line, ...]

    def at(self, measured_ms: int) -> Quote:
        """The same frozen price for another length: the input turned out longer, the result shorter."""
        if self.unit == Unit.IMAGE:
            raise ValueError("an image has no length")
        units = billed_units(measured_ms, self.step_ms, self.min_units, self.max_units)
        return _priced(self, measured_ms, units)

    @property
    def terms(self) -> Terms | None:
        """How much of the free quota it takes; None where nothing can be free: the price is nothing, or is no price for
        rendering but the fee for an own key.
        """
        if self.unit == Unit.OWN_KEY or not self.micros_per_unit:
            return None
        takes = THOUSANDTHS if self.unit == Unit.IMAGE else self.step_ms
        return Terms(self.unit, self.micros_per_unit, takes)

    def bill(self, free_micros: int) -> tuple[Line, ...]:
        """Its lines, with one for what is free of it; they add up to what is paid."""
        if not free_micros:
            return self.lines
        units = free_micros // self.micros_per_unit
        text = f"{units} {self.unit}{'' if units == 1 else 's'} of it free"
        return (*self.lines, Line(text, units, -self.micros_per_unit, -free_micros))

    @property
    def billed_ms(self) -> int:
        """The length that is billed; nothing for an image."""
        return 0 if self.unit == Unit.IMAGE else self.billed_units * self.step_ms

    def as_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "lines": [dataclasses.asdict(line) for line in self.lines]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Quote:
        return cls(**{**data, "lines": tuple(Line(**line) for line in data["lines"])})


def billed_units(measured_ms: int, step_ms: int, min_units: int, max_units: int) -> int:
    started = -(-measured_ms // step_ms)  # rounds up, in integers
    return max(min_units, min(started, max_units))


def quote(
    organization: Organization,
    *,
    model: str,
    resolution: str,
    measured_ms: int = 0,
    unit: str = Unit.SECOND,
    count: int = 1,
) -> Quote:
    """The price today by the database's clock. Seconds come from `measured_ms`, images from `count`."""
    if measured_ms < 0 or count < 0:
        raise ValueError("nothing has a negative length or number")
    price = _price(organization, model, resolution, unit)
    if unit == Unit.IMAGE:
        units = max(price.min_units, min(count, price.max_units))
    else:
        units = billed_units(measured_ms, price.step_ms, price.min_units, price.max_units)
    return _priced(_unit_quote(price), measured_ms, units)


def minimum(organization: Organization, *, model: str, resolution: str, unit: str = Unit.SECOND) -> Quote:
    """The least this can cost: what is held while the inputs, and so their length, are being fetched."""
    price = _price(organization, model, resolution, unit)
    return _priced(_unit_quote(price), 0, price.min_units)


def price_list(organization: Organization) -> list[Price]:
    """Every price that holds today for this organization, one for each model, resolution and unit."""
    rows = Price.objects.on_sale(organization).exclude(unit=Unit.OWN_KEY)
    return list(rows.distinct("model", "resolution", "unit"))


def public_prices() -> list[Price]:
    """The price list that holds today for everybody without prices of their own."""
    rows = Price.objects.on_sale(None).exclude(unit=Unit.OWN_KEY)
    return list(rows.distinct("model", "resolution", "unit"))


def example(price: Price, measured_ms: int) -> Quote:
    """What that length would cost at this price."""
    return _unit_quote(price).at(measured_ms)


def _price(organization: Organization, model: str, resolution: str, unit: str) -> Price:
    found = Price.objects.on_sale(organization).filter(model=model, resolution=resolution, unit=unit).first()
    if found is None:
        raise PriceMissing(model, resolution, unit)
    return found


def _unit_quote(price: Price) -> Quote:
    """The price as a quote of nothing yet."""
    return Quote(
        model=price.model,
        resolution=price.resolution,
        unit=price.unit,
        measured_ms=0,
        billed_units=0,
        micros_per_unit=price.micros_per_unit,
        total_micros=0,
        price_id=price.pk,
        step_ms=price.step_ms,
        min_units=price.min_units,
        max_units=price.max_units,
        lines=(),
    )


def _priced(frozen: Quote, measured_ms: int, units: int) -> Quote:
    total = units * frozen.micros_per_unit
    name = " ".join(filter(None, [frozen.model, frozen.resolution]))
    per = "second, on your own provider account" if frozen.unit == Unit.OWN_KEY else frozen.unit
    text = f"{name}: {units} x {format_usd(frozen.micros_per_unit)} USD per {per}"
    return dataclasses.replace(
        frozen,
        measured_ms=measured_ms,
        billed_units=units,
        total_micros=total,
        lines=(Line(text, units, frozen.micros_per_unit, total),),
    )
