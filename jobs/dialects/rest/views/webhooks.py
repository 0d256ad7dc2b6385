"""Webhooks: endpoints, what was sent to them, and what verifies it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from rest_framework.request import Request
from rest_framework.response import Response

from jobs import notify, signing
from jobs import webhooks as endpoints
from jobs.dialects.rest import webhooks
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import webhooks as schemas
from jobs.dialects.rest.views.base import View, limit
from jobs.dialects.rest.wire import webhooks as wire
from jobs.errors import NotFound
from jobs.models import Delivery, WebhookEndpoint
from jobs.secrets import SealBroken

KEYS_SECONDS = 3600
LOCATION = {"Location": {"type": "string", "format": "uri-reference", "description": "Where to look at it."}}
URL_CODES = ("url_invalid", "url_scheme", "url_private")
MISSING = ("webhook_not_found", "not_found")
MISSING_DELIVERY = ("delivery_not_found", "not_found")


class WebhookView(View):
    write_scope = "webhooks:write"

    def endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        rows = WebhookEndpoint.objects.for_org(self.caller.organization).live()
        row = rows.filter(pk=endpoint_id).first()
        if row is None:
            raise NotFound("webhook_not_found", "There is no such webhook endpoint.")
        return row

    def delivery(self, delivery_id: UUID) -> Delivery:
        rows = Delivery.objects.for_org(self.caller.organization).filter(pk=delivery_id)
        row = rows.select_related("job__organization", "organization", "endpoint", "event").first()
        if row is None:
            raise NotFound("delivery_not_found", "There is no such delivery.")
        return row


class Webhooks(WebhookView):
    @operation(
        "listWebhooks",
        "List webhook endpoints",
        tag="Webhooks",
        answers={200: Answer("All of them, the oldest first.", schemas.ENDPOINTS)},
    )
    def get(self, request: Request) -> Response:
        rows = WebhookEndpoint.objects.for_org(self.caller.organization).live().order_by("id")
        return Response({"data": [wire.endpoint(row) for row in rows]})

    @operation(
        "createWebhook",
        "Add a webhook endpoint",
        tag="Webhooks",
        body=schemas.ENDPOINT_ORDER,
        answers={201: Answer("The endpoint.", schemas.ENDPOINT_WITH_SECRET, headers=LOCATION)},
        refusals=(*URL_CODES, "webhook_limit"),
    )
    def post(self, request: Request) -> Response:
        """It is told of the events of all jobs from now on. Keep the secret: it checks that a message is ours."""
        row, secret = endpoints.add(self.caller, **self.body)
        location = f"/v1/webhooks/{row.pk}"
        return Response({**wire.endpoint(row), "secret": secret}, status=201, headers={"Location": location})


class OneWebhook(WebhookView):
    @operation(
        "getWebhook",
        "Look at a webhook endpoint",
        tag="Webhooks",
        answers={200: Answer("The endpoint.", schemas.ENDPOINT)},
        refusals=MISSING,
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        return Response(wire.endpoint(self.endpoint(endpoint_id)))

    @operation(
        "changeWebhook",
        "Change a webhook endpoint",
        tag="Webhooks",
        body=schemas.ENDPOINT_CHANGE,
        answers={200: Answer("The endpoint as it is now.", schemas.ENDPOINT)},
        refusals=(*MISSING, *URL_CODES),
    )
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        """What is not given stays. One that was disabled starts anew when it is enabled."""
        return Response(wire.endpoint(endpoints.change(self.caller, self.endpoint(endpoint_id), self.body)))

    @operation(
        "deleteWebhook",
        "Delete a webhook endpoint",
        tag="Webhooks",
        answers={204: Answer("It is told nothing more.")},
        refusals=MISSING,
    )
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        endpoints.remove(self.caller, self.endpoint(endpoint_id))
        return Response(status=204)


class Rotate(WebhookView):
    @operation(
        "rotateWebhookSecret",
        "Replace an endpoint's secret",
        tag="Webhooks",
        body=schemas.ROTATION,
        answers={200: Answer("The endpoint with its new secret.", schemas.ENDPOINT_WITH_SECRET)},
        refusals=MISSING,
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """For a while messages carry both signatures, so the receiver can change over without losing one."""
        overlap = self.body.get("overlap_seconds", endpoints.OVERLAP.total_seconds())
        row, secret = endpoints.rotate(self.caller, self.endpoint(endpoint_id), timedelta(seconds=overlap))
        return Response({**wire.endpoint(row), "secret": secret})


class Test(WebhookView):
    @operation(
        "testWebhook",
        "Send a test message",
        tag="Webhooks",
        answers={202: Answer("The delivery, on its way.", schemas.DELIVERY, headers=LOCATION)},
        refusals=(*MISSING, "webhook_disabled", "webhook_test_pending"),
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """A message of type `ping`, signed like every other. Look at the delivery to see what came of it."""
        row = endpoints.ping(self.endpoint(endpoint_id))
        location = f"/v1/webhooks/deliveries/{row.pk}"
        return Response(wire.delivery(row), status=202, headers={"Location": location})


class Deliveries(WebhookView):
    @operation(
        "listDeliveries",
        "List what was sent to an endpoint",
        tag="Webhooks",
        query={**schemas.DELIVERY_FILTERS, "limit": limit()},
        answers={200: Answer("A page of deliveries, the newest first.", schemas.DELIVERIES)},
        refusals=MISSING,
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """Deliveries are kept for thirty days after their end. Give `next` as `after` to read on."""
        filters = {"status": self.query.get("status"), "pk__lt": self.query.get("after")}
        rows = Delivery.objects.filter(endpoint=self.endpoint(endpoint_id)).select_related("endpoint")
        rows = rows.filter(**{name: value for name, value in filters.items() if value}).order_by("-id")
        most = self.query["limit"]
        page = list(rows[: most + 1])
        data = [wire.delivery(row) for row in page[:most]]
        more = len(page) > most
        return Response({"data": data, "has_more": more, "next": data[-1]["id"] if more else None})


class OneDelivery(WebhookView):
    @operation(
        "getDelivery",
        "Look at a delivery",
        tag="Webhooks",
        answers={200: Answer("The delivery, its message and its tries.", schemas.DELIVERY_IN_FULL)},
        refusals=MISSING_DELIVERY,
    )
    def get(self, request: Request, delivery_id: UUID) -> Response:
        row = self.delivery(delivery_id)
        log = [wire.tried(entry) for entry in row.log.all()]
        return Response({**wire.delivery(row), "payload": payload(row), "log": log})


def payload(row: Delivery) -> dict[str, Any] | None:
    try:
        _, body = notify.drawn(row)
    except SealBroken:
        return None
    drawn: dict[str, Any] = json.loads(body)
    return drawn


class Replay(WebhookView):
    @operation(
        "replayDelivery",
        "Send a delivery again",
        tag="Webhooks",
        answers={202: Answer("The delivery, on its way.", schemas.DELIVERY)},
        refusals=(*MISSING_DELIVERY, "webhook_disabled", "delivery_pending"),
    )
    def post(self, request: Request, delivery_id: UUID) -> Response:
        """Under its own `webhook-id`, by the schedule from its start."""
        return Response(wire.delivery(endpoints.replay(self.caller, self.delivery(delivery_id))), status=202)


class WebhookSecret(View):
    read_scope = "jobs:write"

    @operation(
        "getWebhookSecret",
        "See the webhooks' secret",
        tag="Webhooks",
        answers={200: Answer("The secret.", schemas.SECRET)},
    )
    def get(self, request: Request) -> Response:
        """What verifies the webhooks of jobs that name their own `webhook_url`; as secret as the key itself."""
        return Response({"secret": webhooks.signing_secret(self.caller.organization)})


def keys(request: HttpRequest) -> JsonResponse:
    """The public keys that check `v1a` signatures: for everybody."""
    answer = JsonResponse(signing.jwks(), content_type="application/jwk-set+json")
    answer["Cache-Control"] = f"public, max-age={KEYS_SECONDS}"
    return answer
