"""Judging and tracing on a Ray cluster of several nodes on this machine: the same verdicts and traces, and a lost node
costs no more than time."""

from __future__ import annotations

import json
import os
import shutil
import signal
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
from coderlplus.records import (
    CallInput,
    CallTest,
    Limits,
    Problem,
    ProgramInput,
    Rollout,
    StdioInput,
    StdioTest,
    write_jsonl,
)
from coderlplus.sandbox import Sandbox
from coderlplus.sandbox.backends import open_sandbox
from coderlplus.sandbox.backends.ray import RaySandbox
from coderlplus.tracing import TraceRequest, trace_many

from .conftest import small_node

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

        actor = next(iter(sandbox._driver.nodes.values())).actor
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


COMMANDS = {
    "judge": ["judge", "problems.jsonl", "programs.jsonl", "-o", "out/verdicts.jsonl", "--all-tests"],
    "tasks": ["tasks", "problems.jsonl", "programs.jsonl", "-o", "out/tasks.jsonl"],
    "prepare": ["prepare", "problems.jsonl", "-o", "out/problems.jsonl", "--benchmarks", "none"],
    "eval": ["eval", "--samples", "programs.jsonl", "--benchmarks", "problems.jsonl", "-o", "out/eval"],
    "trace": ["trace", "p.py", "--stdin", "/dev/null", "--html", "out/trace.html", "--json"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_writes_what_it_writes_without_a_cluster(cluster: Any, tmp_path: Path, command: str) -> None:
    """In a process of its own, which connects to the address. Rows come in the order of completion, and take other
    times."""
    problems = [
        Problem(
            problem_id=f"p{n}",
            statement=f"Write f, which adds {n} to a number.",
            entry_point="f",
            tests=(CallTest((1,), 1 + n), CallTest((5,), 5 + n)),
            reference=f"def f(x):\n    return x + {n}",
        )
        for n in range(6)
    ]
    programs = [f"def f(x):\n    y = x * {k}\n    z = y + {k}\n    return z" for k in range(4)]
    write_jsonl(tmp_path / "problems.jsonl", problems)
    write_jsonl(
        tmp_path / "programs.jsonl",
        [
            Rollout(rollout_id=f"{problem.problem_id}-{k}", problem_id=problem.problem_id, program=program)
            for problem in problems
            for k, program in enumerate((*programs, problem.reference))
        ],
    )
    (tmp_path / "p.py").write_text("x = 6 * 7\nfor y in range(x):\n    z = y")
    backend = "--sandbox-backend" if command == "eval" else "--backend"

    def written(*where: str) -> dict[str, Any]:
        (tmp_path / "out").mkdir()
        line = [str(Path(sys.executable).with_name("coderlplus")), *COMMANDS[command], *where]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        files = {
            str(path.relative_to(tmp_path)): comparable(path)
            for path in sorted((tmp_path / "out").rglob("*"))
            if path.is_file() and not path.name.endswith(NOT_COMPARED)
        }
        shutil.rmtree(tmp_path / "out")
        return files

    here = written()
    assert here
    assert written(backend, "ray", "--address", cluster.address) == here


NOT_COMPARED = (".run.json", ".report.json", ".lock", "index.html")
"""Notes on the run, and the page of an evaluation, which shows the other files with their times."""
TIMES = ("cpu_s", "wall_s", "peak_mb", "seconds", "isolation")


def comparable(path: Path) -> Any:
    """What a file holds, in some order, without what depends on time and machine."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(inner) for name, inner in value.items() if name not in TIMES}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return plain(json.loads(text))
    if path.suffix != ".jsonl":
        return text
    return sorted(json.dumps(plain(json.loads(line)), sort_keys=True) for line in text.splitlines())


def test_a_slow_reader_holds_up_the_writer(cluster: Any) -> None:
    """However many programs there are, as many are taken as fit, and nodes have a few each for their workers."""
    taken = 0

    def endless() -> Iterator[tuple[Problem, Rollout]]:
        nonlocal taken
        while True:
            yield pairs(f"{RIGHT}  # {taken}")[0]
            taken += 1

    with RaySandbox(workers_per_node=1) as sandbox:
        verdicts = Judge(sandbox).judge_as_completed(endless())
        for read in range(10):
            next(verdicts)
            time.sleep(0.2)
            assert taken <= 64 * sandbox.workers + read + 1
            assert max(sandbox.nodes().values()) <= 4
        verdicts.close()


def test_problems_that_fill_more_than_a_message_and_all_that_is_kept(cluster: Any) -> None:
    """20 problems of 6 MB, of which a node keeps ten, in turns."""
    problems = [
        Problem(problem_id=str(n), statement="", tests=(StdioTest(f"{n}\n" + 6_000_000 * "x", f"{n}"),))
        for n in range(20)
    ]
    programs = [
        (problem, Rollout(rollout_id="", problem_id=problem.problem_id, program=f"print(input())  # {index}"))
        for index in range(3)
        for problem in problems
    ]
    with RaySandbox(workers_per_node=2) as sandbox:
        assert all(verdict.passed for verdict in Judge(sandbox).judge_many(programs))


def test_isolation_that_a_node_does_not_offer_is_an_error(cluster: Any) -> None:
    with pytest.raises(SandboxError, match="unknown layer of isolation 'walls'"):
        RaySandbox(layers=["walls"])
