"""Addresses below /api/v3/, none with a slash at its end. The last takes every path that is nothing else."""

from __future__ import annotations

from django.urls import path, re_path

from jobs.dialects.wavespeed.views import account, files, models, predictions

app_name = "wavespeed"
urlpatterns = [
    path("predictions", predictions.History.as_view(), name="history"),
    path("predictions/delete", predictions.Delete.as_view(), name="delete"),
    path("predictions/<str:prediction_id>/result", predictions.Result.as_view(), name="result"),
    path("predictions/<str:prediction_id>", predictions.Result.as_view(), name="prediction"),
    path("media/uploads", files.Ticket.as_view(), name="ticket"),
    path("media/upload/binary", files.Upload.as_view(), name="upload"),
    path("upload", files.PlainUpload.as_view(), name="plain_upload"),
    path("balance", account.Balance.as_view(), name="balance"),
    path("account/balance", account.Balance.as_view(), name="account_balance"),
    path("models", models.Models.as_view(), name="models"),
    path("model/price", models.Price.as_view(), name="price"),
    path("model/pricing", models.LegacyPrice.as_view(), name="legacy_price"),
    path("user/usage_stats", account.Usage.as_view(), name="usage"),
    path("billings/search", account.Billings.as_view(), name="billings"),
    path("webhook/secret", account.WebhookSecret.as_view(), name="webhook_secret"),
    re_path(r"^(?P<path>(?s:.*))$", predictions.Submit.as_view(), name="submit"),
]
