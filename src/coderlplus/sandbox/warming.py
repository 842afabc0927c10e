"""What a fork server does before it forks, so that its children find things made and touch few pages of memory.
Standard library only.

A child shares all pages with its fork server until it writes to one; each such page costs some two microseconds, and
there are a few hundred for a short program. A page that it does not touch costs a tenth of that, for it must be mapped
and unmapped.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from coderlplus.sandbox.kernel import libc

_REHEARSALS = 20
"""So often runs what children run: from the eighth on the interpreter makes fast paths of it."""
_PAGE_BYTES = 4096
_MOST_PAGES = 100

_kept: list[list[object]] = []


def rehearse(function: Callable[[Any, Any], object], payload: Any, said: bytes, host: Any, files: int) -> None:
    """Run a job of our own here, on files of its own in the first `files` descriptors, and on a socket on which the
    other process says what is `said` and hangs up."""
    main_module = sys.modules["__main__"]
    kept = [os.dup(fd) for fd in range(files)]
    for _ in range(_REHEARSALS):
        for fd in range(files):
            file = os.memfd_create("rehearsal")
            os.dup2(file, fd)
            os.close(file)
        near, far = socket.socketpair()
        with near, far:
            far.sendall(said)
            far.shutdown(socket.SHUT_WR)
            host.peer = near.fileno()
            function(payload, host)
        host.peer = None
        host.open_streams()
    for fd, copy in enumerate(kept):
        os.dup2(copy, fd)
        os.close(copy)
    sys.modules["__main__"] = main_module


def tidy() -> None:
    """Give back memory that is free, and leave no gaps: what children make then lies side by side."""
    gc.collect()
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)
    for size in range(16, 513, 16):
        _fill_gaps(size)
    gc.freeze()


def _fill_gaps(size: int) -> None:
    """Take up blocks of one size class of the interpreter's allocator until they come from memory that has not been
    used."""
    number = _PAGE_BYTES // size
    for _ in range(_MOST_PAGES):
        blocks = [_block(size) for _ in range(number)]
        if sum(id(blocks[index + 1]) - id(blocks[index]) == size for index in range(number - 1)) >= number // 2:
            return
        _kept.append(blocks)


def _block(size: int) -> object:
    if size == 16:
        return object()
    return size << 20 if size == 32 else bytes(size - 33)  # an int has 28 bytes, and bytes 33 besides their contents
