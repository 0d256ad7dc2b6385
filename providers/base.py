"""The interface every provider adapter implements, and the plain data that crosses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from providers.errors import Forged, NotFound, Refused


@dataclass(frozen=True)
class Account:
    """Who we are at a provider: an empty one where there is nobody to be.

    `secret` checks what claims to come from the provider. `settings` are the operator's, as the adapter's README
    tells them. `queries_per_second`: 0 means no limit; where there is one, `turn` waits for the account's next place
    among all processes, and raises Throttled where none is near. A poll's places are taken by who polls.
    """

    base_url: str = ""
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    queries_per_second: float = 0.0
    turn: Callable[[], Awaitable[None]] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Limits:
    """What a provider allows one account, unless the account's row says otherwise. None: no limit that is known.

    `max_running` counts the attempts of one model.
    """

    max_running: int | None = None
    submits_per_second: int | None = None
    submits_per_minute: int | None = None
    queries_per_second: int | None = None


@dataclass(frozen=True)
class InputFile:
    """One input of an order. `url` is readable without credentials for the order's life; length in ms, sides in px.

    `made`: not the customer's own, but cut out of what was filmed of this job before.
    """

    url: str
    content_type: str
    bytes: int
    duration_ms: int = 0
    width: int = 0
    height: int = 0
    made: bool = False


@dataclass(frozen=True)
class Bounds:
    """What a provider takes of one model. Nothing given: nothing known.

    `sides` are the least and the most pixels of a picture's side, `clip_sides` of a clip's; `steepest`: how many times
    its short side the long one of either may have. `formats` and `most_bytes` go by role. `regions`: where the provider
    makes it, the usual one first.
    """

    shortest_ms: int = 0
    longest_ms: int = 0
    sides: tuple[int, int] = (0, 0)
    clip_sides: tuple[int, int] = (0, 0)
    steepest: float = 0.0
    resolutions: tuple[str, ...] = ()
    formats: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    most_bytes: Mapping[str, int] = field(default_factory=dict)
    regions: tuple[str, ...] = ()


class Workspace(Protocol):
    """A folder in our storage that a render may write and read through signed addresses."""

    def put_url(self, name: str) -> str: ...

    def get_url(self, name: str) -> str: ...


@dataclass(frozen=True)
class Order:
    """What one attempt asks of a provider. `tag` is unique per attempt: the client token for `find`.

    `route` carries the operator's settings of the route it takes. `callback_url` is an address of ours, good for this
    attempt alone and hard to guess, that the provider may call when something happened; "" where it cannot reach us.
    """

    tag: str
    model: str
    inputs: Mapping[str, InputFile]
    options: Mapping[str, Any]
    length_ms: int
    workspace: Workspace
    life_seconds: int
    route: Mapping[str, Any] = field(default_factory=dict)
    callback_url: str = ""


@dataclass(frozen=True)
class Lost:
    """An order whose answer was lost. `since`: it was not placed before.

    `known` are the account's other orders since then, by external id; `alone`: no other of the same model is lost.
    `claimed` is the external id that a callback for this order named, if one came.
    """

    tag: str
    model: str
    since: datetime
    known: Collection[str] = ()
    alone: bool = True
    claimed: str = ""
    callback_url: str = ""


def clip_name(index: int) -> str:
    """What a finished clip is called in an order's workspace."""
    return f"clip-{index:04d}.mp4"


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
    """One result: a name in the order's workspace, an address at the provider, or `held`: the provider keeps it for
    the account, and `Adapter.bring` fetches it. `flagged`: what its own content check says; None where it says nothing.
    """

    kind: str
    name: str = ""
    url: str = ""
    held: bool = False
    flagged: bool | None = None


@dataclass(frozen=True)
class Update:
    """One provider's word on one order. `progress` 0..1; `code`, `message` and `hint` are ours
    and fit for a customer; `note` is the provider's own wording, for operators alone.

    `billed_ms` is the length that the provider charged for, `cost_micros` its price, where it tells them.
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
    billed_ms: int = 0
    note: str = ""


@dataclass(frozen=True)
class Callback:
    """What a provider's call says at most: which order something happened to. What happened is asked by a poll."""

    external_id: str


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
    """A provider, spoken to for one account. Asynchronous throughout; raises only `providers.errors`.

    Made anew for each use, so it keeps nothing. What has a body here is the answer of a provider without the ability.
    """

    slug: str
    # How often an order is asked about at most, and how rarely at least; between them the expected end decides.
    poll_seconds: float
    rarest_seconds: float = 0.0
    # Whether each id costs a question of its own, so that none waits for another's answer.
    asks_each: bool = False
    account: Account
    # How long `submit` may take, the upload of inputs included.
    submit_seconds: float = 30.0
    limits: Limits = Limits()
    # So long after its end a result can be had; until then fetching it is tried again.
    keeps_seconds: float = 86_400
    # Whether finished clips lie in the order's workspace by `clip_name` while later ones are made; `detail["clip"]` of
    # an update is how many do.
    streams_clips: bool = False
    # What it takes, by model; None: it does not say, and nothing is filtered by it.
    bounds: Mapping[str, Bounds] | None = None
    # It renders on the operator's own machines.
    ours: bool = False
    # Customers may have it render on accounts of their own.
    customers_keys: bool = False

    async def submit(self, order: Order) -> str:
        """Place the order; its external id. Placing the same tag twice gives the first id where the provider can."""
        ...

    async def find(self, lost: Lost) -> str | None:
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

    async def verify(self) -> None:
        """Ask whether the account may order, without ordering. Raises AccountRefused, or Unavailable."""

    async def check(self, detector: str, image: InputFile, ratio: str) -> Verdict:
        """Look at a picture at once. `ratio`: "", or the shape of the shot to frame. Refused where it cannot."""
        raise Refused(f"{self.slug} does not look at pictures", code="detector_missing")

    async def bring(self, external_id: str, output: Output, to: Path) -> None:
        """Write an output that is `held` into the file. NotFound once the provider has dropped it."""
        raise NotFound(external_id)

    def parse_callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        """The provider's call, headers in lower case. Forged where it is not the provider's, or cannot be."""
        raise Forged(f"{self.slug} calls nobody")
