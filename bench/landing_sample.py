"""The sample on the front page, rendered by the CPU engine: python -m bench.landing_sample [--seconds 5.2]."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import av

from bench.child import PORTRAIT, ROOT, render, repeated

HOME = ROOT / "static" / "landing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.2)
    options = parser.parse_args()
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        film = render(Path(folder) / "work", PORTRAIT, repeated(Path(folder) / "voice", options.seconds)).film
        shutil.copyfile(film, HOME / "sample.mp4")
    with av.open(str(HOME / "sample.mp4")) as container:
        next(container.decode(video=0)).to_image().save(HOME / "sample.jpg", quality=80)


if __name__ == "__main__":
    main()
