"""The house rules that a machine can read: rooms, migrations, sizes, licences of the words we use."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TOP_LEVEL = {
    "accounts", "bench", "billing", "config", "docs", "jobs", "providers", "requirements", "static", "templates", "tests",
    "manage.py", "pyproject.toml", "docker-compose.yml", "Dockerfile", "Makefile",
    "README.md", "CHANGELOG.md", "LICENSE", "package.json", "package-lock.json",
}  # fmt: skip
LINES = 500


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_rooms_keep_to_their_import_contracts():
    done = run(str(Path(sys.executable).with_name("lint-imports")))
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.django_db
def test_the_models_have_their_migrations():
    done = run(sys.executable, "manage.py", "makemigrations", "--check", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_new_stands_at_the_top_level():
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_no_python_file_is_longer_than_a_person_reads():
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in tracked()
        if path.suffix == ".py" and "migrations" not in path.parts
    }
    assert {name: size for name, size in sizes.items() if size > LINES} == {}


def test_every_skip_and_every_silenced_check_says_why():
    """A bare `noqa` or `type: ignore` hides everything; ours name what they silence."""
    bare = re.compile(r"#\s*(noqa(?!:)|type:\s*ignore(?!\[))")
    skips = re.compile(r"pytest\.(skip|xfail|mark\.(skip|xfail))")
    found = []
    for path in tracked():
        if path.suffix == ".py" and path != Path(__file__):
            found += [
                f"{path.relative_to(ROOT)}:{number}"
                for number, line in enumerate(path.read_text().splitlines(), 1)
                if bare.search(line) or (skips.search(line) and "reason=" not in line)
            ]
    assert found == []


def test_every_dependency_says_why_it_is_here():
    lists, _, _ = (ROOT / "pyproject.toml").read_text().partition("\n[tool.")
    lines = lists.splitlines()
    named = [line for line in lines if re.match(r'\s+"[a-z][a-z0-9\[\]_-]*[<>=;"!~ ]', line)]
    assert len(named) > 20
    assert [line.strip() for line in named if "#" not in line] == []
