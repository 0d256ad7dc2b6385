"""Entry of a render process: ``python -m providers.local.worker ENGINE WORKDIR``.

Limits and signals come before anything heavy is imported, so that a hostile file or a dead parent finds them
set.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType

from .protocol import EXIT_CODED_ERROR, Limits, Order, RenderError, Reporter, read_order

# Module of each engine; every one has run(order, report).
ENGINES = {"talking_portrait": "providers.local.worker.talking_portrait.engine"}
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
STOPPED = 128 + signal.SIGTERM
WRONG_USAGE = 2
ARGUMENTS = ("ENGINE", "WORKDIR")


def main(arguments: list[str]) -> int:
    """Run one order to its end; returns the exit status (0 done, 2 wrong usage, 3 coded error)."""
    if len(arguments) != len(ARGUMENTS) or arguments[0] not in ENGINES:
        sys.stderr.write(
            f"usage: python -m providers.local.worker {' '.join(ARGUMENTS)}; engines: {', '.join(ENGINES)}\n"
        )
        return WRONG_USAGE
    die_with_parent()
    stop_at_once_on_sigterm()
    report = Reporter(_take_stdout())
    try:
        order = read_order(Path(arguments[1]))
        set_limits(order.limits)
        _load(arguments[0])(order, report)
    except RenderError as error:
        report.error(error)
        return EXIT_CODED_ERROR
    except BrokenPipeError:
        return STOPPED  # nobody listens any more
    except Exception as error:  # noqa: BLE001 - the last word is an event, whatever happened
        traceback.print_exc()
        report.error(_unexpected(error))
        return EXIT_CODED_ERROR
    return 0


def die_with_parent() -> None:
    """Ask Linux to kill this process when the thread that started it ends, so that it is never an orphan."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def stop_at_once_on_sigterm() -> None:
    """End the process from a thread of its own: the main thread may sit in a long call of a C library.

    Finished clips are complete on disk and an unfinished one is never looked at, so there is nothing to clean
    up.
    """
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        os._exit(STOPPED)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    os._exit(STOPPED)


def _take_stdout() -> int:
    """Keep stdout for events alone: whatever a library prints there goes to stderr from now on."""
    sys.stdout.flush()
    events = os.dup(1)
    os.dup2(2, 1)
    return events


def set_limits(limits: Limits) -> None:
    """Lower the process limits; a limit the system already keeps lower stays as it is."""
    wanted = (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    )
    for which, value in wanted:
        _, hard = resource.getrlimit(which)
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (limit, limit))


def _load(engine: str) -> Callable[[Order, Reporter], None]:
    # numpy's BLAS reserves memory for every core unless told otherwise; nothing here multiplies matrices of
    # weight.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    run: Callable[[Order, Reporter], None] = import_module(ENGINES[engine]).run
    return run


def _unexpected(error: Exception) -> RenderError:
    if isinstance(error, MemoryError):
        return RenderError(
            "engine_failed", "The render ran out of memory.", "Try a smaller picture.", retryable=True
        )
    return RenderError(
        "engine_failed", "The render stopped unexpectedly.", "Try again later.", retryable=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
