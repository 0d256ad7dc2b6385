"""The dashboard's addresses."""

from __future__ import annotations

from django.urls import path

from jobs.views import keys, pages, providers, public, requests, studio, webhooks

urlpatterns = [
    path("", public.home, name="home"),
    path("gallery", pages.job_list, name="gallery"),
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
    path("keys", keys.key_list, name="keys"),
    path("keys/<uuid:key_id>", keys.key_page, name="key"),
    path("keys/<uuid:key_id>/rotate", keys.key_rotate, name="rotate_key"),
    path("keys/<uuid:key_id>/revoke", keys.key_revoke, name="revoke_key"),
    path("webhooks", webhooks.endpoint_list, name="webhooks"),
    path("webhooks/<uuid:endpoint_id>", webhooks.endpoint_page, name="webhook"),
    path("webhooks/<uuid:endpoint_id>/switch", webhooks.endpoint_switch, name="switch_webhook"),
    path("webhooks/<uuid:endpoint_id>/rotate", webhooks.endpoint_rotate, name="rotate_webhook"),
    path("webhooks/<uuid:endpoint_id>/test", webhooks.endpoint_test, name="test_webhook"),
    path("webhooks/<uuid:endpoint_id>/replay", webhooks.endpoint_replay, name="replay_webhook"),
    path("webhooks/<uuid:endpoint_id>/delete", webhooks.endpoint_delete, name="delete_webhook"),
    path("webhooks/deliveries/<uuid:delivery_id>", webhooks.delivery_page, name="delivery"),
    path("webhooks/deliveries/<uuid:delivery_id>/live", webhooks.delivery_live, name="delivery_live"),
    path("webhooks/deliveries/<uuid:delivery_id>/replay", webhooks.delivery_replay, name="replay_delivery"),
    path("settings/providers", providers.account_list, name="providers"),
    path("settings/providers/<int:account_id>/test", providers.account_test, name="test_provider"),
    path("settings/providers/<int:account_id>/remove", providers.account_remove, name="remove_provider"),
    path("settings/routing", providers.routing_policy, name="routing_policy"),
    path("requests", requests.request_list, name="requests"),
    path("requests/<uuid:entry_id>", requests.request_page, name="request"),
]
