"""What another price would have made of last month's use, from the days' sums; and what was changed in the book."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from accounts.console import link
from accounts.models import AuditEntry
from billing import statements
from billing.free_models import THOUSANDTHS
from billing.models import DayUse, Price, Unit
from billing.money import format_usd

MOST = 50
ACTIONS = ("price.add", "price.change")
TOLD = ("usd_per_unit", "step_ms", "min_units", "max_units", "valid_from", "valid_to")


@dataclass(frozen=True)
class Line:
    """One organization's use of what the price is for. Money is micro-dollars; `ms` is nothing for images."""

    organization_id: Any
    name: str
    jobs: int
    ms: int
    before: int
    after: int

    @property
    def more(self) -> int:
        return self.after - self.before


@dataclass(frozen=True)
class Preview:
    price: Price
    first: date
    last: date
    lines: list[Line]
    # All revenue of the month, of every model.
    revenue: int

    @property
    def before(self) -> int:
        return sum(line.before for line in self.lines)

    @property
    def after(self) -> int:
        return sum(line.after for line in self.lines)

    @property
    def totals(self) -> dict[str, Any]:
        more = self.after - self.before
        rows = [
            [self.price.model, *_money(self.before, self.after)],
            ["All models", *_money(self.revenue, self.revenue + more)],
        ]
        return {"headers": ["Revenue", "Before", "After", "Difference"], "rows": rows}

    @property
    def table(self) -> dict[str, Any]:
        rows = [
            [
                link("tenant", line.organization_id, line.name),
                self.price.model,
                f"{line.jobs:,}",
                f"{line.ms // 1000:,}",
                *_money(line.before, line.after),
            ]
            for line in sorted(self.lines, key=lambda line: (-abs(line.more), line.name))[:MOST]
        ]
        headers = ["Organization", "Model", "Videos", "Seconds", "Before", "After", "Difference"]
        return {"headers": headers, "rows": rows}

    @property
    def left_out(self) -> int:
        return max(0, len(self.lines) - MOST)


def preview(price: Price) -> Preview:
    """Of a price that is not saved. Two statements, however many jobs the month had."""
    first, last = statements.span("last", timezone.now().astimezone(UTC).date())
    month = DayUse.objects.filter(jobs__gt=0, day__gte=first, day__lte=last)
    sums = (
        _of(price, month)
        .values("organization_id", "organization__name")
        .annotate(n=Sum("jobs"), ms=Sum("billed_ms"), free=Sum("free"), paid=Sum("micros"))
    )
    lines = [
        Line(
            row["organization_id"],
            row["organization__name"],
            row["n"],
            row["ms"],
            row["paid"],
            cost(price, row["n"], row["ms"], row["free"]),
        )
        for row in sums
    ]
    return Preview(price, first, last, lines, month.aggregate(paid=Sum("micros"))["paid"] or 0)


def _of(price: Price, month: QuerySet[DayUse]) -> QuerySet[DayUse]:
    """The use that it would be the price of. Who has a price of its own for the same thing is not touched by a public
    one; what cost nothing, where others paid for it, was free for another reason and stays so.
    """
    same = {"model": price.model, "resolution": price.resolution, "unit": price.unit}
    # Use from before the unit was kept: what has a length was billed by it.
    unknown = Q(unit="", billed_ms=0) if price.unit == Unit.IMAGE else Q(unit="", billed_ms__gt=0)
    rows = month.filter(
        Q(unit=price.unit) | (unknown if price.unit != Unit.OWN_KEY else Q(pk__in=[])),
        model=price.model,
        resolution__in=[price.resolution, ""] if price.unit == Unit.IMAGE else [price.resolution],
    )
    on_sale = Price.objects.on_sale(price.organization).filter(**same)
    if price.organization_id:
        rows = rows.filter(organization=price.organization_id)
    else:
        holds = Q(valid_to=None) | Q(valid_to__gt=Now())
        own = Price.objects.filter(holds, **same, valid_from__lte=Now(), organization__isnull=False)
        rows = rows.exclude(organization__in=own.values("organization"))
    return rows.exclude(micros=0) if on_sale.exclude(micros_per_unit=0).exists() else rows


def cost(price: Price, jobs: int, ms: int, free: int) -> int:
    """Of so many jobs with so much video between them, without the units that were free (in thousandths). Their single
    lengths are not in the sums: where minimum or maximum are reached by some jobs only, it is near.
    """
    units = jobs if price.unit == Unit.IMAGE else -(-ms // price.step_ms)
    units = max(jobs * price.min_units, min(units, jobs * price.max_units))
    given = free // (THOUSANDTHS if price.unit == Unit.IMAGE else price.step_ms)
    return max(0, units - given) * price.micros_per_unit


def _money(before: int, after: int) -> tuple[str, str, str]:
    sign = "+" if after > before else "-" if after < before else ""
    return f"${format_usd(before)}", f"${format_usd(after)}", f"{sign}${format_usd(abs(after - before))}"


# --- what was changed ---


def history(*, price_id: int | None = None, after: int | None = None) -> dict[str, Any]:
    """A page of the book's changes for the theme, newest first: who, when, before and after."""
    entries = AuditEntry.objects.filter(action__in=ACTIONS)
    if price_id is not None:
        entries = entries.filter(target_type=Price._meta.label_lower, target_id=str(price_id))  # noqa: SLF001  Django's documented name
    if after is not None:
        entries = entries.filter(pk__lt=after)
    found = list(entries.select_related("actor_user", "organization").order_by("-id")[: MOST + 1])
    page = found[:MOST]
    return {
        "table": {
            "headers": ["When", "Who", "Price", "For", "Change"],
            "rows": [_change(entry) for entry in page],
        },
        "older": page[-1].pk if len(found) > MOST else None,
        "page": reverse("admin:price_history"),
    }


def _change(entry: AuditEntry) -> list[str]:
    before, after = entry.before or {}, entry.after or {}
    named = " ".join(filter(None, (after.get("model"), after.get("resolution"), after.get("unit"))))
    return [
        f"{entry.created_at:%Y-%m-%d %H:%M}",
        str(entry.actor_user or "the platform"),
        link("billing_price_change", entry.target_id, named or entry.target_id),
        entry.organization.name if entry.organization else "everybody",
        ", ".join(_told(before, after)),
    ]


def _told(before: dict[str, Any], after: dict[str, Any]) -> Iterable[str]:
    for name in TOLD:
        old, new = before.get(name), after.get(name)
        if before and old != new:
            yield f"{name}: {_word(old)} \N{RIGHTWARDS ARROW} {_word(new)}"
        elif not before and new is not None:
            yield f"{name}: {new}"


def _word(value: Any) -> Any:
    return "none" if value is None else value
