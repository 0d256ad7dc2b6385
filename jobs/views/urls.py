"""The dashboard's addresses."""

from __future__ import annotations

from django.urls import path

from jobs.views import pages, public

urlpatterns = [
    path("", public.home, name="jobs"),
    path("pricing", public.pricing, name="pricing"),
    path("jobs/rows", pages.job_rows, name="job_rows"),
    path("jobs/<uuid:job_id>", pages.job_page, name="job"),
    path("jobs/<uuid:job_id>/live", pages.job_live, name="job_live"),
    path("jobs/<uuid:job_id>/cancel", pages.job_cancel, name="job_cancel"),
    path("jobs/<uuid:job_id>/delete", pages.job_delete, name="job_delete"),
]
