"""The organization's own accounts at providers: list, add, check, remove."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from jobs import own_keys
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.schemas import accounts as schemas
from jobs.dialects.rest.views.base import View
from jobs.dialects.rest.wire import accounts as wire

MISSING = ("provider_account_not_found", "not_found")


class AccountView(View):
    read_scope = write_scope = "organization:write"


class Accounts(AccountView):
    @operation(
        "listProviderAccounts",
        "List your provider accounts",
        tag="Provider accounts",
        answers={200: Answer("All of them, the oldest first.", schemas.ACCOUNTS)},
    )
    def get(self, request: Request) -> Response:
        """While you have an account at a provider of a model, jobs of that model are rendered there, for a fee."""
        data = [wire.account(row) for row in own_keys.listed(self.caller)]
        return Response({"data": data, "providers": list(own_keys.offered())})

    @operation(
        "addProviderAccount",
        "Add a provider account",
        tag="Provider accounts",
        body=schemas.NEW,
        answers={201: Answer("The account.", schemas.ACCOUNT)},
        refusals=(
            "provider_unknown",
            "key_invalid",
            "region_unknown",
            "name_taken",
            "provider_accounts_limit",
        ),
    )
    def post(self, request: Request) -> Response:
        """From now on new jobs of its models are rendered there. The key is not tried; check it next."""
        row = own_keys.add(self.caller, **self.body)
        row.refresh_from_db(fields=["created_at"])
        return Response(wire.account(row), status=201)


class OneAccount(AccountView):
    @operation(
        "removeProviderAccount",
        "Remove a provider account",
        tag="Provider accounts",
        answers={204: Answer("It is gone, and its key forgotten.")},
        refusals=(*MISSING, "account_in_use"),
    )
    def delete(self, request: Request, account_id: int) -> Response:
        """Not while jobs run there. Jobs that wait for it fail, free; new ones are rendered and billed as usual."""
        own_keys.remove(self.caller, own_keys.find(self.caller, account_id))
        return Response(status=204)


class Check(AccountView):
    @operation(
        "checkProviderAccount",
        "Check a provider account",
        tag="Provider accounts",
        answers={200: Answer("Whether the provider takes the key.", schemas.CHECKED)},
        refusals=MISSING,
    )
    def post(self, request: Request, account_id: int) -> Response:
        """Asks the provider whether the key may order. Nothing is ordered."""
        return Response(wire.checked(own_keys.test(own_keys.find(self.caller, account_id))))
