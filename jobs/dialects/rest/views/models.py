"""What can be ordered, and for how much."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from billing import quotes
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import models as schemas
from jobs.dialects.rest.views.base import View
from jobs.dialects.rest.wire import models as models_wire
from providers import catalogue, routing


class Models(View):
    @operation(
        "listModels", "List the models", tag="Models", answers={200: Answer("All of them.", schemas.MODELS)}
    )
    def get(self, request: Request) -> Response:
        """What can be ordered: the inputs and options of each, and its prices for this organization."""
        organization = self.caller.organization
        prices = quotes.price_list(organization)
        previews = routing.only_previews(organization.pk)
        shown = [
            models_wire.model(
                entry,
                [models_wire.price_of(price) for price in prices if price.model == entry.slug],
                preview=entry.slug in previews,
            )
            for entry in catalogue.models().values()
        ]
        return Response({"data": shown})
