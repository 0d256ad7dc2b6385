"""The same order once more: its price first, then the order at just that price."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from accounts.tenancy import Caller, org_view
from billing.errors import RateLimited
from jobs.errors import Conflict, JobError
from jobs.models import Job
from jobs.states import Status
from jobs.submit import offer, same_again, submit
from jobs.views import answers, words
from providers import catalogue


@require_http_methods(["GET", "POST"])
@org_view("jobs:write")
def job_again(request: HttpRequest, caller: Caller, job_id: UUID) -> HttpResponse:
    job = get_object_or_404(Job.objects.for_org(caller.organization).visible(), pk=job_id)
    if request.method == "GET":
        return _page(request, caller, job)
    order = replace(
        same_again(job),
        quote=request.POST.get("quote", ""),
        # Pressed twice, ordered once.
        idempotency_key=f"again:{request.POST.get('key', '')[:100]}",
    )
    try:
        if not order.quote:
            raise Conflict("quote_expired", "The price is not known any more.")
        made = submit(caller, order)
    except (JobError, RateLimited) as refusal:
        return _page(request, caller, job, refusal)
    messages.success(request, "Ordered. The video appears here when it is ready.")
    return redirect("job", made.pk)


def _page(
    request: HttpRequest, caller: Caller, job: Job, refusal: JobError | RateLimited | None = None
) -> HttpResponse:
    """What it costs now; or why it cannot be ordered, and what to do about that."""
    quote, price = "", ""
    try:
        offered = offer(caller, same_again(job))
        quote, payable = offered.text, offered.payable_micros
        price = words.usd(payable) if payable else "Free"
    except (JobError, RateLimited) as problem:
        refusal = refusal or problem
    context = {
        "section": "jobs",
        "job": job,
        "name": words.title(job),
        "model": words.model(job),
        "known": job.model in catalogue.models(),
        "failed": job.final and job.status != Status.SUCCEEDED,
        "advice": words.advice(job),
        "price": price,
        "quote": quote,
        "key": uuid4(),
        "refusal": answers.refused(caller, refusal) if isinstance(refusal, JobError) else refusal,
    }
    return render(request, "jobs/again.html", context, status=409 if refusal else 200)
