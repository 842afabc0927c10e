"""One judge for all tests of the package, and short forms of problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from coderlplus.judge import Judge
from coderlplus.records import Limits, Problem, Rollout, Test, Verdict
from coderlplus.sandbox import Sandbox

SHORT = Limits(cpu_s=0.5, wall_s=3, memory_mb=256, output_kb=256)


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=2) as sandbox:
        yield Judge(sandbox)


@pytest.fixture(scope="session")
def verdict_on(judge: Judge) -> Callable[..., Verdict]:
    """`verdict_on(program, *tests, **problem fields)`"""

    def verdict_on(
        program: str,
        *tests: Test,
        entry_point: str | None = "f",
        limits: Limits = SHORT,
        all_tests: bool = False,
        **fields: str,
    ) -> Verdict:
        problem = Problem(problem_id="p", statement="", tests=tests, entry_point=entry_point, limits=limits, **fields)
        return judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program=program), all_tests=all_tests)

    return verdict_on
