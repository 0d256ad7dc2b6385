"""Every example of the documentation is run as it stands, against the whole platform."""

from __future__ import annotations

import json
import re

import pytest
from jsonschema import Draft202012Validator

from config.docs import markdown, reference
from config.docs.pages import WRITTEN
from tests.dialects.wavespeed.live import account
from tests.examples import runner

# A block that cannot run says why. There may be few.
NOT_RUN = 4
# Rendered by our own engine; elsewhere the fake provider makes the videos.
RENDERED = {"quick-start"}
RECEIVER = 5  # which of the stack's ports the examples of webhooks listen on
EXAMPLES = {page.slug: markdown.examples(page.file.read_text()) for page in WRITTEN}
RUNNING = [slug for slug, shown in EXAMPLES.items() if any(map(runner.runs, shown))]


def test_few_examples_are_not_run_and_those_say_why():
    left = [example for shown in EXAMPLES.values() for example in shown if "not-run" in example.options]
    assert len(left) <= NOT_RUN
    assert all(len(example.options["not-run"].split()) > 2 for example in left)


def test_every_example_has_a_language_that_is_run_or_only_shown():
    languages = {example.language for shown in EXAMPLES.values() for example in shown}
    assert languages <= {*runner.RUN, "json", "http", "text"}


@pytest.mark.timeout(800)
@pytest.mark.parametrize("slug", RUNNING)
def test_the_examples_of_a_page_run(live_stack, tmp_path, slug):
    customer = account(live_stack, fake=slug not in RENDERED)
    port = live_stack.receivers[RECEIVER]
    env = {
        "VOICEREEL_URL": live_stack.url,
        "VOICEREEL_API_KEY": customer.key,
        "VOICEREEL_HOOK": f"http://127.0.0.1:{port}/hook",
        "PORT": str(port),
    }
    for ran in runner.run(EXAMPLES[slug], tmp_path, env):
        if wanted := ran.example.options.get("prints"):
            assert re.search(wanted, ran.output), f"{ran.example.code}\nprinted\n{ran.output}"
    ended = live_stack.sql(
        "SELECT status, error_code FROM jobs_job WHERE organization_id = %s", customer.organization
    )
    assert not [end for end in ended if end[0] in {"failed", "expired"}]


SHOWN = [
    pytest.param(example, id=f"{slug}-{example.options['schema']}")
    for slug, shown in EXAMPLES.items()
    for example in shown
    if example.language == "json"
]


@pytest.mark.parametrize("example", SHOWN)
def test_json_that_is_shown_is_what_the_document_promises(example):
    schema = {"$ref": f"#/components/schemas/{example.options['schema']}"}
    components = json.loads(reference.FILE.read_text())["components"]
    Draft202012Validator({**schema, "components": components}).validate(json.loads(example.code))
