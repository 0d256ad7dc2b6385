"""An order in our own API, as a command and as a programme."""

from __future__ import annotations

import json
import shlex
from pprint import pformat
from typing import Any

from jobs.types import KEY, Example, Sample

WIDTH = 88
CURL = """\
curl -sS --fail-with-body {address} \\
  -H "Authorization: Bearer {key}" \\
  -H "Prefer: wait=60" \\
  --json {order}
"""
PYTHON = """\
import time

import httpx

api = httpx.Client(base_url={base_url!r}, timeout=60)
api.headers["Authorization"] = "Bearer {key}"
order = {order}
job = api.post("/v1/jobs", json=order).raise_for_status().json()
while not job["finished_at"]:
    time.sleep(1)
    job = api.get(f"/v1/jobs/{{job['id']}}").raise_for_status().json()
print(job["error"] or job["outputs"][0]["url"])
"""


def examples(sample: Sample) -> list[Example]:
    order: dict[str, Any] = {"model": sample.model, "inputs": dict(sample.files)}
    if sample.options:
        order["options"] = dict(sample.options)
    text = shlex.quote(json.dumps(order, ensure_ascii=False, indent=2))
    address = shlex.quote(f"{sample.base_url}/v1/jobs")
    shown = pformat(order, width=WIDTH, sort_dicts=False)
    python = PYTHON.format(base_url=sample.base_url, key=KEY, order=shown)
    return [
        Example("curl", "curl", CURL.format(address=address, key=KEY, order=text)),
        Example("python", "Python", python, needs="httpx"),
    ]
