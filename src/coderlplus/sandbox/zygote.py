"""The fork server: a clean interpreter that forks one sandboxed child per job. Standard library only; run as a script by `pool.py`.

    python -s -P -B zygote.py SOCKET SETTINGS        (what `pool.Zygote` passes; `-s -P` and an environment of our own are `-I` with a hash seed)

It reads jobs from the socket and answers each with what came of it; no program runs in it. Request and answer are a length (4 bytes), a JSON header
and the bytes that the header tells the lengths of. When the other end of the socket closes, it kills its children and ends.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PRELOADED = (
    "abc array bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime decimal encodings.ascii encodings.latin_1 "
    "encodings.utf_8 enum fractions functools heapq io itertools json linecache math numbers operator queue random re statistics string struct "
    "textwrap threading time traceback types typing"
)
STDERR_BYTES = 4000
END, OUT_OF_MEMORY = b"end\n", b"memory\n"


class _Loader(importlib.machinery.SourceFileLoader):
    """Gives our modules builtins of their own, which a program cannot patch."""

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = _BUILTINS
        super().exec_module(module)


class _Guests:
    """Imports our modules without running the `__init__` of their packages, and keeps them out of the programs' `sys.modules`."""

    def __init__(self, package: str) -> None:
        self.modules: dict[str, types.ModuleType] = {}
        self.package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, *parts = name.split(".")
        if root != "coderlplus":
            return None
        place = Path(self.package, *parts)
        if place.is_dir():
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        file = str(place.with_suffix(".py"))
        return importlib.util.spec_from_file_location(name, file, loader=_Loader(name, file))

    def load(self, name: str) -> types.ModuleType:
        if name not in self.modules:
            sys.modules.update(self.modules)
            sys.meta_path.insert(0, self)
            try:
                importlib.import_module(name)
            finally:
                sys.meta_path.remove(self)
                for loaded in [key for key in sys.modules if key.partition(".")[0] == "coderlplus"]:
                    self.modules[loaded] = sys.modules.pop(loaded)
        return self.modules[name]


class Host:
    """What a guest function gets as its second argument; see `Job`."""

    def __init__(self, reply_fd: int, peer: int | None) -> None:
        self.peer = peer
        self._fd = reply_fd
        self._dumps = json.JSONEncoder(separators=(",", ":")).encode
        self._write = os.write

    def reply(self, value: object) -> None:
        data = memoryview(self._dumps(value).encode("utf-8", "surrogatepass") + b"\n")
        while data:
            data = data[self._write(self._fd, data) :]

    def open_streams(self) -> None:
        """Put fresh text streams on the descriptors 0, 1 and 2 into `sys`."""
        for name, fd, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            errors = "backslashreplace" if fd == 2 else "surrogateescape"
            stream = open(fd, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class Child:
    """One running job: its process, and the files that it writes."""

    def __init__(self, header: dict[str, Any], payload: bytes, stdin: bytes) -> None:
        self.header = header
        self.payload = payload
        self.stdin = _memory_file(stdin)
        self.stdout, self.stderr, self.replies = _memory_file(), _memory_file(), _memory_file()
        self.cpu_limit_s = float(header["cpu_s"])
        self.wall_limit_s = float(header["wall_s"])
        self.killed = ""
        self.status = 0
        self.cpu_s = self.wall_s = 0.0
        self.peak_kb = 0
        self.pid = self.pidfd = -1

    def start(self, confinement: Any, ready: int, peer: int) -> None:
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(confinement, ready, peer)
        self.pidfd = os.pidfd_open(self.pid)
        self.cpu_clock = (~self.pid << 3) | 2

    def _run(self, confinement: Any, ready: int, peer: int) -> None:
        """In the child, to its end."""
        status = 1
        try:
            for fd, target in ((self.stdin, 0), (self.stdout, 1), (self.stderr, 2)):
                os.dup2(fd, target)
            keep = [fd for fd in (self.replies, peer, ready, confinement.ruleset) if fd >= 0]
            low = 3
            for fd in sorted(keep):
                os.closerange(low, fd)
                low = fd + 1
            os.closerange(low, OPEN_FD_BOUND)
            header = self.header
            confinement.apply(cpu_s=self.cpu_limit_s, memory_bytes=header["memory_bytes"], file_bytes=header["file_bytes"])
            host = Host(self.replies, peer if peer >= 0 else None)
            host.open_streams()
            os.write(ready, struct.pack("Q", 1))
            os.close(ready)
            gc.enable()
            random.seed(HASH_SEED)  # the module seeds itself anew after a fork
            FUNCTIONS[header["guest"]](json.loads(self.payload), host)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os.write(self.replies, END)
            status = 0
        except MemoryError:
            os.write(self.replies, OUT_OF_MEMORY)
        except BaseException as error:
            os.write(2, f"\n{type(error).__name__} in the guest".encode())
        finally:
            os._exit(status)

    def used_cpu_s(self) -> float:
        try:
            return time.clock_gettime(self.cpu_clock)
        except OSError:  # ended, not yet waited for
            return 0.0

    def time_left_s(self, now: float) -> float:
        return min(self.cpu_limit_s - self.used_cpu_s(), self.wall_limit_s - (now - self.started))

    def kill(self, why: str) -> None:
        self.killed = why
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> None:
        _, self.status, usage = os.wait4(self.pid, 0)
        self.wall_s = time.monotonic() - self.started
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.peak_kb = usage.ru_maxrss
        os.close(self.pidfd)

    def result(self) -> tuple[dict[str, Any], list[bytes]]:
        header = self.header
        output_bytes, reply_bytes = header["output_bytes"], header["reply_bytes"]
        stdout, stdout_size = _head(self.stdout, output_bytes)
        replies, replies_size = _head(self.replies, reply_bytes)
        stderr_size = os.fstat(self.stderr).st_size
        stderr = os.pread(self.stderr, STDERR_BYTES, max(0, stderr_size - STDERR_BYTES))
        for fd in (self.stdin, self.stdout, self.stderr, self.replies):
            os.close(fd)
        code = os.waitstatus_to_exitcode(self.status)
        if self.killed == "time" or code == -signal.SIGXCPU or self.cpu_s > self.cpu_limit_s:
            ending = "time_limit"
        elif max(stdout_size, stderr_size) > output_bytes or replies_size > reply_bytes:
            ending = "output_limit"
        elif replies.endswith(OUT_OF_MEMORY) or (self.peak_kb - BASE_KB) << 10 > header["memory_bytes"]:
            ending = "memory_limit"
        elif self.killed:
            ending, code = "returned", 0
        elif code < 0:
            ending, code = "signal", -code
        else:
            ending = "returned" if code == 0 and replies.endswith(END) else "exited"
        parts = [stdout, stderr, replies]
        used = {"cpu_s": round(self.cpu_s, 6), "wall_s": round(self.wall_s, 6), "peak_mb": round(self.peak_kb / 1024, 1)}
        return {"ending": ending, "exit_code": code, "lengths": [len(part) for part in parts]} | used, parts


def _memory_file(data: bytes = b"") -> int:
    fd = os.memfd_create("job")
    if data:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _head(fd: int, size: int) -> tuple[bytes, int]:
    """The first `size` bytes of a memory file, and how many it has."""
    actual = os.fstat(fd).st_size
    return (os.pread(fd, min(size, actual), 0) if actual else b""), actual


def _receive(connection: socket.socket, size: int) -> bytes:
    chunks = []
    while size:
        chunk = connection.recv(min(size, 1 << 20))
        if not chunk:
            os._exit(0)
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def supervise(children: list[Child], connection: socket.socket) -> None:
    """Wait for all children.

    Those beyond their limits are killed, the second one when the first has ended, and all of them when the other end of the connection is gone.
    """
    poll = select.poll()
    poll.register(connection.fileno(), 0)
    running = {child.pidfd: child for child in children}
    for pidfd in running:
        poll.register(pidfd, select.POLLIN)
    while running:
        now = time.monotonic()
        left = []
        for child in running.values():
            seconds = child.time_left_s(now)
            if seconds <= 0 and not child.killed:
                child.kill("time")
            left.append(max(seconds, 0.002))
        for fd, _ in poll.poll(min(left) * 1000 + 1):
            if fd == connection.fileno():
                for child in running.values():
                    child.kill("gone")
                os._exit(0)
            poll.unregister(fd)
            child = running.pop(fd)
            child.reap()
            if child is children[0]:
                for peer in running.values():
                    peer.kill("done")


def serve(connection: socket.socket, confinement: Any, guests: _Guests) -> None:
    ready = os.eventfd(0, os.EFD_NONBLOCK)
    while True:
        (size,) = struct.unpack("I", _receive(connection, 4))
        headers = json.loads(_receive(connection, size))
        for header in headers:
            name = header["guest"]
            if name not in FUNCTIONS:
                module, _, function = name.partition(":")
                FUNCTIONS[name] = getattr(guests.load(module), function)
                gc.collect()
                gc.freeze()
        children = [Child(header, _receive(connection, header["payload"]), _receive(connection, header["stdin"])) for header in headers]
        pair = socket.socketpair() if len(children) == 2 else ()
        for index, child in enumerate(children):
            child.start(confinement, ready, pair[index].fileno() if pair else -1)
        for end in pair:
            end.close()
        supervise(children, connection)
        try:
            in_force = os.eventfd_read(ready) == len(children)
        except BlockingIOError:
            in_force = False
        results = [child.result() for child in children]
        head = json.dumps([answer if in_force else answer | {"ending": "fault"} for answer, _ in results]).encode()
        connection.sendall(b"".join([struct.pack("I", len(head)), head, *(part for _, parts in results for part in parts)]))


_BUILTINS = dict(vars(builtins))
FUNCTIONS: dict[str, Callable[[Any, Host], object]] = {}
OPEN_FD_BOUND = 256
BASE_KB = HASH_SEED = 0


def main() -> None:
    global BASE_KB, HASH_SEED
    connection = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(sys.argv[2])
    os.chdir("/")
    for name in PRELOADED.split():
        importlib.import_module(name)
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder.__module__.startswith("_frozen_importlib")]  # no editable installs
    sys.path[:] = settings["paths"]
    guests = _Guests(settings["package"])
    confine = guests.load("coderlplus.sandbox.confine")
    missing = {layer: reason for layer in settings["layers"] if (reason := confine.probe(layer, settings["roots"], settings["outside"]))}
    in_force = [layer for layer in settings["layers"] if layer not in missing]
    confinement = confine.Confinement(in_force, settings["roots"])
    confinement.apply_to_zygote()
    HASH_SEED = settings["hash_seed"]
    sys.argv[:] = ["program.py"]
    gc.disable()
    gc.collect()
    gc.freeze()
    BASE_KB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    head = json.dumps({"in_force": in_force, "missing": missing}).encode()
    connection.sendall(struct.pack("I", len(head)) + head)
    serve(connection, confinement, guests)


if __name__ == "__main__":
    main()
