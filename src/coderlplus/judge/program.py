"""One program on the tests of its problem: in which processes they run, and when a failure counts.

Tests of one kind run in one process, one after the other, in batches of 8, then 32, 128, …, so that a program that fails early costs little. A test
that fails in company is run again alone, in a fresh process with the whole limits, before its failure counts; what passes in company is passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

from coderlplus.judge.checkers import Acceptance
from coderlplus.judge.runs import CallRuns, CheckRuns, Runs, StdioRuns
from coderlplus.records import Failure, Problem, Verdict
from coderlplus.sandbox import Job, Outcome

IN_PROCESS = "in_process_check"
"""Stands among the layers of a verdict whose test code ran in the process of the program: a program could have forged it."""
_FIRST_BATCH, _GROWTH = 8, 4
_LIMITS = ("time_limit", "memory_limit", "output_limit")
_LAST = ("syntax_error", "sandbox_fault")
"""Failures after which no further test is run, whatever was asked for."""


@dataclass
class _Tally:
    """Sums over the processes of one program."""

    execute: Callable[[Job], Outcome]
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0
    isolation: tuple[str, ...] = ()
    weaker: tuple[str, ...] = ()
    passed: int = 0

    def run(self, job: Job) -> Outcome:
        outcome = self.execute(job)
        for each in (outcome, outcome.peer):
            if each is not None:
                self.cpu_s += each.cpu_s
                self.peak_mb = max(self.peak_mb, each.peak_mb)
        self.wall_s += outcome.wall_s
        self.isolation = outcome.isolation
        return outcome


def judge_program(execute: Callable[[Job], Outcome], problem: Problem, program: str | None, all_tests: bool = False) -> Verdict:
    """The verdict on one program, running one job after the other; its `rollout_id` is empty.

    Stops at the first failure. With `all_tests` every test is run, and `tests_passed` counts all that pass.
    """
    tally = _Tally(execute)
    failure = None
    if program is None or not program.strip():
        failure = Failure(index=0, verdict="no_program", detail="no program was found in the completion")
    else:
        for kind, group in groupby(range(len(problem.tests)), key=lambda index: problem.tests[index].kind):
            found = _run_tests(tally, _runs(kind, problem, program, Acceptance(problem, execute)), list(group), all_tests)
            if found and (failure is None or found.verdict == "sandbox_fault"):
                failure = found
            if found and (not all_tests or found.verdict in _LAST):
                break
    return Verdict(
        rollout_id="",
        problem_id=problem.problem_id,
        verdict=failure.verdict if failure else "passed",
        tests_passed=tally.passed,
        tests_total=len(problem.tests),
        first_failure=failure,
        cpu_s=round(tally.cpu_s, 6),
        wall_s=round(tally.wall_s, 6),
        peak_mb=tally.peak_mb,
        isolation=tally.isolation + tally.weaker,
    )


def _runs(kind: str, problem: Problem, program: str, acceptance: Acceptance) -> Runs:
    if kind == "check":
        return CheckRuns(problem, program)
    return (StdioRuns if kind == "stdio" else CallRuns)(problem, program, acceptance)


def _run_tests(tally: _Tally, runs: Runs, tests: list[int], all_tests: bool) -> Failure | None:
    """Run tests of one kind, to the first failure or all of them. Returns the first failure, or the one after which nothing can be run."""
    failures: list[Failure] = []
    again: set[int] = set()
    left, size = tests, _FIRST_BATCH
    while left:
        batch = left[:1] if left[0] in again else list(takewhile(lambda test: test not in again, left[:size]))
        outcome = tally.run(runs.job(batch))
        if isinstance(runs, CheckRuns) and runs.needs_program(outcome):
            runs, tally.weaker = replace(runs, in_process=True), (IN_PROCESS,)
            continue
        if len(batch) > 1 and outcome.ending in ("memory_limit", "output_limit"):
            size = 1  # nobody knows which of them it was
            continue
        results = _results(runs, batch, outcome, again, all_tests)
        tally.passed += sum(failure is None for failure in results.values())
        new = [failure for failure in results.values() if failure]
        failures += new
        if new and (not all_tests or new[-1].verdict in _LAST):
            return new[-1]
        left = [test for test in left if test not in results]
        if size > 1 and not again.issuperset(batch):
            size *= _GROWTH
    return min(failures, key=lambda failure: failure.index, default=None)


def _results(runs: Runs, batch: list[int], outcome: Outcome, again: set[int], all_tests: bool) -> dict[int, Failure | None]:
    """What the tests of a batch came to, where that counts: the first one had a fresh process; others that fail go to `again`."""
    if len(batch) == 1:
        return {batch[0]: runs.read(batch[0], len(outcome.replies) if outcome.ending in _LIMITS else 0, outcome)}
    results: dict[int, Failure | None] = {}
    for position, test in enumerate(batch):
        if position > 0 and position >= len(outcome.replies):
            if position == len(outcome.replies):
                again.add(test)
            break
        failure = runs.read(test, position, outcome)
        if failure and position > 0:
            again.add(test)
        else:
            results[test] = failure
        if failure and (not all_tests or failure.verdict in _LAST):
            break
    return results
