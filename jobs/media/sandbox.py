"""What the probe's child process takes away from itself before it looks at a customer's bytes.

Memory, processor time, file size and open files are limited; the child dies with its parent; and where the
kernel allows it a system call filter forbids sockets, new processes and executing anything. The second half
is Linux only; elsewhere the limits alone hold.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 38, 22
SECCOMP_MODE_FILTER = 2
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
CLONE_THREAD = 0x00010000
# Architecture; numbers of socket, socketpair, connect, execve, execveat, fork, vfork, ptrace; clone; clone3.
CALLS = {
    "x86_64": (0xC000003E, (41, 53, 42, 59, 322, 57, 58, 101), 56, 435),
    "aarch64": (0xC00000B7, (198, 199, 203, 221, 281, 117), 220, 435),
}


@dataclass(frozen=True)
class Limits:
    """`file_bytes` caps every file the child writes, its answer on stdout too."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int


def confine(limits: Limits) -> bool:
    """Apply the limits to this process, for good. True when the system call filter took too."""
    # Past the soft limit of processor time the kernel sends SIGXCPU, a second later SIGKILL.
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1)
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_CORE, 0)
    # No further process or thread of this user; root is exempt, the filter below is not.
    _limit(resource.RLIMIT_NPROC, 0)
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # Without the types ctypes would cut the program's address to an int.
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return _filter_calls(libc)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    ceiling = resource.getrlimit(kind)[1]
    hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (soft, hard))


def _filter_calls(libc: ctypes.CDLL) -> bool:
    calls = CALLS.get(platform.machine())
    if calls is None:
        return False
    code = program(*calls)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a count of 8-byte instructions and, after padding, their address.
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header), 0, 0) == 0)


def program(arch: int, denied: tuple[int, ...], clone: int, clone3: int) -> bytes:
    """A BPF program over struct seccomp_data (number at 0, architecture at 4, first argument at 16)."""
    load, equal, bits, done = 0x20, 0x15, 0x45, 0x06
    ops = [(load, 0, 0, 4), (equal, 1, 0, arch), (done, 0, 0, EPERM), (load, 0, 0, 0)]
    for number in denied:
        ops += [(equal, 0, 1, number), (done, 0, 0, EPERM)]
    # clone3 hides its flags behind a pointer; ENOSYS makes the C library fall back to clone.
    ops += [(equal, 0, 1, clone3), (done, 0, 0, ENOSYS)]
    # clone only for threads.
    ops += [(equal, 0, 3, clone), (load, 0, 0, 16), (bits, 1, 0, CLONE_THREAD), (done, 0, 0, EPERM)]
    ops += [(done, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *op) for op in ops)


def die_with_parent(parent: int) -> None:
    """The parent may have ended before PR_SET_PDEATHSIG was set; then nobody waits for the answer."""
    if os.getppid() != parent:
        raise SystemExit(1)
