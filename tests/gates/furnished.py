"""A furnished world: an organization with something on every page, one with nothing, and an operator.

What customers do is done through `/v1` against the live stack; the rest by the verbs that pages call, at its desk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from config.embedded.home import CHECKOUT
from tests.dialects.accounts import ROUTE
from tests.live import LiveStack
from tests.rest import Customer

# What the pretending provider makes of each, and what the job's page shows then.
FILMS = {
    "succeeded": "Good morning! A short greeting for the front page. [fake ]",
    "failed": "A portrait behind a hand. [fake fail=face_not_found]",
    "running": "The long speech of the opening day. [fake stall clips=9]",
    "canceled": "A first try, stopped. [fake stall]",
    "queued": "One that waits for its turn. [fake ]",
}


# What the pretending provider is told is nothing to be seen on a page.
PLAIN = r"""
UPDATE jobs_job SET options = options || jsonb_build_object('prompt', regexp_replace(options->>'prompt', ' \[fake.*', ''))
WHERE organization_id = %s AND options ? 'prompt'
"""

RENDERED = (
    "Welcome to our winter sale",
    "A message to the whole team",
    "Three things to know before you start",
)
STUDIO = CHECKOUT / "static" / "studio"


@dataclass
class World:
    """`names` fill the addresses of pages; `cookies` are the sessions of all but the stranger;
    `console` are the addresses of the operator's console."""

    stack: LiveStack
    names: dict[str, str]
    cookies: dict[str, dict[str, str]]
    console: list[str]


def furnish(stack: LiveStack, *, rendered: bool = False) -> World:
    """`rendered`: with films of our own engine too, which take a while; the last is named so."""
    made = stack.create_org("Acme Film & Voice", email="owner@acme.example", credit_usd=200, tier="gold")
    empty = stack.create_org("Newcomers")
    names = {}
    with Customer(stack.url, made["api_key"]) as customer:
        for seed, prompt in enumerate(RENDERED if rendered else ()):
            files = {
                "image": customer.upload(STUDIO / "portrait.jpg"),
                "audio": customer.upload(STUDIO / "voice.mp3"),
            }
            names["rendered"] = customer.submit(files, prompt=prompt, seed=seed)["id"]
            assert customer.finished(names["rendered"], seconds=300)["status"] == "succeeded"
        stack.sql(ROUTE, made["organization"])
        address = f"http://127.0.0.1:{stack.receivers[0]}/hook"  # nobody listens there
        endpoint = customer.http.post("/v1/webhooks", json={"url": address, "events": ["*"]}).json()
        inputs = customer.samples()
        for name, prompt in FILMS.items():
            if name == "queued":
                places = "UPDATE providers_route SET max_running = 0 WHERE organization_id = %s"
                stack.sql(places, made["organization"])
            names[name] = customer.submit(inputs, prompt=prompt)["id"]
            if name in {"succeeded", "failed"}:
                assert customer.finished(names[name])["status"] == name
            elif name != "queued":
                customer.until(names[name], lambda job: job["status"] == "running")
        customer.http.post(f"/v1/jobs/{names['canceled']}/cancel").raise_for_status()
        customer.finished(names["canceled"])
        customer.http.get("/v1/jobs/none").status_code  # noqa: B018  a refusal in the log of requests
        path = f"/v1/webhooks/{endpoint['id']}/deliveries"
        names["endpoint"] = endpoint["id"]
        names["delivery"] = customer.http.get(path).json()["data"][0]["id"]
    stack.sql(PLAIN, made["organization"])
    words = [made["login"], empty["login"], names.get("rendered", names["succeeded"])]
    code = f"from tests.gates import desk_work; desk_work.furnish(*{words!r})"
    told: dict[str, Any] = json.loads(stack.manage("shell", "-v", "0", "-c", code).splitlines()[-1])
    return World(stack, names | told["names"], told["cookies"], told["console"])
