"""What goes to which node of a Ray cluster: calls to the node that has most room, the longest first, packed in
messages; a problem goes to a node once. Ray itself is not needed here."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from coderlplus.errors import SandboxError
from coderlplus.records import Problem
from coderlplus.sandbox.backends.ray_node import MESSAGE_BYTES, PROBLEM_BYTES, Sent, Stored

AHEAD = 4
"""Calls handed to a node for each of its workers; the rest waits here, where any node can take it."""
ATTEMPTS = 4
"""Nodes that may be lost under one call, or whose sandbox may fail under it, before it counts as the reason."""
FAULTS = 4
"""Calls in a row for each worker under which the sandbox of a node may fail, and then ran elsewhere, before it is used
no more."""


@dataclass(slots=True, eq=False)
class Call:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    weight: float
    place: tuple[int, float, int]
    """Which of the calls that wait goes first: by generation, then the heaviest, then the oldest."""
    future: Future[Any] = field(default_factory=Future)
    losses: int = 0
    faulted: set[str] = field(default_factory=set)
    """Nodes whose sandbox failed under it; it goes to others, as long as there are any."""

    @property
    def serial(self) -> int:
        return self.place[2]

    def fail(self, error: BaseException) -> None:
        with suppress(InvalidStateError):  # it was cancelled
            self.future.set_exception(error)


Waiting = list[tuple[tuple[int, float, int], Call]]
"""A heap of calls by their place."""


@dataclass(slots=True, eq=False)
class Node:
    node_id: str
    actor: Any
    where: str
    """Its address and the beginning of its id, for messages."""
    workers: int = 0
    """0 until its sandbox is ready."""
    calls: dict[int, Call] = field(default_factory=dict)
    """What it has, by serial number."""
    exchanges: int = 0
    """Those without a reply."""
    problems: set[int] = field(default_factory=set)
    """Keys of those it was sent."""
    doubts: dict[int, str] = field(default_factory=dict)
    """How its sandbox failed, by the serial numbers of calls since the last one that went well. It says nothing of the
    node until it is known whether they run elsewhere: a program may do that to any sandbox."""
    faults: int = 0
    """How many of those calls then ran elsewhere."""

    def room(self) -> float:
        """Calls that it can still take, for each worker."""
        return AHEAD - len(self.calls) / self.workers if self.workers else 0.0

    def takes(self) -> bool:
        """Whether to send it calls: there is room, and they go with the next exchange, or it may run out of work
        before that."""
        return self.room() > (AHEAD / 2 if self.exchanges else 0)


class Problems:
    """The problems that were sent last, pickled, up to `PROBLEM_BYTES`; what goes is forgotten for all nodes."""

    def __init__(self, dumps: Callable[[Any], bytes], nodes: Mapping[str, Node]) -> None:
        self._dumps, self._nodes = dumps, nodes
        self._kept: OrderedDict[int, tuple[Problem, int, bytes]] = OrderedDict()
        self._keys = itertools.count()
        self._size = 0

    def stored(self, argument: Any, node: Node, lacking: dict[int, bytes]) -> Any:
        """A key in the place of a problem, which is added to `lacking` if the node was not sent it yet."""
        if not isinstance(argument, Problem):
            return argument
        if id(argument) not in self._kept:
            text = self._dumps(argument)
            self._kept[id(argument)] = argument, next(self._keys), text
            self._size += len(text)
            while self._size > PROBLEM_BYTES and len(self._kept) > 1:
                _, (_, key, old) = self._kept.popitem(last=False)
                self._size -= len(old)
                for each in self._nodes.values():
                    each.problems.discard(key)
        self._kept.move_to_end(id(argument))
        _, key, text = self._kept[id(argument)]
        if key not in node.problems:
            lacking[key] = text
        return Stored(key)


def shared_out(waiting: Waiting, nodes: Mapping[str, Node]) -> dict[Node, list[Call]]:
    """Take calls from those that wait, for the nodes that have most room. A cancelled call goes nowhere."""
    parcels: dict[Node, list[Call]] = {}
    free = [(-node.room(), node_id) for node_id, node in nodes.items() if node.takes()]
    heapq.heapify(free)
    aside: Waiting = []
    while waiting and free:
        place, call = heapq.heappop(waiting)
        if call.future.cancelled():
            continue
        best = free[0]
        if others := others_than(call.faulted, nodes):
            fit = [each for each in free if each[1] in others]
            if not fit:
                aside.append((place, call))
                continue
            best = min(fit)
        node = nodes[best[1]]
        node.calls[call.serial] = call
        parcels.setdefault(node, []).append(call)
        if best is free[0]:
            heapq.heappop(free)
        else:
            free.remove(best)
            heapq.heapify(free)
        if node.room() > 0:
            heapq.heappush(free, (-node.room(), node.node_id))
    for each in aside:
        heapq.heappush(waiting, each)
    return parcels


def others_than(faulted: Collection[str], nodes: Mapping[str, Node]) -> set[str]:
    """The nodes for a call under which the sandboxes of these failed, if it was any: all others or, where there are
    such, those whose sandbox has not just failed as well."""
    others = {node_id for node_id, node in nodes.items() if faulted and node.workers and node_id not in faulted}
    return {node_id for node_id in others if not nodes[node_id].doubts} or others


def goes_on(call: Call, node: Node, fault: str, nodes: Mapping[str, Node]) -> bool:
    """Whether a call that comes back from a node is to run on another one. `fault` says how the sandbox of the node
    failed under it, if it did."""
    if not fault:
        node.doubts.clear()
        node.faults = 0
        return False
    call.faulted.add(node.node_id)
    node.doubts[call.serial] = fault
    return len(call.faulted) < ATTEMPTS and bool(others_than(call.faulted, nodes))


def found_sick(call: Call, has_run: bool, nodes: Mapping[str, Node]) -> list[tuple[Node, str]]:
    """The nodes that are to be used no more, and how their sandboxes failed, now that this call is done: whether it
    `has_run` on some node says whether the fault was that of the others."""
    sick = []
    for node in (nodes[node_id] for node_id in call.faulted if node_id in nodes):
        fault = node.doubts.pop(call.serial, None)
        if fault is not None and has_run:
            node.faults += 1
            if node.faults >= FAULTS * node.workers:
                sick.append((node, fault))
    return sick


def messages(
    calls: Sequence[Call], node: Node, problems: Problems, dumps: Callable[[Any], bytes]
) -> Iterator[tuple[list[Sent], dict[int, bytes]]]:
    """Calls and the problems that the node lacks, about `MESSAGE_BYTES` at once. What cannot be pickled fails
    alone."""
    sent: list[Sent] = []
    given: dict[int, bytes] = {}
    size = 0
    for call in calls:
        lacking: dict[int, bytes] = {}
        try:
            arguments = [problems.stored(each, node, lacking) for each in call.arguments]
            work = dumps((call.function, arguments))
        except Exception as error:
            unsent(node.calls.pop(call.serial), error)
            continue
        more = len(work) + sum(map(len, lacking.values()))
        if sent and size + more > MESSAGE_BYTES:
            yield sent, given
            sent, given, size = [], {}, 0
        sent.append(Sent(call.serial, call.weight, work))
        given |= lacking
        node.problems |= lacking.keys()
        size += more
    if sent:
        yield sent, given


def unsent(call: Call, error: Exception) -> None:
    call.fail(SandboxError(f"cannot send a program to the Ray cluster: {' '.join(str(error).split())}"))


def pause_s(nodes: int) -> float:
    """Seconds between two replies of one of so many nodes, while it has work for longer: with all of them, this
    process has to deal with 200 replies a second at most."""
    return max(0.05, 0.005 * nodes)
