"""The console's page of one organization, with what an operator does there: notes, suspend, resume."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.admin import OrganizationAdmin
from accounts.console import link, operator
from accounts.models import Organization
from accounts.organizations import note, resume, suspend
from jobs.tenant import organizations, tenant


class NoteForm(forms.Form):
    text = forms.CharField(
        label="A note for operators",
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept with your name and the time; it cannot be changed.",
    )


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="Reason", max_length=300, widget=UnfoldAdminTextInputWidget, help_text="Kept on record."
    )


# The page is of jobs and money too, and accounts may not know those.
admin.site.unregister(Organization)


@admin.register(Organization)
class TenantAdmin(OrganizationAdmin):
    list_display = ["tenant", "slug", "tier", "billing_mode", "people", "created_at", "suspended_at"]
    list_display_links = None

    @admin.display(description="name", ordering="name")
    def tenant(self, organization: Organization) -> str:
        return link("tenant", organization.pk, organization.name)

    def get_urls(self) -> list[URLPattern]:
        def guarded(view: Any) -> Any:
            return self.admin_site.admin_view(view)

        return [
            path("<uuid:pk>/", guarded(self.tenant_view), name="tenant"),
            path("<uuid:pk>/note/", guarded(require_POST(self.note_view)), name="tenant_note"),
            path("<uuid:pk>/suspend/", guarded(require_POST(self.suspend_view)), name="tenant_suspend"),
            path("<uuid:pk>/resume/", guarded(require_POST(self.resume_view)), name="tenant_resume"),
            *super().get_urls(),
        ]

    def tenant_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._shown(request, pk, NoteForm(), ReasonForm())

    def note_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        organization, form = self._changing(request, pk), NoteForm(request.POST)
        if not form.is_valid():
            return self._shown(request, pk, form, ReasonForm(), status=422)
        note(organization, form.cleaned_data["text"], operator(request), request=request)
        return HttpResponseRedirect(_page(pk))

    def suspend_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self._switched(request, pk, suspend)

    def resume_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self._switched(request, pk, resume)

    def _switched(self, request: HttpRequest, pk: UUID, verb: Any) -> HttpResponse:
        organization, form = self._changing(request, pk), ReasonForm(request.POST)
        if not form.is_valid():
            return self._shown(request, pk, NoteForm(), form, status=422)
        verb(organization, operator(request), reason=form.cleaned_data["reason"], request=request)
        return HttpResponseRedirect(_page(pk))

    def _changing(self, request: HttpRequest, pk: UUID) -> Organization:
        if not self.has_change_permission(request):
            raise PermissionDenied
        return get_object_or_404(Organization, pk=pk)

    def _shown(
        self, request: HttpRequest, pk: UUID, note_form: NoteForm, reason_form: ReasonForm, status: int = 200
    ) -> HttpResponse:
        found = get_object_or_404(organizations(), pk=pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": found.name,
            "tenant": tenant(found),
            "note_form": note_form,
            "reason_form": reason_form,
            "may_change": self.has_change_permission(request),
        }
        return render(request, "console/tenant.html", context, status=status)


def _page(pk: UUID) -> str:
    return reverse("admin:tenant", args=[pk])
