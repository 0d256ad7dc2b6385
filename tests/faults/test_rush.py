"""Two hundred submits at one moment, and money for one."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.rest import Customer

RUSH = 200
AT_ONCE = 40


def test_of_200_concurrent_submits_exactly_the_one_that_can_be_paid_is_accepted(live_stack):
    account = live_stack.create_org("Rush", credit_usd=0.39)  # 13 s at 0.03 USD
    with Customer(live_stack.url, account["api_key"]) as customer:
        rush(live_stack, customer)


def rush(live_stack, customer):
    inputs = customer.samples()
    body = {"model": "wan-2.2-s2v", "inputs": inputs, "options": {"seed": 1}}
    limits = httpx.Limits(max_connections=AT_ONCE)
    headers = customer.http.headers
    with httpx.Client(base_url=live_stack.url, headers=headers, timeout=120, limits=limits) as http:

        def submit(_: int) -> httpx.Response:
            return http.post("/v1/jobs", json=body)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(submit, range(RUSH)))

    assert Counter(answer.status_code for answer in answers) == {202: 1, 402: RUSH - 1}
    refused = next(answer for answer in answers if answer.status_code == 402)
    assert refused.json()["code"] == "insufficient_funds"
    job = next(answer.json() for answer in answers if answer.status_code == 202)
    assert customer.finished(job["id"])["status"] == "succeeded"
    assert customer.balance() == (0, 0)
    assert live_stack.sql("SELECT coalesce(sum(balance_micros), 0) FROM billing_account") == [(0,)]
    live_stack.manage("check_ledger")
