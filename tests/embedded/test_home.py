"""A home keeps its secrets, and lends a running stack's settings to other commands."""

from __future__ import annotations

import json
import os
import stat

import pytest

from config.embedded import home as homes
from config.embedded.home import VARIABLE, Home, adopt_home, home_at, started_at


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "elsewhere"))
    monkeypatch.delenv("MEDIA_DIR", raising=False)
    return Home(tmp_path / "home").make()


def write_stack(home: Home, *, pid: int, started: str | None) -> None:
    env = {"MEDIA_DIR": "/lent", "SECRET_KEY": "lent"}
    homes.write_private(home.stack_file, json.dumps({"pid": pid, "started": started, "env": env}))


def test_home_takes_the_option_out_and_lends_what_is_not_set(home, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "mine")
    write_stack(home, pid=os.getpid(), started=started_at(os.getpid()))
    assert adopt_home(["manage.py", "create_org", "--home", str(home.root), "Acme"]) == [
        "manage.py",
        "create_org",
        "Acme",
    ]
    assert os.environ["MEDIA_DIR"] == "/lent"
    assert os.environ["SECRET_KEY"] == "mine"


def test_home_by_variable(home, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(home.root))
    write_stack(home, pid=os.getpid(), started=started_at(os.getpid()))
    adopt_home(["manage.py", "shell"])
    assert os.environ["MEDIA_DIR"] == "/lent"


@pytest.mark.parametrize(("alive", "started"), [(True, "1"), (False, "1"), (False, None)])
def test_a_stack_that_is_gone_lends_nothing(home, alive, started):
    """A pid given anew, a pid given to nobody."""
    write_stack(home, pid=os.getpid() if alive else 2**22 + 1, started=started)
    adopt_home(["manage.py", "shell", f"--home={home.root}"])
    assert "MEDIA_DIR" not in os.environ


@pytest.mark.parametrize("starter", ["up", "demo"])
def test_starters_do_not_join(home, starter):
    write_stack(home, pid=os.getpid(), started=started_at(os.getpid()))
    assert adopt_home(["manage.py", starter, f"--home={home.root}"]) == ["manage.py", starter]
    assert "MEDIA_DIR" not in os.environ
    assert home_at().root == home.root


def test_words_after_a_double_dash_are_not_ours(home):
    words = ["manage.py", "shell", "--", "--home", "x"]
    assert adopt_home(list(words)) == words


def test_option_without_a_folder():
    with pytest.raises(SystemExit, match="--home needs a folder"):
        adopt_home(["manage.py", "shell", "--home"])


def test_broken_stack_file_is_no_stack(home):
    home.stack_file.write_text("{")
    assert home.running() is None
    home.stack_file.write_text("[]")
    assert home.running() is None


def test_secrets_are_private_and_stay(home):
    first = home.secret("django")
    assert home.secret("django") == first
    assert stat.S_IMODE((home.root / "django.secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
