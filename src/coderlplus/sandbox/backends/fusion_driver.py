"""Runs one `Job` in a sandbox that is not ours. This text, after a line that defines `MODULES`, is the program that is
sent there; standard library only.

On stdin comes a line of JSON with the guests to call, then their payloads, that of the program first, then a token; on
stdout goes one line, the token and JSON, with how each process ended and what it replied. The process of the program
and that of the test code are children, each with limits of its own; their stdout goes into a file. The program's is
forked before the payload of the other and the token are read. So a program shares no process with expected values. But
nothing keeps it from attacking its parent, except what the foreign sandbox does.
"""

from __future__ import annotations

import base64
import builtins
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from typing import Any

MODULES: dict[str, str] = globals().get("MODULES", {})
"""Sources of the guest modules and of what they import, by name."""
REPLIES = 3
TOKEN_BYTES = 32


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports what is in `MODULES`, with builtins of its own, which a program cannot patch."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        is_package = any(module.startswith(f"{name}.") for module in MODULES)
        if not is_package and name not in MODULES:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=is_package)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = dict(vars(builtins))
        text = MODULES.get(module.__name__, "")
        exec(compile(text, f"<{module.__name__}>", "exec", dont_inherit=True), module.__dict__)


class Host:
    """What a guest function gets as its second argument; see `coderlplus.sandbox.Job`."""

    def __init__(self, peer: int | None) -> None:
        self.peer = peer
        self._dumps, self._write = json.JSONEncoder(separators=(",", ":")).encode, os.write

    def reply(self, value: object) -> None:
        data = memoryview(self._dumps(value).encode("utf-8", "surrogatepass") + b"\n")
        while data:
            data = data[self._write(REPLIES, data) :]

    def open_streams(self) -> None:
        for name, fd, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            errors = "backslashreplace" if fd == 2 else "surrogateescape"
            stream = open(fd, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class Child:
    """One running job."""

    def __init__(self, job: dict[str, Any], payload: bytes, peer: int | None) -> None:
        self.job = job
        module, _, name = job["guest"].partition(":")
        function = getattr(sys.modules[module], name)
        self.files = [tempfile.TemporaryFile() for _ in range(4)]  # noqa: SIM115
        self.started = time.monotonic()
        self.killed = ""
        self.pid = os.fork()
        if self.pid == 0:
            self._run(function, payload, peer)

    def _run(self, function: Any, payload: bytes, peer: int | None) -> None:
        """In the child, to its end."""
        status = 1
        try:
            if peer is not None:
                os.dup2(peer, 10 + REPLIES)
            for target, file in enumerate(self.files):
                os.dup2(file.fileno(), 20 + target)
            for target in range(4):
                os.dup2(20 + target, target)
            os.closerange(4, 10 + REPLIES)
            os.closerange(11 + REPLIES, 256)
            with open("/proc/self/statm", "rb") as sizes:  # noqa: PTH123
                mapped = int(sizes.read().split()[0]) * resource.getpagesize()
            cpu_s, memory, size = int(self.job["cpu_s"]) + 1, mapped + self.job["memory_bytes"], self.job["file_bytes"]
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            for name in [name for name in sys.modules if name.partition(".")[0] == "coderlplus"]:
                del sys.modules[name]
            MODULES.clear()
            host = Host(None if peer is None else 10 + REPLIES)
            host.open_streams()
            function(json.loads(payload), host)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            status = 0
        except MemoryError:
            status = 2
        finally:
            os._exit(status)

    def kill(self, why: str) -> None:
        self.killed = self.killed or why
        os.kill(self.pid, signal.SIGKILL)

    def result(self, status: int, usage: Any) -> dict[str, Any]:
        files = [file.fileno() for file in self.files]
        sizes = [os.fstat(file).st_size for file in files]
        _, stdout, stderr, replies = (os.pread(file, self.job["file_bytes"], 0) for file in files)
        return {
            "exit_code": os.waitstatus_to_exitcode(status),
            "killed": self.killed,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "wall_s": time.monotonic() - self.started,
            "peak_kb": usage.ru_maxrss,
            "stdout_bytes": max(sizes[1], sizes[2]),
            "stdout": base64.b64encode(stdout).decode(),
            "stderr": base64.b64encode(stderr[-16000:]).decode(),
            "replies": base64.b64encode(replies).decode(),
        }


def start(jobs: list[dict[str, Any]]) -> list[Child]:
    """Start one job, or two that are joined by a socket, of which the second is the program's and comes first."""
    pair = socket.socketpair() if len(jobs) == 2 else ()
    children = [
        Child(jobs[index], read(jobs[index]["payload_bytes"]), pair[index].fileno() if pair else None)
        for index in reversed(range(len(jobs)))
    ]
    for end in pair:
        end.close()
    return children[::-1]


def wait(children: list[Child]) -> list[dict[str, Any]]:
    """How the jobs ended; the second is killed when the first has ended."""
    results: dict[int, dict[str, Any]] = {}
    descriptors = {os.pidfd_open(child.pid): index for index, child in enumerate(children)}
    while descriptors:
        left = min(child.job["wall_s"] - (time.monotonic() - child.started) for child in children)
        ended, _, _ = select.select(list(descriptors), [], [], max(left, 0.01))
        for descriptor in ended:
            index = descriptors.pop(descriptor)
            _, status, usage = os.wait4(children[index].pid, 0)
            results[index] = children[index].result(status, usage)
        for index in descriptors.values():
            if 0 in results:
                children[index].kill("done")
            elif left <= 0:
                children[index].kill("time")
    return [results[index] for index in range(len(children))]


def read(size: int) -> bytes:
    """So many bytes of stdin, and none that follow. Raises `EOFError`."""
    data = b""
    while len(data) < size:
        more = os.read(0, min(size - len(data), 1 << 20))
        if not more:
            raise EOFError("the request is not complete")
        data += more
    return data


def main() -> None:
    jobs = json.loads(b"".join(iter(lambda: read(1), b"\n")))
    sys.meta_path.insert(0, Finder())
    for job in jobs:
        importlib.import_module(job["guest"].partition(":")[0])
    children = start(jobs)
    token = read(TOKEN_BYTES)
    os.write(1, b"\n" + token + json.dumps(wait(children)).encode() + b"\n")


if __name__ == "__main__" and MODULES:
    main()
