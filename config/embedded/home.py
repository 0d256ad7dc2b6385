"""A home: the one folder in which an embedded stack keeps everything. Standard library only, cheap to import.

`manage.py` calls `adopt_home` before the settings load, so that any command finds the stack of a home.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VARIABLE = "VOICEREEL_HOME"
STARTERS = ("up", "demo")  # these start a stack in the home instead of joining the one that runs there


@dataclass(frozen=True)
class Home:
    """Where things lie. Everything in it is private to the user who made it."""

    root: Path

    @property
    def stack_file(self) -> Path:
        return self.root / "stack.json"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def make(self) -> Home:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True)
        return self

    def secret(self, name: str, *, size: int = 32) -> str:
        """A random secret, made on first use and kept."""
        path = self.root / f"{name}.secret"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(size))
        return path.read_text().strip()

    def running(self) -> dict[str, object] | None:
        """What stack.json says, if the process that wrote it is still that process."""
        try:
            stack = json.loads(self.stack_file.read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(stack, dict) or not isinstance(stack.get("pid"), int):
            return None
        since = started_at(stack["pid"])
        return stack if since is not None and since == stack.get("started") else None


def home_at(directory: str | os.PathLike[str] | None = None) -> Home:
    """The named home, else VOICEREEL_HOME, else `.voicereel` in the checkout."""
    chosen = directory or os.environ.get(VARIABLE) or CHECKOUT / ".voicereel"
    return Home(Path(chosen).expanduser().resolve())


def write_private(path: Path, text: str) -> None:
    """Writes the whole file or nothing, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123  needs a mode
        file.write(text)
    draft.replace(path)


def started_at(pid: int) -> str | None:
    """When this process started, in the kernel's own words; None if it is gone or a zombie.

    A pid alone proves nothing: after a crash another process may have been given it.
    """
    if not sys.platform.startswith("linux"):
        return _alive(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces
    state, since = fields[0], fields[19]
    return None if state in "ZX" else since


def _alive(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"


def adopt_home(argv: list[str]) -> list[str]:
    """Takes `--home DIR` out of the arguments and, if a stack runs there, lends its settings to this process.

    Variables that are already set win.
    """
    rest, directory = _without_home(argv)
    if directory:
        os.environ[VARIABLE] = str(home_at(directory).root)
    if len(rest) > 1 and rest[1] in STARTERS:
        return rest
    stack = home_at().running()
    if stack:
        _lend(stack.get("env"))
    return rest


def _lend(env: object) -> None:
    if isinstance(env, Mapping):
        for name, value in env.items():
            os.environ.setdefault(str(name), str(value))


def _without_home(argv: Iterable[str]) -> tuple[list[str], str | None]:
    rest: list[str] = []
    directory: str | None = None
    words = iter(argv)
    for word in words:
        if word == "--":
            rest.extend([word, *words])
        elif word == "--home":
            directory = next(words, None)
            if directory is None:
                sys.exit("--home needs a folder.")
        elif word.startswith("--home="):
            directory = word.partition("=")[2]
        else:
            rest.append(word)
    return rest, directory
