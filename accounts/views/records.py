"""The organization's audit log: who changed what, when; as a page and as a file."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.forms import RecordForm, format_micros
from accounts.models import ApiKey, AuditEntry, AuditEntryQuerySet, Member, Organization
from accounts.spreadsheet import line
from accounts.tenancy import Caller, org_view

PAGE = 50
MOST_KEYS = 100
# A file stops here; who needs more asks for fewer days.
MOST_LINES = 100_000
OPERATOR = "Operator"
SYSTEM = "Voicereel"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
LABELS = {"last4": "ends in"}
ENDING = 12  # of an id: what tells it from others
# What customers can find in their log, in their words. Others show as they are called.
ACTIONS = {
    "alerts.change": "Changed the alerts",
    "autotopup.off": "Switched the automatic top-up off",
    "autotopup.on": "Switched the automatic top-up on",
    "job.delete": "Deleted a video",
    "key.change": "Changed a key",
    "key.issue": "Made a key",
    "key.revoke": "Revoked a key",
    "key.rotate": "Rotated a key",
    "member.add": "Added a member",
    "member.change_role": "Changed a role",
    "member.invite": "Invited somebody",
    "member.remove": "Removed a member",
    "member.revoke_invitation": "Took an invitation back",
    "organization.change": "Changed the organization",
    "organization.create": "Made the organization",
    "organization.erase": "Asked for the deletion of the organization",
    "organization.export": "Asked for a copy of the data",
    "organization.keep": "Called the deletion off",
    "organization.resume": "Lifted the suspension",
    "organization.suspend": "Suspended the organization",
    "own_provider_account.add": "Added a provider account",
    "own_provider_account.remove": "Removed a provider account",
    "share.make": "Shared a video",
    "share.revoke": "Revoked a shared link",
    "subscription.start": "Began to pay by invoice",
    "topup.start": "Began a top-up",
    "webhook.change": "Changed a webhook",
    "webhook.create": "Added a webhook",
    "webhook.delete": "Deleted a webhook",
}


@dataclass(frozen=True)
class Shown:
    """An entry as the organization reads it: an operator has neither name nor address here."""

    entry: AuditEntry
    target: str = ""

    @property
    def _by_operator(self) -> bool:
        user = self.entry.actor_user
        return user is not None and user.is_staff

    @property
    def who(self) -> str:
        if self.entry.actor_key:
            return f"Key {self.entry.actor_key.name}"
        if self.entry.actor_user is None:
            return SYSTEM
        return OPERATOR if self._by_operator else self.entry.actor_user.email

    @property
    def email(self) -> str:
        """Of a person who is called by a name."""
        user = self.entry.actor_user
        return user.email if user and user.name and not self._by_operator else ""

    @property
    def called(self) -> str:
        user = self.entry.actor_user
        return user.name if user and self.email else self.who

    @property
    def what(self) -> str:
        return ACTIONS.get(self.entry.action, self.entry.action)

    @property
    def address(self) -> str:
        return "" if self._by_operator else self.entry.address or ""

    @property
    def name(self) -> str:
        """What it was done to, where it has a name and nothing else tells of it."""
        return "" if self.entry.before or self.entry.after else self.target

    @property
    def facts(self) -> list[Fact]:
        before, after = self.entry.before or {}, self.entry.after or {}
        return [_fact(name, before, after) for name in {**before, **after}]


@dataclass(frozen=True)
class Word:
    """A value for people. `at`: it is a time; `job`: it is the id of one."""

    text: str
    at: datetime | None = None
    job: str = ""


@dataclass(frozen=True)
class Fact:
    """`was`: what it was before, where it has changed."""

    name: str
    now: Word
    was: Word | None = None


def _fact(name: str, before: dict[str, Any], after: dict[str, Any]) -> Fact:
    label = LABELS.get(name) or name.removesuffix("_micros").removesuffix("_at").replace("_", " ")
    was = _word(name, before[name]) if name in before else None
    if name not in after:
        assert was
        return Fact(label, was)
    return Fact(label, _word(name, after[name]), was)


def _word(name: str, value: object) -> Word:
    if isinstance(value, bool):
        return Word("yes" if value else "no")
    if value is None or value in ("", []):
        return Word("none")
    if isinstance(value, list):
        return Word(", ".join(map(str, value)))
    if isinstance(value, int) and name.endswith("_micros"):
        return Word(f"${format_micros(value)}")
    text = str(value)
    if name == "job":
        return Word(f"…{text[-ENDING:]}", job=text)
    return Word(f"${text}" if name.endswith("usd") else text, at=_time(text))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if TIME.match(text) else None
    except ValueError:
        return None


def _shown(entries: list[AuditEntry]) -> list[Shown]:
    """With the names of the keys that they are about, in one query."""
    about = {entry.target_id for entry in entries if entry.target_type == "accounts.apikey"}
    names = {str(pk): name for pk, name in ApiKey.objects.filter(pk__in=about).values_list("pk", "name")}
    return [Shown(entry, names.get(entry.target_id, f"…{entry.target_id[-ENDING:]}")) for entry in entries]


@require_GET
@org_view("members:write")
def record_list(request: HttpRequest, caller: Caller) -> HttpResponse:
    form = _form(request, caller.organization)
    found = _chosen(caller.organization, form)
    raw = request.GET.get("before", "")
    before = int(raw) if re.fullmatch(r"[0-9]{1,18}", raw) else None
    if before:
        found = found.filter(pk__lt=before)
    page = list(found.newest_first()[: PAGE + 1])
    kept = request.GET.copy()
    kept.pop("before", None)
    context = {
        "section": "settings",
        "tab": "audit",
        "form": form,
        "rows": _shown(page[:PAGE]),
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "before": before,
        "kept": kept.urlencode(),
        "filtered": any(request.GET.get(name) for name in form.fields),
    }
    return render(request, "accounts/audit.html", context)


@require_GET
@org_view("members:write")
def record_file(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    rows = _chosen(caller.organization, _form(request, caller.organization))
    name = f"audit-{timezone.now():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_lines(rows), content_type="text/csv; charset=utf-8", headers=headers)


def _lines(rows: AuditEntryQuerySet) -> Iterator[str]:
    yield line("time", "who", "what", "action", "on", "id", "before", "after", "address")
    for entry in rows.newest_first()[:MOST_LINES].iterator(chunk_size=1000):
        shown = Shown(entry)
        yield line(
            entry.created_at.isoformat(),
            shown.who,
            shown.what,
            entry.action,
            entry.target_type,
            entry.target_id,
            json.dumps(entry.before) if entry.before else "",
            json.dumps(entry.after) if entry.after else "",
            shown.address,
        )


def _form(request: HttpRequest, organization: Organization) -> RecordForm:
    form = RecordForm(request.GET)
    people = Member.objects.for_org(organization).select_related("user").order_by("user__email")
    keys = ApiKey.objects.for_org(organization).order_by("name", "pk")[:MOST_KEYS]
    everybody = [("", "Everybody"), *((f"u{member.user_id}", member.user.email) for member in people)]
    everybody += [(f"k{key.pk}", f"Key {key.name} (…{key.last4})") for key in keys]
    actions = [("", "Everything"), *sorted(ACTIONS.items(), key=lambda item: item[1])]
    form.fields["who"].choices = everybody  # type: ignore[attr-defined]  # the stubs do not know it
    form.fields["action"].choices = actions  # type: ignore[attr-defined]  # as above
    return form


def _chosen(organization: Organization, form: RecordForm) -> AuditEntryQuerySet:
    """What cannot be understood filters nothing, and says so beside its field."""
    form.is_valid()
    asked = form.cleaned_data
    rows = AuditEntry.objects.for_org(organization)
    who = asked.get("who") or ""
    if who.startswith("u"):
        rows = rows.filter(actor_user=int(who[1:]))
    if who.startswith("k"):
        rows = rows.filter(actor_key=uuid.UUID(who[1:]))
    if asked.get("action"):
        rows = rows.filter(action=asked["action"])
    last = asked.get("last")
    return rows.at_day(_midnight(asked.get("first")), _midnight(last + timedelta(days=1)) if last else None)


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) if day else None
