"""The pool: one thread and one fork server per worker, jobs in, outcomes out."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from coderlplus.errors import SandboxError
from coderlplus.sandbox.forkserver import ForkServer
from coderlplus.sandbox.jobs import Job, Outcome
from coderlplus.sandbox.layers import EXTRA_LAYERS, LAYERS
from coderlplus.sandbox.protocol import FORKED, AnySandbox

_MOST_WAITING = 3
"""For each worker so many jobs may wait (sleep, or read what never comes) while others run in their place."""
_ALLOW_MISSING = "CODERLPLUS_ALLOW_MISSING"
_PATIENCE_S, _PAUSE_S = 30.0, 0.2
"""How long a worker tries to start a fork server while the limit on processes is reached, and the pause between
tries."""
GENERATION = 64
"""Calls for each worker that may overtake one another by their weight; so nothing waits for ever."""

_Task = tuple[Future[Any], Callable[["_Worker"], Any]]


def allowed_to_miss() -> list[str]:
    """The layers that the environment variable names."""
    return [name.strip() for name in os.environ.get(_ALLOW_MISSING, "").split(",") if name.strip()]


class Sandbox(AnySandbox):
    """Runs jobs in sandboxed processes, on `workers` fork servers (default: one per core). Safe to share between
    threads; not across a `fork`.

    A job that waits instead of working gives its place to another, so `workers` counts those that work; up to three
    times as many may wait.

    `layers` are the layers of isolation asked for: by default `LAYERS`, and of `EXTRA_LAYERS` those that work here. A
    layer that was asked for and is not to be had is a `SandboxError` unless `allow_missing` names it (by default what
    the environment variable `CODERLPLUS_ALLOW_MISSING` names, with commas between; it is what commands have);
    `isolation` says which are in force, `missing` which are not, and why.

    >>> with Sandbox(workers=1) as sandbox:
    ...     outcome, = sandbox.run([Job(guest="coderlplus.judge.guest:echo", payload=[1, 2])])
    >>> outcome.ending, outcome.replies
    ('returned', ([1, 2],))
    """

    backend = "local"
    can_trace = True

    def __init__(
        self,
        workers: int | None = None,
        *,
        layers: Sequence[str] | None = None,
        allow_missing: Sequence[str] | None = None,
    ) -> None:
        known = (*LAYERS, *EXTRA_LAYERS)
        place = ""
        if allow_missing is None:
            place = f" in {_ALLOW_MISSING}"
            allow_missing = allowed_to_miss()
        for names, where in ((layers or (), ""), (allow_missing, place)):
            for name in names:
                if name not in known:
                    raise SandboxError(
                        f"unknown layer of isolation {name!r}{where}; the layers are {', '.join(known)}"
                    )
        self.workers = workers or len(os.sched_getaffinity(0))
        self.layers = known if layers is None else tuple(layer for layer in known if layer in layers)
        self.allow_missing = {*allow_missing, *(EXTRA_LAYERS if layers is None else ())}
        self.isolation: tuple[str, ...] = ()
        self.probed = False
        self.missing: dict[str, str] = {}
        self.closed = False
        self._tasks: list[tuple[int, float, int, _Task]] = []
        self._signals: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._serials = itertools.count()
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._waiting = 0
        self._pid = os.getpid()
        try:
            self._add_worker()
            first = self._put(lambda worker: worker.server(0)).result()
            self.isolation, self.missing, self.probed = first.isolation, first.missing, True
            for _ in range(self.workers - 1):
                self._add_worker()
        except BaseException:
            self.close()
            raise

    def call(self, function: Callable[..., Any], *arguments: Any, weight: float = 0.0) -> Future[Any]:
        """Run `function(execute, *arguments)` on a worker; it may call `execute(job)` as often as it needs, one job
        after the other. Raises `SandboxError` if the sandbox is closed or was inherited by a fork.

        Of the calls that wait, the heaviest goes first, so that no long one is left to the end; give the seconds that
        you expect.
        """
        return self._put(lambda worker: function(worker.run, *arguments), weight)

    def processes(self) -> list[int]:
        """The process ids of the fork servers."""
        with self._lock:
            return [server.process.pid for worker in self._workers for server in list(worker.servers.values())]

    def close(self) -> None:
        """End all processes; running jobs end with a fault, those not started are cancelled. The sandbox cannot be
        used any more."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self.closed = True
            tasks, self._tasks = self._tasks, []
            workers = list(self._workers)
            for worker in workers:
                for server in list(worker.servers.values()):
                    server.interrupt()
        for *_, (future, _) in tasks:
            future.cancel()
        for _ in workers:
            self._signals.put(False)
        for worker in workers:
            worker.thread.join()

    def _put(self, function: Callable[[_Worker], Any], weight: float = 0.0) -> Future[Any]:
        if os.getpid() != self._pid:
            raise SandboxError(FORKED)
        future: Future[Any] = Future()
        with self._lock:
            if self.closed:
                raise SandboxError("the sandbox is closed; create a new one")
            serial = next(self._serials)
            generation = serial // (GENERATION * self.workers)
            heapq.heappush(self._tasks, (generation, -weight, serial, (future, function)))
        self._signals.put(True)
        return future

    def next_task(self) -> _Task | None:
        """What to do next, once there is something; `None` at the end. For workers."""
        while self._signals.get():
            with self._lock:
                if self._tasks:
                    return heapq.heappop(self._tasks)[3]
        return None

    def _add_worker(self) -> None:
        worker = _Worker(self)
        with self._lock:
            if self.closed:
                return
            try:
                worker.thread.start()
            except RuntimeError as error:
                raise SandboxError(
                    f"cannot start a thread for the sandbox: {error}; raise the limit on processes (`ulimit -u`, "
                    "`--pids-limit` of a container), or set fewer workers"
                ) from error
            self._workers.add(worker)

    def waits(self, starts: bool) -> None:
        """A job has started to wait, or a job that waited has ended. For workers."""
        with self._lock:
            self._waiting += 1 if starts else -1
            most = self.workers + min(self._waiting, _MOST_WAITING * self.workers)
            short = not self.closed and len(self._workers) < most
        if starts and short:
            with contextlib.suppress(SandboxError):  # no more threads: the jobs that wait keep their place
                self._add_worker()

    def leave(self, worker: _Worker, *, only_if_spare: bool) -> bool:
        """Whether a worker may go now; it counts no more then. For workers."""
        with self._lock:
            if only_if_spare and len(self._workers) <= self.workers + self._waiting:
                return False
            self._workers.discard(worker)
            return True

    def register(self, worker: _Worker, hash_seed: int, server: ForkServer) -> None:
        """A worker has a new fork server. For workers."""
        with self._lock:
            worker.servers[hash_seed] = server
            if self.closed:
                server.interrupt()


class _Worker:
    """A thread with fork servers of its own, one for each hash seed: they die with the thread that started them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.servers: dict[int, ForkServer] = {}
        self.thread = threading.Thread(target=self._work, name="coderlplus-sandbox", daemon=True)

    def _work(self) -> None:
        try:
            while (task := self.sandbox.next_task()) is not None:
                self._do(*task)
                task = None
                if self.sandbox.leave(self, only_if_spare=True):
                    break
        finally:
            for server in list(self.servers.values()):
                server.close()
            self.sandbox.leave(self, only_if_spare=False)

    def _do(self, future: Future[Any], function: Callable[[_Worker], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function(self))
        except BaseException as error:
            future.set_exception(error)

    def run(self, job: Job) -> Outcome:
        """The outcome of a job. A fork server that fails is replaced, and the job run once more; a second failure is a
        `fault`.

        While the limit on processes is reached, the start of a fork server is tried again for half a minute."""
        isolation = self.sandbox.isolation
        until = time.monotonic() + _PATIENCE_S
        failures = 0
        while failures < 2:
            if self.sandbox.closed:
                return Outcome(ending="fault", detail="the sandbox was closed", isolation=isolation)
            try:
                server = self.server(job.hash_seed)
            except SandboxError as error:  # fork servers did start here before
                reason = str(error)
                if isinstance(error.__cause__, BlockingIOError) and time.monotonic() < until:
                    time.sleep(_PAUSE_S)
                else:
                    failures += 1
                continue
            waits = False

            def on_waiting() -> None:
                nonlocal waits
                waits = True
                self.sandbox.waits(True)

            try:
                outcome = server.run(job, on_waiting)
                faults = [each.detail for each in (outcome, outcome.peer) if each and each.ending == "fault"]
                if not faults:
                    return outcome
                reason = faults[0]
            except (OSError, ValueError, EOFError) as error:
                reason = f"{type(error).__name__}: {error}"
            finally:
                if waits:
                    self.sandbox.waits(False)
            failures += 1
            del self.servers[job.hash_seed]
            server.close()
        return Outcome(ending="fault", detail=reason, isolation=isolation)

    def server(self, hash_seed: int) -> ForkServer:
        """The fork server of this worker for a seed, started when it is needed. Raises `SandboxError`."""
        if hash_seed not in self.servers:
            sandbox = self.sandbox
            layers = sandbox.isolation if sandbox.probed else sandbox.layers
            server = ForkServer(layers, hash_seed, probe=not sandbox.probed)
            sandbox.register(self, hash_seed, server)
            lacking = {layer: reason for layer, reason in server.missing.items() if layer not in sandbox.allow_missing}
            if lacking:
                named = ", ".join(f"{layer} ({reason})" for layer, reason in lacking.items())
                raise SandboxError(
                    f"this machine does not offer the requested isolation: {named}; to run without it, set "
                    f"{_ALLOW_MISSING}={','.join(lacking)} or pass allow_missing={list(lacking)}"
                )
        return self.servers[hash_seed]
