"""Whether the tests of a problem tell right programs from wrong ones.

- Test code must work. It is at fault where it fails before it has called the program, or uses what nobody defines.
- A program that does nothing must fail: it prints nothing, or its function returns `None`. Test code must also refuse
  an object that equals nothing, and an exception.
- A reference must pass. A row may have several; at most `REFERENCES` are tried, and the first that passes becomes the
  reference of the problem.
- A changed reference must fail: of at most `MUTANTS` mutants at least one.

A problem without a reference is kept if the first two of these hold. Everything is decided by verdicts of the judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from coderlplus.judge.program import IN_PROCESS, judge_program
from coderlplus.preparation.mutants import mutants
from coderlplus.records import CheckTest, Limits, Problem, Verdict
from coderlplus.sandbox import Job, Outcome

REFERENCES = 3
MUTANTS = 5
MUTANT_CPU_S = 1.0
"""What a mutant may use at least; beyond it, twice what the reference used."""
NOTHING = "the program that does nothing"
_WRONG = {
    "a program that returns an object of its own": "return type('Answer', (), {})()",
    "a program that raises an exception": "raise ArithmeticError('no answer')",
}
"""Bodies that no test code may accept."""
_NOT_FOUND = re.compile(
    r"No module named '(?P<module>[^']*)'|(?:the )?name '(?P<name>[^']*)'(?: is not defined|, which nothing defines)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What came of it: the problem, with the reference that passed, or why it is cut; `fault` says how our own sandbox
    failed."""

    problem: Problem | None = None
    reason: str = ""
    detail: str = ""
    mutants: int = 0
    """How many were judged; 0 where there is no reference, or where nothing could be changed in it."""
    fault: str = ""


def validate(execute: Callable[[Job], Outcome], problem: Problem, references: Sequence[str]) -> Validation:
    """Judge the references, a program that does nothing, and mutants of the reference. For `Sandbox.call`, which gives
    `execute`."""
    faults: list[str] = []

    def watched(job: Job) -> Outcome:
        outcome = execute(job)
        faults.extend(each.detail for each in (outcome, outcome.peer) if each is not None and each.ending == "fault")
        return outcome

    has_code = any(isinstance(test, CheckTest) for test in problem.tests)
    idle = idle_program(problem.entry_point)

    def judge(program: str, limits: Limits) -> Verdict:
        return judge_program(watched, replace(problem, limits=limits), program, all_tests=has_code and program == idle)

    found = _validate(judge, problem, references)
    return Validation(fault=faults[0] or "the sandbox failed") if faults else found


def _validate(judge: Callable[[str, Limits], Verdict], problem: Problem, references: Sequence[str]) -> Validation:
    idle = judge(idle_program(problem.entry_point), problem.limits)
    if idle.verdict == "sandbox_fault":
        return Validation(reason="broken_tests", detail=_said(idle))
    has_code = any(isinstance(test, CheckTest) for test in problem.tests)
    if has_code:
        found = _of_test_code(judge, problem, idle)
        if found is not None:
            return found
    if idle.passed:
        return Validation(reason="nothing_passes", detail=f"{NOTHING} passes all {len(problem.tests)} tests")
    if not references:
        return Validation(problem=replace(problem, reference=None))
    failures: list[Verdict] = []
    for reference in references[:REFERENCES]:
        verdict = judge(reference, problem.limits)
        if verdict.passed:
            return _with_mutants(judge, replace(problem, reference=reference), verdict)
        if has_code and _uses_unknown(problem, verdict, reference):
            return Validation(reason="broken_tests", detail=_said(verdict))
        failures.append(verdict)
    others = f", and so do {len(failures) - 1} more" if len(failures) > 1 else ""
    broken = failures[0].verdict == "sandbox_fault"
    return Validation(reason="broken_tests" if broken else "reference_fails", detail=_said(failures[0]) + others)


def _of_test_code(judge: Callable[[str, Limits], Verdict], problem: Problem, idle: Verdict) -> Validation | None:
    """What is wrong with test code, as far as wrong programs show; `idle` is the verdict on the program that does
    nothing."""
    if not idle.passed and (_fails_by_itself(problem, idle) or _uses_unknown(problem, idle, "")):
        return Validation(reason="broken_tests", detail=_said(idle))
    for what, body in _WRONG.items():
        verdict = judge(idle_program(problem.entry_point, body), problem.limits)
        if verdict.passed:
            return Validation(reason="tests_nothing", detail=f"{what} passes all {len(problem.tests)} tests")
    return None


def _fails_by_itself(problem: Problem, idle: Verdict) -> bool:
    """Whether test code failed before it called the program. The weaker way does not say what was called."""
    failure = idle.first_failure
    if failure is None or IN_PROCESS in idle.isolation or not isinstance(problem.tests[failure.index], CheckTest):
        return False
    return failure.input is None and failure.verdict in ("wrong_answer", "runtime_error")


def _uses_unknown(problem: Problem, verdict: Verdict, program: str) -> bool:
    """Whether a test failed on a name or a module that stands in its code, and that the program was never asked to
    define: neither the reference nor the problem speaks of it."""
    failure = verdict.first_failure
    if failure is None or not isinstance(test := problem.tests[failure.index], CheckTest):
        return False
    found = _NOT_FOUND.search(failure.detail)
    if found is None:
        return False
    word = re.compile(rf"\b{re.escape((found['module'] or found['name']).partition('.')[0])}\b")
    known = [program, problem.setup_code]
    if not program and found["name"]:
        known += [problem.statement, problem.starter_code]
    return word.search(test.code) is not None and not any(map(word.search, known))


def _with_mutants(judge: Callable[[str, Limits], Verdict], problem: Problem, passed: Verdict) -> Validation:
    cpu_s = min(problem.limits.cpu_s, max(MUTANT_CPU_S, 2 * passed.cpu_s))
    limits = replace(problem.limits, cpu_s=cpu_s, wall_s=cpu_s * problem.limits.wall_s / problem.limits.cpu_s)
    count = 0
    for count, mutant in enumerate(mutants(problem.reference or "", MUTANTS), 1):
        if not judge(mutant, limits).passed:
            return Validation(problem=problem, mutants=count)
    if count == 0:
        return Validation(problem=problem)
    return Validation(
        reason="mutants_pass",
        detail=f"all {count} changed references pass the {len(problem.tests)} tests",
        mutants=count,
    )


def idle_program(entry_point: str | None, body: str = "pass") -> str:
    """A program that does nothing, or `body`, whatever it is called with.

    >>> print(idle_program("Solution().add"))
    class Solution:
        def add(self, *args, **kwargs): pass
    """
    if entry_point is None:
        return body
    if "()." in entry_point:
        name, _, method = entry_point.partition("().")
        return f"class {name}:\n    def {method}(self, *args, **kwargs): {body}"
    return f"def {entry_point}(*args, **kwargs): {body}"


def _said(verdict: Verdict) -> str:
    failure = verdict.first_failure
    if failure is None:
        return verdict.verdict
    said = f"{verdict.verdict} in test {failure.index + 1} of {verdict.tests_total}: {failure.detail}"
    found = _NOT_FOUND.search(failure.detail)
    if found is None or failure.verdict not in ("wrong_answer", "runtime_error", "sandbox_fault"):
        return said
    if found["module"]:
        return f"imports {found['module']}, which is not installed ({said})"
    return f"uses {found['name']}, which is not defined ({said})"
