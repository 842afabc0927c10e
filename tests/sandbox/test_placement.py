"""A fork server keeps to one CPU while that serves it at once; what it runs may use them all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from coderlplus.judge import Judge
from coderlplus.records import CheckTest, Problem, Rollout
from coderlplus.sandbox import Job, Sandbox
from coderlplus.sandbox.placement import Placement


@pytest.fixture
def cpus() -> Iterator[set[int]]:
    before = os.sched_getaffinity(0)
    yield before
    os.sched_setaffinity(0, before)


def test_a_program_may_run_on_all_cpus_of_its_owner() -> None:
    payload = {"setup_code": "", "program": "import os\nprint(sorted(os.sched_getaffinity(0)))", "stdins": [None]}
    with Sandbox(workers=1) as sandbox:
        outcomes = sandbox.run([Job(guest="coderlplus.judge.guest:run_stdio", payload=payload)] * 3)
    assert [outcome.stdout.decode() for outcome in outcomes] == [f"{sorted(os.sched_getaffinity(0))}\n"] * 3


def test_of_two_programs_that_talk_each_may_run_on_all_cpus_in_the_end() -> None:
    wait_and_tell = "import os, time\ndef f():\n    time.sleep(0.4)\n    return sorted(os.sched_getaffinity(0))"
    problem = Problem(
        problem_id="p",
        statement="",
        tests=(CheckTest(f"assert f() == {sorted(os.sched_getaffinity(0))}"),),
        entry_point="f",
    )
    with Sandbox(workers=1) as sandbox:
        verdict = Judge(sandbox).judge(problem, Rollout(rollout_id="r", problem_id="p", program=wait_and_tell))
    assert verdict.passed, verdict.first_failure


def test_a_fork_server_stays_until_a_job_had_to_wait(cpus: set[int]) -> None:
    placement = Placement()
    placement.settle()
    assert len(os.sched_getaffinity(0)) == 1
    placement.review(wall_s=1.001, cpu_s=1.0)
    assert len(os.sched_getaffinity(0)) == 1
    placement.review(wall_s=1.5, cpu_s=1.0)
    assert os.sched_getaffinity(0) == cpus
    placement.settle()
    assert len(os.sched_getaffinity(0)) == 1


def test_a_child_leaves_the_cpu_of_its_fork_server(cpus: set[int]) -> None:
    placement = Placement()
    placement.settle()
    placement.spread()
    assert os.sched_getaffinity(0) == cpus
