"""What must stand ready in the Stripe account: meters, prices, the portal, where events go.

Everything is looked for before it is made, and what is there is checked, so it may be run again after every change of
the price book.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.urls import reverse

from billing import gateway_account
from billing.gateway import API_VERSION, MICROS_PER_CENT
from billing.gateway_models import RateClass
from billing.inbox import HANDLERS, THIN_KINDS
from billing.models import Price

PRODUCT = "voicereel_use"


@dataclass(frozen=True)
class Done:
    """One thing that is there now. `secret` is told only when an endpoint is made; `note` is for a person."""

    what: str
    number: str
    made: bool
    secret: str = ""
    note: str = ""


def set_up() -> Iterator[Done]:
    yield _product()
    yield from _rate_class("micro", 1)
    for unit, micros in _rates():
        yield from _rate_class(unit, micros)
    yield _portal()
    yield _endpoint()
    yield _destination()


def _rates() -> list[tuple[str, int]]:
    """Every price of the book, past ones too: jobs may still run at them."""
    rates = Price.objects.filter(micros_per_unit__gt=1).values_list("unit", "micros_per_unit")
    return list(rates.distinct().order_by("unit", "micros_per_unit"))


def _product() -> Done:
    known = gateway_account.product(PRODUCT)
    made = known or gateway_account.create_product(number=PRODUCT, name="Voicereel videos")
    return Done("product", made["id"], not known)


def _rate_class(unit: str, micros: int) -> Iterator[Done]:
    event = RateClass.MICRO_EVENT if unit == "micro" else f"voicereel_{unit}s_at_{micros}"
    label = "Videos" if unit == "micro" else f"{unit.capitalize()}s at {Decimal(micros) / 1_000_000} USD"
    meter = gateway_account.meter_named(event)
    found = meter or gateway_account.create_meter(event_name=event, label=label)
    yield Done("meter", event, not meter)
    cents = Decimal(micros) / MICROS_PER_CENT
    price = gateway_account.price_named(event)
    fits = price is not None and _rates_at(price, found["id"], cents)
    rated = price if price and fits else _new_price(event, found["id"], cents, label)
    note = "the one of this name had another amount or meter" if price and not fits else ""
    yield Done("price", event, not fits, note=note)
    RateClass.objects.update_or_create(
        unit=unit,
        micros_per_unit=micros,
        defaults={"event_name": event, "meter": found["id"], "price": rated["id"]},
    )


def _rates_at(price: dict[str, Any], meter: str, cents: Decimal) -> bool:
    of_meter = (price.get("recurring") or {}).get("meter") == meter
    return of_meter and Decimal(str(price["unit_amount_decimal"])) == cents


def _new_price(event: str, meter: str, cents: Decimal, label: str) -> dict[str, Any]:
    return gateway_account.create_price(name=event, product=PRODUCT, meter=meter, cents=cents, label=label)


def _portal() -> Done:
    """One that is there is left as it is: what it offers may be an operator's choice."""
    known = gateway_account.portal()
    if known is None:
        made = gateway_account.create_portal(return_to=settings.PUBLIC_URL + reverse("billing"))
        return Done("portal", made["id"], made=True)
    lacking = [
        name
        for name in gateway_account.PORTAL_FEATURES
        if not (known["features"].get(name) or {}).get("enabled")
    ]
    return Done("portal", known["id"], made=False, note=f"without {', '.join(lacking)}" if lacking else "")


def webhook_address() -> str:
    return str(settings.PUBLIC_URL + reverse("stripe_webhook"))


def _endpoint() -> Done:
    address = webhook_address()
    kinds = sorted(kind for kind in HANDLERS if kind not in THIN_KINDS)
    for known in gateway_account.endpoints():
        if known["url"] == address and known["api_version"] == API_VERSION:
            if sorted(known["enabled_events"]) != kinds or known["status"] != "enabled":
                gateway_account.change_endpoint(known["id"], kinds=kinds)
            return Done("webhook endpoint", known["id"], made=False)
    made = gateway_account.create_endpoint(address=address, kinds=kinds)
    return Done("webhook endpoint", made["id"], made=True, secret=made["secret"])


def _destination() -> Done:
    """Meters report what they could not count by thin events, which go to a destination of their own."""
    address = webhook_address()
    for known in gateway_account.destinations():
        if _address(known) == address:
            if sorted(known["enabled_events"]) != sorted(THIN_KINDS):
                gateway_account.change_destination(known["id"], kinds=list(THIN_KINDS))
            if known["status"] != "enabled":
                gateway_account.enable_destination(known["id"])
            return Done("thin event destination", known["id"], made=False)
    made = gateway_account.create_destination(address=address, kinds=list(THIN_KINDS))
    secret = made["webhook_endpoint"]["signing_secret"]
    return Done("thin event destination", made["id"], made=True, secret=secret)


def _address(destination: dict[str, Any]) -> str:
    return str((destination.get("webhook_endpoint") or {}).get("url", ""))
