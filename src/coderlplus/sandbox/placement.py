"""On which CPU a fork server forks: the one that has its memory at hand. Standard library only.

A child that starts on another CPU than its fork server, or a fork server that wakes up on another, fetches every page
that it touches from there: a short program costs a sixth more. So a fork server keeps to one CPU, as long as that one
is free for it; what it forks may run on all of them. Two children that talk to each other begin on that one CPU, for
the same reason: between two they cost a third more.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Collection

from coderlplus.sandbox.kernel import libc

_HELD_UP_S = 0.002
"""Children that took so much longer than the CPU time that they used were waiting: perhaps for the CPU."""


class Placement:
    """The CPU of a fork server, and those of its children. Where the kernel refuses, they run where it puts them."""

    def __init__(self) -> None:
        cpus = os.sched_getaffinity(0)
        self._settled = False
        self._go_to = {cpu: _affinity([cpu]) for cpu in cpus}
        self._here = libc.sched_getcpu
        self.spread = _affinity(cpus)
        """Let the calling process run on all CPUs that this one had at first."""
        self._all = self.spread.args[1:]

    def settle(self) -> None:
        """Keep to the CPU that this is."""
        if not self._settled:
            self._settled = True
            self._go_to.get(self._here(), self.spread)()

    def spread_process(self, pid: int) -> None:
        """Let another process run on all of them; of its threads, the first."""
        libc.sched_setaffinity(pid, *self._all)

    def review(self, wall_s: float, cpu_s: float) -> None:
        """Take another CPU next time, should children that took so long have waited for this one."""
        if wall_s - cpu_s > _HELD_UP_S:
            self._settled = False
            self.spread()


def _affinity(cpus: Collection[int]) -> functools.partial[int]:
    """A call that lets the calling process run on these CPUs only; all that it needs is made beforehand."""
    mask = sum(1 << cpu for cpu in cpus)
    size = 8 * (max(cpus) // 64 + 1)
    return functools.partial(
        libc.sched_setaffinity, ctypes.c_int(0), ctypes.c_size_t(size), mask.to_bytes(size, "little")
    )
