import socket
import time
import uuid
from types import SimpleNamespace

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from accounts.tenancy import Caller
from billing import quotas, throttles
from billing.errors import RateLimited
from billing.models import Limits
from billing.throttles import Counter, LocalWindows, Place, ReadThrottle, SubmitThrottle, Window
from tests.billing.conftest import in_threads


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """On a busy machine Redis may be slow, and a second may pass between two lines of a test."""
    monkeypatch.setattr(throttles, "REDIS_SECONDS", 10.0)
    monkeypatch.setattr(throttles, "SECOND_MS", 20_000)


@pytest.fixture
def name() -> str:
    return f"test:{uuid.uuid4()}"


@pytest.fixture
def counter() -> Counter:
    return Counter(django_settings.REDIS_URL)


def one(counter: Counter, name: str, limit: int, window_ms: int) -> Window:
    return counter.take([Place("test", name, limit, window_ms)])[0]


def ttl(name: str) -> int:
    return redis.Redis.from_url(django_settings.REDIS_URL).pttl(f"throttle:test:{name}")


class TestCounter:
    def test_a_window_has_so_many_places(self, counter, name):
        assert [one(counter, name, 2, 60_000).wait for _ in range(2)] == [0, 0]
        wait = one(counter, name, 2, 60_000).wait
        assert 59_000 < wait <= 60_000

    def test_a_refusal_does_not_prolong_the_wait(self, counter, name):
        one(counter, name, 1, 60_000)
        waits = []
        for _ in range(3):
            waits.append(one(counter, name, 1, 60_000).wait)
            time.sleep(0.01)
        assert waits == sorted(waits, reverse=True)
        assert waits[0] > waits[2]

    def test_it_begins_anew_when_the_window_ends(self, counter, name):
        assert one(counter, name, 1, 500).wait == 0
        assert one(counter, name, 1, 500).wait > 0
        time.sleep(0.6)
        assert one(counter, name, 1, 500).wait == 0

    def test_no_places_means_none(self, counter, name):
        assert one(counter, name, 0, 60_000).wait == 60_000

    def test_a_counter_that_lost_its_expiry_gets_one(self, counter, name):
        one(counter, name, 1, 60_000)
        redis.Redis.from_url(django_settings.REDIS_URL).persist(f"throttle:test:{name}")
        assert one(counter, name, 1, 60_000).wait == 60_000
        assert 0 < ttl(name) <= 60_000

    def test_parallel_requests_share_the_places_exactly(self, name, db):
        """Each thread has a counter of its own, like a process."""

        def fire(_: int) -> int:
            own = Counter(django_settings.REDIS_URL)
            return sum(one(own, name, 50, 60_000).wait == 0 for _ in range(20))

        assert sum(in_threads(16, fire)) == 50


class TestWithoutRedis:
    def test_a_closed_port_is_counted_here(self, name, caplog):
        counter = Counter("redis://127.0.0.1:1/0")
        outcomes = [one(counter, name, 2, 60_000).wait for _ in range(4)]
        assert outcomes[:2] == [0, 0]
        assert all(wait > 59_000 for wait in outcomes[2:])
        assert caplog.text.count("counted in this process only") == 1

    def test_a_frozen_redis_costs_one_short_wait(self, name, monkeypatch):
        monkeypatch.setattr(throttles, "REDIS_SECONDS", 0.25)
        with socket.create_server(("127.0.0.1", 0)) as frozen:
            counter = Counter(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0")
            begun = time.monotonic()
            assert one(counter, name, 1, 60_000).wait == 0
            assert one(counter, name, 1, 60_000).wait > 0
            assert time.monotonic() - begun < 2

    def test_redis_is_asked_again_after_a_pause(self, name):
        counter = Counter("redis://127.0.0.1:1/0")
        one(counter, name, 1, 60_000)
        counter.script = Counter(django_settings.REDIS_URL).script
        assert one(counter, name, 1, 60_000).wait > 0  # still the local window
        counter.paused_until = 0.0
        assert one(counter, name, 1, 60_000).wait == 0
        assert ttl(name) > 0

    def test_local_windows_end_and_are_swept(self, name, monkeypatch):
        monkeypatch.setattr(throttles, "LOCAL_WINDOWS", 3)
        windows = LocalWindows()
        for index in range(3):
            assert windows.take([Place(name, str(index), 1, 10)])[0].wait == 0
        time.sleep(0.02)
        assert windows.take([Place(name, "0", 1, 60_000)])[0].wait == 0
        assert list(windows.windows) == [f"{name}:0"]


class TestSubmits:
    def test_an_organization_has_so_many_a_minute_over_all_its_keys(self, org, other_org, api_key):
        throttles.submit_allowed(org)
        throttles.submit_allowed(org, api_key)
        with pytest.raises(RateLimited) as refusal:
            throttles.submit_allowed(org, None)
        assert (refusal.value.code, refusal.value.retryable) == ("rate_limited", True)
        assert refusal.value.retry_after == 60
        assert "2 submits a minute" in refusal.value.message
        throttles.submit_allowed(other_org)

    def test_its_own_limit_wins(self, org):
        Limits.objects.create(organization=org, submits_per_minute=3)
        quotas.forget()
        for _ in range(3):
            throttles.submit_allowed(org)
        with pytest.raises(RateLimited):
            throttles.submit_allowed(org)


class TestReads:
    @pytest.fixture(autouse=True)
    def _two_a_second(self, org):
        Limits.objects.create(organization=org, reads_per_second=2)

    def test_each_key_and_each_person_has_its_own_second(self, org, api_key, alice):
        for caller in (Caller(org, key=api_key), Caller(org, user=alice)):
            throttles.read_allowed(caller)
            throttles.read_allowed(caller)
            with pytest.raises(RateLimited) as refusal:
                throttles.read_allowed(caller)
            assert refusal.value.retry_after == 20

    def test_all_keys_and_people_together_have_one_more(self, org, other_org, api_key, alice):
        Limits.objects.filter(organization=org).update(reads_per_second=10, requests_per_second=3)
        by_key, by_hand = Caller(org, key=api_key), Caller(org, user=alice)
        for caller in (by_key, by_hand, by_key):
            throttles.read_allowed(caller)
        for caller in (by_key, by_hand):
            with pytest.raises(RateLimited, match="3 with all"):
                throttles.read_allowed(caller)
        throttles.read_allowed(Caller(other_org, user=alice))

    def test_a_refusal_by_one_counter_takes_no_place_in_the_other(self, name):
        for counter in (Counter(django_settings.REDIS_URL), Counter("redis://127.0.0.1:1/0")):
            key, all_keys = (
                Place("test", f"{name}:{who}", limit, 60_000) for who, limit in (("key", 1), ("all", 5))
            )
            assert [window.left for window in counter.take([key, all_keys])] == [0, 4]
            assert [window.taken for window in counter.take([key, all_keys])] == [False, True]
            assert counter.take([all_keys])[0].left == 3


class TestStandings:
    def test_what_was_asked_inside_is_told(self, org, api_key):
        Limits.objects.create(organization=org, reads_per_second=3)
        with throttles.standings() as seen:
            throttles.read_allowed(Caller(org, key=api_key))
            throttles.read_allowed(Caller(org, key=api_key))
            throttles.submit_allowed(org)
        throttles.submit_allowed(org)
        told = [(one.name, one.limit, one.window_ms, one.now.left) for one in seen]
        assert told == [
            ("reads", 3, 20_000, 2),
            ("requests", 100, 20_000, 99),
            ("reads", 3, 20_000, 1),
            ("requests", 100, 20_000, 98),
            ("submits", 2, 60_000, 1),
        ]
        assert all(0 < one.now.ends_ms <= one.window_ms for one in seen)

    def test_a_refusal_is_told_too_and_the_same_without_redis(self, name):
        for counter in (Counter(django_settings.REDIS_URL), Counter("redis://127.0.0.1:1/0")):
            windows = [one(counter, name, 2, 60_000) for _ in range(3)]
            assert [(window.taken, window.left) for window in windows] == [(True, 1), (True, 0), (False, 0)]


class TestRestFramework:
    def view(self, throttle: type, caller: Caller | None):
        class LetIn(BaseAuthentication):
            def authenticate(self, request):
                return AnonymousUser(), caller

        class View(APIView):
            authentication_classes = [LetIn]
            permission_classes = []
            throttle_classes = [throttle]

            def get(self, request):
                return Response("here")

        return View.as_view()

    def test_a_refused_read_is_429_with_retry_after(self, org, api_key):
        Limits.objects.create(organization=org, reads_per_second=1)
        view = self.view(ReadThrottle, Caller(org, key=api_key))
        request = APIRequestFactory().get("/")
        assert view(request).status_code == 200
        refused = view(request)
        assert (refused.status_code, refused["Retry-After"]) == (429, "20")

    def test_a_refused_submit_is_429_with_retry_after(self, org, api_key):
        view = self.view(SubmitThrottle, Caller(org, key=api_key))
        statuses = [view(APIRequestFactory().get("/")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]

    def test_a_stranger_is_left_to_the_permissions(self):
        request = SimpleNamespace(auth=None)
        assert ReadThrottle().allow_request(request, None)
        assert ReadThrottle().wait() is None

    def test_it_is_the_default_of_every_view(self):
        assert APIView.throttle_classes == [ReadThrottle]
