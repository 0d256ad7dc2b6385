"""Webhooks: what verifies them."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from jobs.dialects.rest import webhooks
from jobs.dialects.rest.views.base import View


class WebhookSecret(View):
    """What verifies the webhooks of jobs submitted here; as secret as the key itself."""

    read_scope = "jobs:write"

    def get(self, request: Request) -> Response:
        return Response({"secret": webhooks.signing_secret(self.caller.organization)})
