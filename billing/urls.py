"""Addresses of the money pages and of Stripe's webhook."""

from __future__ import annotations

from django.urls import path

from billing import views

urlpatterns = [
    path("billing", views.billing_page, name="billing"),
    path("billing/plan", views.plan_page, name="plan"),
    path("billing/statement", views.statement_page, name="statement"),
    path("billing/statement.csv", views.statement_file, name="statement_file"),
    path("usage", views.usage_page, name="usage"),
    path("usage.csv", views.usage_file, name="usage_file"),
    path("billing/topups", views.topup, name="topup"),
    path("billing/topups/<uuid:topup_id>/return", views.topup_return, name="topup_return"),
    path("billing/card", views.save_card, name="save_card"),
    path("billing/auto-topup", views.auto_topup, name="auto_topup"),
    path("billing/auto-topup/off", views.auto_topup_off, name="auto_topup_off"),
    path("billing/subscribe", views.subscribe, name="subscribe"),
    path("billing/alerts", views.set_alerts, name="set_alerts"),
    path("billing/portal", views.portal, name="billing_portal"),
    path("billing/stripe/webhook", views.stripe_webhook, name="stripe_webhook"),
]
