"""Bodies as this API's SDK sends them: an empty one is an empty object."""

from __future__ import annotations

from jobs import bodies


class BoundedJson(bodies.BoundedJson):
    empty_is_object = True
