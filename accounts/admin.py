"""The operator's view of people, organizations and keys.

Keys are made on the dashboard, where they are shown once; members change there too, where the last owner is kept.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.forms import ReadOnlyPasswordHashField
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from accounts import audit, key_cache, keys
from accounts.console import LongList, Page, ReadOnly, Table, one_of, operator, values_of
from accounts.models import ApiKey, AuditEntry, Member, Organization, User

# Rights come from is_staff and is_superuser alone; addresses and second factors belong to their owners.
for theirs in (Group, EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession):
    admin.site.unregister(theirs)


class Members(Table[Member, Any]):
    model = Member
    can_delete = False
    fields = ("organization", "user", "role", "created_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Member]:
        return super().get_queryset(request).select_related("organization", "user")

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class UserForm(ModelForm[User]):
    password = ReadOnlyPasswordHashField(help_text="The person chooses a new one by e-mail.")

    class Meta:
        model = User
        fields = ["email", "name", "password", "is_active", "is_staff", "is_superuser"]


@admin.register(User)
class UserAdmin(Page[User]):
    form = UserForm
    list_display = ["email", "name", "is_active", "is_staff", "date_joined", "last_login"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["email", "name"]
    ordering = ["email"]
    inlines = [Members]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # create_org and invitations also give them a place

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # the audit record names people; deactivate them instead

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:  # noqa: FBT001  Django's signature
        super().save_model(request, obj, form, change)
        key_cache.forget(ApiKey.objects.filter(created_by=obj))
        before = {name: form.initial.get(name) for name in form.changed_data}
        after = {name: form.cleaned_data[name] for name in form.changed_data}
        by = operator(request)
        audit.record("user.change", by=by, target=obj, before=before, after=after, request=request)


@admin.register(Organization)
class OrganizationAdmin(Page[Organization]):
    """The list, and the form of what may be changed. The page of one organization: jobs.tenant_admin."""

    list_display = ["name", "slug", "tier", "billing_mode", "people", "created_at", "suspended_at"]
    list_filter = ["billing_mode", "tier", ("suspended_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "slug", "id", "members__user__email"]
    fields = ["name", "slug", "tier", "billing_mode", "retention_days", "created_at", "suspended_at"]
    readonly_fields = ["created_at", "suspended_at"]
    ordering = ["-created_at"]
    inlines = [Members]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        return super().get_queryset(request).annotate(people_count=Count("members"))

    @admin.display(ordering="people_count")
    def people(self, organization: Organization) -> int:
        count: int = organization.people_count  # type: ignore[attr-defined]  # get_queryset annotates it
        return count

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # an organization needs an owner: manage.py create_org

    def has_delete_permission(self, request: HttpRequest, obj: Organization | None = None) -> bool:
        return False  # its books must stay; suspend it instead

    def save_model(
        self,
        request: HttpRequest,
        obj: Organization,
        form: ModelForm[Organization],
        change: bool,  # noqa: FBT001  Django's signature
    ) -> None:
        super().save_model(request, obj, form, change)
        key_cache.forget(ApiKey.objects.for_org(obj))
        before = {name: form.initial.get(name) for name in form.changed_data}
        after = {name: form.cleaned_data[name] for name in form.changed_data}
        by = operator(request)
        audit.record(
            "organization.change",
            by=by,
            organization=obj,
            target=obj,
            before=before,
            after=after,
            request=request,
        )


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly, Page[ApiKey]):
    list_display = [
        "name",
        "last4",
        "organization",
        "created_by",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    ]
    list_select_related = ["organization", "created_by"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "last4", "organization__name", "organization__slug"]
    exclude = ["digest"]
    ordering = ["-created_at"]
    actions = ["revoke_chosen"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return operator(request).is_superuser

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke_chosen(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> None:
        for key in chosen:
            keys.revoke(key, operator(request), request=request)


@admin.register(AuditEntry)
class AuditAdmin(LongList, ReadOnly, Page[AuditEntry]):
    list_display = [
        "created_at",
        "action",
        "organization",
        "actor_user",
        "actor_key",
        "target_type",
        "target_id",
    ]
    list_select_related = ["organization", "actor_user", "actor_key"]
    list_filter = [one_of("action", lambda: values_of(AuditEntry, "action"))]
    named_by = ("target_id",)
