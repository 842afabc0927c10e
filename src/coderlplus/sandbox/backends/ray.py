"""The back end `ray`: a sandbox on every node of a Ray cluster, which judges and traces on all of them.

    import ray
    ray.init(address="auto")
    with RaySandbox() as sandbox:
        verdicts = Judge(sandbox).judge_many([(problem, rollout), ...])

Each node has one actor with one warm `Sandbox`. Programs go to the node that has most room, a few ahead of what it can
run, the longest first; a problem is sent to a node once. A call of Ray costs this process about a millisecond, so one
carries many programs there and many verdicts back. When a node is lost, what it had is run again elsewhere; nodes that
join are used. The actors ask Ray for no CPUs (`num_cpus=0`): say with `workers_per_node` how many cores of a node
judging may take. This package must be installed on the nodes, in the same version.

This file is what users hold. `ray_driver.py` is the thread behind it, `ray_sending.py` decides what goes where,
`ray_node.py` is what an actor does with it, and `ray_cluster.py` asks Ray. Ray is imported when a `RaySandbox` is
made.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from coderlplus.errors import SandboxError
from coderlplus.sandbox.backends.ray_cluster import check_connection, connect, import_ray, versions
from coderlplus.sandbox.backends.ray_driver import Driver
from coderlplus.sandbox.backends.ray_node import said
from coderlplus.sandbox.backends.ray_sending import Call
from coderlplus.sandbox.pool import GENERATION, allowed_to_miss
from coderlplus.sandbox.protocol import FORKED, AnySandbox, BackEnd


class RaySandbox(AnySandbox):
    """The sandboxes of all nodes of the cluster that Ray is connected to, as one (see `AnySandbox`).

    Raises `ConfigError` if Ray is not installed or not connected, and `SandboxError` if a node does not offer the
    isolation asked for (see `Sandbox`), or none is ready after two minutes. `workers` is the number of workers on all
    nodes that are ready, and 1 while there are none. `call` may be used by any thread, not across a `fork`.
    """

    backend = "ray"
    can_trace = True

    def __init__(
        self,
        workers_per_node: int | None = None,
        *,
        layers: Sequence[str] | None = None,
        allow_missing: Sequence[str] | None = None,
    ) -> None:
        ray = import_ray()
        check_connection(ray)
        allow_missing = allowed_to_miss() or None if allow_missing is None else allow_missing
        self.workers = 1
        self.isolation: tuple[str, ...] = ()
        self.closed = False
        self._pid = os.getpid()
        self._serials = itertools.count()
        self._generation = self._generation_ends = 0
        self._lock = threading.Lock()
        self._ended: BaseException | None = None
        self._driver = Driver(ray, (versions(), workers_per_node, layers, allow_missing), self._changed)
        self._thread = threading.Thread(target=self._work, name="coderlplus-ray", daemon=True)
        self._thread.start()
        try:
            self._driver.started.result()
        except BaseException:
            self.close()
            raise

    def call(self, function: Callable[..., Any], *arguments: Any, weight: float = 0.0) -> Future[Any]:
        """Run `function(execute, *arguments)` on some node, as `Sandbox.call` does. The result is a `SandboxError` if
        no node is left for two minutes, or the head is gone for half a minute."""
        if os.getpid() != self._pid:
            raise SandboxError(FORKED)
        with self._lock:
            if self._ended is not None:
                raise self._ended
            if self.closed:
                raise SandboxError("the sandbox is closed; create a new one")
            serial = next(self._serials)
            if serial >= self._generation_ends:
                self._generation += 1
                self._generation_ends = serial + GENERATION * self.workers
            call = Call(function, arguments, weight, (self._generation, -float(weight), serial))
            self._driver.events.put(("call", call, None))
        return call.future

    def nodes(self) -> dict[str, int]:
        """The nodes in use: their Ray ids, and the calls that each has at the moment."""
        return {node_id: len(node.calls) for node_id, node in list(self._driver.nodes.items()) if node.workers}

    def close(self) -> None:
        """End all sandboxes; calls that are not done are cancelled."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self.closed = True
            self._driver.events.put(("close", None, None))
        self._thread.join()

    def _changed(self, workers: int, isolation: tuple[str, ...]) -> None:
        self.workers, self.isolation = max(1, workers), isolation  # whoever shares out work counts on a worker

    def _work(self) -> None:
        """The thread. If it fails, so does every call."""
        try:
            self._driver.serve()
        except BaseException as error:
            with self._lock:
                failed = SandboxError(f"the back end ray failed: {said(error)}")
                self._ended = error if isinstance(error, SandboxError) else failed
        self._driver.end(self._ended)


def _open(workers: int | None, address: str | None) -> RaySandbox:
    if address is not None:
        connect(address)
    return RaySandbox(workers)


BACKEND = BackEnd(name="ray", where="all nodes of a Ray cluster", open=_open, address="auto")
