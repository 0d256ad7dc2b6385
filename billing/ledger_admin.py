"""The operator's ledger browser: every transfer, what it left on the accounts, and all of it as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, path

from accounts.console import AFTER, DaysFilter, KeysetList, LongList, OrganizationFilter, Page, ReadOnly
from accounts.spreadsheet import line
from billing import running
from billing.models import BY_HAND, Account, Kind, Transfer, TransferKind
from billing.money import format_usd

BALANCES = "balances"
# Read page by page, so that no connection waits for a slow reader.
FILE_PAGE = 1000
FILE_PAGES = 1000
COLUMNS = ("id", "time", "organization", "kind", "usd", "from", "to", "job", "reference", "actor", "note")
# What moves each account: kinds, so that a list of one account needs no look at the accounts' table.
MOVED_BY: dict[str, list[TransferKind]] = {
    Kind.AVAILABLE: [kind for kind in TransferKind if kind != TransferKind.CAPTURE],
    Kind.HELD: [TransferKind.HOLD, TransferKind.HOLD_RAISE, TransferKind.CAPTURE, TransferKind.RELEASE],
    Kind.REVENUE: [TransferKind.CAPTURE],
    Kind.FUNDING: BY_HAND,
}


class BooksAdmin(LongList, ReadOnly, Page[Any]):
    """Rows that only the ledger writes."""

    list_select_related = ["organization"]


class AccountFilter(SimpleListFilter):
    title = "account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, str(kind.label)) for kind in Kind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        moved_by = MOVED_BY.get(self.value() or "")
        return queryset.filter(kind__in=moved_by) if moved_by else queryset


# A list filtered by nothing else leaves out no transfer of what it shows.
WHOLE = {"organization", "account", "created_at_from", "created_at_to"}


class LedgerList(KeysetList):
    """With balances where an organization's transfers are listed one by one."""

    place = (*KeysetList.place, BALANCES)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.file = f"file/{self.get_query_string()}"
        organization = self.whole()
        if organization is None or not self.result_list:
            return
        accounts = kinds_of(organization)
        came_from = running.read(self._place(request.GET.get(AFTER)), request.GET.get(BALANCES, ""))
        newest, last = self.result_list[0], self.result_list[-1]
        balances = came_from or running.after(organization, newest.pk)
        for transfer, left in running.back(self.result_list, balances):
            transfer.left = {accounts[pk]: micros for pk, micros in left.items()}
            balances = left
        if self.next_page:
            onwards = running.written(self._place(last.pk), running.before(last, balances))
            self.next_page = self.get_query_string({AFTER: str(last.pk), BALANCES: onwards})

    def whole(self) -> UUID | None:
        """The organization whose every transfer is listed, of the chosen account and days."""
        chosen = next((f.found for f in self.filter_specs if isinstance(f, OrganizationFilter)), None)
        given = {name for name, value in self.params.items() if value} - set(self.place)
        return chosen[0] if chosen and len(chosen) == 1 and given <= WHOLE else None

    def _place(self, after: Any) -> str:
        return f"{self.whole()} {self.params.get('account', '')} {after}"


def kinds_of(organization: UUID) -> dict[int, str]:
    return dict(Account.objects.filter(organization=organization).values_list("pk", "kind"))


@admin.register(Transfer)
class TransferAdmin(BooksAdmin):
    list_display = ["id", "created_at", "organization", "kind", "amount", "moved", "reference"]
    list_filter = [OrganizationFilter, ("created_at", DaysFilter), "kind", AccountFilter]
    list_filter_submit = True
    list_before_template = "console/ledger_tools.html"
    list_select_related = ["organization", "debit", "credit"]
    found_by = ("pk", "job_id")
    named_by = ("reference",)
    search_help_text = "A job, a reference, a number or an organization."

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LedgerList]:
        return LedgerList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Balances of what is looked at, where there are any."""
        if not request.GET.get("organization"):
            return [*self.list_display]
        same = [name for name in self.list_display if name != "organization"]
        return [*same, *(f"left_{kind}" for kind in shown_accounts(request))]

    @admin.display(description="USD")
    def amount(self, transfer: Transfer) -> str:
        return format_usd(transfer.amount_micros)

    @admin.display(description="from, to")
    def moved(self, transfer: Transfer) -> str:
        return f"{transfer.debit.kind} \N{RIGHTWARDS ARROW} {transfer.credit.kind}"

    @admin.display(description="available after")
    def left_available(self, transfer: Transfer) -> str:
        return left(transfer, Kind.AVAILABLE)

    @admin.display(description="held after")
    def left_held(self, transfer: Transfer) -> str:
        return left(transfer, Kind.HELD)

    @admin.display(description="revenue after")
    def left_revenue(self, transfer: Transfer) -> str:
        return left(transfer, Kind.REVENUE)

    @admin.display(description="funding after")
    def left_funding(self, transfer: Transfer) -> str:
        return left(transfer, Kind.FUNDING)

    # --- the file -----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        file = self.admin_site.admin_view(self.file_view)
        return [path("file/", file, name="ledger_file"), *super().get_urls()]

    def file_view(self, request: HttpRequest) -> HttpResponseBase:
        """The list as it is filtered, all pages of it, as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            listed: Any = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return HttpResponse("No list is filtered like that.", status=400)
        answer = StreamingHttpResponse(
            file(listed.queryset, listed.whole(), shown_accounts(request)), content_type="text/csv"
        )
        answer["Content-Disposition"] = 'attachment; filename="transfers.csv"'
        return answer


def shown_accounts(request: HttpRequest) -> list[str]:
    chosen = request.GET.get("account")
    return [chosen] if chosen in MOVED_BY else [kind.value for kind in Kind]


def left(transfer: Transfer, kind: Kind) -> str:
    return format_usd(transfer.left[kind]) if transfer.left else ""


def file(transfers: QuerySet[Transfer], organization: UUID | None, accounts: Sequence[str]) -> Iterator[str]:
    """Newest first; with balances where an organization's transfers are all listed."""
    shown = accounts if organization else ()
    yield line(*COLUMNS, *(f"{kind}_after_usd" for kind in shown))
    kinds = kinds_of(organization) if organization else {}
    balances: running.Balances = {}
    rows = list(transfers[:FILE_PAGE])
    if organization and rows:
        balances = running.after(organization, rows[0].pk)
    for _ in range(FILE_PAGES):
        if not rows:
            return
        for transfer in rows:
            left = {kinds[pk]: micros for pk, micros in balances.items()}
            yield line(*_cells(transfer), *(format_usd(left[kind]) for kind in shown))
            if organization:
                balances = running.before(transfer, balances)
        rows = list(transfers.filter(pk__lt=rows[-1].pk)[:FILE_PAGE]) if len(rows) == FILE_PAGE else []
    if rows:
        yield line("The file ends here: choose days up to", f"{rows[0].created_at:%Y-%m-%d}")


def _cells(transfer: Transfer) -> tuple[Any, ...]:
    return (
        transfer.pk,
        transfer.created_at.isoformat(),
        transfer.organization.slug,
        transfer.kind,
        format_usd(transfer.amount_micros),
        transfer.debit.kind,
        transfer.credit.kind,
        transfer.job_id or "",
        transfer.reference,
        transfer.actor,
        transfer.note,
    )
