"""Our words for what providers complain about. Each adapter maps its vendor's words to these codes; customers read only
what stands here, never a vendor's sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

from providers.base import State, Update
from providers.errors import Refused, Unsuitable


@dataclass(frozen=True)
class Failure:
    """`retryable`: the same order may succeed when tried again, here or elsewhere."""

    message: str
    hint: str = ""
    retryable: bool = False


CLOSE_UP = "Use a sharp picture of one person who looks at the camera."
FAILURES = {
    "content_refused": Failure(
        "The content check refused this order; nothing was charged.",
        "Use another picture, voice or prompt.",
    ),
    "rights_refused": Failure(
        "The order seems to use somebody else's protected work; nothing was charged.",
        "Use material of your own.",
    ),
    "face_not_found": Failure("No usable face was found in the picture.", CLOSE_UP),
    "face_many": Failure("There is more than one person in the picture.", CLOSE_UP),
    "face_turned": Failure("The face in the picture is turned away or hidden.", CLOSE_UP),
    "face_small": Failure("The person in the picture is too small, too large or cut off.", CLOSE_UP),
    "image_unsuitable": Failure("The picture cannot be used.", CLOSE_UP),
    "image_size": Failure(
        "The picture's size or shape cannot be used.", "Use a picture with sides from 400 to 4096 pixels."
    ),
    "audio_unsuitable": Failure(
        "The voice recording cannot be used.", "Use a WAV or MP3 file with a clear voice."
    ),
    "audio_too_long": Failure("The voice recording is too long.", "Use a shorter recording."),
    "video_unsuitable": Failure(
        "The motion clip cannot be used.", "Use an MP4 clip of one person from 2 to 30 seconds."
    ),
    "input_unsuitable": Failure("One of the files cannot be used.", "Check their formats and lengths."),
    "input_unreachable": Failure("The files could not be handed over for rendering.", retryable=True),
    "model_unsuitable": Failure("This model cannot be rendered at the moment.", retryable=True),
    "provider_failed": Failure("The video could not be rendered; nothing was charged.", retryable=True),
    "provider_timeout": Failure(
        "Rendering took too long and was given up; nothing was charged.", retryable=True
    ),
}


def failed(external_id: str, code: str, note: str) -> Update:
    """A FAILED update in our words; `note` keeps the vendor's for operators."""
    found = FAILURES[code]
    return Update(
        external_id,
        State.FAILED,
        code=code,
        message=found.message,
        hint=found.hint,
        retryable=found.retryable,
        note=note,
    )


def refused(code: str, note: str = "") -> Refused:
    """The provider's no to the order itself."""
    found = FAILURES[code]
    return Refused(note, code=code, customer_message=found.message, hint=found.hint)


def unsuitable(code: str, note: str = "") -> Unsuitable:
    """The no of this provider alone: another may."""
    found = FAILURES[code]
    return Unsuitable(note, code=code, customer_message=found.message, hint=found.hint)
