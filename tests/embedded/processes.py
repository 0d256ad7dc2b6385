"""Looking at processes from the outside."""

from __future__ import annotations

from pathlib import Path

from config.embedded.home import started_at


def descendants(root: int) -> dict[int, str]:
    """Every process below `root`, with the time it started: a pid alone may be given anew."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, new = set(), {root}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        found |= new
    return {pid: since for pid in found if (since := started_at(pid))}


def alive(processes: dict[int, str]) -> list[str]:
    """The command lines of those that still run."""
    return [f"{pid} {_command(pid)}" for pid, since in processes.items() if started_at(pid) == since]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return "(ended meanwhile)"
