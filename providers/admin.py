"""Console pages of routes and renders."""

from django.contrib import admin

from providers.models import Render, Route


@admin.register(Route)
class RouteAdmin(admin.ModelAdmin[Route]):
    list_display = [
        "model",
        "provider",
        "enabled",
        "priority",
        "weight",
        "max_running",
        "cost_micros_per_second",
    ]
    list_filter = ["enabled", "provider", "model"]


@admin.register(Render)
class RenderAdmin(admin.ModelAdmin[Render]):
    list_display = ["id", "engine", "queue", "status", "phase", "clips_done", "clips", "runs", "created_at"]
    list_filter = ["status", "queue", "engine"]
    readonly_fields = [field.name for field in Render._meta.fields]  # noqa: SLF001  Django's documented name
    show_full_result_count = False
