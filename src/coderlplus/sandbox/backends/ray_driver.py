"""The driver of the back end `ray`: one thread takes events from a queue (calls, answers of nodes) and is the only one
to change anything. It starts an actor on every node, shares out calls, and takes calls back from nodes that are
lost."""

from __future__ import annotations

import heapq
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from coderlplus.errors import SandboxError
from coderlplus.sandbox.backends.ray_cluster import (
    connection_of,
    has_no_room,
    head_of,
    node_class,
    raised,
    reach,
)
from coderlplus.sandbox.backends.ray_node import Done, Sent, said
from coderlplus.sandbox.backends.ray_sending import (
    ATTEMPTS,
    Call,
    Node,
    Problems,
    Waiting,
    found_sick,
    goes_on,
    messages,
    pause_s,
    shared_out,
    unsent,
)
from coderlplus.terminal import note

_AT_ONCE = 1000
"""Events that are dealt with before calls are handed out."""
_EXCHANGES = 16
"""Threads of an actor: each exchange has one until the next exchange, or its own answer, ends it."""
_LOOK_S = 5.0
"""How often the nodes of the cluster are looked at."""
_PATIENCE_S = 120.0
"""How long calls, and the start of the sandbox, wait while no node is ready."""
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


class Driver:
    """`settings` are those of the nodes' sandboxes (see `node_class`). `changed` is told how many workers are ready,
    and the layers that all nodes have had in force. `started` is done when all nodes are ready, or one and the others
    are late."""

    def __init__(self, ray: Any, settings: Sequence[Any], changed: Callable[[int, tuple[str, ...]], None]) -> None:
        self._ray, self._settings, self._changed = ray, settings, changed
        self._node_class = ray.remote(node_class())
        self._dumps, self._loads = ray.cloudpickle.dumps, ray.cloudpickle.loads
        self._connection = connection_of(ray)
        self._head, self._home = head_of(ray), ray.get_runtime_context().get_node_id()
        self.events: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self.started: Future[None] = Future()
        self.nodes: dict[str, Node] = {}
        self._reasons: dict[str, str] = {}
        """Why nodes are used no more, by their ids."""
        self._late: dict[str, str] = {}
        """Why nodes were lost before they were ready, by their ids."""
        self._waiting: Waiting = []
        self._problems = Problems(self._dumps, self.nodes)
        self._isolation: tuple[str, ...] | None = None
        self._alone_since = self._head_since = self._began = time.monotonic()

    def serve(self) -> None:
        """Deal with events until the sandbox is closed. Raises `SandboxError` when nothing can go on."""
        self._look()
        looked = time.monotonic()
        while True:
            for kind, subject, value in self._next_events():
                if kind == "close":
                    return
                if kind == "call":
                    self._wait([subject])
                    continue
                self._check_connection()  # where it has ended, this may be Ray's answer in place of the node's
                if subject in self.nodes.values():  # and was not lost meanwhile
                    (self._ready if kind == "ready" else self._replied)(subject, value)
            self._check_connection()
            if time.monotonic() - looked > _LOOK_S:
                self._look()
                looked = time.monotonic()
            if not self.started.done() and self.nodes and all(each.workers for each in self.nodes.values()):
                self.started.set_result(None)
            self._hand_out()

    def end(self, error: BaseException | None) -> None:
        """End all nodes, and all calls with the error or, without any, by cancelling them."""
        if not self.started.done():
            self.started.set_exception(error or SandboxError("the sandbox was closed while it started"))
        for node in self.nodes.values():
            self._kill(node)
        calls = [call for node in self.nodes.values() for call in node.calls.values()]
        calls += [call for _, call in self._waiting]
        while not self.events.empty():
            kind, subject, _ = self.events.get()
            calls += [subject] if kind == "call" else []
        for call in calls:
            if error is None:
                call.future.cancel()
            else:
                call.fail(error)

    def _next_events(self) -> Iterator[tuple[str, Any, Any]]:
        with suppress(queue.Empty):
            yield self.events.get(timeout=_LOOK_S)
            for _ in range(_AT_ONCE):
                yield self.events.get_nowait()

    def _check_connection(self) -> None:
        """Without it Ray would start a cluster of its own at the next call."""
        if connection_of(self._ray) != self._connection:
            raise SandboxError(_DISCONNECTED)

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
        for node_id in alive.keys() - self.nodes.keys() - self._reasons.keys():
            self._start(node_id, f"{alive[node_id]} ({node_id[:8]})")
        for node_id in self.nodes.keys() - alive.keys():
            self._lose(node_id)
        self._wait_for_nodes()

    def _wait_for_nodes(self) -> None:
        """Begin without the nodes that are late; give up if no node is ready for a while."""
        now = time.monotonic()
        if any(node.workers for node in self.nodes.values()):
            self._alone_since = now
            if not self.started.done() and now - self._began > _PATIENCE_S:
                self.started.set_result(None)
        elif now - self._alone_since > _PATIENCE_S:
            late = {id_: f"the node {node.where} has not started its sandbox" for id_, node in self.nodes.items()}
            reasons = "".join(f"; {reason}" for reason in (late | self._late | self._reasons).values())
            nowhere = SandboxError(
                f"no node of the Ray cluster is left for programs; start one, then try again{reasons}"
            )
            if not self.started.done():
                self.started.set_exception(nowhere)
            while self._waiting:
                heapq.heappop(self._waiting)[1].fail(nowhere)

    def _start(self, node_id: str, where: str) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        place = NodeAffinitySchedulingStrategy(node_id, soft=False)
        options = {"num_cpus": 0, "max_concurrency": _EXCHANGES, "scheduling_strategy": place}
        actor = self._node_class.options(**options).remote()
        node = self.nodes[node_id] = Node(node_id, actor, where)
        self._tell("ready", node, actor.start.remote(*self._settings))

    def _ready(self, node: Node, answer: Future[Any]) -> None:
        error = answer.exception()
        if error is None:
            node.workers, isolation = answer.result()
            self._late.pop(node.node_id, None)
            common = isolation if self._isolation is None else self._isolation
            self._isolation = tuple(layer for layer in common if layer in isolation)
            self._count()
        elif (cause := raised(error)) is not None:
            reason = f"the node {node.where} of the Ray cluster cannot run programs: {cause}"
            self._leave_out(node, reason)
            if not self.started.done():
                self.started.set_exception(SandboxError(reason))
        else:
            self._late[node.node_id] = f"the node {node.where} did not start its sandbox: {said(error)[:300]}"
            self._lose(node.node_id)

    def _replied(self, node: Node, answer: Future[Any]) -> None:
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

    def _done(self, node: Node, done: Done) -> None:
        call = node.calls.pop(done.serial, None)
        if call is None:
            return
        if done.ending == "unknown":
            node.problems.clear()
            self._wait([call])
            return
        if goes_on(call, node, done.fault, self.nodes):
            self._wait([call])
            return
        for sick, fault in found_sick(call, not done.fault, self.nodes):
            self._wait(sick.calls.values())  # it was not lost under them
            sick.calls.clear()
            times = f"{sick.faults} programs in a row, which then ran elsewhere"
            self._leave_out(sick, f"the sandbox of the node {sick.where} failed under {times}: {fault}")
        try:
            value = self._loads(done.value)
        except BaseException as error:
            call.fail(SandboxError(f"cannot read what came of a program on the Ray cluster: {said(error)}"))
            return
        if done.ending == "raised":
            call.fail(value)
        else:
            with suppress(InvalidStateError):  # it was cancelled
                call.future.set_result(value)

    def _leave_out(self, node: Node, reason: str) -> None:
        """Use a node no more; its calls wait again."""
        self._reasons[node.node_id] = " ".join(reason.split())
        note(f"{self._reasons[node.node_id]}; it is used no more")
        self._lose(node.node_id)

    def _lose(self, node_id: str) -> None:
        """Forget a node; its calls wait again."""
        node = self.nodes.pop(node_id)
        self._kill(node)
        for call in node.calls.values():
            call.losses += 1
            if call.losses >= ATTEMPTS:
                lost = f"{call.losses} nodes of the Ray cluster were lost while they ran the same program"
                call.fail(SandboxError(lost))
            else:
                self._wait([call])
        self._count()

    def _wait(self, calls: Iterable[Call]) -> None:
        for call in calls:
            heapq.heappush(self._waiting, (call.place, call))

    def _kill(self, node: Node) -> None:
        if connection_of(self._ray) == self._connection:
            with suppress(Exception):
                self._ray.kill(node.actor)

    def _count(self) -> None:
        self._changed(sum(node.workers for node in self.nodes.values()), self._isolation or ())

    def _hand_out(self) -> None:
        """Give calls to the nodes that have most room, and ask those that owe an answer for it."""
        parcels = shared_out(self._waiting, self.nodes)
        for node in self.nodes.values():
            for sent, problems in messages(parcels.get(node, []), node, self._problems, self._dumps):
                self._exchange(node, sent, problems)
            if node.calls and not node.exchanges:
                self._exchange(node, [], {})

    def _exchange(self, node: Node, sent: Sequence[Sent], problems: dict[int, bytes]) -> None:
        try:
            answer = node.actor.exchange.remote(sent, problems, pause_s(len(self.nodes)))
        except Exception as error:  # there is no room for them
            for call in sent:
                unsent(node.calls.pop(call.serial), error)
            node.problems -= problems.keys()
        else:
            node.exchanges += 1
            self._tell("replied", node, answer)

    def _tell(self, kind: str, subject: Any, reference: Any) -> None:
        """Make an event of the answer, when it is there."""
        reference.future().add_done_callback(lambda answer: self.events.put((kind, subject, answer)))
