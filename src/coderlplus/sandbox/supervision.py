"""What a fork server does while its children run: it holds each to its limits, waits for it, and says how it ended.
Standard library only; runs in the fork server.

Which layers of isolation a child takes is not decided here (`confine.py`), nor what its ending means
(`forkserver.py`).
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
from collections.abc import Callable, Sequence

REQUEST = struct.Struct("=96sddqqq")
"""Guest, CPU and wall limit in s, memory in bytes, most bytes of any file, bytes of the payload."""
ANSWER = struct.Struct("=iBddq?")
"""Exit code (negative: signal), index in `KILLED`, CPU and wall time in s, largest resident size in kB, whether all
layers were in force."""
KILLED = ("", "time", "memory", "done", "gone")
WAITING, BUSY = b"waiting", b"busy"
"""What is said before the answer: that a job waits instead of working; that it takes longer than its wall limit
because the machine is busy."""

_PAGE_BYTES = resource.getpagesize()
_THREAD_BYTES = 256 << 10
"""What a thread counts as memory: it takes some 40 kB of the kernel's, and a place in the table of processes."""
MOST_THREADS = 256
"""A program with more threads than this is beyond its memory limit: users and containers have a limit on them."""
HARD_CAP = 10
"""No program runs longer than this many times its wall limit, however busy the machine is."""
_LOOK_S = 0.1
_WORD_S = 5.0
"""So often `BUSY` is said."""
_WAITS_AFTER_S, _WAITS_SHARE = 0.5, 0.1
"""A job that has used less than this share of the time after this time waits, and another may run instead."""


class Child:
    """One running job: its process (`pid`, `started` when it was forked), and the files that it reads and writes."""

    __slots__ = (
        "cpu_clock", "cpu_limit_s", "cpu_s", "file_bytes", "files", "guest", "killed", "memory_bytes", "payload_bytes",
        "peak_kb", "pid", "pidfd", "started", "status", "wall_limit_s", "wall_s",
    )  # fmt: skip

    def __init__(self, header: bytes, files: Sequence[int]) -> None:
        self.guest, self.cpu_limit_s, self.wall_limit_s, self.memory_bytes, self.file_bytes, self.payload_bytes = (
            REQUEST.unpack(header)
        )
        self.files = files
        self.killed = 0
        self.pid, self.started = 0, 0.0

    def used_cpu_s(self) -> float:
        try:
            return time.clock_gettime(self.cpu_clock)
        except OSError:  # ended, not yet waited for
            return 0.0

    def look(self, base_bytes: int) -> tuple[bool, bool]:
        """Whether it is beyond its memory limit now, and whether a thread of it is ready to run, or runs.

        What it fills counts, without the `base_bytes` that it has had from the start, and what the kernel needs for
        its threads; too many threads are beyond the limit too."""
        state, threads, pages = _stat(f"/proc/{self.pid}/stat")
        ready = state == b"R"
        if threads > 1 and not (ready and pages):  # the first thread sleeps, or has ended and tells of no memory
            for thread in os.listdir(f"/proc/{self.pid}/task"):
                with contextlib.suppress(OSError):  # it has ended since
                    state, _, filled = _stat(f"/proc/{self.pid}/task/{thread}/stat")
                    ready, pages = ready or state == b"R", pages or filled
                if ready and pages:
                    break
        filled_bytes = pages * _PAGE_BYTES - base_bytes + (threads - 1) * _THREAD_BYTES
        return bool(threads > MOST_THREADS or filled_bytes > self.memory_bytes), ready

    def is_late(self, now: float, held_up_s: float) -> bool:
        wall_s = now - self.started
        return bool(wall_s - held_up_s >= self.wall_limit_s or wall_s >= HARD_CAP * self.wall_limit_s)

    def kill(self, why: str) -> None:
        if not self.killed:
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
        exit_code = os.waitstatus_to_exitcode(self.status)
        if self.killed == KILLED.index("done") and exit_code != -signal.SIGKILL:
            self.killed = 0  # it had ended by itself before the signal came
        return ANSWER.pack(exit_code, self.killed, self.cpu_s, self.wall_s, self.peak_kb, in_force)


def supervise(
    children: list[Child],
    connection: socket.socket,
    poll: select.poll,
    base_bytes: int,
    spread: Callable[[int], object],
) -> None:
    """Wait for all children, which are watched; `poll` has the connection already.

    Those beyond their limits are killed, the second one when the first has ended, and all of them when the other end
    of the connection is gone. Memory is looked at ten times a second: what is shorter than that is bounded by address
    space. Two children share a CPU for so long, and have all of them from then on (`spread`).

    Wall time does not count while a program is ready to run and the machine runs others, up to `HARD_CAP`. How long
    that was is told by the looks: the time for which they find it ready to run or running, without the CPU time that
    it used. The looks come at random moments, so that a program cannot be ready at each of them and sleep in between.
    """
    running: dict[int, Child] = {}
    timeout_s = _LOOK_S
    for child in children:
        poll.register(child.pidfd, select.POLLIN)
        running[child.pidfd] = child
        timeout_s = min(timeout_s, child.cpu_limit_s, child.wall_limit_s)
    first = children[0]
    last_look, next_look = first.started, first.started + timeout_s
    ready_s = gone_cpu_s = 0.0
    next_word = 0.0
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
            gone_cpu_s += child.cpu_s
            if child is first:
                for peer in running.values():
                    peer.kill("done")
        if not running:
            return
        now = time.monotonic()
        if now >= next_look:
            if together:
                together = False
                for child in running.values():
                    spread(child.pid)
            seen = [(child, *child.look(base_bytes)) for child in running.values()]
            ready = any(is_ready for _, _, is_ready in seen)
            ready_s += (now - last_look) * ready
            used_s = gone_cpu_s + sum(child.used_cpu_s() for child in running.values())
            held_up_s = max(0.0, ready_s - used_s)
            for child, over_memory, _ in seen:
                if child.is_late(now, held_up_s):
                    child.kill("time")
                elif over_memory:
                    child.kill("memory")
            wall_s = now - first.started
            if wall_s > first.wall_limit_s and now >= next_word:
                next_word = now + _WORD_S
                connection.send(BUSY)
            if not waits and wall_s > _WAITS_AFTER_S and used_s < _WAITS_SHARE * wall_s:
                waits = not ready and held_up_s < _WAITS_SHARE * wall_s
                if waits:
                    connection.send(WAITING)
            last_look, next_look = now, now + _LOOK_S * (0.5 + os.urandom(1)[0] / 256)
        left = [next_look - now]
        for child in running.values():
            cpu_left_s = child.cpu_limit_s - child.used_cpu_s()
            if cpu_left_s <= 0:
                child.kill("time")
            left.append(max(cpu_left_s, 0.002))
        timeout_s = min(left)


def _stat(path: str) -> tuple[bytes, int, int]:
    """State, threads and resident pages of a process, from its file `stat` or that of one of its threads."""
    with open(path, "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return fields[0], int(fields[17]), int(fields[21])
