"""The back end `ray`: a sandbox on every node of a Ray cluster, which judges and traces on all of them.

    import ray
    ray.init(address="auto")
    with RaySandbox() as sandbox:
        verdicts = Judge(sandbox).judge_many([(problem, rollout), ...])

Each node has one actor with one warm `Sandbox`. Programs go to the node that has most room, a few ahead of what it can
run, the longest first; a problem is sent to the object store once. When a node is lost, what it had is run again
elsewhere; nodes that join are used. The actors ask Ray for no CPUs (`num_cpus=0`): say with `workers_per_node` how
many cores of a node judging may take. This package must be installed on the nodes.

Ray is imported when a `RaySandbox` is made. Everything that changes is changed by one thread, which takes events from
a queue.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import queue
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError, SandboxError
from coderlplus.records import Problem
from coderlplus.sandbox.pool import Sandbox
from coderlplus.sandbox.protocol import AnySandbox, BackEnd

_CONNECT_S = 10.0
_AHEAD = 4
"""Calls handed to a node for each of its workers; the rest waits here, where any node can take it."""
_ATTEMPTS = 4
"""Nodes that may be lost under one call before it counts as the reason."""
_LOOK_S = 5.0
"""How often the nodes of the cluster are looked at."""
_PATIENCE_S = 120.0
"""How long calls wait when there is no node."""
_PROBLEMS = 512
"""Problems kept in the object store."""


class NodeSandbox:
    """The actor of one node."""

    def start(
        self, workers: int | None, layers: Sequence[str] | None, allow_missing: Sequence[str] | None
    ) -> tuple[int, tuple[str, ...]]:
        """Workers and layers in force. Raises `SandboxError`."""
        self.sandbox = Sandbox(workers, layers=layers, allow_missing=allow_missing)
        return self.sandbox.workers, self.sandbox.isolation

    def pid(self) -> int:
        return os.getpid()

    async def call(self, function: Callable[..., Any], weight: float, *arguments: Any) -> Any:
        return await asyncio.wrap_future(self.sandbox.call(function, *arguments, weight=weight))


@dataclass(slots=True)
class _Node:
    actor: Any
    workers: int = 0
    """0 until its sandbox is ready."""
    calls: set[_Call] = field(default_factory=set)

    def room(self) -> float:
        """Calls that it can still take, for each worker."""
        return _AHEAD - len(self.calls) / self.workers if self.workers else 0.0


@dataclass(slots=True, eq=False)
class _Call:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    weight: float
    serial: int
    future: Future[Any] = field(default_factory=Future)
    losses: int = 0


class RaySandbox(AnySandbox):
    """The sandboxes of all nodes of the cluster that Ray is connected to, as one (see `AnySandbox`).

    Raises `ConfigError` if Ray is not installed or not connected, and `SandboxError` if a node does not offer the
    isolation asked for (see `Sandbox`). `workers` is the number of workers on all nodes that are ready. `call` may be
    used by any thread.
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
        self._ray = _ray()
        if not self._ray.is_initialized():
            raise ConfigError(
                "not connected to a Ray cluster; give its address, such as auto, or call ray.init() first"
            )
        self._settings = (workers_per_node, layers, allow_missing)
        self._events: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._serials = itertools.count()
        self._nodes: dict[str, _Node] = {}
        self._unfit: set[str] = set()
        self._waiting: list[tuple[float, int, _Call]] = []
        self._problems: OrderedDict[int, tuple[Problem, Any]] = OrderedDict()
        self._alone_since = time.monotonic()
        self.workers = 0
        self.isolation: tuple[str, ...] = ()
        self.closed = False
        self._started: Future[None] = Future()
        self._look()
        self._thread = threading.Thread(target=self._work, name="coderlplus-ray", daemon=True)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self.close()
            raise

    def call(self, function: Callable[..., Any], *arguments: Any, weight: float = 0.0) -> Future[Any]:
        """Run `function(execute, *arguments)` on some node, as `Sandbox.call` does. The result is a `SandboxError` if
        no node is left for two minutes."""
        if self.closed:
            raise SandboxError("the sandbox is closed; create a new one")
        call = _Call(function, arguments, weight, next(self._serials))
        self._events.put(("call", call, None))
        return call.future

    def nodes(self) -> dict[str, int]:
        """The nodes in use: their Ray ids, and the calls that each has at the moment."""
        return {node_id: len(node.calls) for node_id, node in list(self._nodes.items()) if node.workers}

    def close(self) -> None:
        """End all sandboxes; calls that are not done are cancelled."""
        if not self.closed:
            self.closed = True
            self._events.put(("close", None, None))
            self._thread.join()

    def _work(self) -> None:
        looked = time.monotonic()
        while True:
            try:
                kind, subject, value = self._events.get(timeout=_LOOK_S)
            except queue.Empty:
                kind, subject, value = "", None, None
            if kind == "close":
                break
            if kind == "call":
                heapq.heappush(self._waiting, (-subject.weight, subject.serial, subject))
            elif kind == "ready":
                self._ready(subject, value)
            elif kind == "done":
                node_id, call = subject
                self._done(node_id, call, value)
            if time.monotonic() - looked > _LOOK_S:
                self._look()
                looked = time.monotonic()
            self._hand_out()
        for node in self._nodes.values():
            with suppress(Exception):
                self._ray.kill(node.actor)
            for call in node.calls:
                call.future.cancel()
        for *_, call in self._waiting:
            call.future.cancel()

    def _look(self) -> None:
        """Start an actor on each node that has none; forget nodes that are gone."""
        with suppress(Exception):
            alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
            for node_id in alive - self._nodes.keys() - self._unfit:
                self._start(node_id)
            for node_id in self._nodes.keys() - alive:
                self._lose(node_id)
        if self._nodes:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _PATIENCE_S:
            while self._waiting:
                error = SandboxError("no node of the Ray cluster is left for programs; start one, then try again")
                _fail(heapq.heappop(self._waiting)[2], error)

    def _start(self, node_id: str) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        place = NodeAffinitySchedulingStrategy(node_id, soft=False)
        options = {"num_cpus": 0, "max_concurrency": 1000, "scheduling_strategy": place}
        actor = self._ray.remote(NodeSandbox).options(**options).remote()
        self._nodes[node_id] = _Node(actor)
        self._tell("ready", node_id, actor.start.remote(*self._settings))

    def _ready(self, node_id: str, answer: Future[Any]) -> None:
        node = self._nodes.get(node_id)
        error = answer.exception()
        if node is None:
            return
        if error is None:
            node.workers, isolation = answer.result()
            common = self.isolation if self.workers else isolation
            self.isolation = tuple(layer for layer in common if layer in isolation)
            self._count()
        elif _is_ours(error):
            cause = getattr(error, "cause", error)
            self._unfit.add(node_id)
            self._lose(node_id)
            if not isinstance(cause, SandboxError):
                cause = SandboxError(f"node {node_id[:8]} cannot run programs: {cause!r}")
            if not self._started.done():
                self._started.set_exception(cause)
        else:
            self._lose(node_id)
        if not self._started.done() and all(each.workers for each in self._nodes.values()):
            if self._nodes:
                self._started.set_result(None)
            else:
                self._started.set_exception(SandboxError("no node of the Ray cluster could start a sandbox"))

    def _done(self, node_id: str, call: _Call, answer: Future[Any]) -> None:
        node = self._nodes.get(node_id)
        if node is None or call not in node.calls:
            return  # the node was lost, and the call is elsewhere
        node.calls.discard(call)
        error = answer.exception()
        if error is None:
            with suppress(InvalidStateError):
                call.future.set_result(answer.result())
        elif _is_ours(error):
            _fail(call, getattr(error, "cause", error))
        else:
            node.calls.add(call)
            self._lose(node_id)
            self._look()

    def _lose(self, node_id: str) -> None:
        """Forget a node; its calls wait again."""
        node = self._nodes.pop(node_id)
        with suppress(Exception):
            self._ray.kill(node.actor)
        for call in node.calls:
            call.losses += 1
            if call.losses >= _ATTEMPTS:
                lost = f"{call.losses} nodes of the Ray cluster were lost while they ran the same program"
                _fail(call, SandboxError(lost))
            else:
                heapq.heappush(self._waiting, (-call.weight, call.serial, call))
        self._count()

    def _count(self) -> None:
        self.workers = sum(node.workers for node in self._nodes.values())

    def _hand_out(self) -> None:
        while self._waiting:
            node_id = max(self._nodes, key=lambda name: self._nodes[name].room(), default=None)
            if node_id is None or self._nodes[node_id].room() <= 0:
                return
            _, _, call = heapq.heappop(self._waiting)
            if call.future.cancelled():
                continue
            node = self._nodes[node_id]
            node.calls.add(call)
            answer = node.actor.call.remote(call.function, call.weight, *map(self._stored, call.arguments))
            self._tell("done", (node_id, call), answer)

    def _stored(self, argument: Any) -> Any:
        """A reference in the place of a problem: it is sent to each node once."""
        if not isinstance(argument, Problem):
            return argument
        key = id(argument)
        if key not in self._problems:
            self._problems[key] = argument, self._ray.put(argument)
            if len(self._problems) > _PROBLEMS:
                self._problems.popitem(last=False)
        self._problems.move_to_end(key)
        return self._problems[key][1]

    def _tell(self, kind: str, subject: Any, reference: Any) -> None:
        """Make an event of the answer, when it is there."""
        reference.future().add_done_callback(lambda answer: self._events.put((kind, subject, answer)))


def connect(address: str) -> None:
    """Connect Ray to the cluster at `address`, unless it is connected. Raises `ConfigError`."""
    ray = _ray()
    if ray.is_initialized():
        return
    try:
        host, _, port = _noted(address).rpartition("://")[2].rpartition(":")
        if host and port.isdecimal():  # Ray itself tries for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()).rstrip(".")
        raise ConfigError(
            f"cannot connect to a Ray cluster at {address!r}: {reason}; start one with ray start --head, or name "
            "another address"
        ) from error


def _noted(address: str) -> str:
    """What `auto` stands for: the cluster of `RAY_ADDRESS`, or the one that Ray noted last, which may be gone."""
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    if address != "auto":
        return address
    return os.environ.get("RAY_ADDRESS") or (noted.read_text().strip() if noted.is_file() else address)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError("Ray is not installed; pip install 'coderlplus[ray]'") from error
    return ray


def _is_ours(error: BaseException) -> bool:
    """Whether a call raised the error itself; any other means that its node, or its actor, is gone."""
    from ray.exceptions import RayTaskError

    return isinstance(error, RayTaskError)


def _fail(call: _Call, error: BaseException) -> None:
    with suppress(InvalidStateError):
        call.future.set_exception(error)


def _open(workers: int | None, address: str | None) -> RaySandbox:
    if address is not None:
        connect(address)
    return RaySandbox(workers)


BACKEND = BackEnd(name="ray", where="all nodes of a Ray cluster", open=_open, address="auto")
