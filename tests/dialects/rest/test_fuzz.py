"""Made-up requests by the thousand, drawn by schemathesis from the document that is served: no failure of ours, no answer
that the document does not know.

The suite draws a few for each operation. `make fuzz` draws 2,000 and more in all its phases.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveStack
from tests.rest import SAMPLES, Customer

CONFIG = Path(__file__).with_name("schemathesis.toml")
FULL = os.environ.get("FUZZ") == "full"
SEED = os.environ.get("FUZZ_SEED", "20260731")
LEAST = 2000 if FULL else 150
ROUTE = """
INSERT INTO providers_route (model, provider, organization_id, enabled, priority, weight,
                             cost_micros_per_second, cost_by_resolution, settings, region, cut_longer,
                             resolutions, formats)
VALUES ('wan-2.2-s2v', 'fake', %s, true, 1, 1, 0, '{}', '{}', '', false, '{}', '{}')
"""
LIMITS = """
INSERT INTO billing_limits (organization_id, credit_limit_micros, submits_per_minute, reads_per_second, queued)
VALUES (%s, 0, 1000000, 1000000, 1000)
"""


@pytest.fixture
def account(live_stack) -> dict[str, Any]:
    made = live_stack.create_org("Fuzz", credit_usd=1000)
    live_stack.sql(ROUTE, made["organization"])
    live_stack.sql(LIMITS, made["organization"])
    return made


def things(stack: LiveStack, customer: Customer) -> dict[str, list[str]]:
    """Real ids for the addresses, some of each kind, so that requests get beyond 404."""
    files = [customer.upload(SAMPLES / name) for name in ("portrait.jpg", "speech.wav")]
    inputs = {"image": files[0], "audio": files[1]}
    prompts = ("", "", "[fake fail=face_not_found]", "[fake seconds=600]", "[fake seconds=600]")
    jobs = [customer.submit(inputs, prompt=prompt)["id"] for prompt in prompts]
    for job in jobs[:3]:
        customer.finished(job)
    keys = [made(customer, "/v1/keys", name=f"key {n}", scopes=["jobs:read"]) for n in range(3)]
    url = f"http://127.0.0.1:{stack.receivers[0]}/"
    hooks = [made(customer, "/v1/webhooks", url=url, events=["*"]) for _ in range(3)]
    deliveries = [made(customer, f"/v1/webhooks/{hook}/test") for hook in hooks]
    return {
        "job_id": jobs,
        "file_id": files,
        "key_id": keys,
        "endpoint_id": hooks,
        "delivery_id": deliveries,
    }


def made(customer: Customer, address: str, **body: Any) -> str:
    answer = customer.http.post(address, **({"json": body} if body else {}))
    assert answer.is_success, answer.text
    return answer.json()["id"]


def with_dictionaries(found: dict[str, list[str]]) -> str:
    """The configuration, with the ids for the parameters of addresses and for the inputs of orders."""
    names = [f"[dictionaries.{name}]\nvalues = {json.dumps(ids)}" for name, ids in found.items()]
    bound = [f'"path.{name}" = {{dictionary = "{name}", probability = 0.7}}' for name in found]
    bound += [
        f'"body.{path}" = {{dictionary = "file_id", probability = 0.5}}'
        for path in ("image", "inputs.image", "inputs.audio")
    ]
    return "\n\n".join([CONFIG.read_text(), *names, "\n".join(["[parameters]", *bound])])


def run(stack: LiveStack, key: str, config: Path, report: Path) -> subprocess.CompletedProcess[str]:
    much = (
        ["--phases=examples,coverage,fuzzing,stateful", "-n", "20"]
        if FULL
        else ["--phases=fuzzing", "-n", "4"]
    )
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            *(f"{stack.url}/v1/openapi.json", "--header", f"Authorization: Bearer {key}"),
            *(
                "--checks",
                "all",
                "--seed",
                SEED,
                "--no-shrink",
                "--request-timeout",
                "60",
                "--report-json-path",
                str(report),
                *much,
            ),
        ],
        cwd=config.parent,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


def told(report: Path) -> int:
    """How many requests were made up; what became of them is printed for whoever runs `make fuzz`."""
    found = json.loads(report.read_text())
    print(f"\n{found['test_cases']} of {found['operations']} in {found['running_time']:.0f} s, seed {SEED}")
    return found["test_cases"]["generated"]


@pytest.mark.timeout(1900)
def test_no_request_breaks_v1_or_its_document(live_stack, account, tmp_path):
    config, report = tmp_path / "schemathesis.toml", tmp_path / "report.json"
    with Customer(live_stack.url, account["api_key"]) as customer:
        config.write_text(with_dictionaries(things(live_stack, customer)))
        done = run(live_stack, account["api_key"], config, report)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-3000:]
        assert told(report) >= LEAST
        assert customer.http.get("/v1/balance").status_code == 200  # the key is still one
