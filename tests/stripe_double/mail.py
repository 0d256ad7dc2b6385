"""Webhooks: what happened waits here until a test delivers it, once or twice, in whatever order."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.stripe_double.world import Object

Post = Callable[[str, bytes, str], int]
"""(address, body, signature) to the receiver's status."""


def signature(secret: str, body: bytes, *, at: float | None = None) -> str:
    moment = int(time.time() if at is None else at)
    tag = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={tag}"


def delivered_form(event: Object) -> bytes:
    """A thin event's data stay behind."""
    shown = {key: value for key, value in event.items() if not (key == "data" and thin(event))}
    return json.dumps(shown).encode()


def thin(event: Object) -> bool:
    return event["object"] == "v2.core.event"


@dataclass
class MailRoom:
    """`post` is how an event reaches its receiver: Django's test client, or HTTP."""

    post: Post
    secret: str
    thin_secret: str
    address: str = "/billing/stripe/webhook"
    waiting: list[Object] = field(default_factory=list)
    sent: list[Object] = field(default_factory=list)

    def take(self, event: Object) -> None:
        self.waiting.append(event)

    def deliver(
        self, *, times: int = 1, order: Callable[[list[Object]], Iterable[Object]] = list
    ) -> list[int]:
        """Everything that waits, each `times` over; the receiver's statuses."""
        batch = list(order([event for event in self.waiting for _ in range(times)]))
        self.sent += self.waiting
        self.waiting = []
        return [self.send(event) for event in batch]

    def send(self, event: Object) -> int:
        body = delivered_form(event)
        secret = self.thin_secret if thin(event) else self.secret
        return self.post(self.address, body, signature(secret, body))

    def lose(self) -> list[Object]:
        """Nothing of what waits arrives."""
        lost, self.waiting = self.waiting, []
        return lost


def backwards(events: list[Object]) -> list[Object]:
    return events[::-1]


def shuffled(seed: int) -> Callable[[list[Object]], list[Any]]:
    return lambda events: random.Random(seed).sample(events, len(events))
