"""What can be ordered, and for how much."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from billing import quotes
from jobs.dialects.rest.views.base import View
from jobs.dialects.rest.wire import models as models_wire
from providers import catalogue, routing


class Models(View):
    def get(self, request: Request) -> Response:
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
