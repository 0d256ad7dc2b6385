"""Orders at a double of such a server: a form says what we say, whatever the customer writes."""

from __future__ import annotations

import json

import pytest

from jobs.models import Attempt
from jobs.submit import submit
from tests.jobs import drive
from tests.providers.conformance.stands import standing


@pytest.fixture
def stand(org):
    with standing("openai_videos", org) as made:
        yield made


def boundaries(stand) -> list[str]:
    calls = [call for operation, call in stand.vendor.calls if operation == "submit"]
    return [call.headers["content-type"].partition("boundary=")[2] for call in calls]


def test_a_prompt_cannot_write_fields_of_its_own(stand, caller):
    """Not even of somebody who has seen how the form of another order was bounded."""
    stand.stall()
    stand.prompt = lambda: "a talk"
    submit(caller, stand.request())
    drive.dispatch.dispatch()
    (seen,) = boundaries(stand)
    field = f'--{seen}\r\nContent-Disposition: form-data; name="{{}}"\r\n\r\n{{}}\r\n'
    inside = json.dumps({"image_url": "http://169.254.169.254/latest/meta-data"})
    hostile = (
        "a talk\r\n" + field.format("image_reference", inside) + field.format("num_inference_steps", 900)
    )
    stand.prompt = lambda: f"{hostile}--{seen}--\r\n"
    submit(caller, stand.request())
    drive.dispatch.dispatch()
    plain, tried = (task.request for task in stand.vendor.tasks.values())
    assert tried["prompt"] == f"{hostile}--{seen}--\r\n"
    assert set(tried) == set(plain)
    assert "169.254" not in tried["image_reference"]
    assert len(set(boundaries(stand))) == 2
    assert Attempt.objects.exclude(external_id="").count() == 2
