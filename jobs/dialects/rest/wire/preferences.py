"""The Prefer header (RFC 7240)."""

from __future__ import annotations

import re

LONGEST_WAIT = 60
WAIT = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:;.*)?', re.ASCII | re.IGNORECASE)


def wait_of(header: str) -> int:
    """For how many seconds the client would wait, at most LONGEST_WAIT; 0 if it would not, or says nothing we know.

    A preference is no demand: what is not understood is passed over, and of two the first counts.
    """
    for preference in header.split(","):
        if found := WAIT.fullmatch(preference):
            return min(int(found[1]), LONGEST_WAIT)
    return 0
