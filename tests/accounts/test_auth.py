"""Keys at the door of the API, as a REST framework view sees them."""

from __future__ import annotations

import pytest
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from accounts.auth import KeyAuthentication, needs
from accounts.models import ApiKey
from tests.world import make_key


class Probe(APIView):
    """Answers who is calling."""

    authentication_classes = [KeyAuthentication]
    permission_classes = [needs("jobs:write")]
    throttle_classes = []

    def get(self, request):
        user = getattr(request.user, "email", None)
        return Response({"organization": request.auth.organization.name, "user": user})


def call(authorization: str | None = None, **extra):
    headers = {"HTTP_AUTHORIZATION": authorization} if authorization is not None else {}
    return Probe.as_view()(APIRequestFactory().get("/", **headers, **extra))


def test_a_key_in_the_bearer_header_opens_the_door(key):
    response = call(f"Bearer {key}")
    assert response.status_code == 200
    assert response.data == {"organization": "Acme", "user": "alice@acme.example"}


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(key, scheme):
    assert call(f"{scheme} {key}").status_code == 200


def test_white_space_after_the_key_is_forgiven(key):
    assert call(f"Bearer  {key} ").status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Key"])
def test_another_scheme_is_no_key(key, scheme):
    assert call(f"{scheme} {key}").status_code == 401


def test_no_key_is_401_and_says_how_to_come_in(db):
    response = call()
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.data["detail"].code == "not_authenticated"


@pytest.mark.parametrize("text", ["", "nonsense", "vr_\xe4\xf6\xfc"])
def test_a_malformed_key_is_401_with_its_code_and_asks_no_database(db, text, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = call(f"Bearer {text}")
    assert response.status_code == 401
    assert response.data["detail"].code == "malformed_key"


def test_an_unknown_key_is_401_with_its_code(key):
    ApiKey.objects.update(digest=b"another")
    response = call(f"Bearer {key}")
    assert (response.status_code, response.data["detail"].code) == (401, "unknown_key")


def test_a_foreign_address_is_403_with_its_code(org):
    text = make_key(org, allowed_networks=["203.0.113.0/24"])
    response = call(f"Bearer {text}", REMOTE_ADDR="198.51.100.1")
    assert (response.status_code, response.data["detail"].code) == (403, "address_not_allowed")


def test_a_missing_scope_is_403_and_names_the_scope(org):
    response = call(f"Bearer {make_key(org, 'jobs:read')}")
    assert (response.status_code, response.data["detail"].code) == (403, "scope_missing")
    assert "jobs:write" in response.data["detail"]


def test_the_callers_word_for_its_address_counts_only_behind_our_proxy(org, settings):
    text = make_key(org, allowed_networks=["203.0.113.0/24"])
    forged = {"REMOTE_ADDR": "198.51.100.1", "HTTP_X_FORWARDED_FOR": "203.0.113.7"}
    assert call(f"Bearer {text}", **forged).status_code == 403
    settings.BEHIND_PROXY = True
    assert call(f"Bearer {text}", **forged).status_code == 200
    # Only the last entry is the proxy's; a caller can write any others before it.
    forged["HTTP_X_FORWARDED_FOR"] = "203.0.113.7, 198.51.100.1"
    assert call(f"Bearer {text}", **forged).status_code == 403


def test_the_key_of_a_deactivated_person_goes_on_for_the_organization(key, alice):
    alice.is_active = False
    alice.save()
    response = call(f"Bearer {key}")
    assert (response.status_code, response.data["user"]) == (200, None)
