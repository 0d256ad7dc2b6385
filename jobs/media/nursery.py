"""A process that has loaded the libraries and forks a child for every order. It imports no Django and knows no secret.

Loading them is a third of a second of work, which each look at a file would pay anew. The nursery itself opens no
customer's file, so whatever one does to a child ends with that child.

Each order comes with two descriptors: a line, on which the nursery tells how the child ended and which is hung up when
nobody waits for it any more, and the file that the child answers into.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, NoReturn

# One packet of a local socket holds an order; the longest names some sixty files.
MOST = 128 * 1024
# A killed child is gone at once; this is for a machine that is out of breath.
KILL_SECONDS = 30
STATUS = 16
FAILED = 1
MOST_DESCRIPTORS = 1 << 16


def works_here() -> bool:
    """A process that is waited for through a descriptor, which old kernels and other systems do not have."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


class Gone(Exception):
    """The nursery is no more."""


class Nursery:
    """The parent's end. Any of its threads may order."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our interpreter and our own code
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    def child(self, order: Mapping[str, Any], out: IO[bytes], seconds: float) -> int:
        """How a child with this order ended; -SIGKILL for one past its time. Raises Gone."""
        line, theirs = socket.socketpair()
        with line, theirs:
            try:
                socket.send_fds(self._orders, [json.dumps(order).encode()], [theirs.fileno(), out.fileno()])
                theirs.close()  # or its end would never be seen on our side
                told = _heard(line, seconds)
            except OSError as error:
                raise Gone from error
        if not told:
            raise Gone
        return int(told)

    def close(self) -> None:
        """It ends, and its children with it."""
        self._orders.close()
        try:
            self._process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def abandon(self) -> None:
        """In a forked process: it stays the nursery of the one that started it."""
        self._orders.close()
        self._process.returncode = 0  # not ours to wait for


def main(name: str) -> None:
    """The nursery: orders come through its standard input, until that is closed."""
    module = importlib.import_module(name)
    module.load()
    orders = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    gc.freeze()  # so that a child's collector leaves the shared pages alone
    with orders:
        _keep(orders, module.main)


def _heard(line: socket.socket, seconds: float) -> bytes:
    line.settimeout(seconds)
    try:
        return line.recv(STATUS)
    except TimeoutError:
        line.shutdown(socket.SHUT_WR)
    line.settimeout(KILL_SECONDS)
    # Until it is dead it could still write.
    return line.recv(STATUS) and str(-signal.SIGKILL).encode()


class _Child:
    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self.line = line
        self.end = os.pidfd_open(pid)


def _keep(orders: socket.socket, run: Callable[[dict[str, Any]], None]) -> None:
    with selectors.DefaultSelector() as waited:
        waited.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in waited.select():
                child = key.data
                if child is None:
                    words, descriptors, *_ = socket.recv_fds(orders, MOST, 2)
                    if not words:
                        return  # the children see their parent end, and end too
                    line, out = descriptors
                    child = _born(words, line, out, run)
                    waited.register(child.line, selectors.EVENT_READ, child)
                    waited.register(child.end, selectors.EVENT_READ, child)
                elif key.fileobj == child.end:
                    _tell(waited, child)
                elif (
                    child.line.fileno() >= 0
                ):  # nobody waits any more; it is not reaped, so its number is its own
                    waited.unregister(child.line)
                    os.kill(child.pid, signal.SIGKILL)


def _tell(waited: selectors.BaseSelector, child: _Child) -> None:
    _, status = os.waitpid(child.pid, 0)
    waited.unregister(child.end)
    os.close(child.end)
    if child.line in waited.get_map():
        waited.unregister(child.line)
    with child.line as line:
        try:
            line.send(str(os.waitstatus_to_exitcode(status)).encode())
        except OSError:
            return  # who asked is gone


def _born(words: bytes, line: int, out: int, run: Callable[[dict[str, Any]], None]) -> _Child:
    order = {**json.loads(words), "parent": os.getpid()}
    pid = os.fork()
    if pid == 0:
        _live(order, out, run)
    os.close(out)
    return _Child(pid, socket.socket(fileno=line))


def _live(order: dict[str, Any], out: int, run: Callable[[dict[str, Any]], None]) -> NoReturn:
    """Never back into the nursery's own work, whatever happens."""
    status = FAILED
    try:
        os.dup2(out, 1)
        # Others' lines too: one that stays open here would never be seen to be hung up.
        os.closerange(3, MOST_DESCRIPTORS)
        run(order)
        status = 0
    finally:
        os._exit(status)
