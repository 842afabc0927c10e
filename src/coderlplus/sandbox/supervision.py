"""What a fork server does while its children run: it holds each to its limits, waits for it, and says how it ended. Standard library only; runs in
the fork server.

Which layers of isolation a child takes is not decided here (`confine.py`), nor what its ending means (`forkserver.py`).
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence

REQUEST = struct.Struct("=96sddqqq")
"""Guest, CPU and wall limit in s, memory in bytes, most bytes of any file, bytes of the payload."""
ANSWER = struct.Struct("=iBddq?")
"""Exit code (negative: signal), index in `KILLED`, CPU and wall time in s, largest resident size in kB, whether all layers were in force."""
KILLED = ("", "time", "memory", "done", "gone")
WAITING, BUSY = b"waiting", b"busy"
"""What is said before the answer: that a job waits instead of working; that it takes longer than its wall limit because the machine is busy."""

_PAGE_BYTES = resource.getpagesize()
_THREAD_BYTES = 256 << 10
"""What a thread counts as memory: it takes some 40 kB of the kernel's, and a place in the table of processes."""
MOST_THREADS = 256
"""A program with more threads than this is beyond its memory limit: users and containers have a limit on them."""
HARD_CAP = 10
"""No program runs longer than this many times its wall limit, however busy the machine is."""
_MEMORY_CHECK_S = 0.1
_WORD_S = 5.0
"""So often `BUSY` is said."""
_WAITS_AFTER_S, _WAITS_SHARE = 0.5, 0.1
"""A job that has used less than this share of the time after this time waits, and another may run instead."""


class Child:
    """One running job: its process (`pid`, `started` when it was forked), and the files that it reads and writes."""

    __slots__ = (
        "cpu_clock", "cpu_limit_s", "cpu_s", "file_bytes", "files", "guest", "killed", "memory_bytes", "payload_bytes", "peak_kb", "pid", "pidfd",
        "started", "status", "wall_limit_s", "wall_s",
    )  # fmt: skip

    def __init__(self, header: bytes, files: Sequence[int]) -> None:
        self.guest, self.cpu_limit_s, self.wall_limit_s, self.memory_bytes, self.file_bytes, self.payload_bytes = REQUEST.unpack(header)
        self.files = files
        self.killed = 0
        self.pid, self.started = 0, 0.0

    def used_cpu_s(self) -> float:
        try:
            return time.clock_gettime(self.cpu_clock)
        except OSError:  # ended, not yet waited for
            return 0.0

    def over_memory(self, base_bytes: int) -> bool:
        """Whether it fills more than its limit now, with what the kernel needs for its threads, or has too many threads.

        `base_bytes` it has had from the start."""
        threads, pages = _threads_and_pages(f"/proc/{self.pid}/stat")
        if not pages:  # the first thread has ended; all others have the same memory
            pages = self._pages_of_others()
        filled_bytes = pages * _PAGE_BYTES - base_bytes + (threads - 1) * _THREAD_BYTES
        return threads > MOST_THREADS or filled_bytes > self.memory_bytes

    def _pages_of_others(self) -> int:
        """What the process fills, asked of any thread that has not ended."""
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(OSError):  # it has ended since
                _, pages = _threads_and_pages(f"/proc/{self.pid}/task/{thread}/stat")
                if pages:
                    return pages
        return 0

    def held_up(self) -> tuple[float, bool]:
        """How many seconds it was ready to run and the machine did not let it, for the thread with the longest such
        time; and whether a thread is ready to run (or runs) now. A wait that goes on is not in the seconds."""
        longest, ready = 0, False
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(OSError):  # it has ended since, or this kernel does not keep count
                with open(f"/proc/{self.pid}/task/{thread}/stat", "rb") as file:
                    ready = ready or file.read().rpartition(b") ")[2].startswith(b"R")
                with open(f"/proc/{self.pid}/task/{thread}/schedstat", "rb") as file:
                    longest = max(longest, int(file.read().split()[1]))
        return longest / 1e9, ready

    def time_left_s(self, now: float, held_up_s: float) -> float:
        wall_s = now - self.started
        left = (
            self.cpu_limit_s - self.used_cpu_s(),
            self.wall_limit_s - wall_s + held_up_s,
            HARD_CAP * self.wall_limit_s - wall_s,
        )
        return float(min(left))

    def kill(self, why: str) -> None:
        self.killed = KILLED.index(why)
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def watch(self) -> None:
        self.pidfd = os.pidfd_open(self.pid)
        self.cpu_clock = (~self.pid << 3) | 2

    def reap(self) -> None:
        _, self.status, usage = os.wait4(self.pid, 0)
        self.wall_s = time.monotonic() - self.started
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.peak_kb = usage.ru_maxrss
        os.close(self.pidfd)

    def answer(self, in_force: bool) -> bytes:
        return ANSWER.pack(os.waitstatus_to_exitcode(self.status), self.killed, self.cpu_s, self.wall_s, self.peak_kb, in_force)


def supervise(children: list[Child], connection: socket.socket, poll: select.poll, base_bytes: int, spread: Callable[[int], object]) -> None:
    """Wait for all children, which are watched; `poll` has the connection already.

    Those beyond their limits are killed, the second one when the first has ended, and all of them when the other end of the connection is gone.
    Memory is looked at ten times a second: what is shorter than that is bounded by address space. Two children share a CPU for so long, and have all
    of them from then on (`spread`).

    Wall time for which a program was ready to run, on a machine that was busy with others, does not count, up to
    `HARD_CAP`. The kernel counts such a wait when it is over. So a program that is ready to run when its time is over
    gets a tenth of a second more, and all time in which it does not run at all.
    """
    running: dict[int, Child] = {}
    timeout_s = _MEMORY_CHECK_S
    for child in children:
        poll.register(child.pidfd, select.POLLIN)
        running[child.pidfd] = child
        timeout_s = min(timeout_s, child.cpu_limit_s, child.wall_limit_s)
    first = children[0]
    next_check = first.started + _MEMORY_CHECK_S
    next_word = 0.0
    cpu_s_before: float | None = None
    waits, together = False, len(children) > 1
    while True:
        for fd, _ in poll.poll(timeout_s * 1000 + 1):
            if fd == connection.fileno():
                for child in running.values():
                    child.kill("gone")
                os._exit(0)
            poll.unregister(fd)
            child = running.pop(fd)
            child.reap()
            if child is first:
                for peer in running.values():
                    peer.kill("done")
        if not running:
            return
        now = time.monotonic()
        check = now >= next_check
        if check:
            next_check = now + _MEMORY_CHECK_S
            if together:
                together = False
                for child in running.values():
                    spread(child.pid)
        left = [next_check - now]
        held_up_s = 0.0
        if any(now - child.started >= child.wall_limit_s for child in running.values()):
            held_up_s, ready = _held_up(running.values())
            cpu_s = sum(child.used_cpu_s() for child in running.values())
            if ready:
                held_up_s = held_up_s + _MEMORY_CHECK_S if cpu_s_before not in (None, cpu_s) else float("inf")
            cpu_s_before = cpu_s
            if now >= next_word:
                next_word = now + _WORD_S
                connection.send(BUSY)
        for child in running.values():
            seconds = child.time_left_s(now, held_up_s)
            if seconds <= 0 and not child.killed:
                child.kill("time")
            elif check and not child.killed and child.over_memory(base_bytes):
                child.kill("memory")
            left.append(max(seconds, 0.002))
        timeout_s = min(left)
        wall_s = now - first.started
        if not waits and wall_s > _WAITS_AFTER_S and sum(child.used_cpu_s() for child in running.values()) < _WAITS_SHARE * wall_s:
            held_up_s, ready = _held_up(running.values())
            waits = not ready and held_up_s < _WAITS_SHARE * wall_s
            if waits:
                connection.send(WAITING)


def _held_up(children: Iterable[Child]) -> tuple[float, bool]:
    """What `Child.held_up` says of all of them together."""
    seconds, ready = zip(*(child.held_up() for child in children), strict=True)
    return sum(seconds), any(ready)


def _threads_and_pages(stat: str) -> tuple[int, int]:
    """Threads and resident pages of a process, from its file `stat` or that of one of its threads."""
    with open(stat, "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[17]), int(fields[21])
