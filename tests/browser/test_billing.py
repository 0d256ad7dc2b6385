"""Where the money went, in a real browser: charts that draw without a word in the console, tables beside them, files."""

from __future__ import annotations

from playwright.sync_api import expect

WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PAGES = ("/billing", "/billing/plan", "/usage", "/billing/statement")
SPEND = """
import uuid
from django.db import transaction
from accounts.models import ApiKey, Organization
from billing import ledger
organization = Organization.objects.get(pk={organization!r})
key = ApiKey.objects.filter(organization=organization).first()
for model, micros, by in (("wan-2.2-s2v", 390_000, key), ("wan-2.2-animate", 1_250_000, None)):
    with transaction.atomic():
        hold = ledger.hold(organization, job_id=uuid.uuid4(), amount_micros=micros, model=model, key=by)
        ledger.capture(hold.job_id, micros, billed_ms=13_000)
"""


def spend(live_stack, account) -> None:
    live_stack.manage("shell", "-c", SPEND.format(organization=account["organization"]))


def test_use_is_drawn_told_and_downloaded(person, live_stack, account):
    person.goto(f"{live_stack.url}/usage")
    expect(person.get_by_text("Nothing used in this time")).to_be_visible()
    spend(live_stack, account)
    person.reload()
    chart = person.get_by_role("img", name="Spent by day")
    expect(chart).to_be_visible()
    bars = chart.evaluate("chart => Chart.getChart(chart).getDatasetMeta(0).data.map(bar => bar.height)")
    assert len(bars) == 30
    assert bars[-1] > 100  # today's is the highest
    person.get_by_text("As a table").click()
    expect(person.get_by_role("row").filter(has_text="$1.64")).to_be_visible()
    expect(person.get_by_role("region", name="By model")).to_contain_text("wan-2.2-animate")
    expect(person.get_by_role("region", name="By key")).to_contain_text("Dashboard")
    with person.expect_download() as download:
        person.get_by_role("link", name="Download CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "day,model,key,key_id,jobs,seconds,usd"
    assert len(lines) == 3
    person.get_by_role("link", name="Last month").click()
    expect(person.get_by_text("Nothing used in this time")).to_be_visible()


def test_without_a_seller_the_page_says_who_gives_credit(person, live_stack):
    person.goto(f"{live_stack.url}/billing")
    expect(person.get_by_text("given by its operator")).to_be_visible()
    expect(person.get_by_role("button", name="Continue to payment")).to_have_count(0)


def test_the_money_pages_fit_every_width(person, live_stack, account):
    spend(live_stack, account)
    for width in (360, 768, 1440):
        person.set_viewport_size({"width": width, "height": 800})
        for path in PAGES:
            person.goto(live_stack.url + path)
            assert person.evaluate(WIDE) <= 0, (width, path)
