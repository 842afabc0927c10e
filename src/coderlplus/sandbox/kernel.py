"""Calls into the kernel that Python's library does not offer. Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import signal
import time
from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
prctl = libc.prctl
prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_FORK_TRIES, _FORK_PAUSE_S = 200, 0.05
_SIGACTION, _SIGPROCMASK = {"x86_64": 13, "aarch64": 134}, {"x86_64": 14, "aarch64": 135}
_LAST_SIGNAL, _MASK_BYTES = 64, 8


def check(result: int) -> int:
    """The result of a call of the C library. Raises `OSError` if it says that the call failed."""
    if result < 0:
        raise last_error()
    return result


def last_error() -> OSError:
    """Why the last call failed."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """A system call that has no function in the C library; integers are passed in full width. Raises `OSError`."""
    return check(prepared(number, *arguments)())


def prepared(number: int, *arguments: int | bytes | None) -> Callable[[], int]:
    """The same call, with all that it needs made beforehand; its result is negative if it failed (`last_error`)."""
    converted = (ctypes.c_long(part) if isinstance(part, int) else part for part in (number, *arguments))
    return functools.partial(libc.syscall, *converted)


def fork() -> int:
    """As `os.fork`, tried for up to ten seconds where the limit on processes is reached. Raises `OSError`."""
    for _ in range(_FORK_TRIES):
        try:
            return os.fork()
        except BlockingIOError:
            time.sleep(_FORK_PAUSE_S)
    return os.fork()


def reset_signals() -> None:
    """Give every signal the meaning that it has in a new Python process, and block none.

    A process inherits which signals are ignored and blocked: nohup and batch systems ignore some, and what make
    starts ignores 32 and 33. A program that is killed by a signal would then go on. The C library does not let 32 and
    33 be set, so this asks the kernel."""
    with contextlib.suppress(OSError):  # a machine without these numbers
        sigaction, sigprocmask = machine_number(_SIGACTION), machine_number(_SIGPROCMASK)
        for number in {*range(1, _LAST_SIGNAL + 1)} - {signal.SIGKILL, signal.SIGSTOP}:
            syscall(sigaction, number, bytes(32), None, _MASK_BYTES)
        syscall(sigprocmask, signal.SIG_SETMASK, bytes(_MASK_BYTES), None, _MASK_BYTES)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)


def machine_number(numbers: dict[str, int]) -> int:
    """The number for this machine (`x86_64`, `aarch64`). Raises `OSError` (ENOSYS) for any other."""
    machine = os.uname().machine
    if machine not in numbers:
        raise OSError(errno.ENOSYS, f"not known for {machine}")
    return numbers[machine]
