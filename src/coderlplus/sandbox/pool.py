"""The pool: one thread and one fork server per worker, jobs in, outcomes out."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from coderlplus.errors import SandboxError
from coderlplus.sandbox.confine import LAYERS
from coderlplus.sandbox.jobs import Job, Outcome

_ZYGOTE = Path(__file__).with_name("zygote.py")
_PACKAGE = Path(__file__).parents[1]
_START_S = 60.0
_SLACK_S = 30.0
"""How long beyond the wall limits of a job its fork server may be silent before it counts as broken."""
_MAX_HEADER = 1 << 20


class Sandbox:
    """Runs jobs in sandboxed processes, on `workers` fork servers (default: one per core). Safe to share between threads; not across a `fork`.

    `layers` are the layers of isolation asked for (`LAYERS`, all of them, by default). A layer that this machine does not offer is a `SandboxError`
    unless `allow_missing` names it; `isolation` says which are in force, `missing` which are not, and why.

    >>> with Sandbox(workers=1) as sandbox:
    ...     outcome, = sandbox.run([Job(guest="coderlplus.judge.guest:echo", payload=[1, 2])])
    >>> outcome.ending, outcome.replies
    ('returned', ([1, 2],))
    """

    def __init__(self, workers: int | None = None, *, layers: Sequence[str] = LAYERS, allow_missing: Sequence[str] = ()) -> None:
        for name in (*layers, *allow_missing):
            if name not in LAYERS:
                raise SandboxError(f"unknown layer of isolation {name!r}; the layers are {', '.join(LAYERS)}")
        self.workers = workers or len(os.sched_getaffinity(0))
        self.layers = tuple(layer for layer in LAYERS if layer in layers)
        self._allow_missing = frozenset(allow_missing)
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="coderlplus-sandbox")
        self._local = threading.local()
        self._lock = threading.Lock()
        self._zygotes: set[Zygote] = set()
        self._pid = os.getpid()
        self.closed = False
        try:
            first = self._threads.submit(self._zygote, 0).result()
        except BaseException:
            self.close()
            raise
        self.isolation = first.isolation
        self.missing = first.missing

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """The outcomes of the jobs, in order."""
        futures = [self.submit(job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def run_as_completed(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Outcome]]:
        """Pairs (index of the job, outcome) as they come; takes jobs from the iterable no faster than they are run."""
        free = threading.Semaphore(2 * self.workers)
        done: list[tuple[int, Future[Outcome]]] = []
        pending = 0
        changed = threading.Condition()

        def finished(index: int, future: Future[Outcome]) -> None:
            with changed:
                done.append((index, future))
                changed.notify()
            free.release()

        def completed(block: bool) -> Iterator[tuple[int, Outcome]]:
            with changed:
                while block and not done:
                    changed.wait()
                ready, done[:] = list(done), []
            for index, future in ready:
                yield index, future.result()

        for index, job in enumerate(jobs):
            while not free.acquire(blocking=False):
                for item in completed(block=True):
                    pending -= 1
                    yield item
            pending += 1
            self.submit(job).add_done_callback(lambda future, index=index: finished(index, future))  # type: ignore[misc]
        while pending:
            for item in completed(block=True):
                pending -= 1
                yield item

    def submit(self, job: Job) -> Future[Outcome]:
        """Start one job; its outcome comes through a future. Raises `SandboxError` if the sandbox is closed or was inherited by a fork."""
        self._check_usable()
        return self._threads.submit(self._run, job)

    def call(self, function: Any, *arguments: Any) -> Future[Any]:
        """Run `function(execute, *arguments)` on a worker; it may call `execute(job)` as often as it needs, one job after the other."""
        self._check_usable()
        return self._threads.submit(function, self._run, *arguments)

    def processes(self) -> list[int]:
        """The process ids of the fork servers."""
        with self._lock:
            return [zygote.process.pid for zygote in self._zygotes]

    def close(self) -> None:
        """End all processes; running jobs end with a fault. The sandbox cannot be used any more."""
        if os.getpid() != self._pid:
            return
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self.closed = True
            for zygote in self._zygotes:
                zygote.interrupt()
        self._threads.shutdown(wait=True)
        while self._zygotes:
            self._zygotes.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check_usable(self) -> None:
        if self.closed:
            raise SandboxError("the sandbox is closed; make a new one")
        if os.getpid() != self._pid:
            raise SandboxError("a sandbox does not survive a fork; make one in each process")

    def _run(self, job: Job) -> Outcome:
        reason = ""
        for _ in range(2):
            if self.closed:
                return Outcome(ending="fault", detail="the sandbox was closed", isolation=self.isolation)
            zygote = self._zygote(job.hash_seed)
            try:
                outcome = zygote.run(job)
                if outcome.ending != "fault":
                    return outcome
                reason = outcome.stderr or "the layers of isolation could not be put in force"
            except (OSError, ValueError, EOFError) as error:
                reason = f"{type(error).__name__}: {error}"
            self._discard(zygote, job.hash_seed)
        return Outcome(ending="fault", detail=reason, isolation=self.isolation)

    def _zygote(self, hash_seed: int) -> Zygote:
        """The fork server of the calling worker thread: its death signal is tied to the thread that started it."""
        mine: dict[int, Zygote] = self._local.__dict__.setdefault("zygotes", {})
        if hash_seed not in mine:
            zygote = Zygote(self.layers, hash_seed)
            with self._lock:
                self._zygotes.add(zygote)
                if self.closed:
                    zygote.interrupt()
            lacking = {layer: reason for layer, reason in zygote.missing.items() if layer not in self._allow_missing}
            if lacking:
                named = ", ".join(f"{layer} ({reason})" for layer, reason in lacking.items())
                names = ", ".join(map(repr, lacking))
                raise SandboxError(f"this machine does not offer the isolation asked for: {named}; pass allow_missing=({names},) to run without it")
            mine[hash_seed] = zygote
        return mine[hash_seed]

    def _discard(self, zygote: Zygote, hash_seed: int) -> None:
        del self._local.zygotes[hash_seed]
        with self._lock:
            self._zygotes.discard(zygote)
        zygote.close()


class Zygote:
    """The near end of one fork server. Used by one thread at a time."""

    def __init__(self, layers: Sequence[str], hash_seed: int) -> None:
        self.connection, far = socket.socketpair()
        settings = {
            "package": str(_PACKAGE),
            "layers": list(layers),
            "roots": read_roots(),
            "paths": import_paths(),
            "outside": "/proc/self/status",
            "hash_seed": hash_seed,
        }
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "PYTHONHASHSEED": str(hash_seed), "MALLOC_ARENA_MAX": "1",
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        }  # fmt: skip
        command = [sys.executable, "-s", "-P", "-B", "-X", "utf8", str(_ZYGOTE), str(far.fileno()), json.dumps(settings)]
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
            hello = json.loads(self._receive_block(_START_S))
        except (OSError, EOFError, ValueError) as error:
            stderr = self.close().strip()
            raise SandboxError(f"the sandbox did not start: {stderr.splitlines()[-1] if stderr else error!r}") from error
        self.isolation = tuple(hello["in_force"])
        self.missing: dict[str, str] = hello["missing"]

    def run(self, job: Job) -> Outcome:
        """Run one job. Raises `OSError`, `EOFError` or `ValueError` when the fork server is gone, silent or talks nonsense."""
        jobs = [job] if job.peer is None else [job, job.peer]
        payloads = [json.dumps(each.payload).encode("utf-8", "surrogatepass") for each in jobs]
        head = json.dumps([_header(each, len(payload)) for each, payload in zip(jobs, payloads, strict=True)]).encode()
        parts = [part for each, payload in zip(jobs, payloads, strict=True) for part in (payload, each.stdin)]
        wall_s = max(each.limits.wall_s for each in jobs)
        self.connection.settimeout(wall_s + _SLACK_S)
        self.connection.sendall(b"".join([struct.pack("I", len(head)), head, *parts]))
        answers = json.loads(self._receive_block(wall_s + _SLACK_S))
        outcomes = []
        for each, answer in zip(jobs, answers, strict=True):
            stdout, stderr, replies = (self._receive(length) for length in answer.pop("lengths"))
            outcomes.append((each, answer, stdout, stderr, replies))
        peer = None if len(outcomes) == 1 else self._outcome(*outcomes[1], peer=None)
        return self._outcome(*outcomes[0], peer=peer)

    def _outcome(self, job: Job, answer: dict[str, Any], stdout: bytes, stderr: bytes, replies: bytes, peer: Outcome | None) -> Outcome:
        return Outcome(
            replies=tuple(_parse(replies)),
            stdout=stdout,
            stderr=stderr.decode("utf-8", "replace"),
            isolation=self.isolation,
            peer=peer,
            **answer,
        )

    def _receive_block(self, timeout_s: float) -> bytes:
        self.connection.settimeout(timeout_s)
        (size,) = struct.unpack("I", self._receive(4))
        if size > _MAX_HEADER:
            raise ValueError(f"a header of {size} bytes")
        return self._receive(size)

    def _receive(self, size: int) -> bytes:
        chunks = []
        while size:
            chunk = self.connection.recv(min(size, 1 << 20))
            if not chunk:
                raise EOFError("the fork server ended")
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

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


def _header(job: Job, payload_bytes: int) -> dict[str, Any]:
    limits = job.limits
    output, reply = limits.output_kb << 10, job.reply_kb << 10
    return {
        "guest": job.guest,
        "payload": payload_bytes,
        "stdin": len(job.stdin),
        "cpu_s": limits.cpu_s,
        "wall_s": limits.wall_s,
        "memory_bytes": limits.memory_mb << 20,
        "output_bytes": output,
        "reply_bytes": reply,
        "file_bytes": max(output, reply, len(job.stdin), payload_bytes) + 1,
    }


def _parse(replies: bytes) -> Iterator[Any]:
    """The JSON values of the lines that are whole and well-formed, up to the first that is not."""
    for line in replies.split(b"\n")[:-1]:
        if line in (b"end", b"memory"):
            return
        try:
            yield json.loads(line.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            return


def import_paths() -> list[str]:
    """`sys.path` in the sandbox: the standard library and the installed packages of this interpreter, nothing of the current folder."""
    stdlib, platform_stdlib = sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")
    paths = [stdlib, platform_stdlib, str(Path(stdlib) / "lib-dynload"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return list(dict.fromkeys(path for path in paths if Path(path).is_dir()))


def read_roots() -> list[str]:
    """What a program may read: where it imports from, shared libraries, time zones, and three devices."""
    libraries = [sysconfig.get_config_var("LIBDIR") or "", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    system = ["/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/urandom"]
    real = [str(Path(path).resolve()) for path in (*import_paths(), *libraries, *system) if path and Path(path).exists()]
    return list(dict.fromkeys(real))
