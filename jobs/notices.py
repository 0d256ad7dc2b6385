"""E-mails about what was done without being asked."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Member, Role
from jobs.models import WebhookEndpoint

log = logging.getLogger(__name__)

AGAIN = timedelta(minutes=10)
LEADERS = (Role.OWNER, Role.ADMIN)


def tell_disabled(endpoint_id: str) -> None:
    """Tell an organization's owners and admins that their endpoint was disabled; again later if that fails."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint_id)
    # Claimed by putting it off: a second process finds nothing due, and one that dies is made up for.
    if not rows.filter(tell_at__lte=Now()).update(tell_at=Now() + AGAIN):
        return
    endpoint = rows.select_related("organization").get()
    people = Member.objects.for_org(endpoint.organization).filter(role__in=LEADERS).select_related("user")
    context = {
        "endpoint": endpoint,
        "organization": endpoint.organization,
        "page": settings.PUBLIC_URL + reverse("webhook", args=[endpoint.pk]),
        "url": settings.PUBLIC_URL,
    }
    letters = [_letter(member.user.email, context) for member in people if member.user.is_active]
    get_connection().send_messages(letters)
    rows.update(tell_at=None)


def _letter(address: str, context: dict[str, Any]) -> EmailMultiAlternatives:
    name = "".join(context["organization"].name.splitlines())
    text = render_to_string("jobs/email/webhook_disabled.txt", context)
    letter = EmailMultiAlternatives(f"A webhook endpoint of {name} was disabled", text, to=[address])
    letter.attach_alternative(render_to_string("jobs/email/webhook_disabled.html", context), "text/html")
    return letter


@shared_task(name="jobs.tell_disabled")
def tell_disabled_task(endpoint_id: str) -> None:
    tell_disabled(endpoint_id)
