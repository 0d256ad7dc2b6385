"""The README's examples are run as they stand; only the address and the key are filled in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SAMPLES = ROOT / "tests" / "samples"
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_there_are_examples():
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_readmes_example_renders_a_video(live_stack, number):
    account = live_stack.create_org("Readme")
    code = (
        EXAMPLES[number]
        .replace("http://127.0.0.1:8000", live_stack.url)
        .replace("vr_...", account["api_key"])
    )
    assert live_stack.url in code
    assert account["api_key"] in code
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SAMPLES, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    address = done.stdout.strip().splitlines()[-1]
    assert address.startswith(f"{live_stack.url}/files/")
    assert address.endswith(".mp4")


def test_the_first_example_has_ten_lines():
    assert len([line for line in EXAMPLES[0].splitlines() if line.strip()]) <= 10


def test_every_link_in_the_readme_leads_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
