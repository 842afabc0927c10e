"""Whether an answer is accepted: by a comparator (`compare.py`) or, where a problem has several right answers, by its
checker program.

A checker program (`records.CheckerProgram`) defines

    def check(given, answer, expected):         # -> True, False, or a text that says why not

with `given` the standard input, or for call tests a dict from place or name to argument; `answer` what the program
printed or returned; `expected` what the test expects, which may be whatever the checker makes use of. It runs in a
sandboxed process of its own for each answer. An answer that is not plain data is refused without it. A checker that
raises, returns something else or runs into a limit is run once more, on the expected answer. If it can say something
of that, it has refused the program's answer; otherwise it says nothing about the program: a `sandbox_fault`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coderlplus.judge import compare
from coderlplus.judge.replies import read_checked
from coderlplus.records import CallTest, CheckerProgram, Problem, StdioTest, TaggedValue, VerdictName
from coderlplus.sandbox import Job, Outcome
from coderlplus.sandbox.decoding import is_plain


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer is not accepted; `verdict` is `sandbox_fault` where the checker failed."""

    verdict: VerdictName = "wrong_answer"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Says of the answers to one problem whether they are right; `execute` runs a job of the checker."""

    problem: Problem
    execute: Callable[[Job], Outcome]

    def stdout(self, test: StdioTest, printed: str) -> Refusal | None:
        """`None` if this output is right. Raises `DataError` if the problem names no known checker."""
        if isinstance(self.problem.checker, CheckerProgram):
            return self._check(self.problem.checker, "stdio", test.stdin, printed, test.stdout)
        return None if compare.stdout_comparator(self.problem)(printed, test.stdout) else Refusal()

    def value(self, test: CallTest, returned: TaggedValue) -> Refusal | None:
        """`None` if this returned value is right. Raises `DataError` if the problem names no known checker."""
        if isinstance(self.problem.checker, CheckerProgram):
            if not is_plain(returned):
                return Refusal(reason="not plain data")
            given = {"args": list(test.args), "kwargs": dict(test.kwargs)}
            return self._check(self.problem.checker, "call", given, returned, test.expected)
        return None if compare.value_comparator(self.problem)(returned, test.expected) else Refusal()

    def _check(
        self, checker: CheckerProgram, kind: str, given: Any, answer: TaggedValue, expected: TaggedValue
    ) -> Refusal | None:
        decided, reason, outcome = self._run(checker, kind, given, answer, expected)
        if decided is not None:
            return None if decided else Refusal(reason=reason)
        if outcome.ending != "fault":
            can_say, _, outcome = self._run(checker, kind, given, expected, expected)
            if can_say is not None:
                return Refusal(reason=f"the checker could not read it: it {reason}")
        who = f"the checker {checker.name!r} of problem {self.problem.problem_id!r}"
        words = f"{who} {reason}; it should refuse what it cannot read"
        return Refusal("sandbox_fault", outcome.detail if outcome.ending == "fault" else words)

    def _run(
        self, checker: CheckerProgram, kind: str, given: Any, answer: TaggedValue, expected: TaggedValue
    ) -> tuple[bool | None, str, Outcome]:
        """Whether the checker accepts this answer (`None`: it could not say), and why."""
        payload = {"code": checker.code, "kind": kind, "given": given, "answer": answer, "expected": expected}
        guest = "coderlplus.judge.examiner:check_answer"
        outcome = self.execute(Job(guest=guest, payload=payload, limits=self.problem.limits))
        said = read_checked(outcome.replies[0]) if outcome.ending == "returned" and outcome.replies else None
        decided, reason = said or (None, f"ended by {outcome.ending.replace('_', ' ')}")
        return decided, reason, outcome
