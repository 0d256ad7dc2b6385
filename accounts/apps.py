from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class AccountsConfig(AppConfig):
    name = "accounts"
    default = True


class ConsoleConfig(admin.AdminConfig):
    """Django's admin with our door before it."""

    default = False
    default_site = "accounts.console.site.ConsoleSite"
