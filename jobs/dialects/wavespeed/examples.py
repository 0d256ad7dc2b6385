"""An order as the vendor's SDK places it."""

from __future__ import annotations

from pprint import pformat

from jobs.dialects.wavespeed.wire.models import path_of
from jobs.types import KEY, Example, Sample

WIDTH = 88
CODE = """\
from wavespeed import Client

client = Client(api_key="{key}", base_url={base_url!r})
order = {order}
result = client.run({model!r}, order)
print(result["outputs"][0])
"""


def examples(sample: Sample) -> list[Example]:
    order = pformat({**sample.addresses, **sample.options}, width=WIDTH, sort_dicts=False)
    code = CODE.format(key=KEY, base_url=sample.base_url, order=order, model=path_of(sample.model))
    return [Example("wavespeed", "WaveSpeed", code, needs="wavespeed")]
