"""What can be run, and what it costs."""

from __future__ import annotations

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.auth import HasCaller
from billing import quotes
from billing.money import to_number
from jobs.dialects.wavespeed import prices
from jobs.dialects.wavespeed.views.base import View, known_model, success
from jobs.dialects.wavespeed.wire import bodies as wire
from jobs.dialects.wavespeed.wire.models import entry
from jobs.dialects.wavespeed.wire.submissions import flat
from providers import catalogue, routing


class Models(View):
    permission_classes = [HasCaller]

    def get(self, request: Request) -> Response:
        organization = self.caller.organization
        rates = quotes.price_list(organization)
        return success(
            [
                entry(
                    model,
                    [rate for rate in rates if (rate.model, rate.unit) == (model.slug, model.unit)],
                    place=place,
                    base=settings.PUBLIC_URL,
                    available=bool(routing.open_routes(model.slug, organization.pk)),
                )
                for place, model in enumerate(catalogue.models().values(), 1)
            ]
        )


class Price(View):
    permission_classes = [HasCaller]

    def estimate(self) -> tuple[str, prices.Estimate]:
        path = wire.text(self.body, "model_id", "model_uuid", "model")
        model = known_model(path)
        inputs = wire.mapping(self.body, "inputs", "input")
        return path, prices.estimate(self.caller, model, flat(inputs))

    def post(self, request: Request) -> Response:
        path, found = self.estimate()
        price = to_number(found.quote.total_micros)
        data = {
            "model_id": path,
            "price": price,
            "discounted_price": price,
            "currency": "USD",
            "exact": found.exact,
        }
        if not found.exact:
            data["note"] = "The least this can cost: its length is only known for a file uploaded here."
        return success(data)


class LegacyPrice(Price):
    def post(self, request: Request) -> Response:
        return success({"unit_price": to_number(self.estimate()[1].quote.total_micros)})
