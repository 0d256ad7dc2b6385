"""Requests that no well-meaning client sends. Each gets a problem; the clients of the suite hold it to the document."""

from __future__ import annotations

import pytest

JSON = "application/json"
BODIES = [
    pytest.param(b"{", JSON, 400, "parse_error", id="cut off"),
    pytest.param(b'{"model": "m"} and more', JSON, 400, "parse_error", id="trailing junk"),
    pytest.param(b'{"model": "\xff\xfe"}', JSON, 400, "parse_error", id="not UTF-8"),
    pytest.param(b"\x00", JSON, 400, "parse_error", id="NUL"),
    pytest.param(b"[" * 200_000, JSON, 400, "parse_error", id="deep"),
    pytest.param(b'{"options":' * 5000 + b"1" + b"}" * 5000, JSON, 400, "parse_error", id="deep objects"),
    pytest.param(b'{"model": ' + b"9" * 5000 + b"}", JSON, 400, "parse_error", id="long number"),
    pytest.param(b'{"model": NaN}', JSON, 400, "parse_error", id="not a number"),
    pytest.param(b'{"model": 1e999}', JSON, 422, "parameter_invalid", id="infinite"),
    pytest.param(b'{"model": "a\\u0000b"}', JSON, 422, "parameter_invalid", id="NUL in a text"),
    pytest.param(
        b'{"model": "wan-2.2-s2v", "\\u0000": 1}', JSON, 422, "parameter_invalid", id="NUL in a name"
    ),
    pytest.param(b'{"model": "\\ud800"}', JSON, 422, "parameter_invalid", id="half a surrogate"),
    pytest.param(
        b'{"model": "m", "\\ud800": 1}', JSON, 422, "parameter_invalid", id="half a surrogate in a name"
    ),
    pytest.param(
        b'{"model": "m", "options": {"\\ud800": 1}}', JSON, 422, "parameter_invalid", id="deep half surrogate"
    ),
    pytest.param(b"[]", JSON, 422, "body_invalid", id="list"),
    pytest.param(b"null", JSON, 422, "body_invalid", id="null"),
    pytest.param(b"", JSON, 422, "parameter_missing", id="nothing"),
    pytest.param(b"x" * (5 * 1024**2 + 1), JSON, 413, "body_too_large", id="too large"),
    pytest.param(b"<model/>", "text/xml", 415, "unsupported_media_type", id="XML"),
    pytest.param(b"model=m", "application/x-www-form-urlencoded", 415, "unsupported_media_type", id="form"),
    pytest.param(b"{}", "nonsense", 415, "unsupported_media_type", id="no type at all"),
]


@pytest.mark.parametrize(("body", "kind", "status", "code"), BODIES)
@pytest.mark.parametrize("address", ["/v1/jobs", "/v1/quotes"])
def test_a_bad_body_is_a_problem(api, address, body, kind, status, code):
    answer = api.generic("POST", address, body, content_type=kind)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (
            b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n",
            "multipart/form-data; boundary=x",
        ),
        (b"--x--", "multipart/form-data; boundary=x"),
        (b"--x--", "multipart/form-data"),
        (b"--x--", "multipart/form-data; boundary=" + "y" * 3000),
        (b"", "multipart/form-data; boundary=x"),
        (b"{}", JSON),
    ],
)
def test_a_bad_form_is_a_problem(api, body, kind):
    answer = api.generic("POST", "/v1/files", body, content_type=kind)
    assert answer.status_code in {400, 415, 422}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_is_not_there_names_those_that_are(api, method):
    answer = api.generic(method, "/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer["Allow"].split(", "))


def test_head_is_get_without_a_body(api):
    whole, head = api.get("/v1/balance"), api.head("/v1/balance")
    assert (head.status_code, head.content, head["Content-Type"]) == (200, b"", whole["Content-Type"])


@pytest.mark.parametrize("accept", ["text/html", "image/png", "*/*;q=0", "", "nonsense", "application/xml"])
def test_the_answer_is_json_whatever_is_accepted(api, accept):
    assert api.get("/v1/balance", headers={"Accept": accept}).json()["currency"] == "USD"


@pytest.mark.parametrize(
    "text", ["Bearer", "Bearer  ", "Bearer vr_\u00e9", "bearer\tx", "Basic eDp5", "\x7f"]
)
def test_a_bad_key_is_401_with_a_challenge(client, text, db):
    answer = client.get("/v1/balance", headers={"Authorization": text})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
