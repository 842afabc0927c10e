"""The back end `ray`: a sandbox on every node of a Ray cluster, which judges and traces on all of them.

    import ray
    ray.init(address="auto")
    with RaySandbox() as sandbox:
        verdicts = Judge(sandbox).judge_many([(problem, rollout), ...])

Each node has one actor with one warm `Sandbox`. Programs go to the node that has most room, a few ahead of what it can
run, the longest first; a problem is sent to a node once. A call of Ray costs this process about a millisecond, so one
carries many programs there and many verdicts back (`NodeWork.exchange`). When a node is lost, what it had is run
again elsewhere; nodes that join are used. The actors ask Ray for no CPUs (`num_cpus=0`): say with `workers_per_node`
how many cores of a node judging may take. This package must be installed on the nodes, in the same version.

Ray is imported when a `RaySandbox` is made. Everything that changes is changed by one thread, which takes events from
a queue; if that thread fails, so does every call.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from coderlplus.errors import ConfigError, SandboxError
from coderlplus.records import Problem
from coderlplus.sandbox.backends.ray_cluster import (
    connect,
    connection_of,
    has_no_room,
    head_of,
    import_ray,
    node_class,
    raised,
    reach,
    versions,
)
from coderlplus.sandbox.backends.ray_node import MESSAGE_BYTES, PROBLEM_BYTES, Done, Sent, Stored
from coderlplus.sandbox.pool import allowed_to_miss
from coderlplus.sandbox.protocol import AnySandbox, BackEnd

_AHEAD = 4
"""Calls handed to a node for each of its workers; the rest waits here, where any node can take it."""
_AT_ONCE = 1000
"""Events that are dealt with before calls are handed out."""
_EXCHANGES = 16
"""Threads of an actor: each exchange has one until the next exchange, or its own answer, ends it."""
_ATTEMPTS = 4
"""Nodes that may be lost under one call before it counts as the reason."""
_LOOK_S = 5.0
"""How often the nodes of the cluster are looked at."""
_PATIENCE_S = 120.0
"""How long calls wait when there is no node."""
_HEAD_S = 30.0
"""How long the head may be away; after a minute Ray ends this process without a word."""
_HEADLESS = (
    "the head of the Ray cluster does not answer; start the cluster again and rerun the command, which keeps what is "
    "finished"
)
_HOMELESS = (
    "the node of the Ray cluster to which this process is connected is gone; rerun the command, which keeps what is "
    "finished"
)
_DISCONNECTED = "Ray was shut down while programs ran on it; make a new sandbox after ray.init()"


@dataclass(slots=True, eq=False)
class _Node:
    node_id: str
    actor: Any
    where: str
    """Its address and the beginning of its id, for messages."""
    workers: int = 0
    """0 until its sandbox is ready."""
    calls: dict[int, _Call] = field(default_factory=dict)
    """What it has, by serial number."""
    exchanges: int = 0
    """Those without a reply."""
    problems: set[int] = field(default_factory=set)
    """Keys of those it was sent."""

    def room(self) -> float:
        """Calls that it can still take, for each worker."""
        return _AHEAD - len(self.calls) / self.workers if self.workers else 0.0

    def takes(self) -> bool:
        """Whether to send it calls: there is room, and they go with the next exchange, or it may run out of work
        before that."""
        return self.room() > (_AHEAD / 2 if self.exchanges else 0)


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
        self._ray = import_ray()
        if not self._ray.is_initialized():
            raise ConfigError(
                "not connected to a Ray cluster; give its address, such as auto, or call ray.init() first"
            )
        allow_missing = allowed_to_miss() or None if allow_missing is None else allow_missing
        self._settings = (versions(), workers_per_node, layers, allow_missing)
        self._node_class = self._ray.remote(node_class())
        self._pickle = self._ray.cloudpickle
        self._connection = connection_of(self._ray)
        self._head, self._home = head_of(self._ray), self._ray.get_runtime_context().get_node_id()
        self._events: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._serials = itertools.count()
        self._nodes: dict[str, _Node] = {}
        self._unfit: dict[str, str] = {}
        self._waiting: list[tuple[float, int, _Call]] = []
        self._problems: OrderedDict[int, tuple[Problem, int, bytes]] = OrderedDict()
        self._problem_bytes = 0
        self._began = self._alone_since = self._head_since = time.monotonic()
        self._lock = threading.Lock()
        self._ended: Exception | None = None
        self.workers = 0
        self.isolation: tuple[str, ...] = ()
        self.closed = False
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name="coderlplus-ray", daemon=True)
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self.close()
            raise

    def call(self, function: Callable[..., Any], *arguments: Any, weight: float = 0.0) -> Future[Any]:
        """Run `function(execute, *arguments)` on some node, as `Sandbox.call` does. The result is a `SandboxError` if
        no node is left for two minutes, or the head is gone for half a minute."""
        call = _Call(function, arguments, weight, next(self._serials))
        with self._lock:
            if self._ended is not None:
                raise self._ended
            if self.closed:
                raise SandboxError("the sandbox is closed; create a new one")
            self._events.put(("call", call, None))
        return call.future

    def nodes(self) -> dict[str, int]:
        """The nodes in use: their Ray ids, and the calls that each has at the moment."""
        return {node_id: len(node.calls) for node_id, node in list(self._nodes.items()) if node.workers}

    def close(self) -> None:
        """End all sandboxes; calls that are not done are cancelled."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self._events.put(("close", None, None))
        self._thread.join()

    def _work(self) -> None:
        try:
            self._serve()
        except Exception as error:
            with self._lock:
                failed = SandboxError(f"the back end ray failed with {type(error).__name__}: {error}")
                self._ended = error if isinstance(error, SandboxError) else failed
        if not self._started.done():
            self._started.set_exception(self._ended or SandboxError("the sandbox was closed while it started"))
        for node in self._nodes.values() if connection_of(self._ray) == self._connection else ():
            with suppress(Exception):
                self._ray.kill(node.actor)
        calls = [call for node in self._nodes.values() for call in node.calls.values()]
        calls += [call for *_, call in self._waiting]
        while not self._events.empty():
            kind, subject, _ = self._events.get()
            calls += [subject] if kind == "call" else []
        for call in calls:
            if self._ended is None:
                call.future.cancel()
            else:
                _fail(call, self._ended)

    def _serve(self) -> None:
        """Deal with events until the sandbox is closed."""
        self._look()
        looked = time.monotonic()
        while True:
            for kind, subject, value in self._next_events():
                if kind == "close":
                    return
                if kind == "call":
                    heapq.heappush(self._waiting, (-subject.weight, subject.serial, subject))
                elif subject in self._nodes.values():  # and was not lost meanwhile
                    (self._ready if kind == "ready" else self._replied)(subject, value)
            if time.monotonic() - looked > _LOOK_S:
                self._look()
                looked = time.monotonic()
            if connection_of(self._ray) != self._connection:
                raise SandboxError(_DISCONNECTED)
            self._hand_out()

    def _next_events(self) -> Iterator[tuple[str, Any, Any]]:
        with suppress(queue.Empty):
            yield self._events.get(timeout=_LOOK_S)
            for _ in range(_AT_ONCE):
                yield self._events.get_nowait()

    def _look(self) -> None:
        """Start an actor on each node that has none; forget nodes that are gone. Raises `SandboxError` if the head has
        not answered for a while, or the node is gone through which this process talks to all: with it Ray ends what
        this process has started anywhere."""
        try:
            if self._head is not None:
                reach(*self._head)
            alive = {node["NodeID"]: node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]}
        except Exception as error:
            if time.monotonic() - self._head_since > _HEAD_S:
                raise SandboxError(_HEADLESS) from error
            return
        self._head_since = time.monotonic()
        if self._home not in alive:
            raise SandboxError(_HOMELESS)
        for node_id in alive.keys() - self._nodes.keys() - self._unfit.keys():
            self._start(node_id, f"{alive[node_id]} ({node_id[:8]})")
        for node_id in self._nodes.keys() - alive.keys():
            self._lose(node_id)
        if self.workers or (self._nodes and not self._started.done()):
            self._alone_since = time.monotonic()
            if self.workers and not self._started.done() and time.monotonic() - self._began > _PATIENCE_S:
                self._started.set_result(None)  # without the nodes that take longer
        elif time.monotonic() - self._alone_since > _PATIENCE_S:
            reasons = "".join(f"; {reason}" for reason in self._unfit.values())
            nowhere = SandboxError(
                f"no node of the Ray cluster is left for programs; start one, then try again{reasons}"
            )
            if not self._started.done():
                self._started.set_exception(nowhere)
            while self._waiting:
                _fail(heapq.heappop(self._waiting)[2], nowhere)

    def _start(self, node_id: str, where: str) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        place = NodeAffinitySchedulingStrategy(node_id, soft=False)
        options = {"num_cpus": 0, "max_concurrency": _EXCHANGES, "scheduling_strategy": place}
        actor = self._node_class.options(**options).remote()
        node = self._nodes[node_id] = _Node(node_id, actor, where)
        self._tell("ready", node, actor.start.remote(*self._settings))

    def _ready(self, node: _Node, answer: Future[Any]) -> None:
        error = answer.exception()
        if error is None:
            node.workers, isolation = answer.result()
            common = self.isolation if self.workers else isolation
            self.isolation = tuple(layer for layer in common if layer in isolation)
            self._count()
        elif (cause := raised(error)) is not None:
            reason = f"the node {node.where} of the Ray cluster cannot run programs: {cause}"
            self._leave_out(node, reason)
            if not self._started.done():
                self._started.set_exception(SandboxError(reason))
        else:
            self._lose(node.node_id)
        if not self._started.done() and self._nodes and all(each.workers for each in self._nodes.values()):
            self._started.set_result(None)

    def _replied(self, node: _Node, answer: Future[Any]) -> None:
        node.exchanges -= 1
        error = answer.exception()
        if error is None:
            for done in answer.result():
                self._done(node, done)
        elif has_no_room(error):
            self._leave_out(node, f"the node {node.where} had no room for what came of a program: {error}")
        elif (cause := raised(error)) is not None:
            self._leave_out(node, f"the node {node.where} failed with {type(cause).__name__}: {cause}")
        else:
            self._lose(node.node_id)
            self._look()

    def _done(self, node: _Node, done: Done) -> None:
        call = node.calls.pop(done.serial, None)
        if call is None:
            return
        if done.ending == "unknown":
            node.problems.clear()
            heapq.heappush(self._waiting, (-call.weight, call.serial, call))
            return
        try:
            value, error = self._pickle.loads(done.value), None
        except Exception as unreadable:
            value, error = None, unreadable
        with suppress(InvalidStateError):
            if error is None and done.ending == "returned":
                call.future.set_result(value)
            else:
                call.future.set_exception(error or value)

    def _leave_out(self, node: _Node, reason: str) -> None:
        """Use a node no more; its calls wait again."""
        self._unfit[node.node_id] = " ".join(reason.split())
        self._lose(node.node_id)

    def _lose(self, node_id: str) -> None:
        """Forget a node; its calls wait again."""
        node = self._nodes.pop(node_id)
        with suppress(Exception):
            self._ray.kill(node.actor)
        for call in node.calls.values():
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
        """Give calls to the nodes that have most room, and ask those that owe an answer for it."""
        parcels: dict[_Node, list[_Call]] = {}
        free = [(-node.room(), node_id) for node_id, node in self._nodes.items() if node.takes()]
        heapq.heapify(free)
        while self._waiting and free:
            call = heapq.heappop(self._waiting)[2]
            if call.future.cancelled():
                continue
            node = self._nodes[free[0][1]]
            node.calls[call.serial] = call
            parcels.setdefault(node, []).append(call)
            if node.room() > 0:
                heapq.heapreplace(free, (-node.room(), node.node_id))
            else:
                heapq.heappop(free)
        for node in self._nodes.values():
            if node in parcels or (node.calls and not node.exchanges):
                self._send(node, parcels.get(node, []))

    def _send(self, node: _Node, calls: Sequence[_Call]) -> None:
        """In as many messages as their problems take, or in one that only asks. What cannot be sent fails alone."""
        sent: list[Sent] = []
        problems: dict[int, bytes] = {}
        size = 0
        for call in calls:
            lacking: dict[int, bytes] = {}
            try:
                arguments = [self._stored(each, node, lacking) for each in call.arguments]
                work = self._pickle.dumps((call.function, arguments))
            except Exception as error:  # it cannot be pickled
                _unsent(node.calls.pop(call.serial), error)
                continue
            more = len(work) + sum(map(len, lacking.values()))
            if lacking and sent and size + more > MESSAGE_BYTES:
                self._exchange(node, sent, problems)
                sent, problems, size = [], {}, 0
            sent.append(Sent(call.serial, call.weight, work))
            problems |= lacking
            node.problems |= lacking.keys()
            size += more
        if sent or not calls:
            self._exchange(node, sent, problems)

    def _exchange(self, node: _Node, sent: Sequence[Sent], problems: dict[int, bytes]) -> None:
        try:
            answer = node.actor.exchange.remote(sent, problems, pause_s(len(self._nodes)))
        except Exception as error:  # there is no room for them
            for call in sent:
                _unsent(node.calls.pop(call.serial), error)
            node.problems -= problems.keys()
        else:
            node.exchanges += 1
            self._tell("replied", node, answer)

    def _stored(self, argument: Any, node: _Node, lacking: dict[int, bytes]) -> Any:
        """A key in the place of a problem, which is added to `lacking` if the node was not sent it yet."""
        if not isinstance(argument, Problem):
            return argument
        if id(argument) not in self._problems:
            text = self._pickle.dumps(argument)
            self._problems[id(argument)] = argument, next(self._serials), text
            self._problem_bytes += len(text)
            while self._problem_bytes > PROBLEM_BYTES and len(self._problems) > 1:
                _, (_, key, old) = self._problems.popitem(last=False)
                self._problem_bytes -= len(old)
                for other in self._nodes.values():
                    other.problems.discard(key)
        self._problems.move_to_end(id(argument))
        _, key, text = self._problems[id(argument)]
        if key not in node.problems:
            lacking[key] = text
        return Stored(key)

    def _tell(self, kind: str, subject: Any, reference: Any) -> None:
        """Make an event of the answer, when it is there."""
        reference.future().add_done_callback(lambda answer: self._events.put((kind, subject, answer)))


def pause_s(nodes: int) -> float:
    """Seconds between two replies of one of so many nodes, while it has work for longer: with all of them, this
    process has to deal with 200 replies a second at most."""
    return max(0.05, 0.005 * nodes)


def _fail(call: _Call, error: BaseException) -> None:
    with suppress(InvalidStateError):
        call.future.set_exception(error)


def _unsent(call: _Call, error: Exception) -> None:
    _fail(call, SandboxError(f"cannot send a program to the Ray cluster: {' '.join(str(error).split())}"))


def _open(workers: int | None, address: str | None) -> RaySandbox:
    if address is not None:
        connect(address)
    return RaySandbox(workers)


BACKEND = BackEnd(name="ray", where="all nodes of a Ray cluster", open=_open, address="auto")
