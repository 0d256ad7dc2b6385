"""What the console's pages share: rows to read only, and rows whose every change is on record."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin
from django.db import models, transaction
from django.forms.models import model_to_dict
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminSplitDateTimeWidget, UnfoldAdminURLInputWidget

from accounts import audit
from accounts.models import User

Row = TypeVar("Row", bound=models.Model)
Parent = TypeVar("Parent", bound=models.Model)


class Moment(UnfoldAdminSplitDateTimeWidget):  # type: ignore[misc]  # theirs has no types
    """A day and a time of it. The label of the field belongs to the day alone."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.widgets[1].attrs["aria-label"] = "Time of day"


class Page(ModelAdmin, admin.ModelAdmin[Row]):  # type: ignore[misc]  # theirs is not generic
    list_per_page = 50
    list_filter_sheet = False
    formfield_overrides: ClassVar[Any] = {
        **ModelAdmin.formfield_overrides,
        models.DateTimeField: {"form_class": forms.SplitDateTimeField, "widget": Moment},
        models.URLField: {"widget": UnfoldAdminURLInputWidget, "assume_scheme": "https"},
    }


class Table(TabularInline, admin.TabularInline[Row, Parent]):  # type: ignore[misc]  # theirs has no types
    """The rows that belong to one, below it."""

    extra = 0


class ReadOnly:
    """Nothing is added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Audited(Page[Row]):
    """Rows an operator edits directly: each write is recorded with what was there before."""

    def save_model(self, request: HttpRequest, obj: Row, form: Any, change: bool) -> None:  # noqa: FBT001  Django's signature
        stored = type(obj)._default_manager.filter(pk=obj.pk).first()  # noqa: SLF001  Django's documented name
        before = facts(stored) if stored else None
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            self._record(request, obj, "change" if before else "add", before=before, after=facts(obj))
        self.written()

    def delete_model(self, request: HttpRequest, obj: Row) -> None:
        with transaction.atomic():
            self._record(request, obj, "delete", before=facts(obj))
            super().delete_model(request, obj)
        self.written()

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    def written(self) -> None:
        """After every write: where this process remembers such rows, it forgets them here."""

    def _record(self, request: HttpRequest, obj: Row, what: str, **facts_: Any) -> None:
        audit.record(
            f"{obj._meta.model_name}.{what}",  # noqa: SLF001  Django's documented name
            by=operator(request),
            target=obj,
            organization=getattr(obj, "organization", None),
            request=request,
            **facts_,
        )


def operator(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the console lets in nobody else
    return request.user


def facts(row: models.Model) -> dict[str, Any]:
    """A row as JSON, for the audit record."""
    return {name: _plain(value) for name, value in model_to_dict(row).items()}


def link(page: str, pk: Any, text: str) -> str:
    """To a page of the console that is about one row."""
    address = reverse(f"admin:{page}", args=[pk])
    return format_html('<a class="text-primary-600 dark:text-primary-300" href="{}">{}</a>', address, text)


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value
