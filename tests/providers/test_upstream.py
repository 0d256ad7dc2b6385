"""What an answer means that is not in the vendor's own words, of a request that places an order and of another."""

from __future__ import annotations

from typing import ClassVar

import pytest
from asgiref.sync import async_to_sync

from providers.base import Account
from providers.errors import (
    AccountRefused,
    OutcomeUnknown,
    ProviderError,
    Throttled,
    Unavailable,
    Unsuitable,
)
from providers.upstream import Upstream
from tests.vendors.server import Answer, Call, Vendor, running


class Proxy(Vendor):
    """Stands before nobody; the path is the status that it answers with."""

    ROUTES: ClassVar = [("POST", r"/(?P<status>\d+)", "status")]

    def status(self, call: Call) -> Answer:
        return Answer(int(call.named["status"]), b"<html>Not the vendor speaks.</html>")


@pytest.fixture(scope="module")
def ask():
    """`ask(status, places_order)`: the error that such an answer is."""
    with running(Proxy()) as proxy:

        async def error(status: int, places_order: bool) -> ProviderError:
            account = Account(base_url=proxy.url)
            async with Upstream(account, base_url="", headers={}, complaint=lambda *_: None) as api:
                with pytest.raises(ProviderError) as raised:
                    await api.ask("POST", f"/{status}", places_order=places_order)
            return raised.value

        yield async_to_sync(error)


@pytest.mark.parametrize(
    ("status", "of_an_order", "of_another"),
    [
        (400, Unsuitable, Unsuitable),
        (401, AccountRefused, AccountRefused),
        (402, AccountRefused, AccountRefused),
        (403, AccountRefused, AccountRefused),
        (404, AccountRefused, Unavailable),
        (408, OutcomeUnknown, Unavailable),
        (409, Unsuitable, Unsuitable),
        (413, Unsuitable, Unsuitable),
        (422, Unsuitable, Unsuitable),
        (429, Throttled, Throttled),
        (500, OutcomeUnknown, Unavailable),
        (502, OutcomeUnknown, Unavailable),
        (503, OutcomeUnknown, Unavailable),
        (504, OutcomeUnknown, Unavailable),
    ],
)
def test_what_a_status_alone_means(ask, status, of_an_order, of_another):
    assert [type(ask(status, True)), type(ask(status, False))] == [of_an_order, of_another]


def test_a_status_alone_says_nothing_of_the_customers_files(ask):
    for status in (400, 409, 413, 422):
        error = ask(status, True)
        assert isinstance(error, Unsuitable)
        assert error.code == "provider_failed"
        assert error.customer_message == "The video could not be rendered; nothing was charged."
