"""What the actor of a Ray node does with calls, without Ray: all come back, once each, in few replies, and none waits
for a slow one."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.errors import SandboxError
from coderlplus.records import CallTest, Problem
from coderlplus.sandbox import Job, Outcome, Sandbox
from coderlplus.sandbox.backends import ray_node
from coderlplus.sandbox.backends.ray_node import Done, NodeWork, Sent, Stored

PROBLEM = Problem(problem_id="p", statement="s", tests=(CallTest((), 1),), entry_point="f")
EVENTS = {name: threading.Event() for name in ("slow", "other")}


def doubled(execute: Any, number: int) -> int:
    return 2 * number


def statement(execute: Any, problem: Problem, number: int) -> tuple[str, int]:
    return problem.statement, number


def waits(execute: Any, name: str) -> str:
    assert EVENTS[name].wait(60)
    return name


def fails(execute: Any, number: int) -> None:
    raise SandboxError(f"no {number}")


def lock(execute: Any) -> Any:
    return threading.Lock()


class TakesTwo(Exception):
    """Pickle makes it again from its text alone."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Mute(Exception):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __str__(self) -> str:
        raise ValueError


def takes_two(execute: Any) -> None:
    raise TakesTwo(1, 2)


def mute(execute: Any) -> None:
    raise Mute


def runs(execute: Callable[[Job], Outcome], guest: str) -> str:
    return execute(Job(guest=f"coderlplus.judge.guest:{guest}")).ending


@pytest.fixture
def work(local: Sandbox) -> Iterator[NodeWork]:
    for event in EVENTS.values():
        event.clear()
    yield NodeWork(local, pickle.dumps, pickle.loads)
    for event in EVENTS.values():
        event.set()


def sent(serial: int, function: Callable[..., Any], *arguments: Any) -> Sent:
    return Sent(serial, 0.0, pickle.dumps((function, arguments)))


def all_of(work: NodeWork, count: int, first: list[Done]) -> dict[int, Done]:
    """What became of so many calls, some of which have come back; none comes twice."""
    found = list(first)
    while len(found) < count:
        found += work.exchange([], {}, 0.01)
    assert len({done.serial for done in found}) == len(found) == count
    return {done.serial: done for done in found}


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=6), pause_s=st.sampled_from([0.0, 0.01, 0.1]))
def test_every_call_comes_back_once_however_they_are_sent(local: Sandbox, sizes: list[int], pause_s: float) -> None:
    work = NodeWork(local, pickle.dumps, pickle.loads)
    serials = iter(range(1000))
    calls = [[sent(next(serials), doubled, size) for _ in range(size)] for size in sizes]
    with ThreadPoolExecutor(len(sizes)) as threads:
        replies = threads.map(lambda some: work.exchange(some, {}, pause_s), calls)
        first = [done for reply in replies for done in reply]
    found = all_of(work, sum(sizes), first)
    assert {serial: pickle.loads(done.value) for serial, done in found.items()} == {
        call.serial: 2 * size for some, size in zip(calls, sizes, strict=True) for call in some
    }


def test_a_slow_program_holds_up_no_other(work: NodeWork) -> None:
    first = work.exchange([sent(0, waits, "slow"), *(sent(n, doubled, n) for n in range(1, 9))], {}, 0.0)
    found = all_of(work, 8, first)
    assert 0 not in found
    EVENTS["slow"].set()
    assert [done.serial for done in work.exchange([], {}, 0.0)] == [0]


def test_another_exchange_ends_the_one_that_waits(work: NodeWork) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(work.exchange, [sent(0, waits, "slow")], {}, 0.0)
        time.sleep(0.1)
        assert not waiting.done()
        assert [done.serial for done in work.exchange([sent(1, doubled, 1)], {}, 0.0)] == [1]
        assert waiting.result(timeout=60) == []
    EVENTS["slow"].set()
    assert [done.serial for done in work.exchange([], {}, 0.0)] == [0]


def test_an_exchange_with_nothing_to_wait_for_ends(work: NodeWork) -> None:
    assert work.exchange([], {}, 60.0) == []


def test_a_call_under_which_the_sandbox_failed_says_so(work: NodeWork) -> None:
    """A guest that is not there ends the fork server."""
    found = all_of(work, 2, work.exchange([sent(0, runs, "echo"), sent(1, runs, "nothing")], {}, 0.0))
    assert [pickle.loads(found[serial].value) for serial in range(2)] == ["returned", "fault"]
    assert not found[0].fault
    assert "fork server" in found[1].fault


def test_what_a_call_raises_comes_back_and_so_does_what_cannot_be_pickled(work: NodeWork) -> None:
    calls = [sent(0, fails, 3), sent(1, lock), Sent(2, 0.0, b"not pickled"), sent(3, doubled, 1)]
    found = all_of(work, 4, work.exchange(calls, {}, 0.0))
    assert [found[serial].ending for serial in range(4)] == ["raised", "raised", "raised", "returned"]
    assert str(pickle.loads(found[0].value)) == "no 3"


def test_what_cannot_be_read_or_sent_back_fails_alone_in_one_sentence(work: NodeWork) -> None:
    calls = [sent(0, takes_two), sent(1, mute), sent(2, lock), Sent(3, 0.0, b"!"), sent(4, statement, Stored(7), 4)]
    found = all_of(work, 6, work.exchange([*calls, sent(5, doubled, 5)], {7: b"!"}, 0.0))
    errors = [pickle.loads(found[serial].value) for serial in range(5)]
    assert {type(error) for error in errors} == {SandboxError}
    unread = (
        "a node of the Ray cluster cannot read what was sent to it: _pickle.UnpicklingError: invalid load key, '!'."
    )
    assert [str(error) for error in errors] == [
        f"{__name__}.TakesTwo: 1 and 2",
        f"{__name__}.Mute: <exception str() failed>",
        "a node of the Ray cluster cannot send back what a call returned: TypeError: cannot pickle '_thread.lock' "
        "object",
        unread,
        unread,
    ]
    assert pickle.loads(found[5].value) == 10


def test_a_problem_is_sent_once_and_an_unknown_one_is_asked_for(
    work: NodeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = {7: pickle.dumps(PROBLEM)}
    (done,) = all_of(work, 1, work.exchange([sent(0, statement, Stored(7), 0)], problems, 0.0)).values()
    assert pickle.loads(done.value) == ("s", 0)
    found = all_of(
        work, 2, work.exchange([sent(1, statement, Stored(7), 1), sent(2, statement, Stored(8), 2)], {}, 0.0)
    )
    assert (pickle.loads(found[1].value), found[2].ending) == (("s", 1), "unknown")

    monkeypatch.setattr(ray_node, "PROBLEM_BYTES", 1)
    problems = {8: pickle.dumps(PROBLEM), 9: pickle.dumps(PROBLEM)}
    calls = [sent(n, statement, Stored(n - 2), n) for n in (10, 11)] + [sent(12, statement, Stored(7), 12)]
    found = all_of(work, 3, work.exchange(calls, problems, 0.0))
    assert [found[serial].ending for serial in (10, 11, 12)] == ["returned", "returned", "unknown"]


def test_results_that_are_large_come_in_several_replies(work: NodeWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_node, "MESSAGE_BYTES", 1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(work.exchange, [sent(n, doubled, n) for n in range(5)], {}, 60.0)
        assert len(waiting.result(timeout=60)) == 1
    assert len(all_of(work, 4, [])) == 4
