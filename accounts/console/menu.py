"""The console's side bar: every registered page, in the order an operator looks for things."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

# Heading, then model labels with an icon of the Material Symbols font that the theme brings.
GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Tenants",
        (
            ("accounts.organization", "apartment"),
            ("accounts.user", "person"),
            ("accounts.apikey", "key"),
            ("accounts.auditentry", "history_edu"),
        ),
    ),
    (
        "Videos",
        (
            ("jobs.job", "movie"),
            ("jobs.attempt", "alt_route"),
            ("jobs.asset", "folder"),
            ("jobs.webhookendpoint", "webhook"),
            ("jobs.delivery", "outgoing_mail"),
        ),
    ),
    (
        "Money",
        (
            ("billing.proposal", "approval"),
            ("billing.transfer", "receipt_long"),
            ("billing.difference", "rule"),
            ("billing.account", "account_balance"),
            ("billing.hold", "lock_clock"),
            ("billing.dayuse", "calendar_month"),
            ("billing.price", "sell"),
            ("billing.tier", "stairs"),
            ("billing.limits", "speed"),
        ),
    ),
    (
        "Stripe",
        (
            ("billing.stripeevent", "inbox"),
            ("billing.usagereport", "outbox"),
            ("billing.usageline", "playlist_add_check"),
            ("billing.invoice", "request_quote"),
            ("billing.topup", "add_card"),
            ("billing.autotopup", "autorenew"),
            ("billing.reversal", "undo"),
            ("billing.customer", "badge"),
            ("billing.rateclass", "straighten"),
        ),
    ),
    (
        "Rendering",
        (
            ("providers.route", "route"),
            ("providers.provideraccount", "vpn_key"),
            ("providers.routingpolicy", "fork_right"),
            ("providers.render", "memory"),
        ),
    ),
)
# Under a heading too: pages that are no model's.
VIEWS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Rendering": (("Providers", "monitor_heart", "admin:jobs_route_health"),),
}
OTHER_ICON = "table_rows"


def groups(request: HttpRequest) -> list[dict[str, Any]]:
    """For the theme. A page that a room registered without being named above comes last, never nowhere."""
    left = {model._meta.label_lower: model for model in admin.site._registry}  # noqa: SLF001  the site tells its pages nowhere else
    shown: list[dict[str, Any]] = [
        {"title": "", "items": [_item("Overview", "monitoring", reverse("admin:index"))]}
    ]
    for heading, models in GROUPS:
        items = [_page(left.pop(label), icon) for label, icon in models if label in left]
        items += [_item(title, icon, reverse(page)) for title, icon, page in VIEWS.get(heading, ())]
        shown.append({"title": heading, "separator": True, "collapsible": False, "items": items})
    if left:
        shown.append(
            {"title": "More", "separator": True, "items": [_page(m, OTHER_ICON) for m in left.values()]}
        )
    return shown


def _page(model: Any, icon: str) -> dict[str, Any]:
    meta = model._meta  # noqa: SLF001  Django's documented name
    link = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return _item(str(meta.verbose_name_plural).capitalize(), icon, link)


def _item(title: str, icon: str, link: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link}
