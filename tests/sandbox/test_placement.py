"""A fork server keeps to one CPU while that serves it at once; what it runs may use them all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

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
