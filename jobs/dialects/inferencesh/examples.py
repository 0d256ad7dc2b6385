"""An order as the vendor's SDK places it."""

from __future__ import annotations

from pprint import pformat
from typing import Any

from jobs.dialects.inferencesh.wire.apps import app_of
from jobs.types import KEY, Example, Sample
from providers import catalogue

WIDTH = 88
CODE = """\
from inferencesh import inference

client = inference(api_key="{key}", base_url={base_url!r})
order = {order}
result = client.run(order)
print(result["output"]["file"])
"""


def examples(sample: Sample) -> list[Example]:
    # The app has defaults of its own, so what ours would be is said.
    defaults = {
        name: value for name, value in catalogue.model(sample.model).defaults().items() if value != ""
    }
    given: dict[str, Any] = {**sample.addresses, **defaults, **sample.options}
    order = pformat({"app": app_of(sample.model), "input": given}, width=WIDTH, sort_dicts=False)
    return [
        Example(
            "inferencesh",
            "inference.sh",
            CODE.format(key=KEY, base_url=sample.base_url, order=order),
            needs="inferencesh",
        )
    ]
