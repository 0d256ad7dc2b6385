"""E-mails about jobs, webhooks, copies and deletions of data. A row says when one is due; it is put off to claim it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings
from django.core.mail import get_connection
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from accounts.letters import compose
from accounts.models import Member, Role
from jobs.models import Job, WebhookEndpoint
from jobs.personal import DataExport, Erasure, JobLetter
from jobs.states import Status
from providers import catalogue

log = logging.getLogger(__name__)

AGAIN = timedelta(minutes=10)
LEADERS = (Role.OWNER, Role.ADMIN)


def tell_disabled(endpoint_id: str) -> None:
    """Tell an organization's owners and admins that their endpoint was disabled; again later if that fails."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint_id)
    if not _put_off(rows):
        return
    endpoint = rows.select_related("organization").get()
    people = Member.objects.for_org(endpoint.organization).filter(role__in=LEADERS).select_related("user")
    name = endpoint.organization.name
    context = {
        "endpoint": endpoint,
        "organization": endpoint.organization,
        "page": settings.PUBLIC_URL + reverse("webhook", args=[endpoint.pk]),
    }
    subject = f"A webhook endpoint of {name} was disabled"
    letters = [
        compose(subject, "jobs/email/webhook_disabled", context, [member.user.email])
        for member in people
        if member.user.is_active
    ]
    get_connection().send_messages(letters)
    rows.update(tell_at=None)


OWED = """
INSERT INTO jobs_jobletter (job_id) SELECT %s FROM accounts_user WHERE id = %s AND is_active AND letters_when_finished
ON CONFLICT DO NOTHING
"""


def owe(job: Job) -> None:
    """A letter to whoever started the job, if they want one: in the transaction that ends it. Looks are no videos."""
    entry = catalogue.models().get(job.model)
    if job.user_id and entry and not entry.per_hour:
        with connection.cursor() as cursor:
            cursor.execute(OWED, [job.pk, job.user_id])


def tell_ended(job_id: str) -> None:
    rows = JobLetter.objects.filter(job_id=job_id)
    if not _put_off(rows):
        return
    job = Job.objects.select_related("user", "organization").get(pk=job_id)
    if job.user and job.user.is_active and job.deleted_at is None:
        good = job.status == Status.SUCCEEDED
        context = {
            "job": job,
            "page": settings.PUBLIC_URL + reverse("job", args=[job.pk]),
            "settings_page": settings.PUBLIC_URL + reverse("profile"),
        }
        subject = "Your video is finished" if good else "A video could not be made"
        compose(subject, "jobs/email/job_ended", context, [job.user.email]).send()
    rows.delete()


def tell_export(export_id: str) -> None:
    rows = DataExport.objects.filter(pk=export_id)
    if not _put_off(rows):
        return
    export = rows.select_related("organization", "requested_by").get()
    page = settings.PUBLIC_URL + reverse("privacy")
    context = {"export": export, "organization": export.organization, "page": page}
    if export.status == DataExport.Status.READY and export.requested_by.is_active:
        to = [export.requested_by.email]
        compose("The copy of your data is ready", "jobs/email/export_ready", context, to).send()
    rows.update(tell_at=None)


def tell_erasure(erasure_id: str) -> None:
    """That it is planned, while it is; that it is done, once it is. Then the addresses go as well."""
    rows = Erasure.objects.filter(pk=erasure_id)
    if not _put_off(rows):
        return
    erasure = rows.select_related("organization", "requested_by").get()
    page = settings.PUBLIC_URL + reverse("privacy")
    context = {"erasure": erasure, "organization": erasure.organization, "page": page}
    what = "organization" if erasure.organization else "account"
    if erasure.status == Erasure.Status.DONE:
        for address in erasure.letters:
            compose(f"Your {what} was deleted", "jobs/email/erasure_done", context, [address]).send()
        rows.update(tell_at=None, letters=[])
        return
    if erasure.status == Erasure.Status.SCHEDULED:
        for address in _concerned(erasure):
            compose(f"Your {what} will be deleted", "jobs/email/erasure_planned", context, [address]).send()
    rows.update(tell_at=None)


def _concerned(erasure: Erasure) -> list[str]:
    if erasure.organization is None:
        return [erasure.requested_by.email]
    owners = Member.objects.for_org(erasure.organization).owners().filter(user__is_active=True)
    return list(owners.values_list("user__email", flat=True))


def _put_off(rows: QuerySet[Any]) -> bool:
    """Claimed by putting it off: a second process finds nothing due, and one that dies is made up for."""
    return bool(rows.filter(tell_at__lte=Now()).update(tell_at=Now() + AGAIN))


@shared_task(name="jobs.tell_disabled")
def tell_disabled_task(endpoint_id: str) -> None:
    tell_disabled(endpoint_id)


@shared_task(name="jobs.tell_ended")
def tell_ended_task(job_id: str) -> None:
    tell_ended(job_id)
