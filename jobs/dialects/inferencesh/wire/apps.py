"""Our models under the names of apps."""

from __future__ import annotations

import re
from collections.abc import Iterable

WAN_S2V = "infsh/wan-2-2-s2v"
APPS = {"wan-2.2-s2v": WAN_S2V}
OURS = "voicereel/"
# namespace/name, then perhaps @version, then perhaps :function
REFERENCE = re.compile(r"(?P<name>[^@:]+)(@(?P<version>[^@:]*))?(:(?P<function>[^@:]*))?")
FUNCTION = "run"


def app_of(slug: str) -> str:
    return APPS.get(slug, OURS + slug)


def slug_of(name: str, known: Iterable[str]) -> str | None:
    """The model behind an app's name without version and function; None when there is none."""
    return next((slug for slug in known if name == app_of(slug)), None)


def parse(reference: str) -> tuple[str, str]:
    """Name and function of a reference. Versions are not told apart: whatever is pinned, the model runs as it is."""
    found = REFERENCE.fullmatch(reference.strip())
    if found is None:
        return reference, FUNCTION
    return found["name"], found["function"] or FUNCTION
