"""Judging and tracing on a Ray cluster of several nodes on this machine: the same verdicts and traces, and a lost node
costs no more than time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coderlplus.alignment import AlignmentConfig, JudgedRollout, mine
from coderlplus.errors import ConfigError, SandboxError
from coderlplus.judge import Judge
from coderlplus.records import CallInput, CallTest, Limits, Problem, ProgramInput, Rollout, StdioInput, write_jsonl
from coderlplus.sandbox import Sandbox
from coderlplus.sandbox.backends import open_sandbox
from coderlplus.sandbox.backends.ray import RaySandbox
from coderlplus.tracing import TraceRequest, trace_many

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

LIMITS = Limits(cpu_s=1, wall_s=30)
TRACED: dict[str, ProgramInput] = {
    "x = int(input())\ny = [x] * 3\nfor i in range(4):\n    y.append(i * x)\nprint(sum(y))": StdioInput("5\n"),
    "def f(n):\n    seen = {str(i) for i in range(n)}\n    return sorted(seen)": CallInput("f", (4,)),
    "import random\nx = random.random()": StdioInput(""),
    "def f(a):\n    b = a[0] * 7\n    return b / 0": CallInput("f", ([3, 1],)),
    "n = 6 * 7\nwhile True: pass": StdioInput(""),
    "import sys\nf = sys._getframe()": StdioInput(""),
    "x = = 1": StdioInput(""),
}


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
    with pytest.raises(ConfigError, match="not connected to a Ray cluster; give its address, such as auto"):
        RaySandbox()


@pytest.mark.parametrize("address", ["auto", "nonsense", "127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999"])
def test_where_there_is_no_cluster_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match=f"cannot connect to a Ray cluster at '{address}': ") as caught:
        open_sandbox("ray", address=address)
    assert "\n" not in str(caught.value)


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


def test_traces_and_tasks_are_those_of_the_sandbox_here(cluster: Any, local: Sandbox, judge: Judge) -> None:
    """With steps, chance, a crash and a limit: everything that tracing does, and the tasks mined from it."""
    requests = [
        TraceRequest(program=program, input=given, semantics=semantics, max_steps=max_steps, limits=LIMITS)
        for program, given in TRACED.items()
        for semantics, max_steps in (("final", 0), ("binding", 0), ("official", 0), ("final", 50))
    ]
    programs = [f"{WRONG}  # {index}" for index in range(3)] + [
        "def f(n):\n    m = n * 11\n    return m + 1",
        "def f(n):\n    total = 7\n    for i in range(n + 3):\n        total += i * 9\n    return total",
        "def f(n):\n    m = n * 11\n    return m / 0",
        "import random\ndef f(n):\n    m = random.random()\n    return m",
    ]
    with open_sandbox("ray", address=cluster.address, workers=1) as there:
        assert [trace.to_json() for trace in trace_many(there, requests)] == [
            trace.to_json() for trace in trace_many(local, requests)
        ]
        judged = [
            JudgedRollout(problem, rollout, rollout.program, verdict)
            for (problem, rollout), verdict in zip(
                pairs(*programs), Judge(there).judge_many(pairs(*programs)), strict=True
            )
        ]
        settings = AlignmentConfig(kinds=dict.fromkeys(("final_values", "exception", "state_at", "branch"), 0.25))
        mined = mine(there, judged, settings=settings)
        assert mined.tasks
        assert mined == mine(local, judged, settings=settings)


def test_every_command_that_runs_programs_does_so_on_the_cluster(cluster: Any, tmp_path: Path) -> None:
    """A process of its own, which connects to the address."""
    write_jsonl(tmp_path / "problems.jsonl", [PROBLEM])
    rollouts = [rollout for _, rollout in pairs(RIGHT, "def f(n):\n    m = n * 11\n    return m + 1")]
    write_jsonl(tmp_path / "programs.jsonl", rollouts)
    (tmp_path / "p.py").write_text("x = 6 * 7")
    where = ["--backend", "ray", "--address", cluster.address]
    files = ["problems.jsonl", "programs.jsonl", "-o"]
    for command in (
        ["judge", *files, "v.jsonl"],
        ["tasks", *files, "t.jsonl"],
        ["trace", "p.py", "--stdin", "/dev/null"],
    ):
        line = [str(Path(sys.executable).with_name("coderlplus")), *command, *where, "--json"]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told.get("verdicts", {"passed": 1, "wrong_answer": 1}) == {"passed": 1, "wrong_answer": 1}
        assert told.get("tasks", 1) == 1
        assert told.get("variables", {"<module>": {"x": 42}}) == {"<module>": {"x": 42}}


def test_isolation_that_a_node_does_not_offer_is_an_error(cluster: Any) -> None:
    with pytest.raises(SandboxError, match="unknown layer of isolation 'walls'"):
        RaySandbox(layers=["walls"])
