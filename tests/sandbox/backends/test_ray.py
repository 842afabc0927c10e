"""Judging on a Ray cluster of several nodes on this machine: the same verdicts, and the loss of a node is no more than
time."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from coderlplus.errors import ConfigError, SandboxError
from coderlplus.judge import Judge
from coderlplus.records import CallTest, Limits, Problem, Rollout
from coderlplus.sandbox.backends.ray import RaySandbox

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'coderlplus[ray]')")

PROBLEM = Problem(
    problem_id="p",
    statement="",
    entry_point="f",
    tests=tuple(CallTest((n,), 2 * n) for n in range(3)),
    limits=Limits(wall_s=60),
)
RIGHT, WRONG, SLOW = (
    "def f(n): return 2 * n",
    "def f(n): return 7",
    "import time\ndef f(n):\n    time.sleep(0.3)\n    return 2 * n",
)


def small_node() -> dict[str, Any]:
    """Settings of a node. With its agents' ports fixed, Ray does not give up when they take more than 15 s to choose
    one (ray-project/ray#65983)."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False} | ports


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a second node, and this process as a driver. A minute or more on two cores: by its own command
    only."""
    if not os.environ.get("CODERLPLUS_RAY"):
        pytest.skip("a cluster is started by `make test-ray` only")
    from ray.cluster_utils import Cluster

    try:
        cluster = Cluster(initialize_head=True, head_node_args=small_node())
        cluster.second = cluster.add_node(**small_node())
    except Exception as error:  # Ray gives its processes 15 to 30 s, which a busy machine may not keep
        pytest.skip(f"Ray could not start two nodes here: {error}")
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def pairs(*programs: str) -> list[tuple[Problem, Rollout]]:
    return [
        (PROBLEM, Rollout(rollout_id=str(index), problem_id="p", program=program))
        for index, program in enumerate(programs)
    ]


def test_ray_must_be_connected() -> None:
    with pytest.raises(ConfigError, match=r"not connected to a Ray cluster; call ray\.init"):
        RaySandbox()


def test_verdicts_are_those_of_the_sandbox_here_and_nodes_may_come_and_go(cluster: Any, judge: Judge) -> None:
    with RaySandbox(workers_per_node=1) as sandbox:
        assert (len(sandbox.nodes()), sandbox.workers) == (2, 2)
        there = Judge(sandbox)
        programs = [f"{program}  # {index}" for index in range(20) for program in (RIGHT, WRONG, "1 / 0")]
        verdicts = there.judge_many(pairs(*programs))
        assert [verdict.verdict for verdict in verdicts] == [
            verdict.verdict for verdict in judge.judge_many(pairs(*programs))
        ]
        assert {"seccomp", "landlock"} <= set(verdicts[0].isolation)

        slow = there.judge_as_completed(pairs(*(f"{SLOW}  # {index}" for index in range(16))))
        next(slow)
        assert min(sandbox.nodes().values()) > 0
        cluster.remove_node(cluster.second, allow_graceful=False)
        left = list(slow)
        assert len(left) == 15
        assert all(verdict.passed for _, verdict in left)
        assert len(sandbox.nodes()) == 1

        actor = next(iter(sandbox._nodes.values())).actor
        slow = there.judge_as_completed(pairs(*(f"{SLOW}  # {index}" for index in range(16, 20))))
        os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)
        assert all(verdict.passed for _, verdict in slow)

        cluster.add_node(**small_node())
        deadline = time.monotonic() + 60
        while len(sandbox.nodes()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert there.judge(*pairs(RIGHT)[0]).passed
    with pytest.raises(SandboxError, match="closed"):
        there.judge(*pairs(RIGHT)[0])


def test_isolation_that_a_node_does_not_offer_is_an_error(cluster: Any) -> None:
    with pytest.raises(SandboxError, match="unknown layer of isolation 'walls'"):
        RaySandbox(layers=["walls"])
