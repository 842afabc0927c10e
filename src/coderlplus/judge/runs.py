"""The tests of one kind of one problem: which job runs them, and what became of each.

A *batch* of tests runs in one process (check tests: in two), and every test leaves one reply. `read` takes the reply of a test, or the way the
process ended where there is none, and says whether the test is passed. The expected values stay here.
"""

from __future__ import annotations

import ast
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from coderlplus.judge.checkers import Acceptance, Refusal
from coderlplus.records import Actual, CallInput, CallTest, CheckTest, Failure, Limits, Problem, ProgramInput, StdioInput, StdioTest, VerdictName
from coderlplus.sandbox import Job, Outcome, values
from coderlplus.sandbox.text import as_bytes

_DETAIL_CHARS = 300
_ACTUAL_CHARS = 2_000


class Runs(Protocol):
    """How tests of one kind are run."""

    def job(self, tests: Sequence[int]) -> Job:
        """The job that runs these tests (indices into the problem's tests) in this order."""

    def read(self, test: int, position: int, outcome: Outcome) -> Failure | None:
        """What the test at `position` of the job came to: `None` if it is passed. It has a reply, or it is the first without one."""


@dataclass(frozen=True)
class StdioRuns:
    problem: Problem
    program: str
    acceptance: Acceptance

    def job(self, tests: Sequence[int]) -> Job:
        first, *others = [self._test(index).stdin for index in tests]
        payload = {"setup_code": self.problem.setup_code, "program": self.program, "stdins": [None, *others]}
        stdin = as_bytes(first)
        return Job(guest="coderlplus.judge.guest:run_stdio", payload=payload, stdin=stdin, limits=self.problem.limits)

    def read(self, test: int, position: int, outcome: Outcome) -> Failure | None:
        given = StdioInput(self._test(test).stdin)
        reply = reply_at(outcome, position)
        if reply is None:
            if outcome.ending != "exited" or outcome.exit_code:
                return ended(test, outcome, self.problem.limits, given)
            start, end = _stdout_end(reply_at(outcome, position - 1)), len(outcome.stdout)
        else:
            failure = raised(test, reply, given)
            if failure:
                return failure
            if reply.get("exit_code") != 0:
                return Failure(index=test, verdict="runtime_error", detail=f"exited with code {reply.get('exit_code')}", input=given)
            start, end = _stdout_end(reply_at(outcome, position - 1)), _stdout_end(reply)
        actual = outcome.stdout[start:end].decode("utf-8", "surrogateescape")
        refusal = self.acceptance.stdout(self._test(test), actual)
        if refusal is None:
            return None
        in_thread = reply.get("thread") if reply else None
        failure = raised(test, in_thread, given) if isinstance(in_thread, dict) else None
        if failure:  # as everywhere, an exception that ends a thread does not count where the output is right
            return failure
        return refused(test, refusal, f"printed {_short(actual)}", _short(self._test(test).stdout), given, _actual(actual))

    def _test(self, index: int) -> StdioTest:
        test = self.problem.tests[index]
        assert isinstance(test, StdioTest)
        return test


@dataclass(frozen=True)
class CallRuns:
    problem: Problem
    program: str
    acceptance: Acceptance

    def job(self, tests: Sequence[int]) -> Job:
        calls = [{"args": list(test.args), "kwargs": dict(test.kwargs)} for test in map(self._test, tests)]
        entry_point = self.problem.entry_point
        payload = {"setup_code": self.problem.setup_code, "program": self.program, "entry_point": entry_point, "calls": calls}
        return Job(guest="coderlplus.judge.guest:run_calls", payload=payload, limits=self.problem.limits)

    def read(self, test: int, position: int, outcome: Outcome) -> Failure | None:
        wanted = self._test(test)
        given = CallInput(self.problem.entry_point or "", wanted.args, wanted.kwargs)
        reply = reply_at(outcome, position)
        if reply is None:
            return ended(test, outcome, self.problem.limits, given)
        failure = raised(test, reply, given)
        if failure:
            return failure
        refusal = self.acceptance.value(wanted, reply["value"]) if "value" in reply else Refusal()
        if refusal is None:
            return None
        return refused(test, refusal, f"returned {_source(reply.get('value'))}", _source(wanted.expected), given, _actual(reply.get("value")))

    def _test(self, index: int) -> CallTest:
        test = self.problem.tests[index]
        assert isinstance(test, CallTest)
        return test


@dataclass(frozen=True)
class CheckRuns:
    """Tests that are code. `in_process` is the weaker way, for tests that use more of the program than the entry point and plain data."""

    problem: Problem
    program: str
    in_process: bool = False

    def job(self, tests: Sequence[int]) -> Job:
        problem = self.problem
        of_program = {"setup_code": problem.setup_code, "program": self.program, "entry_point": problem.entry_point}
        of_tests = {"tests": [test.code for test in map(self._test, tests)]}
        if self.in_process:
            return Job(guest="coderlplus.judge.guest:check_in_process", payload=of_program | of_tests, limits=problem.limits)
        served = Job(guest="coderlplus.judge.guest:serve", payload=of_program, limits=problem.limits)
        payload = of_tests | {"setup_code": problem.setup_code, "entry_point": problem.entry_point}
        return Job(guest="coderlplus.judge.examiner:examine", payload=payload, limits=problem.limits, peer=served)

    def needs_program(self, outcome: Outcome) -> bool:
        """Whether the examiner met a test that only the weaker way can run; it depends on the test's code, not on what the program does."""
        return any(isinstance(reply, dict) and reply.get("end") == "in_process" for reply in outcome.replies)

    def read(self, test: int, position: int, outcome: Outcome) -> Failure | None:
        reply = reply_at(outcome, position)
        if reply is None:
            return ended(test, outcome, self.problem.limits, None)
        call = reply.get("call")
        given = _input_of(call, self.problem.entry_point or "")
        if reply.get("end") == "passed":
            return None
        if reply.get("end") == "broken" and not self.in_process:
            what = f"the test code of problem {self.problem.problem_id!r} is broken: {reply.get('raised')}: {reply.get('message')}"
            return Failure(index=test, verdict="sandbox_fault", detail=what[:_DETAIL_CHARS], input=given)
        if reply.get("end") == "gone":
            return ended(test, outcome.peer or outcome, self.problem.limits, given)
        if reply.get("end") == "raised":
            return raised(test, reply, given) or Failure(index=test, verdict="runtime_error", detail="the program failed", input=given)
        words = {"assertion": "the assertion does not hold", "error": "the test could not use the result", "not_data": "the result is not plain data"}
        what = f"{reply['raised']}: " if reply.get("end") == "error" and "raised" in reply else ""
        message = f" ({what}{reply['message']})" if reply.get("message") or what else ""
        detail = f"{words.get(str(reply.get('end')), 'no result')}: {_statement(self._test(test).code, reply.get('test_line'))}{message}"
        actual = _actual(call["value"]) if isinstance(call, dict) and "value" in call else None
        return Failure(index=test, verdict="wrong_answer", detail=detail[:_DETAIL_CHARS], input=given, actual=actual)

    def _test(self, index: int) -> CheckTest:
        test = self.problem.tests[index]
        assert isinstance(test, CheckTest)
        return test


def refused(test: int, refusal: Refusal, gave: str, expected: str, given: ProgramInput, actual: Actual | None) -> Failure:
    """The failure of a test whose answer was not accepted."""
    if refusal.verdict == "sandbox_fault":
        return Failure(index=test, verdict=refusal.verdict, detail=refusal.reason, input=given)
    detail = f"{gave}: {refusal.reason}" if refusal.reason else f"{gave}, expected {expected}"
    return Failure(index=test, verdict=refusal.verdict, detail=detail[:_DETAIL_CHARS], input=given, actual=actual)


def _input_of(call: Any, entry_point: str) -> CallInput | None:
    """The input of a call that a reply tells of, if it has the form of one."""
    args, kwargs = (call.get("args", []), call.get("kwargs", {})) if isinstance(call, dict) else (None, None)
    return CallInput(entry_point, tuple(args), kwargs) if isinstance(args, list) and isinstance(kwargs, dict) else None


def _statement(code: str, line: Any) -> str:
    """The innermost statement of test code at this line, in one line and short enough to be shown; without a line, the last one."""
    statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.stmt)]
    last = max((node.end_lineno or 0 for node in statements), default=0)
    place = line if isinstance(line, int) else last
    around = [node for node in statements if node.lineno <= place <= (node.end_lineno or 0)]
    text = " ".join((ast.get_source_segment(code, min(around, key=_lines)) or "").split()) if around else ""
    return text if len(text) <= 160 else text[:157] + "..."


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno


def reply_at(outcome: Outcome, position: int) -> Mapping[str, Any] | None:
    """The reply of one test, if there is one and it has the form of one."""
    if not 0 <= position < len(outcome.replies):
        return None
    reply = outcome.replies[position]
    return reply if isinstance(reply, dict) else {}


def raised(test: int, reply: Mapping[str, Any], given: ProgramInput | None) -> Failure | None:
    """The failure of a test whose reply tells of an exception or of a program that does not compile."""
    if "syntax_error" in reply:
        return Failure(index=test, verdict="syntax_error", detail=str(reply["syntax_error"])[:_DETAIL_CHARS], input=given)
    if "raised" not in reply:
        return None
    verdict: VerdictName = "memory_limit" if reply["raised"] == "MemoryError" else "runtime_error"
    line = reply.get("line")
    detail = f"{str(reply['raised'])[:80]}: {str(reply.get('message'))[:_DETAIL_CHARS]}" + (f" (line {line})" if isinstance(line, int) else "")
    return Failure(index=test, verdict=verdict, detail=detail, input=given, actual=Actual(raised=str(reply["raised"])[:80]))


def _actual(value: Any) -> Actual | None:
    """What the program gave, where it is short enough to be kept; of anything longer no alignment task is made."""
    return Actual(value=value) if len(json.dumps(value)) <= _ACTUAL_CHARS else None


def ended(test: int, outcome: Outcome, limits: Limits, given: ProgramInput | None) -> Failure:
    """The failure of a test during which the process ended."""
    verdict: VerdictName = "runtime_error"
    match outcome.ending:
        case "time_limit":
            used = f"{outcome.cpu_s:.1f} s of CPU in {outcome.wall_s:.1f} s"
            verdict, detail = "time_limit", f"{used}, allowed are {limits.cpu_s:g} and {limits.wall_s:g}"
        case "memory_limit":
            verdict, detail = "memory_limit", f"more than {limits.memory_mb} MB"
        case "output_limit":
            verdict, detail = "output_limit", f"more than {limits.output_kb} kB of output"
        case "fault":
            verdict, detail = "sandbox_fault", outcome.detail
        case "signal":
            names = {member.value: member.name for member in signal.Signals}
            detail = f"killed by {names.get(outcome.exit_code, outcome.exit_code)}"
        case _:
            detail = f"the process ended with code {outcome.exit_code} before the result was there"
    return Failure(index=test, verdict=verdict, detail=detail, input=given)


def _stdout_end(reply: Mapping[str, Any] | None) -> int:
    end = reply.get("stdout") if reply else 0
    return end if isinstance(end, int) and end >= 0 else 0


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:117] + "...")


def _source(value: Any) -> str:
    try:
        text = values.to_source(value)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        text = "a malformed value"
    return text if len(text) <= 120 else text[:117] + "..."
