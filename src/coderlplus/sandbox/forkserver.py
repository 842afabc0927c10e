"""The near end of a fork server: starts it, hands it one job after the other, and reads what came of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from coderlplus.errors import SandboxError
from coderlplus.sandbox.jobs import Job, Outcome, ending_of
from coderlplus.sandbox.supervision import ANSWER, BUSY, KILLED, REQUEST, WAITING
from coderlplus.sandbox.zygote import END, OUT_OF_MEMORY

_ZYGOTE = Path(__file__).with_name("zygote.py")
_PACKAGE = Path(__file__).parents[1]
_START_S = 60.0
_SLACK_S = 30.0
"""How long beyond the wall limits of a job its fork server may be silent before it counts as broken."""
_STDERR_BYTES = 4000
_KILLED_FROM_OUTSIDE = "the program was killed from outside; check that the machine has enough memory"
_MAX_ANSWER = 1 << 16
_MAX_NESTING = 400
"""Levels of JSON in a reply. Values have at most a hundred, each up to three of JSON; whoever works on replies may
recurse."""
_STRING, _NO_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"'), re.compile(rb"[^][{}]+")
_LIBRARIES = "/lib /lib64 /usr/lib /usr/lib64 /usr/local/lib"
_SYSTEM_FILES = "/usr/share/zoneinfo /etc/localtime /etc/ld.so.cache /dev/null /dev/zero /dev/urandom"


class ForkServer:
    """The near end of one fork server. Used by one thread at a time. With `probe` each layer is tried out first; those
    that fail are `missing`."""

    def __init__(self, layers: Sequence[str], hash_seed: int, probe: bool = True) -> None:
        self.connection, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = {
            "package": str(_PACKAGE),
            "layers": list(layers),
            "probe": probe,
            "roots": read_roots(),
            "paths": import_paths(),
            "outside": "/proc/self/status",
            "hash_seed": hash_seed,
        }
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "PYTHONHASHSEED": str(hash_seed),
            "MALLOC_ARENA_MAX": "1",
            "LD_BIND_NOW": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        }  # fmt: skip
        flags = ["-s", "-P", "-B", "-X", "utf8"]
        command = [sys.executable, *flags, str(_ZYGOTE), str(far.fileno()), json.dumps(settings)]
        try:
            with far:
                self.process = subprocess.Popen(
                    command,
                    pass_fds=(far.fileno(),),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
        except OSError as error:
            self.connection.close()
            raise SandboxError(f"cannot start the sandbox with {sys.executable}: {error}") from error
        try:
            self.connection.settimeout(_START_S)
            hello = json.loads(self._message())
        except (OSError, EOFError, ValueError) as error:
            said = self.close().strip().splitlines()
            raise SandboxError(f"the sandbox did not start: {said[-1] if said else repr(error)}") from error
        self.isolation = tuple(hello["in_force"])
        self.missing: dict[str, str] = hello["missing"]
        self._base_kb: int = hello["base_kb"]

    def run(self, job: Job, on_waiting: Callable[[], None] = lambda: None) -> Outcome:
        """Run one job; `on_waiting` is called if it waits instead of working.

        Raises `OSError`, `EOFError` or `ValueError` if the fork server is gone, silent or talks nonsense."""
        jobs = [job] if job.peer is None else [job, job.peer]
        files: list[int] = []
        try:
            request = b""
            for each in jobs:
                payload = json.dumps(each.payload).encode("utf-8", "surrogatepass")
                request += _request(each, len(payload))
                files += map(_memory_file, (each.stdin, b"", b"", payload, b""))
            self.connection.settimeout(max(each.limits.wall_s for each in jobs) + _SLACK_S)
            socket.send_fds(self.connection, [request], files)
            message = self._message()
            while message in (WAITING, BUSY):
                if message == WAITING:
                    on_waiting()
                message = self._message()
            if len(message) != len(jobs) * ANSWER.size:
                raise ValueError(f"{len(message)} bytes are not a reply of the fork server")
            answers = [*ANSWER.iter_unpack(message)]
            peer = None if job.peer is None else self._outcome(job.peer, answers[1], files[5:], None)
            return self._outcome(job, answers[0], files[:5], peer)
        finally:
            for fd in files:
                os.close(fd)

    def _outcome(self, job: Job, answer: tuple[Any, ...], files: Sequence[int], peer: Outcome | None) -> Outcome:
        output_bytes, reply_bytes = job.limits.output_kb << 10, job.reply_kb << 10
        _, stdout_fd, stderr_fd, _, replies_fd = files
        stdout_size, stderr_size, replies_size = (os.fstat(fd).st_size for fd in (stdout_fd, stderr_fd, replies_fd))
        stdout = os.pread(stdout_fd, min(stdout_size, output_bytes), 0)
        replies = os.pread(replies_fd, min(replies_size, reply_bytes), 0)
        tail = os.pread(stderr_fd, min(stderr_size, _STDERR_BYTES), max(0, stderr_size - _STDERR_BYTES))
        stderr = tail.decode("utf-8", "replace")
        status, killed_by, cpu_s, wall_s, peak_kb, in_force = answer
        killed = KILLED[killed_by]
        used_mb = (peak_kb - self._base_kb) >> 10
        ending, code = ending_of(
            job,
            status,
            cpu_s,
            killed=killed,
            over_output=stdout_size > output_bytes or stderr_size > output_bytes or replies_size > reply_bytes,
            over_memory=killed == "memory" or replies.endswith(OUT_OF_MEMORY) or used_mb >= job.limits.memory_mb,
            is_whole=status == 0 and replies.endswith(END),
        )
        detail = ""
        if not in_force:
            is_killed = status == -signal.SIGKILL and not killed
            why = _KILLED_FROM_OUTSIDE if is_killed else "the layers of isolation could not be applied"
            ending, detail = "fault", stderr.strip() or why
        elif (ending, code) == ("signal", signal.SIGKILL) and "seccomp" in self.isolation:
            ending, detail = "fault", _KILLED_FROM_OUTSIDE
        return Outcome(
            ending=ending,
            exit_code=code,
            replies=tuple(parse_replies(replies)),
            stdout=stdout,
            stderr=stderr,
            cpu_s=round(cpu_s, 6),
            wall_s=round(wall_s, 6),
            peak_mb=round(peak_kb / 1024, 1),
            detail=detail,
            isolation=self.isolation,
            peer=peer,
        )

    def _message(self) -> bytes:
        message = self.connection.recv(_MAX_ANSWER)
        if not message:
            raise EOFError("the fork server ended")
        return message

    def interrupt(self) -> None:
        """Make whoever waits for this fork server stop waiting; the fork server kills its children and ends."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> str:
        """End the process and return what it wrote to stderr."""
        self.interrupt()
        self.connection.close()
        try:
            _, stderr = self.process.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, stderr = self.process.communicate()
        return stderr.decode("utf-8", "replace")


def _request(job: Job, payload_bytes: int) -> bytes:
    limits = job.limits
    file_bytes = max(limits.output_kb << 10, job.reply_kb << 10, len(job.stdin), payload_bytes) + 1
    return REQUEST.pack(
        job.guest.encode(), limits.cpu_s, limits.wall_s, limits.memory_mb << 20, file_bytes, payload_bytes
    )


def _memory_file(data: bytes) -> int:
    """A file with these contents, read from its start."""
    fd = os.memfd_create("job")
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(fd, data[written:] if written else data, written)
    except BaseException:
        os.close(fd)
        raise
    return fd


def parse_replies(replies: bytes) -> Iterator[Any]:
    """The JSON values of the lines that are whole, well-formed and not nested too deeply, up to the first that is
    not."""
    for line in replies.split(b"\n")[:-1]:
        if line + b"\n" in (END, OUT_OF_MEMORY):
            return
        try:
            if line.count(b"[") + line.count(b"{") > _MAX_NESTING and _nesting(line) > _MAX_NESTING:
                return
            yield json.loads(line.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            return


def _nesting(line: bytes) -> int:
    """Levels of a JSON text; of what is none, any number."""
    brackets = _NO_BRACKETS.sub(b"", _STRING.sub(b"", line))
    return max(itertools.accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)


def import_paths() -> list[str]:
    """`sys.path` in the sandbox: the standard library and the installed packages of this interpreter, nothing of the
    current folder."""
    stdlib, *others = map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))
    paths = [stdlib, others[0], f"{stdlib}/lib-dynload", *others[1:]]
    return list(dict.fromkeys(path for path in paths if Path(path).is_dir()))


def read_roots() -> list[str]:
    """What a program may read: where it imports from, shared libraries, time zones, and three devices; paths as they
    are looked up, through links."""
    libraries = [sysconfig.get_config_var("LIBDIR") or "", *_LIBRARIES.split()]
    paths = [*import_paths(), *libraries, *_SYSTEM_FILES.split()]
    return list(dict.fromkeys(path for path in paths if path and Path(path).exists()))
