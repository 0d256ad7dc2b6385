"""The organization's own pages. Sign-in and its relatives are allauth's, under /accounts/."""

from __future__ import annotations

from django.urls import path

from accounts import views

urlpatterns = [
    path("organization/<uuid:organization_id>/choose", views.choose, name="choose_organization"),
    path("members", views.member_list, name="members"),
    path("members/<int:member_id>/role", views.member_role, name="change_role"),
    path("members/<int:member_id>/remove", views.member_remove, name="remove_member"),
    path("invitations/<str:token>", views.invitation, name="invitation"),
]
