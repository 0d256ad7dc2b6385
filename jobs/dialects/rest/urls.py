"""Addresses of `/v1`; no trailing slashes."""

from django.urls import path

from jobs.dialects.rest import views

urlpatterns = [
    path("models", views.Models.as_view(), name="rest-models"),
    path("quotes", views.Quotes.as_view(), name="rest-quotes"),
    path("jobs", views.Jobs.as_view(), name="rest-jobs"),
    path("jobs/<uuid:job_id>", views.OneJob.as_view(), name="rest-job"),
    path("jobs/<uuid:job_id>/cancel", views.Cancel.as_view(), name="rest-cancel"),
    path("jobs/<uuid:job_id>/retry", views.Retry.as_view(), name="rest-retry"),
    path("jobs/<uuid:job_id>/receipt", views.Receipt.as_view(), name="rest-receipt"),
    path("jobs/<uuid:job_id>/events", views.Events.as_view(), name="rest-events"),
    path("events", views.Feed.as_view(), name="rest-feed"),
    path("files", views.Files.as_view(), name="rest-files"),
    path("files/<uuid:file_id>", views.OneFile.as_view(), name="rest-file"),
    path("webhooks/secret", views.WebhookSecret.as_view(), name="rest-webhook-secret"),
    path("balance", views.Balance.as_view(), name="rest-balance"),
]
