"""A batch of tests of one kind: what the ways to run one have in common (`runs.py`), and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coderlplus.judge.failures import LIMITS, ended, not_compiled, raised
from coderlplus.judge.replies import read_not_loaded
from coderlplus.records import CallInput, CheckTest, Failure, Problem, ProgramInput
from coderlplus.records.test_code import read_test_code
from coderlplus.sandbox import Job, Outcome


@dataclass(frozen=True, slots=True)
class Reading:
    """What a batch came to: of its first tests, in order, `None` for passed or the failure; and why the next test has
    no result (`stop`).

    `over` tells of the limit that a process was beyond in the end, if it was, as if the last test had been.
    """

    results: tuple[Failure | None, ...]
    stop: Failure | None = None
    over: Failure | None = None


@dataclass(frozen=True)
class Runs:
    """How tests of one kind are run. Tests are indices into the tests of the problem."""

    problem: Problem
    program: str

    def run(self, execute: Callable[[Job], Outcome], tests: Sequence[int], all_tests: bool = False) -> Reading:
        """Run these tests in this order, all of them or to the first failure."""
        return self.read(tests, execute(self.job(tests, all_tests)))

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        """The job that does so."""
        raise NotImplementedError

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        """What these tests came to."""
        raise NotImplementedError

    def _job(self, guest: str, payload: dict[str, Any], stdin: bytes = b"", peer: Job | None = None) -> Job:
        problem, name = self.problem, f"coderlplus.judge.{guest}"
        payload = payload | {"setup_code": problem.setup_code, "entry_point": problem.entry_point}
        return Job(guest=name, payload=payload, stdin=stdin, limits=problem.limits, peer=peer)

    def _code(self, index: int) -> dict[str, Any]:
        """The code of a check test as guests take it."""
        problem, test = self.problem, self.problem.tests[index]
        assert isinstance(test, CheckTest)
        code = read_test_code(test.code, problem.entry_point or "", problem.setup_code, test.in_process)
        return {"code": code.text, "main": code.is_main, "modules": list(code.modules)}

    def _call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> CallInput:
        return CallInput(self.problem.entry_point or "", tuple(args), kwargs)

    def _ended(self, test: int, outcome: Outcome, given: ProgramInput | None = None) -> Failure:
        return ended(test, outcome, self.problem.limits, given)

    def _over(self, test: int, outcome: Outcome, given: ProgramInput | None = None) -> Failure | None:
        return self._ended(test, outcome, given) if outcome.ending in LIMITS else None

    def _not_loaded(self, test: int, outcome: Outcome, given: ProgramInput | None = None) -> Failure | None:
        """The failure of a program that failed before any test, as the first reply of its process says."""
        found = read_not_loaded(outcome.replies[0]) if outcome.replies else None
        if found is None:
            return None
        return raised(test, found.raised, given) if found.raised else not_compiled(test, found.syntax_error, given)
