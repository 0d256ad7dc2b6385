"""Quotes before a submit: exact when the measured file is one of ours, else the least it can cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from accounts.tenancy import Caller
from billing.quotes import Quote
from jobs.dialects.wavespeed.wire.submissions import split
from jobs.errors import Invalid
from jobs.inputs import check_input
from jobs.media.results import Kind
from jobs.models import Asset
from jobs.prepare import Unfit, look_into
from jobs.submit import Source, checked_options, price, resolve
from providers.catalogue import Model


@dataclass(frozen=True)
class Estimate:
    """`exact`: this is what a submit will cost; otherwise it can only cost more."""

    quote: Quote
    exact: bool


def estimate(caller: Caller, model: Model, fields: Mapping[str, Any]) -> Estimate:
    """Any part of a submit's parameters; what is there is checked like a submit's."""
    inputs, options = split(model, fields)
    anything = {role: replace(wanted, required=False) for role, wanted in model.inputs.items()}
    sources = resolve(caller.organization, replace(model, inputs=anything), inputs)
    length_ms = _length_ms(model, sources.get(model.length_from))
    quote = price(caller.organization, model, checked_options(model, options), length_ms)
    return Estimate(quote, exact=length_ms is not None)


def _length_ms(model: Model, source: Source | None) -> int | None:
    """Of a file of ours; one whose bytes arrived by ticket is looked into now."""
    asset = source.asset if source else None
    if asset is None:
        return None
    wanted = model.inputs[model.length_from]
    if asset.status == Asset.Status.PENDING:
        try:
            asset = look_into(asset, cast(Kind, wanted.kind))
        except Unfit as unfit:
            raise Invalid(unfit.failure.code, unfit.failure.message, field=wanted.role) from None
    check_input(wanted, asset)
    return asset.duration_ms
