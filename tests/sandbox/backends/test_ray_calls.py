"""What callers do with the back end `ray`: odd values and errors, threads, forks, cancelling, another cluster. Each
call ends as it does on this machine, or with one sentence, and takes no other with it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from coderlplus.errors import CodeRLPlusError, ConfigError, DataError, NoTestsError, SandboxError
from coderlplus.judge import Judge
from coderlplus.records import CallTest, Limits, Problem, Rollout
from coderlplus.sandbox import Sandbox
from coderlplus.sandbox.backends import open_sandbox, ray_driver
from coderlplus.sandbox.backends.ray import RaySandbox
from coderlplus.sandbox.backends.ray_cluster import connect, node_class

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'coderlplus[ray]')")

PROBLEM = Problem(
    problem_id="p",
    statement="",
    entry_point="f",
    tests=tuple(CallTest((n,), 2 * n) for n in range(3)),
    limits=Limits(wall_s=60),
)


@pytest.fixture(scope="module", autouse=True)
def _known_by_value() -> None:
    """What this file defines is sent as code, because nodes cannot import it."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def pairs(count: int, first: int = 0, program: str = "def f(n): return 2 * n") -> list[tuple[Problem, Rollout]]:
    return [
        (PROBLEM, Rollout(rollout_id=str(n), problem_id="p", program=f"{program}  # {n}"))
        for n in range(first, first + count)
    ]


@pytest.fixture(scope="module")
def there(cluster: Any) -> Iterator[RaySandbox]:
    with RaySandbox(workers_per_node=1) as sandbox:
        yield sandbox


class TakesTwo(Exception):
    """Pickle makes it again from its text alone."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Mute(Exception):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __str__(self) -> str:
        raise ValueError


class Leaves:
    """Whoever reads it exits."""

    def __reduce__(self) -> Any:
        return sys.exit, (3,)


class OnlyHere:
    """Can be sent, and not be read."""

    def __reduce__(self) -> Any:
        return int, ("x",)


class OwnProblem(Problem):
    """As of a module that a node does not have."""

    def __reduce__(self) -> Any:
        return int, ("x",)


def same(execute: Any, value: Any) -> Any:
    return value


def fails(execute: Any, make: Callable[[], BaseException]) -> None:
    raise make()


def problem_of(execute: Any, problem: Problem) -> str:
    return problem.problem_id


@pytest.mark.parametrize("value", [None, 7, "\ud800", b"x" * (9 << 20), float("inf"), PROBLEM, [PROBLEM], {1: {2}}])
def test_values_come_back(there: RaySandbox, value: Any) -> None:
    assert there.call(same, value).result(timeout=60) == value


@pytest.mark.parametrize(
    "error",
    [ConfigError, DataError, NoTestsError, SandboxError, ValueError, KeyError, SystemExit, KeyboardInterrupt],
)
def test_errors_are_those_that_the_sandbox_here_raises(
    there: RaySandbox, local: Sandbox, error: type[BaseException]
) -> None:
    here, far = (sandbox.call(fails, lambda: error("three")).exception(timeout=60) for sandbox in (local, there))
    assert (type(far), str(far)) == (type(here), str(here))


@pytest.mark.parametrize(
    ("function", "argument", "said"),
    [
        (fails, lambda: TakesTwo(1, 2), "TakesTwo: 1 and 2$"),
        (fails, Mute, r"Mute: <exception str\(\) failed>$"),
        (fails, lambda: SystemExit(Leaves()), "SystemExit"),
        (same, OnlyHere(), "a node of the Ray cluster cannot read what was sent to it: ValueError: invalid literal"),
        (same, Leaves(), "a node of the Ray cluster cannot read what was sent to it: SystemExit: 3$"),
        (lambda execute, make: make(), OnlyHere, "cannot read what came of a program on the Ray cluster: ValueError"),
        (lambda execute, make: make(), Leaves, "cannot read what came of a program on the Ray cluster: SystemExit: 3"),
        (lambda execute, make: make(), threading.Lock, "a node of the Ray cluster cannot send back what a call"),
        (same, threading.Lock(), "cannot send a program to the Ray cluster: cannot pickle"),
        (
            problem_of,
            OwnProblem(problem_id="q", statement="", tests=(CallTest((), 1),), entry_point="f"),
            "a node of the Ray cluster cannot read what was sent to it: ValueError: invalid literal",
        ),
    ],
)
def test_what_cannot_be_pickled_or_read_is_one_sentence_and_fails_alone(
    there: RaySandbox, function: Any, argument: Any, said: str
) -> None:
    before = there.nodes().keys()
    futures = [there.call(same, n) for n in range(4)]
    odd = there.call(function, argument)
    futures += [there.call(same, n) for n in range(4, 8)]
    with pytest.raises(SandboxError, match=said) as caught:
        odd.result(timeout=60)
    assert "\n" not in str(caught.value)
    assert [future.result(timeout=60) for future in futures] == [*range(8)]
    assert there.nodes().keys() == before


@pytest.mark.parametrize("weight", [None, "heavy", float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_the_caller_s_error_only(there: RaySandbox, weight: Any) -> None:
    if isinstance(weight, float):
        assert there.call(same, 1, weight=weight).result(timeout=60) == 1
    else:
        with pytest.raises((TypeError, ValueError)):
            there.call(same, 1, weight=weight)
    assert there.call(same, 2).result(timeout=60) == 2


def test_no_call_waits_for_ever_behind_heavier_ones(there: RaySandbox) -> None:
    """As on this machine, a bounded number of calls overtakes a light one."""
    later, light = 0, threading.Event()

    def another(done: Future[Any]) -> None:
        nonlocal later
        if not light.is_set() and later < 2000:
            later += 1
            there.call(same, 0, weight=1.0).add_done_callback(another)

    for _ in range(20):
        there.call(same, 0, weight=1.0).add_done_callback(another)
    there.call(same, 1).add_done_callback(lambda _: light.set())
    assert light.wait(60)
    assert later < 1000


def test_threads_share_a_sandbox_and_what_one_breaks_off_costs_the_others_nothing(there: RaySandbox) -> None:
    """Judges of threads of their own: to the end, closed early, with rollouts that end in an error, cancelled."""

    def to_the_end(thread: int) -> list[str]:
        verdicts = dict(Judge(there).judge_as_completed(pairs(30, 1000 * thread)))
        assert sorted(verdicts) == [*range(30)]
        return [verdicts[index].rollout_id for index in sorted(verdicts) if verdicts[index].passed]

    def closed_early(thread: int) -> list[str]:
        verdicts = Judge(there).judge_as_completed(pairs(30, 1000 * thread, "import time\ndef f(n): time.sleep(0.3)"))
        next(verdicts)
        verdicts.close()
        return to_the_end(thread)

    def broken(thread: int) -> list[str]:
        def rollouts() -> Iterator[tuple[Problem, Rollout]]:
            yield from pairs(10, 1000 * thread)
            raise OSError("the file is gone")

        with pytest.raises(OSError, match="the file is gone"):
            Judge(there).judge_many(rollouts())
        return to_the_end(thread)

    def cancelled(thread: int) -> list[str]:
        for future in [there.call(lambda execute: time.sleep(0.2)) for _ in range(20)]:
            future.cancel()
        return to_the_end(thread)

    with ThreadPoolExecutor(4) as threads:
        found = [
            threads.submit(function, n) for n, function in enumerate((to_the_end, closed_early, broken, cancelled))
        ]
        for thread, future in enumerate(found):
            assert future.result(timeout=200) == [str(n) for n in range(1000 * thread, 1000 * thread + 30)]


def test_while_no_node_is_ready_programs_wait_for_one(there: RaySandbox) -> None:
    """Also those for which the number of workers says how many to take at once."""
    for pid in ray.get([node.actor.pid.remote() for node in there._driver.nodes.values()]):
        os.kill(pid, signal.SIGKILL)
    for _ in range(4):
        there.call(same, 0)
    deadline = time.monotonic() + 60
    while there.nodes():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert there.workers == 1
    assert asyncio.run(asyncio.wait_for(Judge(there).judge_async(*pairs(1, 7)[0]), 100)).passed
    assert all(verdict.passed for verdict in Judge(there).judge_many(pairs(10)))


def test_a_process_that_inherited_a_sandbox_says_so(there: RaySandbox) -> None:
    """And so does one in which only Ray was connected before; this process goes on with both."""

    def child(said: Any) -> None:
        there.close()
        for attempt in (lambda: there.call(same, 1), lambda: RaySandbox()):
            try:
                attempt()
            except CodeRLPlusError as error:
                said.put(str(error))

    fork = multiprocessing.get_context("fork")
    said = fork.SimpleQueue()
    process = fork.Process(target=child, args=(said,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert said.get() == "a sandbox does not survive a fork; create one in each process"
    assert "has its connection to the Ray cluster by a fork, over which nothing arrives" in said.get()
    assert there.call(same, 1).result(timeout=60) == 1


def test_an_address_of_another_cluster_is_an_error_while_there_is_a_connection(cluster: Any) -> None:
    host, port = cluster.address.split(":")
    with pytest.raises(ConfigError, match=f"is connected to the Ray cluster at {cluster.address}, not to the one at "):
        open_sandbox("ray", address=f"{host}:{int(port) - 1}")
    for one in (cluster.address, f"localhost:{port}", "auto"):
        open_sandbox("ray", address=one, workers=1).close()


def test_threads_that_connect_at_the_same_time_share_the_connection(cluster: Any) -> None:
    ray.shutdown()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(connect, 4 * [cluster.address]))
    assert ray.is_initialized()


def test_nodes_on_which_no_sandbox_starts_are_an_error(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their actors end without a word, time and again."""

    def start(self: Any, *settings: Any) -> None:
        os._exit(1)

    dying = type("Dying", (node_class(),), {"start": start})
    monkeypatch.setattr(ray_driver, "node_class", lambda: dying)
    monkeypatch.setattr(ray_driver, "_PATIENCE_S", 20.0)
    with pytest.raises(
        SandboxError, match=r"no node of the Ray cluster is left for programs; .*; the node "
    ) as caught:
        RaySandbox(workers_per_node=1)
    assert "\n" not in str(caught.value)


def test_closing_twice_and_in_two_threads_is_closing(cluster: Any) -> None:
    sandbox = RaySandbox(workers_per_node=1)
    futures = [sandbox.call(lambda execute: time.sleep(60)) for _ in range(20)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: sandbox.close(), range(2)))
    assert all(future.cancelled() for future in futures)
    sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.call(same, 1)
