"""What a stranger sees: the front page, the price list, and how the product is doing."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from botocore.config import Config
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from billing.free_models import FreeQuota
from billing.models import Price
from config import status
from jobs.models import Job
from jobs.submit import submit
from tests.jobs import drive


@pytest.fixture
def stranger(db) -> Client:
    return Client()


@pytest.fixture(autouse=True)
def fresh_status():
    status.kept.forget()
    yield
    status.kept.forget()


def text(response) -> str:
    body = re.sub(r"(?s)<(script|style|head).*?</\1>", " ", response.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_a_stranger_finds_the_way_in(stranger):
    page = stranger.get("/")
    assert page.status_code == 200
    for path in ("/", "/pricing"):
        main = stranger.get(path).content.decode()
        assert main.count('href="/accounts/signup/"') == 2, "in the header and on the page"
    assert "sample.mp4" in page.content.decode()


def test_prices_come_from_the_book(stranger):
    Price.objects.filter(model="wan-2.2-s2v", resolution="480p").update(micros_per_unit=41_500)
    for path in ("/", "/pricing"):
        words = text(stranger.get(path))
        assert "480p $0.0415 $0.415 3 to 600 s" in words


def test_the_points_of_the_prices_stand_below_each_other_and_free_is_a_word(stranger):
    Price.objects.filter(model="wan-2.2-s2v", resolution="480p").update(micros_per_unit=41_500)
    Price.objects.filter(model="wan-2.2-animate").update(micros_per_unit=0)
    page = stranger.get("/pricing").content.decode()
    assert "$0.00<" not in page
    assert '<td class="figure">Free</td>' in page
    rates = re.findall(r'<td>[\w:]+</td>\s*<td class="figure">\$0\.([^<]+)</td>', page)
    assert "0415\u2007" in rates
    assert {len(rate) for rate in rates} == {5}


def test_one_tenants_price_is_nobody_elses_business(stranger, org):
    Price.objects.create(
        model="wan-2.2-s2v", resolution="480p", micros_per_unit=1, max_units=600, organization=org
    )
    assert "$0.000001" not in text(stranger.get("/pricing"))


def test_what_is_free_is_named(stranger):
    FreeQuota.objects.update_or_create(organization=None, model="wan-2.2-s2v", defaults={"units": 77})
    assert "wan-2.2-s2v first 77 s free" in text(stranger.get("/pricing"))
    FreeQuota.objects.all().delete()
    assert "free once for each organization" not in text(stranger.get("/pricing"))


def test_an_empty_book_is_said_to_be_empty(stranger):
    Price.objects.all().delete()
    assert "Nothing is on sale" in text(stranger.get("/pricing"))


def test_pages_for_strangers_ask_little(stranger, django_assert_max_num_queries):
    with django_assert_max_num_queries(2):
        stranger.get("/")


# --- how the product is doing ----------------------------------------------------------------------------------


def test_all_is_well(stranger):
    page = stranger.get("/status")
    assert page.status_code == 200
    assert "Everything works." in text(page)


def test_a_closed_redis_is_told(stranger, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert "Not everything works: live updates." in text(stranger.get("/status"))


def test_a_database_that_is_away_is_told(stranger):
    def away(*args):
        raise OperationalError("the connection is closed")

    with connection.execute_wrapper(away):
        words = text(stranger.get("/status"))
    assert "Not everything works: database, rendering, webhooks." in words


def test_a_store_that_is_away_is_told(stranger, settings):
    gone = {**settings.S3_STORAGE["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}
    gone["client_config"] = Config(connect_timeout=1, retries={"max_attempts": 0})
    for name in ("signature_version", "addressing_style"):
        gone.pop(name)
    settings.STORAGES = {**settings.STORAGES, "default": {**settings.S3_STORAGE, "OPTIONS": gone}}
    assert "Not everything works: files." in text(stranger.get("/status"))


def test_a_long_wait_is_called_slow(stranger, org, caller):
    drive.fund(org)
    drive.fake_route(org)
    job = submit(caller, drive.request(org))
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(minutes=42))
    words = text(stranger.get("/status"))
    assert "slowly: rendering" in words
    assert "has waited 42 minutes" in words


def test_the_parts_are_asked_once_for_many_visitors(stranger, django_assert_num_queries):
    stranger.get("/status")
    with django_assert_num_queries(0):
        stranger.get("/status")
