"""Bodies as this API refuses them: in its own words, with 400."""

from __future__ import annotations

from jobs import bodies
from jobs.dialects.dashscope.wire.faults import Refused, invalid, refused


def _too_large(most: int) -> Refused:
    return refused(400, "BadRequest.TooLarge", f"The body is larger than {most / 1024**2:.4g} MiB.")


class BoundedJson(bodies.BoundedJson):
    def too_large(self, most: int) -> Exception:
        return _too_large(most)

    def malformed(self) -> Exception:
        return invalid("The body is not valid JSON.")


class BoundedForm(bodies.BoundedMultipart):
    def too_large(self, most: int) -> Exception:
        return _too_large(most)
