"""The dashboard's addresses."""

from __future__ import annotations

from django.urls import path

from jobs.views import pages, public, studio

urlpatterns = [
    path("", public.home, name="jobs"),
    path("pricing", public.pricing, name="pricing"),
    path("studio", studio.chooser, name="studio"),
    path("studio/files", studio.files, name="studio_files"),
    path("studio/files/<uuid:file_id>", studio.file, name="studio_file"),
    path("studio/jobs/<uuid:job_id>", studio.job_state, name="studio_job"),
    path("studio/jobs/<uuid:job_id>/events", studio.job_stream, name="studio_stream"),
    path("studio/jobs/<uuid:job_id>/clips/<int:index>", studio.job_clip, name="studio_clip"),
    path("studio/jobs/<uuid:job_id>/cancel", studio.job_cancel, name="studio_cancel"),
    path("studio/<str:slug>", studio.model_page, name="studio_model"),
    path("studio/<str:slug>/verdict", studio.verdict, name="studio_verdict"),
    path("studio/<str:slug>/quote", studio.quote, name="studio_quote"),
    path("studio/<str:slug>/jobs", studio.order, name="studio_order"),
    path("studio/<str:slug>/code", studio.code, name="studio_code"),
    path("jobs/rows", pages.job_rows, name="job_rows"),
    path("jobs/<uuid:job_id>", pages.job_page, name="job"),
    path("jobs/<uuid:job_id>/live", pages.job_live, name="job_live"),
    path("jobs/<uuid:job_id>/cancel", pages.job_cancel, name="job_cancel"),
    path("jobs/<uuid:job_id>/delete", pages.job_delete, name="job_delete"),
]
