"""Entry of a look: ``python -m providers.local.worker.detect WORKDIR``.

``WORKDIR/picture`` is looked at, ``WORKDIR/ratio`` names the shot ("" for none); the verdict is one line of JSON
on stdout.  Any other end is a crash.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from providers.local.worker.__main__ import die_with_parent, set_limits
from providers.local.worker.protocol import Limits

LIMITS = Limits(memory_bytes=3 * 1024**3, cpu_seconds=60, file_bytes=1024**2)
WRONG_USAGE = 2


def main(arguments: list[str]) -> int:
    """Look at one picture; returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m providers.local.worker.detect WORKDIR\n")
        return WRONG_USAGE
    die_with_parent()
    set_limits(LIMITS)
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from .look import look  # noqa: PLC0415  after the limits, which a hostile file must find set

    folder = Path(arguments[0])
    sys.stdout.write(json.dumps(look(folder / "picture", (folder / "ratio").read_text("utf-8"))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
