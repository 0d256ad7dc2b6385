"""Jobs and their events in a customer's words. Pure functions; vendor words and internals stay out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from billing.money import format_usd
from jobs.models import Job, JobEvent
from jobs.states import Status
from providers import catalogue
from providers.failures import FAILURES

GOOD, BUSY, BAD, CALM = "good", "busy", "bad", ""

STATES: Final[dict[str, tuple[str, str]]] = {
    Status.PREPARING: ("Checking your files", BUSY),
    Status.QUEUED: ("Waiting its turn", BUSY),
    Status.RUNNING: ("Rendering", BUSY),
    Status.SAVING: ("Saving the video", BUSY),
    Status.SUCCEEDED: ("Ready", GOOD),
    Status.FAILED: ("Failed", BAD),
    Status.CANCELED: ("Canceled", CALM),
    Status.EXPIRED: ("Not done in time", BAD),
}
PHASES: Final = {
    "waiting": "Waiting for a machine",
    "analyse": "Looking at picture and voice",
    "render": "Rendering",
    "mux": "Joining picture and sound",
}
EVENTS: Final = {
    "created": "Submitted",
    Status.QUEUED: "Files checked, waiting its turn",
    Status.RUNNING: "Given to a machine",
    Status.SAVING: "Rendered, saving the video",
    Status.SUCCEEDED: "Ready",
    Status.FAILED: "Failed",
    Status.CANCELED: "Canceled",
    Status.EXPIRED: "Not done in time",
    "cancel_requested": "Cancel requested",
}
UNITS: Final = {"second": "second", "image": "picture", "own_key": "second on your own account"}
# Below these a time that is left is not counted, or told in seconds.
FEW_SECONDS, IN_SECONDS = 5, 90
# A picture so much longer than wide, or wider than long, is no square.
OBLONG: Final = 1.15
# From here on the end of a video's time is something to act on.
SOON: Final = timedelta(days=3)
TRY_AGAIN: Final = "Nothing is wrong with your files. Submitting the same again can help."
CHANGE: Final = "The same would fail again. Change the files or the settings, then order anew."
SHORTER: Final = "Trim it, or use another one."
# Where neither the renderer nor the words of its failure say what would help.
ADVICE: Final = {
    "audio_empty": "Record the voice once more, or use another file.",
    "audio_too_long": SHORTER,
    "clip_too_long": SHORTER,
    "media_too_long": SHORTER,
    "video_too_long": SHORTER,
    "checksum_mismatch": "Upload the file once more, then order anew.",
    "insufficient_funds": "Add credit, then try again.",
    "key_spend_cap": "Raise what the key may spend, then try again.",
    "monthly_budget": "Raise the monthly budget or wait for the next month, then try again.",
    "storage_full": "Delete files that are not needed any more, then try again.",
}
ADDRESS: Final = (
    "Open the address in a private window: it must give the file without a sign-in. Or upload the file."
)


@dataclass(frozen=True)
class Line:
    """One step of the timeline."""

    at: datetime
    text: str
    tone: str


def state(job: Job) -> tuple[str, str]:
    """What is going on, and its tone."""
    word, tone = STATES[Status(job.status)]
    if job.final:
        return word, tone
    if job.cancel_requested_at:
        return "Canceling", tone
    return (PHASES.get(job.phase, word) if job.status == Status.RUNNING else word), tone


def title(job: Job) -> str:
    """What tells a person's videos apart best: the prompt, else the model."""
    return str(job.options.get("prompt", "")).strip() or model(job)


def model(job: Job) -> str:
    known = catalogue.models().get(job.model)
    return known.name if known else job.model


def short(text: str, most: int = 90) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def moment(at: datetime) -> tuple[str, str]:
    """A time for machines and, until scripts put it into the reader's zone, for people. Lists have many: a template's own
    way to write one takes longer than all else of a row.
    """
    at = at.astimezone(UTC)
    return at.isoformat(timespec="seconds"), f"{at.day} {at:%b, %H:%M} UTC"


def percent(job: Job) -> int | None:
    """Whole percents of a render under way; None while nothing is being rendered."""
    return int(job.progress * 100) if job.status in {Status.RUNNING, Status.SAVING} else None


def usd(micros: int) -> str:
    return f"${format_usd(micros)}"


def price(job: Job) -> str:
    """What it cost, or what it can cost at most. Free says so: it is what people fear for."""
    payable = job.quoted_micros - job.free_micros
    if not payable:
        return "Free"
    if job.status == Status.SUCCEEDED:
        return usd(job.charged_micros or 0)
    return "Free" if job.final else f"at most {usd(payable)}"


def length(milliseconds: int) -> str:
    """Minutes and seconds as players write them; blank when it is not known yet."""
    if not milliseconds:
        return ""
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes}:{seconds:02d}"


def receipt(job: Job) -> list[tuple[str, str]]:
    """What is paid for and what came of it, line by line."""
    if not job.quoted_micros:
        return [("Total", "Free")]
    rate = usd(job.quote["micros_per_unit"]) if job.quote.get("micros_per_unit") else ""
    unit = UNITS.get(job.quote.get("unit", ""), "second")
    lines = [("Rate", f"{rate} a {unit}")] if rate else []
    if job.billed_units:
        lines.append(("Billed", f"{job.billed_units} {unit}{'' if job.billed_units == 1 else 's'}"))
    if job.free_micros:
        units = job.free_micros // job.quote["micros_per_unit"]
        lines.append(("Free", f"{units} {unit}{'' if units == 1 else 's'}, worth {usd(job.free_micros)}"))
    lines.append(("Promised at most", usd(job.quoted_micros - job.free_micros)))
    if job.status == Status.SUCCEEDED:
        lines.append(("Charged", usd(job.charged_micros or 0)))
    elif job.final:
        lines.append(("Charged", "$0.00, since there is no video"))
    return lines


def ahead(job: Job, place: int | None, seconds: int | None) -> str:
    """How far it is and what is still to come; blank where nothing can be told. Worded as the studio does."""
    told = []
    if place:
        told.append("next in line" if place == 1 else f"number {place} in line")
    if (share := percent(job)) is not None:
        told.append(f"{share} %")
    if (clips := job.detail.get("clips", 0)) > 1:
        told.append(f"clip {min(job.detail.get('clip', 0) + 1, clips)} of {clips}")
    if seconds is not None:
        told.append(_rest(seconds))
    words = " · ".join(told)
    return words[:1].upper() + words[1:]


def _rest(seconds: int) -> str:
    if seconds < FEW_SECONDS:
        return "a few seconds left"
    return f"about {seconds} s left" if seconds < IN_SECONDS else f"about {round(seconds / 60)} min left"


def shape(width: int, height: int) -> str:
    """For how wide a player may be, so that it is never higher than the window."""
    if height > OBLONG * width:
        return "tall"
    return "square" if width < OBLONG * height else "wide"


def left(until: datetime | None, now: datetime) -> tuple[str, str]:
    """How long a file is still kept, and the tone of that; blank where no time is set."""
    if until is None:
        return "", CALM
    rest = until - now
    if rest < timedelta(hours=1):
        return "Deleted within the hour", BUSY
    unit, size = ("day", timedelta(days=1)) if rest >= timedelta(days=2) else ("hour", timedelta(hours=1))
    number = rest // size
    return f"Kept for {number} more {unit}{'' if number == 1 else 's'}", BUSY if rest < SOON else CALM


def advice(job: Job) -> str:
    """What to do about a failed job; what the renderer itself advised goes first."""
    if job.status == Status.CANCELED or not job.error_code:
        return ""
    known = FAILURES.get(job.error_code)
    found = job.error_hint or ADVICE.get(job.error_code) or (known.hint if known else "")
    if not found and job.error_code.startswith("url_"):
        found = ADDRESS
    return found or (TRY_AGAIN if job.error_retryable else CHANGE)


def timeline(job: Job, events: Iterable[JobEvent]) -> list[Line]:
    """Every step a person would tell of; progress within a phase is what the bar is for."""
    lines: list[Line] = []
    for event, text in _told(job, events):
        if text and (not lines or lines[-1].text != text):
            lines.append(Line(event.at, text, _tone(event)))
    return lines


def log(job: Job, events: Iterable[JobEvent]) -> list[Line]:
    """Every event, progress too."""
    return [Line(event.at, text or _progress(event), _tone(event)) for event, text in _told(job, events)]


def _told(job: Job, events: Iterable[JobEvent]) -> Iterator[tuple[JobEvent, str]]:
    """Tries are numbered by those that did not work: a long video is given to a machine for each of its parts."""
    tries, started, last = 1, False, ""
    for event in events:
        match event.type:
            case Status.QUEUED if last == "attempt_ended":
                text = "Waiting for another try"
            case Status.QUEUED if started:
                text = "Waiting for its next part"
            case Status.RUNNING if tries > 1:
                text = f"{EVENTS[Status.RUNNING]}, try {tries}"
            case "attempt_ended":
                text = f"Try {tries} did not work"
                tries += 1
            case _:
                text = _text(job, event)
        started = started or event.type == Status.RUNNING
        last = event.type
        yield event, text


def _progress(event: JobEvent) -> str:
    share = f"{int(float(event.data.get('progress', 0)) * 100)} %"
    clips = event.data.get("clips")
    return f"Rendered {share}, clip {event.data.get('clip')} of {clips}" if clips else f"Rendered {share}"


def settings(job: Job) -> list[tuple[str, Any]]:
    """The options of a job, named for people; without the prompt, which is the page's title."""
    shown = {
        name: value for name, value in sorted(job.options.items()) if name != "prompt" and value is not None
    }
    known = catalogue.models().get(job.model)
    schemas = known.options.get("properties", {}) if known else {}
    return [(_label(name, schemas.get(name, {})), _plain(value)) for name, value in shown.items()]


def _label(name: str, schema: Mapping[str, Any]) -> str:
    return str(schema.get("title") or name.replace("_", " ").capitalize())


def _plain(value: Any) -> Any:
    return {True: "Yes", False: "No"}[value] if isinstance(value, bool) else value


def _text(job: Job, event: JobEvent) -> str:
    if event.type == "phase":
        return PHASES.get(event.data.get("phase", ""), "")
    if event.type == "created":
        payable = event.data.get("quoted_micros", 0) - job.free_micros
        return f"Submitted, at most {usd(payable)}" if payable > 0 else EVENTS["created"]
    if event.type == Status.SUCCEEDED:
        charged = event.data.get("charged_micros", 0)
        return f"Ready, {usd(charged) if charged else 'nothing'} charged"
    if event.type in {Status.FAILED, Status.EXPIRED, Status.CANCELED}:
        return f"{EVENTS[event.type]}, nothing charged"
    return EVENTS.get(event.type, "")


def _tone(event: JobEvent) -> str:
    if event.type == "attempt_ended":
        return BAD
    tone = STATES[Status(event.type)][1] if event.type in STATES else CALM
    return CALM if tone == BUSY else tone
