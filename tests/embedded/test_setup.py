"""The set-up: a bare machine gets one command or one clear line; the locks hold what pyproject asks for."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from config.embedded.home import CHECKOUT, Home
from config.embedded.stack import Stack
from jobs import dispatch, wake

LOCKS = CHECKOUT / "requirements"


@pytest.fixture
def bootstrap():
    """The script as a module: it is no part of any package that is installed when it runs."""
    spec = importlib.util.spec_from_file_location("bootstrap", CHECKOUT / "config" / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False)


def locked(name: str) -> dict[str, str]:
    """Package to version, in the lock's words; each with its hashes."""
    text = (LOCKS / f"{name}.lock").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    assert all("--hash=sha256:" in line for line in lines), "a line without a hash"
    return {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-"): line for line in lines}


def asked(*groups: str) -> list[Requirement]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    lines = project["project"]["dependencies"] + [
        line for g in groups for line in project["dependency-groups"][g]
    ]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize(("lock", "groups"), [("run", ()), ("dev", ("test", "lint"))])
def test_locks_hold_what_pyproject_asks(lock, groups):
    """If this fails: `make lock`."""
    lines = locked(lock)
    for wanted in asked(*groups):
        line = lines.get(wanted.name.lower().replace("_", "-"))
        assert line, f"{wanted.name} is not in {lock}.lock"
        version = re.search(r"==([^\s;]+)", line)[1]
        assert wanted.specifier.contains(version), f"{wanted} but {lock}.lock has {version}"


def test_dev_lock_contains_the_run_lock():
    run, dev = locked("run"), locked("dev")
    assert set(run) < set(dev)
    assert all(run[name].split()[0] == dev[name].split()[0] for name in run)


def test_no_lock_names_a_host():
    files = [path for path in LOCKS.rglob("*") if path.is_file()]
    assert len(files) >= 5
    for path in files:
        assert "://" not in path.read_text(), path
        assert not re.search(r"^(-i|--index|--extra-index|--find-links)", path.read_text(), re.MULTILINE), (
            path
        )


def test_bare_make_prints_the_targets():
    shown = make().stdout
    for target in ("install", "demo", "up", "test", "lint", "format", "lock", "clean"):
        assert re.search(rf"^  make {target} +\S", shown, re.MULTILINE), target


def test_bootstrap_says_how_to_use_it():
    script = str(CHECKOUT / "config" / "bootstrap.py")
    said = subprocess.run([sys.executable, "-I", script], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (
        1,
        "bootstrap: usage: python3 -I config/bootstrap.py run|test|lint|lock\n",
    )


def test_no_pip_is_one_line(bootstrap, monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "UV_DIR", tmp_path)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    monkeypatch.setattr(bootstrap, "works", lambda _: False)
    with pytest.raises(SystemExit, match=r"^bootstrap: pip is missing: apt install python3-pip"):
        bootstrap.find_uv()


def test_no_browser_is_one_line(bootstrap, monkeypatch, tmp_path):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(bootstrap, "CHROMIUM", tmp_path)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"^bootstrap: A browser is missing: .*install chromium"):
        bootstrap.find_browser()


def test_a_foreign_index_does_not_reach_uv(bootstrap, monkeypatch):
    monkeypatch.setenv("UV_INDEX", "x")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "x")
    monkeypatch.setenv("UV_INDEX_URL", "x")
    given = bootstrap.clean()
    assert not [name for name in given if name.startswith(("UV_INDEX", "UV_DEFAULT_INDEX"))]
    assert given["UV_PYTHON_DOWNLOADS"] == "never"


def test_an_up_to_date_environment_is_left_alone(bootstrap, monkeypatch, tmp_path):
    """Once the test packages are there, the run lock must not take them away."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    monkeypatch.setattr(bootstrap, "VENV", venv)
    monkeypatch.setattr(bootstrap, "STAMP", venv / "stamp")
    monkeypatch.setattr(bootstrap, "find_uv", lambda: "uv")
    calls = []
    monkeypatch.setattr(
        bootstrap, "run", lambda command, _what, **_: calls.append([str(word) for word in command])
    )
    bootstrap.install("dev")
    assert calls.pop()[-1].endswith("dev.lock")
    bootstrap.install("dev")
    bootstrap.install("run")
    assert calls == []


def test_compose_runs_every_process(tmp_path):
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    assert set(services) == {
        "migrate",
        "live",
        "web",
        "worker",
        "orders",
        "render",
        "poller",
        "beat",
        "postgres",
        "redis",
    }
    assert "gthread" in " ".join(services["web"]["command"])
    compose = [service["command"] for service in services.values() if "celery" in service.get("command", ())]
    embedded = [child.command for child in Stack(Home(tmp_path))._children(tmp_path)]
    for commands in (compose, embedded):
        queues = [command[command.index("-Q") + 1] for command in commands if "-Q" in command]
        assert sorted(queues) == ["cpu", "default,media", "orders"], (
            "nothing waits behind a provider that hangs"
        )
        assert {*wake.QUEUES.values(), "default"} <= set(",".join(queues).split(","))
        (orders,) = (command for command in commands if "orders" in command)
        assert int(orders[orders.index("-c") + 1]) == 2 * dispatch.AT_ONCE


def test_every_setting_is_documented():
    source = (CHECKOUT / "config" / "settings.py").read_text()
    told = (CHECKOUT / "docs" / "settings.md").read_text()
    names = set(re.findall(r"""env(?:_bool|_int|_list)?\("([A-Z0-9_]+)\"""", source))
    assert len(names) > 30
    assert {name for name in names if f"`{name}`" not in told} == set()
