"""What goes to which node of a Ray cluster, without Ray: every call once, none above a node's room, each problem
before the calls that need it and not twice."""

from __future__ import annotations

import heapq
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.errors import SandboxError
from coderlplus.records import Problem, StdioTest
from coderlplus.sandbox.backends import ray_sending
from coderlplus.sandbox.backends.ray_node import Sent
from coderlplus.sandbox.backends.ray_sending import AHEAD, Call, Node, Problems, Waiting, messages, shared_out

PROBLEMS = [Problem(problem_id=str(n), statement=100 * "s", tests=(StdioTest("", ""),)) for n in range(5)]
SIZE = len(pickle.dumps(PROBLEMS[0]))


def called(*arguments: Any, serial: int = 0, weight: float = 0.0) -> Call:
    return Call(print, arguments, weight, (0, -weight, serial))


def node(name: str, workers: int) -> Node:
    return Node(name, None, name, workers=workers)


@settings(max_examples=50, deadline=None)
@given(
    workers=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    weights=st.lists(st.floats(0, 9), max_size=50),
    cancelled=st.sets(st.integers(0, 49)),
)
def test_calls_go_where_there_is_room_and_the_heaviest_first(
    workers: list[int], weights: list[float], cancelled: set[int]
) -> None:
    nodes = {str(n): node(str(n), each) for n, each in enumerate(workers)}
    waiting: Waiting = []
    for serial, weight in enumerate(weights):
        call = called(serial=serial, weight=weight)
        if serial in cancelled:
            call.future.cancel()
        heapq.heappush(waiting, (call.place, call))
    wanted = [call for _, call in sorted(waiting) if not call.future.cancelled()]
    parcels = shared_out(waiting, nodes)
    out = {call.serial for calls in parcels.values() for call in calls}
    assert out == {call.serial for call in wanted[: AHEAD * sum(workers)]}
    assert sum(map(len, parcels.values())) == len(out)
    for each in nodes.values():
        assert list(each.calls.values()) == parcels.get(each, [])
        assert len(each.calls) <= AHEAD * each.workers
    left = [call for _, call in waiting if not call.future.cancelled()]
    assert sorted(call.serial for call in wanted) == sorted([*out, *(call.serial for call in left)])


@settings(max_examples=50, deadline=None)
@given(
    workers=st.lists(st.integers(0, 2), min_size=1, max_size=4),
    faulted=st.lists(st.sets(st.sampled_from("0123")), max_size=30),
)
def test_a_call_goes_where_it_has_not_failed_as_long_as_there_is_such_a_node(
    workers: list[int], faulted: list[set[str]]
) -> None:
    nodes = {str(n): node(str(n), each) for n, each in enumerate(workers)}
    waiting: Waiting = []
    for serial, each in enumerate(faulted):
        call = called(serial=serial)
        call.faulted = each
        heapq.heappush(waiting, (call.place, call))
    calls = [call for _, call in waiting]
    ready = {node_id for node_id, each in nodes.items() if each.workers}
    while any(shared_out(waiting, nodes).values()):
        for each in nodes.values():
            for call in each.calls.values():
                assert each.node_id not in call.faulted or ready <= call.faulted
                calls.remove(call)
            each.calls.clear()
    assert not calls or not ready
    assert len(waiting) == len(calls)


@settings(max_examples=50, deadline=None)
@given(calls=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2000)), max_size=20), kept=st.integers(1, 5))
def test_messages_hold_every_call_once_and_what_it_needs_is_there(
    calls: list[tuple[int, int]], kept: int, monkeypatch_module: pytest.MonkeyPatch
) -> None:
    """The node keeps every problem here; it says which of them it lacks (`test_ray_node.py`)."""
    monkeypatch_module.setattr(ray_sending, "MESSAGE_BYTES", 1500)
    monkeypatch_module.setattr(ray_sending, "PROBLEM_BYTES", kept * SIZE)
    target = node("n", 8)
    problems = Problems(pickle.dumps, {"n": target})
    given_calls = [called(PROBLEMS[n], size * "x", serial=serial) for serial, (n, size) in enumerate(calls)]
    target.calls = {call.serial: call for call in given_calls}
    there: dict[int, Problem] = {}
    arrived: list[Sent] = []
    for sent, texts in messages(given_calls, target, problems, pickle.dumps):
        assert len(sent) == 1 or sum(map(len, (*(one.work for one in sent), *texts.values()))) <= 1500
        assert not texts.keys() & there.keys()
        there |= {key: pickle.loads(text) for key, text in texts.items()}
        for one in sent:
            _, (stored, text) = pickle.loads(one.work)
            assert (there[stored.key], text) == given_calls[one.serial].arguments
        arrived += sent
    assert [one.serial for one in arrived] == [*range(len(calls))]
    assert len(target.problems) <= kept + 1


@pytest.fixture(scope="module")
def monkeypatch_module() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        yield patched


def test_what_cannot_be_pickled_fails_alone() -> None:
    target = node("n", 8)
    calls = [called(1, serial=0), called(threading.Lock(), serial=1), called(2, serial=2)]
    target.calls = {call.serial: call for call in calls}
    found = list(messages(calls, target, Problems(pickle.dumps, {}), pickle.dumps))
    assert [one.serial for sent, _ in found for one in sent] == [0, 2]
    assert isinstance(calls[1].future.exception(), SandboxError)
    assert target.calls.keys() == {0, 2}
