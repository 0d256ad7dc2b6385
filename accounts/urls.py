"""The organization's own pages. Sign-in and its relatives are allauth's, under /accounts/."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
