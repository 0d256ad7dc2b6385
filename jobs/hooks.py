"""Calls of providers about their orders. They bring the next poll forward and decide nothing."""

from __future__ import annotations

from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from jobs.models import Attempt
from jobs.orders import called_tag
from jobs.poll import bring_forward
from providers.errors import AccountRefused, Forged
from providers.registry import adapter

BODY_BYTES = 256 * 1024


@csrf_exempt
@require_POST
def callback(request: HttpRequest, signed: str) -> HttpResponse:
    """204, whatever became of the order; 404 for an address that we gave to nobody; 403 for a call that is forged."""
    try:
        attempt = Attempt.objects.get(tag=called_tag(signed))
    except (BadSignature, Attempt.DoesNotExist):
        return HttpResponse(status=404)
    body = request.read(BODY_BYTES + 1)
    if len(body) > BODY_BYTES:
        return HttpResponse(status=413)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        said = adapter(attempt.provider, attempt.account_id).parse_callback(headers, body)
    except (Forged, AccountRefused):
        return HttpResponse(status=403)
    bring_forward(attempt, said)
    return HttpResponse(status=204)
