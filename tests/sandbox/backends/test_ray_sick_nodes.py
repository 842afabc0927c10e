"""Nodes whose sandboxes fail, and programs under which every sandbox fails, on a stand-in for Ray: its nodes are
threads of this process, so that many clusters can be tried. The driver and the nodes' work are the real ones."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderlplus.sandbox import Job, Outcome
from coderlplus.sandbox.backends import ray as back_end
from coderlplus.sandbox.backends import ray_driver
from coderlplus.sandbox.backends.ray import RaySandbox
from coderlplus.sandbox.backends.ray_node import NodeWork
from coderlplus.sandbox.backends.ray_sending import FAULTS

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'coderlplus[ray]')")

Fails = Callable[[int], bool]
"""Whether the sandbox of a node fails under a program."""


class Cluster:
    """What the driver asks of Ray. Nodes may be added while it runs."""

    cloudpickle = ray.cloudpickle

    def __init__(self, nodes: Mapping[str, Fails], workers: int, pause_s: float = 0.0) -> None:
        self.at, self.workers, self.pause_s = dict(nodes), workers, pause_s
        self.threads = ThreadPoolExecutor(200)

    def is_initialized(self) -> bool:
        return False

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address="", get_node_id=lambda: id_of(next(iter(self.at))))

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": id_of(name), "NodeManagerAddress": name, "Alive": True} for name in self.at]

    def remote(self, kind: Any) -> Any:
        def options(scheduling_strategy: Any, **others: Any) -> Any:
            return SimpleNamespace(remote=lambda: self._actor(name_of(scheduling_strategy.node_id)))

        return SimpleNamespace(options=options)

    def kill(self, actor: Any) -> None:
        pass

    def _actor(self, name: str) -> Any:
        work = NodeWork(self._sandbox(name), ray.cloudpickle.dumps, ray.cloudpickle.loads)
        return SimpleNamespace(start=self._method(lambda *_: (self.workers, ())), exchange=self._method(work.exchange))

    def _method(self, function: Callable[..., Any]) -> Any:
        def remote(*arguments: Any) -> Any:
            future = self.threads.submit(function, *arguments)
            return SimpleNamespace(future=lambda: future)

        return SimpleNamespace(remote=remote)

    def _sandbox(self, name: str) -> Any:
        workers = ThreadPoolExecutor(self.workers)

        def execute(job: Job) -> Outcome:
            time.sleep(random.random() * self.pause_s)
            if self.at[name](job.payload):
                return Outcome(ending="fault", detail="the fork server ended")
            return Outcome(ending="returned")

        def call(function: Any, *arguments: Any, weight: float) -> Future[Any]:
            return workers.submit(function, execute, *arguments)

        return SimpleNamespace(call=call)


def id_of(name: str) -> str:
    return name.encode().hex().ljust(56, "0")


def name_of(node_id: str) -> str:
    return bytes.fromhex(node_id).rstrip(b"\0").decode()


def nodes_of(sandbox: RaySandbox) -> set[str]:
    return set(map(name_of, sandbox.nodes()))


def healthy(program: int) -> bool:
    return False


def sick(program: int) -> bool:
    return True


def sick_at_times() -> Fails:
    draws, lock = random.Random(0), threading.Lock()

    def fails(program: int) -> bool:
        with lock:
            return draws.random() < 0.5

    return fails


def run(execute: Callable[[Job], Outcome], program: int) -> str:
    return execute(Job(guest="a.b:c", payload=program)).ending


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    monkeypatch.setattr(back_end, "check_connection", lambda ray: None)
    monkeypatch.setattr(ray_driver, "_LOOK_S", 0.05)

    def cluster(*arguments: Any) -> Cluster:
        made = Cluster(*arguments)
        monkeypatch.setattr(back_end, "import_ray", lambda: made)
        return made

    return cluster


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def endings(sandbox: RaySandbox, programs: int) -> list[str]:
    futures = [sandbox.call(run, program) for program in range(programs)]
    return [future.result(timeout=60) for future in futures]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(["healthy", "sick", "at times"]), min_size=1, max_size=6),
    workers=st.integers(1, 2),
    programs=st.integers(0, 60),
    poison=st.sets(st.integers(0, 59)),
)
def test_every_program_ends_once_and_healthy_nodes_stay(
    cluster: Callable[..., Cluster], kinds: list[str], workers: int, programs: int, poison: set[int]
) -> None:
    """`poison` are programs under which every sandbox fails."""
    at = {"healthy": lambda: healthy, "sick": lambda: sick, "at times": sick_at_times}
    nodes = {f"{number} {kind}": at[kind]() for number, kind in enumerate(kinds)}
    cluster(
        {name: lambda program, fails=fails: program in poison or fails(program) for name, fails in nodes.items()},
        workers,
    )
    with RaySandbox() as sandbox:
        found = endings(sandbox, programs)
        left = nodes_of(sandbox)
    assert all(found[program] == "fault" for program in poison if program < programs)
    assert {name for name in nodes if name.endswith("healthy")} <= left
    assert left
    if "healthy" in kinds and sum(kind != "healthy" for kind in kinds) < 4:
        assert all(found[program] == "returned" for program in range(programs) if program not in poison)


@pytest.mark.parametrize("others", [1, 3])
def test_programs_under_which_every_sandbox_fails_cost_no_node(
    cluster: Callable[..., Cluster], others: int, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster(dict.fromkeys(map(str, range(1 + others)), lambda program: program % 40 < 30), 1)
    with RaySandbox() as sandbox:
        assert endings(sandbox, 200) == ["fault" if program % 40 < 30 else "returned" for program in range(200)]
        assert len(nodes_of(sandbox)) == 1 + others
    assert "used no more" not in capfd.readouterr().err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_that_fails_again_and_again_is_used_no_more(
    cluster: Callable[..., Cluster], workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster({"well": healthy, "ill": sick}, workers)
    with RaySandbox() as sandbox:
        assert endings(sandbox, 100) == ["returned"] * 100
        assert nodes_of(sandbox) == {"well"}
    assert capfd.readouterr().err.strip() == (
        f"the sandbox of the node ill ({id_of('ill')[:8]}) failed under {FAULTS * workers} programs in a row, which "
        "then ran elsewhere: the fork server ended; it is used no more"
    )


def test_one_failure_in_two_is_not_in_a_row(cluster: Callable[..., Cluster]) -> None:
    cluster({"well": healthy, "at times": lambda program: program % 2 == 0}, 1)
    with RaySandbox() as sandbox:
        for program in range(40):
            assert sandbox.call(run, program).result(timeout=60) == "returned"
        assert len(nodes_of(sandbox)) == 2


def test_a_sick_node_alone_is_helped_by_one_that_joins(cluster: Callable[..., Cluster]) -> None:
    """Also where its next answer tells of no failure, as the exchange was ended by another."""
    go_on = threading.Event()

    def ill(program: int) -> bool:
        return go_on.wait(60) if program < 0 else True

    nodes = cluster({"ill": ill}, 2)
    with RaySandbox() as sandbox:
        assert endings(sandbox, 20) == ["fault"] * 20
        slow = sandbox.call(run, -1)
        nodes.at["well"] = lambda program: False
        until(lambda: len(sandbox.nodes()) == 2)
        assert endings(sandbox, 40) == ["returned"] * 40
        assert nodes_of(sandbox) == {"well"}
        go_on.set()
        assert slow.result(timeout=60) == "returned"


def test_programs_that_were_with_a_sick_node_are_not_the_reason(cluster: Callable[..., Cluster]) -> None:
    """A program that lost four nodes is an error; these lost none."""
    go_on = threading.Event()

    def slow(program: int) -> bool:
        return program < 0 and not go_on.wait(60)

    cluster({"well": slow, "ill": lambda program: slow(program) or program >= 0}, 3)
    with RaySandbox() as sandbox:
        waiting = [sandbox.call(run, -1) for _ in range(2)]
        until(lambda: min(sandbox.nodes().values()) == 1)
        assert endings(sandbox, 40) == ["returned"] * 40
        (well,) = sandbox._driver.nodes.values()
        until(lambda: len(well.calls) == 2)
        assert [call.losses for call in well.calls.values()] == [0, 0]
        go_on.set()
        assert [future.result(timeout=60) for future in waiting] == ["returned"] * 2
