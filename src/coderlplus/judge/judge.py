"""Programs → verdicts. The decision is made here, outside the sandbox; a program may claim values, never a verdict.

All tests of a program run in one process where they are of one kind, one after the other. A test that fails there is run again, first in a fresh
process with limits of its own, before its failure counts; what passes in company is passed. Judging stops at the first failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from itertools import groupby

from coderlplus.errors import DataError
from coderlplus.judge.checkers import Acceptance
from coderlplus.judge.runs import CallRuns, CheckRuns, Runs, StdioRuns
from coderlplus.programs import extract_program, normalized
from coderlplus.records import Failure, Problem, Rollout, Verdict
from coderlplus.sandbox import Job, Outcome, Sandbox

IN_PROCESS = "in_process_check"
"""Stands among the layers of a verdict whose test code ran in the process of the program: a program could have forged it."""
_IN_FLIGHT = 64
"""Programs handed to each worker ahead of time."""


class Judge:
    """Judges programs in a sandbox. May be shared between threads."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def judge(self, problem: Problem, rollout: Rollout) -> Verdict:
        """The verdict on one program."""
        return self.judge_many([(problem, rollout)])[0]

    def judge_many(self, pairs: Iterable[tuple[Problem, Rollout]]) -> list[Verdict]:
        """The verdicts, in order.

        Raises `DataError` for a rollout that is not of its problem and `SandboxError` if the sandbox is closed or cannot start."""
        verdicts = dict(self.judge_as_completed(pairs))
        return [verdicts[index] for index in range(len(verdicts))]

    def judge_as_completed(self, pairs: Iterable[tuple[Problem, Rollout]]) -> Iterator[tuple[int, Verdict]]:
        """Pairs (index, verdict) as they come. The same program for the same problem, comments and layout aside, is run
        once; pairs are taken no faster than they are judged."""
        same = _Distinct()
        waiting: dict[Future[Verdict], list[tuple[int, str]]] = {}
        running: dict[int, Future[Verdict]] = {}
        known: dict[int, Verdict] = {}
        try:
            for index, (problem, rollout) in enumerate(pairs):
                key = same.key(problem, rollout)
                if key in known:
                    yield index, replace(known[key], rollout_id=rollout.rollout_id)
                    continue
                if key not in running:
                    running[key] = self.sandbox.call(judge_program, problem, same.program(key))
                    waiting[running[key]] = []
                waiting[running[key]].append((index, rollout.rollout_id))
                while len(running) >= _IN_FLIGHT * self.sandbox.workers:
                    yield from _collect(waiting, running, known)
            while waiting:
                yield from _collect(waiting, running, known)
        finally:
            for future in waiting:
                future.cancel()


def _collect(
    waiting: dict[Future[Verdict], list[tuple[int, str]]], running: dict[int, Future[Verdict]], known: dict[int, Verdict]
) -> Iterator[tuple[int, Verdict]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for key in [key for key, future in running.items() if future in done]:
        known[key] = running.pop(key).result()
    for future in done:
        for index, rollout_id in waiting.pop(future):
            yield index, replace(future.result(), rollout_id=rollout_id)


class _Distinct:
    """Numbers for distinct pairs of problem and program."""

    def __init__(self) -> None:
        self._problems: dict[str, list[Problem]] = {}
        self._keys: dict[tuple[str, int, str | None], int] = {}
        self._programs: list[str | None] = []

    def key(self, problem: Problem, rollout: Rollout) -> int:
        if rollout.problem_id != problem.problem_id:
            raise DataError(f"rollout {rollout.rollout_id!r} is of problem {rollout.problem_id!r}, not of {problem.problem_id!r}")
        versions = self._problems.setdefault(problem.problem_id, [])
        version = next((index for index, other in enumerate(versions) if other is problem or other == problem), len(versions))
        if version == len(versions):
            versions.append(problem)
        program = rollout.program if rollout.completion is None else extract_program(rollout.completion)
        form = None if program is None else normalized(program)
        key = self._keys.setdefault((problem.problem_id, version, form), len(self._keys))
        if key == len(self._programs):
            self._programs.append(program)
        return key

    def program(self, key: int) -> str | None:
        return self._programs[key]


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


def judge_program(execute: Callable[[Job], Outcome], problem: Problem, program: str | None) -> Verdict:
    """The verdict on one program, running one job after the other; its `rollout_id` is empty."""
    tally = _Tally(execute)
    failure = None
    if program is None or not program.strip():
        failure = Failure(index=0, verdict="no_program", detail="no program was found in the completion")
    else:
        for kind, group in groupby(range(len(problem.tests)), key=lambda index: problem.tests[index].kind):
            failure = _run_tests(tally, _runs(kind, problem, program, Acceptance(problem, execute)), list(group))
            if failure:
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


def _run_tests(tally: _Tally, runs: Runs, tests: list[int]) -> Failure | None:
    """Run tests of one kind to the first failure. The first test of a job has a fresh process and the whole limits, so what it comes to counts."""
    alone = False
    while tests:
        batch = tests[:1] if alone else tests
        outcome = tally.run(runs.job(batch))
        if isinstance(runs, CheckRuns) and runs.needs_program(outcome):
            runs, tally.weaker = replace(runs, in_process=True), (IN_PROCESS,)
            continue
        if len(batch) > 1 and outcome.ending in ("memory_limit", "output_limit"):
            alone = True  # nobody knows which of them it was
            continue
        if len(batch) == 1 and outcome.ending in ("time_limit", "memory_limit", "output_limit"):
            return runs.read(tests[0], len(outcome.replies), outcome)
        passed = 0
        for position, test in enumerate(batch):
            if position > 0 and position >= len(outcome.replies):
                break
            failure = runs.read(test, position, outcome)
            if failure and position == 0:
                return failure
            if failure:
                break
            passed += 1
        alone = passed < len(batch) and len(batch) > 1
        tally.passed += passed
        tests = tests[passed:]
    return None
