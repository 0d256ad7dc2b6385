"""What an answer means that is not in the vendor's own words, of a request that places an order and of another."""

from __future__ import annotations

import io
from typing import ClassVar

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http.multipartparser import MultiPartParser

from providers.base import Account, InputFile
from providers.errors import (
    AccountRefused,
    OutcomeUnknown,
    ProviderError,
    Throttled,
    Unavailable,
    Unsuitable,
)
from providers.upstream import Form, Upstream
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


def test_a_form_is_read_by_others_as_it_was_meant():
    """By the parser of Django, which is not ours; of what the customer wrote every byte."""
    prompt = 'two\r\n\r\nlines; name="seed"\r\n--voicereel-\r\n \u201ctalk\u201d \U0001f399'
    form = Form({"prompt": prompt, "seed": "7"}, "file", "voice.wav")
    content = b"RIFF\r\n--" + bytes(range(256))
    before, after = form.around(InputFile("", "audio/wav", len(content)))
    for body, files in (
        (form.whole(), []),
        (before + content + after, [("voice.wav", "audio/wav", content)]),
    ):
        meta = {"CONTENT_TYPE": form.content_type, "CONTENT_LENGTH": len(body)}
        read, uploaded = MultiPartParser(meta, io.BytesIO(body), [MemoryFileUploadHandler()]).parse()
        assert read.dict() == {"prompt": prompt, "seed": "7"}
        assert [(file.name, file.content_type, file.read()) for file in uploaded.values()] == files
    assert form.boundary != Form({}).boundary
