"""Show code: what stands there is run as it stands, with a key put in, against the live platform."""

from __future__ import annotations

import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.workshop import Workshop
from tests.dialects.accounts import is_video


@pytest.fixture
def shown(person, live_stack, account) -> dict[str, str]:
    """Every programme of one order, by the name of its tab."""
    workshop = Workshop(person, live_stack, account)
    workshop.gold()
    workshop.pretend()
    workshop.samples()
    person.get_by_label("Prompt").fill('It\'s a "calm" day')
    person.get_by_role("button", name="Show code").click()
    dialog = person.get_by_role("dialog", name="The same order as code")
    expect(dialog.get_by_role("tab")).to_have_count(5)
    found = {}
    for tab in dialog.get_by_role("tab").all():
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        found[tab.inner_text()] = dialog.locator("#code-text").inner_text()
    return found


def test_every_shown_programme_runs_and_orders_the_same(shown, live_stack, account, tmp_path):
    for name, code in shown.items():
        program = code.replace("vr_…", account["api_key"])
        command = ["bash", "-c", program] if name == "curl" else [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (name, done.stdout, done.stderr)
        said = done.stdout.strip()
        assert '"status":"succeeded"' in said.replace(" ", "") if name == "curl" else is_video(said), (
            name,
            said,
        )
    rows = live_stack.sql(
        "SELECT dialect, model, inputs, options ->> 'prompt', options ->> 'resolution' FROM jobs_job"
        " WHERE organization_id = %s ORDER BY id",
        account["organization"],
    )
    assert [row[0] for row in rows] == ["rest", "rest", "wavespeed", "dashscope", "inferencesh"]
    assert len({str(row[1:]) for row in rows}) == 1
