"""Files come in as the SDK sends them: a policy first, then a form with it."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.core import signing
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.auth import needs
from accounts.models import Organization
from accounts.tenancy import Caller
from jobs import uploads
from jobs.dialects.dashscope import bodies
from jobs.dialects.dashscope.views.base import View
from jobs.dialects.dashscope.wire import uploads as wire
from jobs.dialects.dashscope.wire.faults import invalid, refused
from jobs.models import Asset

SALT = "dashscope.upload"
FORM = "/api/v1/uploads/form"


class Policy(View):
    permission_classes = [needs("files:write")]

    def get(self, request: Request) -> Response:
        if request.query_params.get("action") != "getPolicy":
            raise invalid("action must be getPolicy.")
        if not request.query_params.get("model"):
            raise invalid("model is required.")
        directory = wire.folder(secrets.token_urlsafe(24))
        claims = {"organization": str(self.caller.organization.pk), "dir": directory}
        text, _, signature = signing.dumps(claims, salt=SALT).rpartition(":")
        data = wire.policy(
            text=text,
            signature=signature,
            directory=directory,
            host=f"{settings.PUBLIC_URL}{FORM}",
            most_bytes=settings.UPLOAD_MAX_BYTES,
            key_id=str(self.caller.key.pk) if self.caller.key else "",
        )
        return Response({"request_id": self.request_id, "data": data})


class Form(View):
    """No key: the policy and its signature say for whom the file is kept."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    parser_classes = [bodies.BoundedForm]

    def post(self, request: Request) -> Response:
        claims = self._claims()
        key, name = wire.file_key(request.POST, claims["dir"])
        file = request.FILES.get("file")
        if file is None:
            raise invalid("Send the file as the form field `file`.")
        organization = Organization.objects.filter(pk=claims["organization"], suspended_at=None).first()
        if organization is None:
            raise refused(403, "AccessDenied", "This organization may not upload files.")
        asset_id = wire.asset_id(key)
        if Asset.objects.filter(pk=asset_id).exists():
            raise refused(403, "AccessDenied", "This policy has a file of this name already.")
        uploads.store(organization, file=file, filename=name, by=Caller(organization), asset_id=asset_id)
        return Response({"request_id": self.request_id})

    def _claims(self) -> dict[str, Any]:
        form = self.request.POST
        token = f"{form.get('policy', '')}:{form.get('Signature', '')}"
        try:
            claims: dict[str, Any] = signing.loads(token, salt=SALT, max_age=wire.POLICY_SECONDS)
        except signing.BadSignature:
            raise refused(
                403, "AccessDenied", "The upload policy is not valid (any more): ask for a new one."
            ) from None
        return claims
