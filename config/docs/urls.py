"""Addresses of the documentation site."""

from django.urls import path

from config.docs import views

urlpatterns = [
    path("", views.page, name="docs"),
    path("/", views.page),
    path("/search.json", views.search_index, name="docs-search"),
    path("/api", views.api, name="docs-api"),
    path("/api/<slug:group>", views.api),
    path("/<slug:slug>", views.page, name="docs-page"),
    path("/<path:path>", views.missing),
]
