"""The organization's own pages. Sign-in and its relatives are allauth's, under /accounts/."""

from __future__ import annotations

from django.urls import path

from accounts.views import members, records, settings

urlpatterns = [
    path("organization/<uuid:organization_id>/choose", members.choose, name="choose_organization"),
    path("organization/<uuid:organization_id>/leave", settings.leave, name="leave_organization"),
    path("organizations", settings.new_organization, name="new_organization"),
    path("settings", settings.organization, name="settings"),
    path("settings/profile", settings.profile, name="profile"),
    path("settings/audit", records.record_list, name="audit"),
    path("settings/audit.csv", records.record_file, name="audit_file"),
    path("members", members.member_list, name="members"),
    path("members/<int:member_id>/role", members.member_role, name="change_role"),
    path("members/<int:member_id>/remove", members.member_remove, name="remove_member"),
    path(
        "members/invitations/<int:invitation_id>/resend", members.invitation_resend, name="resend_invitation"
    ),
    path(
        "members/invitations/<int:invitation_id>/revoke", members.invitation_revoke, name="revoke_invitation"
    ),
    path("invitations/<str:token>", members.invitation, name="invitation"),
]
