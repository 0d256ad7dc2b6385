"""What is free of a model: used first, shown before and after, given back where a job fails, never gone twice."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from billing import free, ledger, quotas
from billing.models import FreeQuota, FreeUse, KeySpend, Limits, MonthSpend, Price, Transfer, UsageReport
from jobs.models import Job
from tests.billing.conftest import assert_sound, in_threads
from tests.jobs import drive
from tests.world import api_client, make_key

MODEL = "wan-2.2-s2v"
RATE = 30_000
CENT = 10_000


@pytest.fixture
def shop(org):
    """Somebody without a cent; a job of four seconds costs twelve."""
    quotas.forget()
    drive.fake_route(org)
    Limits.objects.create(organization=org, submits_per_minute=100_000)
    yield org
    quotas.forget()


@pytest.fixture
def order(shop):
    return order_of(shop)


def order_of(organization, *, duration_ms: int = 4000, status: str = "ready") -> dict:
    voice = drive.asset(organization, "audio", duration_ms=duration_ms, status=status)
    inputs = {"image": str(drive.asset(organization, "image").id), "audio": str(voice.id)}
    return {"model": MODEL, "inputs": inputs, "options": {"resolution": "480p", "seed": 1}}


def give(units: int, organization=None) -> None:
    FreeQuota.objects.update_or_create(model=MODEL, organization=organization, defaults={"units": units})


def left(organization) -> float:
    return free.quotas(organization)[0].left / 1000


def ask(api, order: dict, path: str = "/v1/jobs") -> dict:
    answer = api.post(path, order, format="json")
    return {"status_code": answer.status_code, **answer.json()}


def job_of(api, made: dict) -> dict:
    return api.get(f"/v1/jobs/{made['id']}").json()


# --- used first ---


def test_a_free_job_needs_no_credit_and_counts_towards_nothing(shop, order, key):
    give(10)
    Limits.objects.update(monthly_budget_micros=0)
    capped = api_client(make_key(shop, spend_cap_micros=0))
    made = ask(capped, order)
    assert made["status_code"] == 202
    assert made["price"] == {
        "currency": "USD",
        "quoted_micros": 4 * RATE,
        "free_micros": 4 * RATE,
        "charged_micros": None,
        "billed_seconds": None,
    }
    drive.run_all()
    done = job_of(api_client(key), made)
    assert (done["status"], done["price"]["charged_micros"], done["price"]["billed_seconds"]) == (
        "succeeded",
        0,
        4,
    )
    assert left(shop) == 6
    assert Transfer.objects.count() == 0
    assert set(MonthSpend.objects.values_list("held_micros", "spent_micros")) == {(0, 0)}
    assert set(KeySpend.objects.values_list("held_micros", "spent_micros")) == {(0, 0)}
    assert_sound()


def test_what_is_left_is_used_before_credit(shop, order, api):
    give(3)
    drive.fund(shop, 1)
    made = ask(api, order)
    assert ledger.balance(shop) == ledger.Balance(100 * CENT - RATE, RATE)
    drive.run_all()
    assert job_of(api, made)["price"]["charged_micros"] == RATE
    assert ledger.balance(shop) == ledger.Balance(100 * CENT - RATE, 0)
    assert ask(api, order)["price"]["free_micros"] == 0
    receipt = api.get(f"/v1/jobs/{made['id']}/receipt").json()["price"]
    assert [(line["units"], line["total_micros"]) for line in receipt["lines"]] == [
        (4, 4 * RATE),
        (3, -3 * RATE),
    ]
    assert (receipt["free_micros"], receipt["charged_micros"]) == (3 * RATE, RATE)
    assert_sound()


def test_the_rest_of_a_price_needs_credit(shop, order, api):
    give(3)
    refused = ask(api, order)
    assert (refused["status_code"], refused["code"]) == (402, "insufficient_funds")
    assert "0.03" in refused["detail"]
    assert left(shop) == 3
    assert Job.objects.count() == 0


@pytest.mark.parametrize("ending", ["fails", "canceled"])
def test_what_a_job_without_a_result_took_comes_back(shop, order, api, ending):
    give(4)
    order["options"]["prompt"] = "[fake fail=face_not_found]" if ending == "fails" else ""
    made = ask(api, order)
    assert left(shop) == 0
    if ending == "canceled":
        api.post(f"/v1/jobs/{made['id']}/cancel")
    drive.run_all()
    assert job_of(api, made)["status"] in {"failed", "canceled"}
    assert left(shop) == 4
    assert ask(api, order)["price"]["free_micros"] == 4 * RATE
    assert_sound()


def test_a_length_that_is_known_later_takes_more_of_it(shop, api):
    """The sample voice lasts 12.3 s: three seconds are held at first."""
    give(100)
    made = ask(api, order_of(shop, duration_ms=0, status="pending"))
    assert (made["status"], left(shop)) == ("preparing", 97)
    drive.run_all()
    price = job_of(api, made)["price"]
    assert (price["quoted_micros"], price["free_micros"], price["charged_micros"]) == (
        13 * RATE,
        13 * RATE,
        0,
    )
    assert left(shop) == 87
    assert_sound()


def test_a_longer_length_than_free_needs_credit_or_fails_free(shop, api):
    give(5)
    made = ask(api, order_of(shop, duration_ms=0, status="pending"))
    drive.run_all()
    assert job_of(api, made)["error"]["code"] == "insufficient_funds"
    assert left(shop) == 5
    assert_sound()


def test_a_price_that_counts_in_other_steps_takes_whole_ones(shop, order, api):
    """A unit of 1.5 s; of five free seconds three units fit."""
    give(5)
    drive.fund(shop, 1)
    Price.objects.create(
        organization=shop, model=MODEL, resolution="480p", micros_per_unit=CENT, step_ms=1500, max_units=9
    )
    order["inputs"]["audio"] = str(drive.asset(shop, "audio", duration_ms=9000).id)
    price = ask(api, order)["price"]
    assert (price["quoted_micros"], price["free_micros"], left(shop)) == (6 * CENT, 3 * CENT, 0.5)


def test_looks_at_pictures_have_images_of_their_own(shop, api):
    drive.fake_route(shop, "wan-2.2-s2v-detect")
    FreeQuota.objects.create(model="wan-2.2-s2v-detect", unit="image", units=1)
    look = {"image": str(drive.asset(shop, "image").id)}
    assert ask(api, look, "/v1/detect")["price"]["charged_micros"] == 0
    assert ask(api, look, "/v1/detect")["status_code"] == 402
    assert_sound()


def test_a_quota_in_another_unit_or_for_another_organization_gives_nothing(shop, order, api, other_org):
    give(100)
    give(0, shop)
    assert ask(api, order)["status_code"] == 402
    FreeQuota.objects.filter(organization=shop).update(units=100, unit="image")
    assert ask(api, order)["status_code"] == 402
    FreeQuota.objects.filter(organization=shop).update(organization=other_org, unit="second")
    FreeQuota.objects.filter(organization=None).delete()
    assert ask(api, order)["status_code"] == 402
    assert FreeUse.objects.count() == 0


def test_the_meters_hear_of_what_is_paid(shop, order, api, settings):
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    give(3)
    shop.billing_mode = "postpaid"
    shop.save()
    Limits.objects.update(credit_limit_micros=100 * CENT)
    for _ in range(2):
        ask(api, order)
    drive.run_all()
    reports = UsageReport.objects.order_by("units").values_list(
        "unit", "units", "micros_per_unit", "amount_micros"
    )
    assert list(reports) == [("second", 1, RATE, RATE), ("second", 4, RATE, 4 * RATE)]


# --- known before ---


def test_a_quote_says_what_is_free_and_never_costs_more(shop, order, api):
    give(5)
    drive.fund(shop, 1)
    quote = ask(api, order, "/v1/quotes")
    assert (quote["total_micros"], quote["free_micros"], quote["payable_micros"]) == (4 * RATE, 4 * RATE, 0)
    assert sum(line["total_micros"] for line in quote["lines"]) == 0
    assert ask(api, order)["price"]["free_micros"] == 4 * RATE
    late = ask(api, {**order, "quote": quote["id"]})
    assert (late["status_code"], late["code"], late["field"]) == (422, "quote_outdated", "quote")
    again = ask(api, order, "/v1/quotes")
    assert again["payable_micros"] == 3 * RATE
    assert ask(api, {**order, "quote": again["id"]})["price"]["free_micros"] == RATE
    assert_sound()


def test_variants_share_what_is_free(shop, order, alice_browser):
    give(6)
    drive.fund(shop, 1)
    body = {"inputs": order["inputs"], "options": {"resolution": "480p"}, "seeds": [1, 2, 3]}
    base = f"/studio/{MODEL}"
    offer = alice_browser.post(f"{base}/quote", body, content_type="application/json").json()
    assert (offer["free_units"], offer["total_micros"]) == (6, 6 * RATE)
    for seed, quote in zip(body["seeds"], offer["quotes"], strict=True):
        one = {**body, "seed": seed, "quote": quote, "key": str(seed)}
        assert alice_browser.post(f"{base}/jobs", one, content_type="application/json").status_code == 202
    assert sum(Job.objects.values_list("free_micros", flat=True)) == 6 * RATE


# --- to be seen ---


def test_what_is_left_can_be_seen(shop, order, api, alice_browser):
    give(10)
    ask(api, order)
    drive.run_all()
    ask(api, order)
    assert api.get("/v1/balance").json()["free"] == [
        {"model": MODEL, "unit": "second", "units": 10, "held": 4, "used": 4, "left": 2}
    ]
    assert "2 of 10 seconds left" in words(alice_browser, "/billing")
    done = Job.objects.filter(status="succeeded").get()
    page = words(alice_browser, f"/jobs/{done.pk}")
    assert "Free 4 seconds, worth $0.12 Promised at most $0.00 Charged $0.00" in page
    assert "Ready, nothing charged" in page


def words(browser, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


# --- all at once ---


@pytest.mark.django_db(transaction=True)
def test_of_50_parallel_orders_exactly_those_that_are_free_are_accepted(shop, order, key):
    """Free are ten jobs of four seconds, and there is no credit."""
    give(42)

    def rush(_: int) -> list[str]:
        api = api_client(key)
        answers = [ask(api, order) for _ in range(5)]
        return [answer.get("code", "accepted") for answer in answers]

    outcomes = Counter(outcome for answers in in_threads(10, rush) for outcome in answers)
    assert outcomes == {"accepted": 10, "insufficient_funds": 40}
    assert Job.objects.filter(free_micros=4 * RATE).count() == 10
    assert left(shop) == 2
    assert ledger.balance(shop) == ledger.Balance(0, 0)
    assert_sound()
