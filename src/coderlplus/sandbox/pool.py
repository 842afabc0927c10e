"""The pool: one thread and one fork server per worker, jobs in, outcomes out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from coderlplus.errors import SandboxError
from coderlplus.sandbox.confine import EXTRA_LAYERS, LAYERS
from coderlplus.sandbox.forkserver import ForkServer
from coderlplus.sandbox.jobs import Job, Outcome


class Sandbox:
    """Runs jobs in sandboxed processes, on `workers` fork servers (default: one per core). Safe to share between threads; not across a `fork`.

    `layers` are the layers of isolation asked for: by default `LAYERS`, and of `EXTRA_LAYERS` those that work here. A layer that was asked for and is
    not to be had is a `SandboxError` unless `allow_missing` names it; `isolation` says which are in force, `missing` which are not, and why.

    >>> with Sandbox(workers=1) as sandbox:
    ...     outcome, = sandbox.run([Job(guest="coderlplus.judge.guest:echo", payload=[1, 2])])
    >>> outcome.ending, outcome.replies
    ('returned', ([1, 2],))
    """

    def __init__(self, workers: int | None = None, *, layers: Sequence[str] | None = None, allow_missing: Sequence[str] = ()) -> None:
        known = (*LAYERS, *EXTRA_LAYERS)
        for name in (*(layers or ()), *allow_missing):
            if name not in known:
                raise SandboxError(f"unknown layer of isolation {name!r}; the layers are {', '.join(known)}")
        self.workers = workers or len(os.sched_getaffinity(0))
        self.layers = tuple(layer for layer in known if layers is None or layer in layers)
        self._allow_missing = frozenset(allow_missing) | (frozenset(EXTRA_LAYERS) if layers is None else frozenset())
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="coderlplus-sandbox")
        self._local = threading.local()
        self._lock = threading.Lock()
        self._servers: set[ForkServer] = set()
        self._pid = os.getpid()
        self.closed = False
        self._probed: tuple[str, ...] | None = None
        try:
            first = self._threads.submit(self._server, 0).result()
        except BaseException:
            self.close()
            raise
        self.isolation = self._probed = first.isolation
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
            return [server.process.pid for server in self._servers]

    def close(self) -> None:
        """End all processes; running jobs end with a fault. The sandbox cannot be used any more."""
        if os.getpid() != self._pid:
            return
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self.closed = True
            for server in self._servers:
                server.interrupt()
        self._threads.shutdown(wait=True)
        while self._servers:
            self._servers.pop().close()

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
            server = self._server(job.hash_seed)
            try:
                outcome = server.run(job)
                faults = [each.detail for each in (outcome, outcome.peer) if each is not None and each.ending == "fault"]
                if not faults:
                    return outcome
                reason = faults[0]
            except (OSError, ValueError, EOFError) as error:
                reason = f"{type(error).__name__}: {error}"
            self._discard(server, job.hash_seed)
        return Outcome(ending="fault", detail=reason, isolation=self.isolation)

    def _server(self, hash_seed: int) -> ForkServer:
        """The fork server of the calling worker thread: its death signal is tied to the thread that started it."""
        mine: dict[int, ForkServer] = self._local.__dict__.setdefault("servers", {})
        if hash_seed not in mine:
            server = ForkServer(self.layers if self._probed is None else self._probed, hash_seed, probe=self._probed is None)
            with self._lock:
                self._servers.add(server)
                if self.closed:
                    server.interrupt()
            lacking = {layer: reason for layer, reason in server.missing.items() if layer not in self._allow_missing}
            if lacking:
                named = ", ".join(f"{layer} ({reason})" for layer, reason in lacking.items())
                names = ", ".join(map(repr, lacking))
                raise SandboxError(f"this machine does not offer the isolation asked for: {named}; pass allow_missing=({names},) to run without it")
            mine[hash_seed] = server
        return mine[hash_seed]

    def _discard(self, server: ForkServer, hash_seed: int) -> None:
        del self._local.servers[hash_seed]
        with self._lock:
            self._servers.discard(server)
        server.close()
