"""One writer at a time: an advisory lock on an open file, which ends with the process that holds it, however that
ends."""

from __future__ import annotations

import contextlib
import fcntl
from typing import Protocol


class OpenFile(Protocol):
    """A file with a descriptor."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


def claim(file: OpenFile) -> bool:
    """Take the lock of `file`, if nobody else has it; `False` if somebody has. Raises `OSError` where the file system
    has no locks."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def give_up(file: OpenFile) -> None:
    """Release the lock and close the file. Closing alone would leave the lock to a child process that is just being
    started: it has a copy of every descriptor until it becomes its program."""
    with contextlib.suppress(OSError, ValueError):
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
    file.close()
