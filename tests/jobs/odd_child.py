"""Stands in for `jobs.media.child`: confines itself as that does, then runs the code that its order brings."""

from __future__ import annotations

import json
import os
import sys

from jobs.media.sandbox import Limits, confine, die_with_parent


def load() -> None:
    """It needs nothing."""


def main(order) -> None:
    sys.stdout = os.fdopen(1, "w")
    die_with_parent(order["parent"])
    confined = confine(Limits(**order["limits"]))
    exec(order["code"], {"os": os, "sys": sys, "json": json, "confined": confined, "order": order})
    sys.stdout.flush()
    os._exit(0)
