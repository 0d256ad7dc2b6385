"""Addresses of `/v1`; no trailing slashes."""

from django.urls import path, re_path

from jobs.dialects.rest.views import (
    account,
    accounts,
    detect,
    events,
    files,
    jobs,
    keys,
    models,
    reference,
    usage,
    webhooks,
)

urlpatterns = [
    path("openapi.json", reference.Document.as_view(), name="rest-openapi"),
    path("models", models.Models.as_view(), name="rest-models"),
    path("quotes", jobs.Quotes.as_view(), name="rest-quotes"),
    path("jobs", jobs.Jobs.as_view(), name="rest-jobs"),
    path("jobs/<uuid:job_id>", jobs.OneJob.as_view(), name="rest-job"),
    path("jobs/<uuid:job_id>/cancel", jobs.Cancel.as_view(), name="rest-cancel"),
    path("jobs/<uuid:job_id>/retry", jobs.Retry.as_view(), name="rest-retry"),
    path("jobs/<uuid:job_id>/receipt", jobs.Receipt.as_view(), name="rest-receipt"),
    path("jobs/<uuid:job_id>/events", events.Events.as_view(), name="rest-events"),
    path("events", events.Feed.as_view(), name="rest-feed"),
    path("files", files.Files.as_view(), name="rest-files"),
    path("files/tickets", files.Tickets.as_view(), name="rest-tickets"),
    path("files/<uuid:file_id>/complete", files.Complete.as_view(), name="rest-complete"),
    path("files/<uuid:file_id>", files.OneFile.as_view(), name="rest-file"),
    path("webhooks", webhooks.Webhooks.as_view(), name="rest-webhooks"),
    path("webhooks/secret", webhooks.WebhookSecret.as_view(), name="rest-webhook-secret"),
    path("webhooks/deliveries/<uuid:delivery_id>", webhooks.OneDelivery.as_view(), name="rest-delivery"),
    path("webhooks/deliveries/<uuid:delivery_id>/replay", webhooks.Replay.as_view(), name="rest-replay"),
    path("webhooks/<uuid:endpoint_id>", webhooks.OneWebhook.as_view(), name="rest-webhook"),
    path("webhooks/<uuid:endpoint_id>/rotate", webhooks.Rotate.as_view(), name="rest-webhook-rotate"),
    path("webhooks/<uuid:endpoint_id>/test", webhooks.Test.as_view(), name="rest-webhook-test"),
    path("webhooks/<uuid:endpoint_id>/deliveries", webhooks.Deliveries.as_view(), name="rest-deliveries"),
    path("detect", detect.Detect.as_view(), name="rest-detect"),
    path("keys", keys.Keys.as_view(), name="rest-keys"),
    path("keys/<uuid:key_id>", keys.OneKey.as_view(), name="rest-key"),
    path("keys/<uuid:key_id>/rotate", keys.Rotate.as_view(), name="rest-rotate"),
    path("provider-accounts", accounts.Accounts.as_view(), name="rest-provider-accounts"),
    path("provider-accounts/<int:account_id>", accounts.OneAccount.as_view(), name="rest-provider-account"),
    path("provider-accounts/<int:account_id>/check", accounts.Check.as_view(), name="rest-provider-check"),
    path("usage", usage.Usage.as_view(), name="rest-usage"),
    path("balance", account.Balance.as_view(), name="rest-balance"),
    # the last one: whatever else is asked for under /v1
    re_path("", reference.Nothing.as_view(), name="rest-nothing"),
]
