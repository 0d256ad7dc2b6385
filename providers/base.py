"""The interface every provider adapter implements, and the plain data that crosses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True)
class InputFile:
    """One input of an order. `url` is readable without credentials for the order's life; length in ms, sides in px."""

    url: str
    content_type: str
    bytes: int
    duration_ms: int = 0
    width: int = 0
    height: int = 0


class Workspace(Protocol):
    """A folder in our storage that a render may write and read through signed addresses."""

    def put_url(self, name: str) -> str: ...

    def get_url(self, name: str) -> str: ...


@dataclass(frozen=True)
class Order:
    """What one attempt asks of a provider. `tag` is unique per attempt: the client token for `find`.

    `route` carries the operator's settings of the route it takes.
    """

    tag: str
    model: str
    inputs: Mapping[str, InputFile]
    options: Mapping[str, Any]
    length_ms: int
    workspace: Workspace
    life_seconds: int
    route: Mapping[str, Any] = field(default_factory=dict)


class State(StrEnum):
    """What a provider says of an order. LOST: it does not know it any more."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    LOST = "lost"


@dataclass(frozen=True)
class Output:
    """One result: a name in the order's workspace, or an address at the provider."""

    kind: str
    name: str = ""
    url: str = ""


@dataclass(frozen=True)
class Update:
    """One provider's word on one order. `progress` 0..1; `code`, `message` and `hint` are ours
    and fit for a customer.
    """

    external_id: str
    state: State
    progress: float = 0.0
    phase: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    code: str = ""
    message: str = ""
    hint: str = ""
    retryable: bool = False
    cost_micros: int = 0


# left, top, right, bottom in pixels
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Verdict:
    """What a look at a picture found. `code` and `message` are ours, say why it is not `fit`, and suit a customer.

    `person`: somebody is there, fit or not. `face`, and `frame`, the part around it that a shot of the wanted ratio
    shows, where the provider tells them.
    """

    fit: bool
    person: bool = False
    face: Box | None = None
    frame: Box | None = None
    code: str = ""
    message: str = ""


class Adapter(Protocol):
    """A provider. Asynchronous throughout; raises only `providers.errors`."""

    slug: str
    poll_seconds: float

    async def submit(self, order: Order) -> str:
        """Place the order; its external id. Placing the same tag twice gives the first id where the provider can."""
        ...

    async def find(self, tag: str) -> str | None:
        """The external id of an order whose answer was lost; None when it certainly never arrived.

        Raises OutcomeUnknown when the provider cannot tell.
        """
        ...

    async def poll(self, external_ids: Sequence[str]) -> list[Update]:
        """The state of each; an id left out means its poll failed and is tried again later."""
        ...

    async def cancel(self, external_id: str) -> bool:
        """Ask it to stop. True when the provider will report CANCELED, False when it cannot stop."""
        ...

    async def check(self, detector: str, image: InputFile, ratio: str) -> Verdict:
        """Look at a picture at once. `ratio`: "", or the shape of the shot to frame. Refused where it cannot."""
        ...
