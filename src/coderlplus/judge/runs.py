"""The tests of one kind of one problem: which job runs them, and what became of each.

A *batch* of tests runs in one process (test code that the examiner runs: in two). `read` says what the first tests of
the batch came to, in their order, and why the next one came to nothing. The expected values stay here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from coderlplus.judge.asserts import LiteralAssert
from coderlplus.judge.checkers import Acceptance, Refusal
from coderlplus.judge.failures import (
    DOES_NOT_HOLD,
    LIMITS,
    actual_of,
    asserted,
    at_fault,
    ended,
    no_answer,
    not_compiled,
    over_limit,
    raised,
    refused,
    returned,
    shown,
)
from coderlplus.judge.replies import (
    Examined,
    Raised,
    Returned,
    read_examined,
    read_in_process,
    read_not_loaded,
    read_returned,
    read_script_end,
)
from coderlplus.records import (
    CallInput,
    CallTest,
    CheckTest,
    Failure,
    Problem,
    StdioInput,
    StdioTest,
)
from coderlplus.records.test_code import read_test_code
from coderlplus.sandbox import Job, Outcome
from coderlplus.sandbox.text import as_bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What a batch came to: of its first tests, in order, `None` for passed or the failure; and why the next test has
    no result (`stop`).

    `over` tells of the limit that a process was beyond in the end, if it was, as if the last test had been.
    """

    results: tuple[Failure | None, ...]
    stop: Failure | None = None
    over: Failure | None = None


class Runs(Protocol):
    """How tests of one kind are run."""

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        """The job that runs these tests (indices into the problem's tests) in this order, all of them or to the first
        failure."""

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        """What these tests came to."""


@dataclass(frozen=True)
class StdioRuns:
    problem: Problem
    program: str
    acceptance: Acceptance

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        first, *others = [self._test(index).stdin for index in tests]
        payload = {"setup_code": self.problem.setup_code, "program": self.program, "stdins": [None, *others]}
        stdin = as_bytes(first)
        return Job(guest="coderlplus.judge.guest:run_stdio", payload=payload, stdin=stdin, limits=self.problem.limits)

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        results: list[Failure | None] = []
        start = 0
        over = over_limit(tests[-1], outcome, self.problem.limits, StdioInput(self._test(tests[-1]).stdin))
        for test, reply in zip(tests, outcome.replies, strict=False):
            given = StdioInput(self._test(test).stdin)
            failure, end = None, read_script_end(reply)
            if end is None:
                unloaded = read_not_loaded(reply)
                text = unloaded.syntax_error if unloaded and not unloaded.raised else ""
                failure = not_compiled(test, text, given) if text else no_answer(test, given)
            elif end.raised:
                failure = raised(test, end.raised, given)
            elif end.exit_code:
                failure = Failure(
                    index=test, verdict="runtime_error", detail=f"exited with code {end.exit_code}", input=given
                )
            else:
                failure = self._compared(test, outcome.stdout[start : end.stdout], end.in_thread)
            results.append(failure)
            if end is None:  # nobody knows where the next output begins
                return Reading(tuple(results), over=over)
            start = end.stdout
        if len(results) == len(tests):
            return Reading(tuple(results), over=over)
        test = tests[len(results)]
        if outcome.ending == "exited" and not outcome.exit_code:  # by os._exit
            return Reading((*results, self._compared(test, outcome.stdout[start:], None)))
        return Reading(
            tuple(results), ended(test, outcome, self.problem.limits, StdioInput(self._test(test).stdin)), over
        )

    def _compared(self, test: int, printed: bytes, in_thread: Raised | None) -> Failure | None:
        given, expected = StdioInput(self._test(test).stdin), self._test(test)
        actual = printed.decode("utf-8", "surrogateescape")
        refusal = self.acceptance.stdout(expected, actual)
        if refusal is None:
            return None
        if (
            in_thread is not None
        ):  # as everywhere, an exception that ends a thread does not count where the output is right
            return raised(test, in_thread, given)
        return refused(test, refusal, f"printed {shown(actual)}", shown(expected.stdout), given, actual_of(actual))

    def _test(self, index: int) -> StdioTest:
        test = self.problem.tests[index]
        assert isinstance(test, StdioTest)
        return test


@dataclass(frozen=True)
class CallRuns:
    """Call tests, and test code that is nothing but asserts on calls and literals (`asserts`, by test)."""

    problem: Problem
    program: str
    acceptance: Acceptance
    asserts: dict[int, tuple[LiteralAssert, ...]]

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        calls = [
            {"args": list(call.args), "kwargs": dict(call.kwargs)} for test in tests for call in self._calls(test)
        ]
        of_program = {
            "setup_code": self.problem.setup_code,
            "program": self.program,
            "entry_point": self.problem.entry_point,
        }
        return Job(
            guest="coderlplus.judge.guest:run_calls",
            payload=of_program | {"calls": calls, "all": all_tests},
            limits=self.problem.limits,
        )

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        first = read_not_loaded(outcome.replies[0]) if outcome.replies else None
        if first is not None:
            is_call = isinstance(self.problem.tests[tests[0]], CallTest)
            given = self._given(tests[0], self._calls(tests[0])[0]) if is_call else None
            if first.raised:
                return Reading((raised(tests[0], first.raised, given),))
            return Reading((not_compiled(tests[0], first.syntax_error, given),))
        results: list[Failure | None] = []
        over = over_limit(tests[-1], outcome, self.problem.limits, self._given(tests[-1], self._calls(tests[-1])[-1]))
        replies = iter(outcome.replies)
        for test in tests:
            failure: Failure | None = None
            for call in self._calls(test):
                reply = next(replies, replies)
                if reply is replies:
                    if failure is not None:
                        break
                    return Reading(
                        tuple(results), ended(test, outcome, self.problem.limits, self._given(test, call)), over
                    )
                failure = failure or self._failure(test, call, read_returned(reply))
            results.append(failure)
        return Reading(tuple(results), over=over)

    def _failure(self, test: int, call: CallTest | LiteralAssert, reply: Returned | Raised | None) -> Failure | None:
        if isinstance(reply, Raised):
            return raised(test, reply, self._given(test, call))
        if reply is None:
            return no_answer(test, self._given(test, call))
        if isinstance(call, CallTest):
            refusal = self.acceptance.value(call, reply.value) if reply.view is None else Refusal()
            return returned(test, refusal, call, reply.value, self._given(test, call))
        if call.holds(reply):
            return None
        return asserted(
            test, self._code(test), call.line, call.message, self._given(test, call), actual_of(reply.value)
        )

    def _calls(self, test: int) -> Sequence[CallTest | LiteralAssert]:
        found = self.problem.tests[test]
        return (found,) if isinstance(found, CallTest) else self.asserts[test]

    def _given(self, test: int, call: CallTest | LiteralAssert) -> CallInput:
        return CallInput(self.problem.entry_point or "", call.args, call.kwargs)

    def _code(self, test: int) -> str:
        found = self.problem.tests[test]
        assert isinstance(found, CheckTest)
        return found.code


@dataclass(frozen=True)
class CheckRuns:
    """Tests that are code, apart from the program, and call tests among them."""

    problem: Problem
    program: str
    acceptance: Acceptance | None = None
    """For call tests among them."""

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        problem = self.problem
        of_program = {"setup_code": problem.setup_code, "program": self.program, "entry_point": problem.entry_point}
        served = Job(guest="coderlplus.judge.guest:serve", payload=of_program, limits=problem.limits)
        payload: dict[str, Any] = {"tests": [self._payload(test) for test in tests], "all": all_tests}
        payload |= {"setup_code": problem.setup_code, "entry_point": problem.entry_point}
        return Job(guest="coderlplus.judge.examiner:examine", payload=payload, limits=problem.limits, peer=served)

    def _payload(self, index: int) -> dict[str, Any]:
        test = self.problem.tests[index]
        if isinstance(test, CallTest):
            return {"args": list(test.args), "kwargs": dict(test.kwargs)}
        return code_payload(self.problem, index)

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        results: list[Failure | None] = []
        peer = outcome.peer or outcome
        over = over_limit(tests[-1], peer, self.problem.limits) or over_limit(tests[-1], outcome, self.problem.limits)
        state = "setting up" if self.problem.setup_code else "loading"
        for reply in outcome.replies:
            if isinstance(reply, dict) and reply in _STATES:
                state = reply["at"]
                continue
            test = tests[min(len(results), len(tests) - 1)]
            said = read_examined(reply)
            if said is None:
                return Reading(tuple(results), no_answer(test, None), over)
            if said.end == "not_loaded":
                return Reading((self._not_loaded(test, peer),))
            if said.end in ("gone", "fault"):
                return Reading(tuple(results), self._stop(test, said, peer), over)
            results.append(self._failure(test, said))
            state = "loaded"
            if len(results) == len(tests):
                break
        if len(results) == len(tests) or (results and results[-1] and outcome.ending == "returned"):
            return Reading(tuple(results), over=over)
        test = tests[len(results)]
        if state in ("setting up", "loaded") and outcome.ending != "fault" and peer.ending in ("returned", "fault"):
            what = ended(test, outcome, self.problem.limits, None).detail
            return Reading(tuple(results), self._fault(test, f"before it called the program: {what}"))
        at_limit = peer if peer.ending in (*LIMITS, "fault") else outcome
        return Reading(tuple(results), ended(test, at_limit, self.problem.limits, None), over)

    def _stop(self, test: int, said: Examined, peer: Outcome) -> Failure:
        """The failure of a test after which nothing was run: it is at fault, or the process of the program was
        gone."""
        if said.end == "fault":
            return self._fault(test, said.message)
        given = self._given(said)
        return no_answer(test, given) if peer.ending == "returned" else ended(test, peer, self.problem.limits, given)

    def _fault(self, test: int, what: str) -> Failure:
        return Failure(index=test, verdict="sandbox_fault", detail=at_fault(self.problem, test, what))

    def _not_loaded(self, test: int, peer: Outcome) -> Failure:
        found = read_not_loaded(peer.replies[0]) if peer.replies else None
        if found is None:
            return no_answer(test, None)
        return raised(test, found.raised, None) if found.raised else not_compiled(test, found.syntax_error, None)

    def _failure(self, test: int, said: Examined) -> Failure | None:
        wanted = self.problem.tests[test]
        if isinstance(wanted, CallTest) and said.end == "value" and said.value is not None:
            assert self.acceptance is not None
            given = CallInput(self.problem.entry_point or "", wanted.args, wanted.kwargs)
            return returned(test, self.acceptance.value(wanted, said.value[0]), wanted, said.value[0], given)
        if said.end == "passed":
            return None
        given_to = self._given(said)
        if said.end == "raised" and said.raised:
            return raised(test, said.raised, given_to)
        code = wanted.code if isinstance(wanted, CheckTest) else ""
        line = said.raised.test_line if said.raised else None
        actual = actual_of(said.value[0]) if said.value is not None else None
        message = said.message
        if said.raised:
            message = said.raised.message if said.end == "assertion" else f"{said.raised.name}: {said.raised.message}"
        words = {
            "assertion": DOES_NOT_HOLD,
            "error": "the test could not use the result",
            "not_data": "the result is not plain data",
        }
        return asserted(test, code, line, message, given_to, actual, words.get(said.end, "no result"))

    def _given(self, said: Examined) -> CallInput | None:
        return (
            None if said.call is None else CallInput(self.problem.entry_point or "", tuple(said.call[0]), said.call[1])
        )


@dataclass(frozen=True)
class InProcessRuns:
    """The weaker way: tests that are code, in the process of the program."""

    problem: Problem
    program: str

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        problem = self.problem
        payload: dict[str, Any] = {
            "setup_code": problem.setup_code,
            "program": self.program,
            "entry_point": problem.entry_point,
        }
        payload |= {"tests": [code_payload(problem, test) for test in tests], "all": all_tests}
        return Job(guest="coderlplus.judge.guest:check_in_process", payload=payload, limits=problem.limits)

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        first = read_not_loaded(outcome.replies[0]) if outcome.replies else None
        if first is not None:
            failure = (
                raised(tests[0], first.raised, None)
                if first.raised
                else not_compiled(tests[0], first.syntax_error, None)
            )
            return Reading((failure,))
        over = over_limit(tests[-1], outcome, self.problem.limits)
        results = tuple(
            self._failure(test, read_in_process(reply)) for test, reply in zip(tests, outcome.replies, strict=False)
        )
        if len(results) == len(tests):
            return Reading(results, over=over)
        return Reading(results, ended(tests[len(results)], outcome, self.problem.limits, None), over)

    def _failure(self, test: int, said: Examined | None) -> Failure | None:
        if said is None:
            return no_answer(test, None)
        if said.end == "passed" or said.raised is None:
            return None
        if said.end == "raised":
            return raised(test, said.raised, None)
        wanted = self.problem.tests[test]
        code = wanted.code if isinstance(wanted, CheckTest) else ""
        return asserted(test, code, said.raised.test_line, said.raised.message, None, None)


_STATES = ({"at": "loading"}, {"at": "loaded"}, {"at": "called"})


def code_payload(problem: Problem, index: int) -> dict[str, Any]:
    """The code of a check test as guests take it."""
    test = problem.tests[index]
    assert isinstance(test, CheckTest)
    code = read_test_code(test.code, problem.entry_point or "", problem.setup_code, test.in_process)
    return {"code": code.text, "main": code.is_main, "modules": list(code.modules)}
