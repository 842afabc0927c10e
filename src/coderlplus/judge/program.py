"""One program on the tests of its problem: in which processes they run, and when a failure counts.

*Calls and test code* run in one process, in their order, as the sets' own scorers run them: what a program keeps
counts against it, and a wrong answer is final. Where nobody waits for all results, the first 8 calls run in a process
before all run in one, so that a program that fails early costs little. Tests that a limit or a fault kept from an
answer continue in a fresh process; each test needs an answer, and every answer must be right.

*Scripts* are judged as if each ran in a fresh process. They run in company, in batches of 8, then 32, 128, …, and that
counts for a program whose text shows that it cannot tell (`company.py`). For any other program, and as soon as a test
fails in company and passes alone, what came of company is void and every test runs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from coderlplus.judge.batch import Runs
from coderlplus.judge.checkers import Acceptance
from coderlplus.judge.company import cannot_tell
from coderlplus.judge.expressions import Unclear
from coderlplus.judge.failures import at_fault, no_answer
from coderlplus.judge.plans import plans
from coderlplus.judge.runs import CallRuns, CheckRuns, InProcessRuns, StdioRuns
from coderlplus.records import CheckTest, Failure, Problem, Verdict
from coderlplus.records.test_code import read_test_code
from coderlplus.sandbox import Job, Outcome

IN_PROCESS = "in_process_check"
"""Stands among the layers of a verdict whose test code ran in the process of the program: a program could have forged
it."""
_FIRST_BATCH, _GROWTH = 8, 4
_LAST = ("syntax_error", "sandbox_fault")
"""Failures after which no further test is run, whatever was asked for."""
_FRESH = ("time_limit", "sandbox_fault")
"""What may come of the tests before: a test that it keeps from an answer runs in a fresh process."""

Results = dict[int, Failure | None]
"""What tests came to: `None` is passed."""


@dataclass
class _Tally:
    """Sums over the processes of one program."""

    execute: Callable[[Job], Outcome]
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0
    isolation: tuple[str, ...] = ()

    def run(self, job: Job) -> Outcome:
        outcome = self.execute(job)
        for each in (outcome, outcome.peer):
            if each is not None:
                self.cpu_s += each.cpu_s
                self.peak_mb = max(self.peak_mb, each.peak_mb)
        self.wall_s += outcome.wall_s
        self.isolation = outcome.isolation
        return outcome


def judge_program(
    execute: Callable[[Job], Outcome], problem: Problem, program: str | None, all_tests: bool = False
) -> Verdict:
    """The verdict on one program, running one job after the other; its `rollout_id` is empty.

    Stops at the first failure. With `all_tests` every test is run, and `tests_passed` counts all that pass.
    """
    tally = _Tally(execute)
    results: Results = {}
    failure = test_at_fault(problem)
    weaker: tuple[str, ...] = ()
    if program is None or not program.strip():
        failure = Failure(index=0, verdict="no_program", detail="no program was found in the completion")
    elif failure is not None:  # every verdict names the layers in force
        tally.run(Job(guest="coderlplus.judge.guest:echo", limits=problem.limits))
    else:
        acceptance = Acceptance(problem, execute)
        for kind, group in groupby(range(len(problem.tests)), key=lambda index: _kind(problem, index)):
            tests = list(group)
            if kind == "stdio":
                found = _scripts(tally, StdioRuns(problem, program, acceptance), tests, all_tests)
            else:
                weaker = (IN_PROCESS,) if kind == "in process" else weaker
                runs = _runs(kind, problem, program, acceptance, tests)
                try:
                    found = _functions(tally, runs, tests, all_tests)
                except Unclear as unclear:
                    found = _functions(tally, CheckRuns(problem, program, acceptance), tests, all_tests)
                    if unclear.failure and not any(found.values()):  # a wrong answer is final
                        found[unclear.failure.index] = unclear.failure
            results |= found
            failed = [each for each in found.values() if each is not None]
            if any(each.verdict in _LAST for each in failed) or (failed and not all_tests):
                break
        failure = _worst(results)
    return Verdict(
        rollout_id="",
        problem_id=problem.problem_id,
        verdict=failure.verdict if failure else "passed",
        tests_passed=sum(each is None for each in results.values()),
        tests_total=len(problem.tests),
        first_failure=failure,
        cpu_s=round(tally.cpu_s, 6),
        wall_s=round(tally.wall_s, 6),
        peak_mb=tally.peak_mb,
        isolation=tally.isolation + weaker,
    )


def test_at_fault(problem: Problem) -> Failure | None:
    """The first test that is itself at fault, as its text says; no program can pass or fail it."""
    for index, test in enumerate(problem.tests):
        if isinstance(test, CheckTest):
            fault = read_test_code(test.code, problem.entry_point or "", problem.setup_code, test.in_process).fault
            if fault:
                return Failure(index=index, verdict="sandbox_fault", detail=at_fault(problem, index, fault))
    return None


test_at_fault.__test__ = False  # type: ignore[attr-defined]  # its name makes pytest take it for a test


def _worst(results: Results) -> Failure | None:
    """The first failure, but a fault before all."""
    failures = [each for each in results.values() if each]
    return min(failures, key=lambda each: (each.verdict != "sandbox_fault", each.index), default=None)


def _kind(problem: Problem, index: int) -> str:
    """Tests of one kind run together. Where one check test needs the process of the program, all are run there, in
    their order."""
    test = problem.tests[index]
    if test.kind == "check" and any(isinstance(each, CheckTest) and each.in_process for each in problem.tests):
        return "in process"
    return "stdio" if test.kind == "stdio" else "apart"


def _runs(kind: str, problem: Problem, program: str, acceptance: Acceptance, tests: Sequence[int]) -> Runs:
    if kind == "in process":
        return InProcessRuns(problem, program)
    planned = plans(acceptance.execute, problem, tests)
    if planned is None:
        return CheckRuns(problem, program, acceptance)
    return CallRuns(problem, program, acceptance, planned)


def _functions(tally: _Tally, runs: Runs, tests: Sequence[int], all_tests: bool) -> Results:
    """Run calls and test code, to the first failure or all of them."""
    if isinstance(runs, CallRuns) and not all_tests and len(tests) > _FIRST_BATCH:
        first, alone = _in_order(tally, runs, tests[:_FIRST_BATCH], all_tests)
        if any(first.values()):
            return first
        if alone:
            return first | _in_order(tally, runs, tests[_FIRST_BATCH:], all_tests, alone)[0]
    return _in_order(tally, runs, tests, all_tests)[0]


def _in_order(
    tally: _Tally, runs: Runs, tests: Sequence[int], all_tests: bool, alone: bool = False
) -> tuple[Results, bool]:
    """Run these tests in one process, in their order; those that a limit or a fault kept from an answer in a fresh
    one, from there on. Also says whether tests ran each in a process of its own (`alone`), because together they went
    beyond a limit."""
    results: Results = {}
    left = list(tests)
    while left:
        batch = left[:1] if alone else left
        reading = runs.run(tally.run, batch, all_tests)
        found: Results = dict(zip(batch, reading.results, strict=False))
        failed = any(found.values())
        if reading.over and len(batch) > 1 and reading.over.verdict != "time_limit" and (all_tests or not failed):
            # nobody knows which of the others it was
            found, alone = {test: failure for test, failure in found.items() if failure}, True
        elif len(batch) == 1 and reading.over and (reading.stop is None or reading.stop.verdict != "sandbox_fault"):
            found[batch[0]] = reading.over
        elif len(found) == len(batch):
            if reading.over and found[batch[-1]] is None:  # it may have been the last test, which runs again by itself
                del found[batch[-1]]
        elif not found or not (reading.stop is None or reading.stop.verdict in _FRESH or (failed and not all_tests)):
            found[batch[len(found)]] = reading.stop or no_answer(batch[len(found)], None)
        last = next(
            (test for test, failure in found.items() if failure and (not all_tests or failure.verdict in _LAST)), None
        )
        if last is not None:
            return results | {test: failure for test, failure in found.items() if test <= last}, alone
        results |= found
        left = [test for test in left if test not in found]
    return results, alone


def _scripts(tally: _Tally, runs: StdioRuns, tests: Sequence[int], all_tests: bool) -> Results:
    """Run scripts as if each ran in a fresh process."""
    results: Results = {}
    in_company: set[int] = set()
    left, size, alone = list(tests), _FIRST_BATCH, len(tests) == 1
    while left:
        batch = left[:1] if alone else left[:size]
        reading = runs.run(tally.run, batch, all_tests)
        found: Results = dict(zip(batch, reading.results, strict=False))
        if len(batch) == 1 and reading.over:
            found[batch[0]] = reading.over
        if not found:
            found[batch[0]] = reading.stop or no_answer(batch[0], None)
        if len(batch) > 1 and reading.over and reading.over.verdict != "time_limit":
            found, alone = {}, True  # nobody knows which of them it was
        for test in list(found):
            if found[test] is None:
                if len(batch) > 1:  # also the first: those after it may change its output
                    in_company.add(test)
                continue
            if test == batch[0]:
                continue
            (by_itself,) = _scripts(tally, runs, [test], all_tests).values()
            if by_itself is None:
                alone = True
            found[test] = by_itself
            if by_itself and not all_tests:
                found = {each: failure for each, failure in found.items() if each <= test}
                break
        results |= found
        if any(failure and (not all_tests or failure.verdict in _LAST) for failure in found.values()):
            break
        if in_company and not alone:
            alone = not cannot_tell(runs.program)
        if alone:
            results = {test: failure for test, failure in results.items() if test not in in_company}
            in_company.clear()
        left = [test for test in tests if test not in results]
        size *= _GROWTH
    return results
