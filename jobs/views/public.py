"""What a stranger sees: what the product does, what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from accounts.tenancy import caller_of
from billing import free, quotes
from billing.models import Price, Unit
from billing.money import format_usd
from jobs.views import table
from providers import catalogue

EXAMPLE_SECONDS = 10
FREE = "Free"
FIGURE_SPACE = "\u2007"  # as wide as a digit


@dataclass(frozen=True)
class Offer:
    """One line of the price list. `example` is what a video of EXAMPLE_SECONDS costs; empty for pictures."""

    resolution: str
    usd: str
    unit: str
    shortest: int
    longest: int
    example: str


@dataclass(frozen=True)
class ModelOffers:
    """`free`: so many of its units are free, once, for each new organization."""

    name: str
    slug: str
    description: str
    offers: tuple[Offer, ...]
    free: int = 0


@require_GET
def home(request: HttpRequest) -> HttpResponseBase:
    """To the studio for whoever may make videos, else to the videos; for a stranger, the front page."""
    if request.user.is_authenticated:
        caller = caller_of(request)
        if caller is None:
            return table.job_list(request)  # which says what is missing
        return redirect("studio" if caller.can("jobs:write") else "gallery")
    context = {
        "films": films(quotes.public_prices(), free.offered()),
        "base_url": settings.PUBLIC_URL,
        "section": "home",
    }
    return render(request, "public/home.html", context)


@require_GET
def pricing(request: HttpRequest) -> HttpResponse:
    prices, given = quotes.public_prices(), free.offered()
    sold, looks = films(prices, given), checks(prices, given)
    gives = any(model.free for model in (*sold, *looks))
    context = {"films": sold, "checks": looks, "gives": gives, "section": "pricing"}
    return render(request, "public/pricing.html", context)


def films(prices: Iterable[Price], given: Mapping[str, int]) -> list[ModelOffers]:
    """The models on sale with what a second costs everybody."""
    offered = [
        _offers(entry.name, entry.slug, entry.description, prices, given)
        for entry in catalogue.models().values()
    ]
    return _aligned([model for model in offered if model.offers])


def _aligned(models: list[ModelOffers]) -> list[ModelOffers]:
    """With room behind shorter fractions, so that the points of a column stand below each other."""
    offers = [offer for model in models for offer in model.offers]
    rates = max((_digits(offer.usd) for offer in offers), default=0)
    examples = max((_digits(offer.example) for offer in offers), default=0)
    return [
        replace(
            model,
            offers=tuple(
                replace(offer, usd=_padded(offer.usd, rates), example=_padded(offer.example, examples))
                for offer in model.offers
            ),
        )
        for model in models
    ]


def _digits(usd: str) -> int:
    return len(usd.partition(".")[2])


def _padded(usd: str, digits: int) -> str:
    return usd + FIGURE_SPACE * (digits - _digits(usd)) if usd != FREE else usd


def checks(prices: Iterable[Price], given: Mapping[str, int]) -> list[ModelOffers]:
    """The looks at a picture that are billed by the piece."""
    films_known = catalogue.models()
    apart = [price for price in prices if price.model not in films_known and price.unit == Unit.IMAGE]
    return [_offers(price.model, price.model, "", [price], given) for price in apart]


def _offers(
    name: str, slug: str, description: str, prices: Iterable[Price], given: Mapping[str, int]
) -> ModelOffers:
    offers = tuple(_offer(price) for price in prices if price.model == slug)
    return ModelOffers(name, slug, description, offers, given.get(slug, 0))


def _offer(price: Price) -> Offer:
    timed = price.unit == Unit.SECOND
    example = quotes.example(price, EXAMPLE_SECONDS * 1000) if timed else None
    return Offer(
        resolution=price.resolution,
        usd=_usd(price.micros_per_unit),
        unit=price.unit,
        shortest=price.min_units,
        longest=price.max_units,
        example=_usd(example.total_micros) if example else "",
    )


def _usd(micros: int) -> str:
    return f"${format_usd(micros)}" if micros else FREE
