"""Untrusted media is looked at in a child process that may crash, starve or be killed without harm.

`probe` tells what a file is and how long it really lasts; `verify_output`, `poster` and `preview` serve
finished videos. Nobody else imports what lies below this package: only the child loads av and Pillow.
"""

from jobs.media.parent import (
    cuts,
    join,
    last_frame,
    piece,
    poster,
    preview,
    probe,
    samples,
    verify_output,
    warm,
)
from jobs.media.results import MediaRefused, OutputRefused, Probe

__all__ = [
    "MediaRefused",
    "OutputRefused",
    "Probe",
    "cuts",
    "join",
    "last_frame",
    "piece",
    "poster",
    "preview",
    "probe",
    "samples",
    "verify_output",
    "warm",
]
