from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class AccountsConfig(AppConfig):
    name = "accounts"


class ConsoleConfig(AdminConfig):
    """Django's admin with our door before it."""

    default_site = "accounts.console.site.ConsoleSite"
