"""The failure of a test, from what came of it: its verdict, and a sentence short enough to be kept."""

from __future__ import annotations

import ast
import json
import signal
from typing import Any

from coderlplus import syntax
from coderlplus.errors import DataError
from coderlplus.judge.checkers import Refusal
from coderlplus.judge.replies import Raised
from coderlplus.records import (
    Actual,
    CallInput,
    CallTest,
    CheckTest,
    Failure,
    Limits,
    Problem,
    ProgramInput,
    VerdictName,
)
from coderlplus.records.tagged import tagged
from coderlplus.sandbox import Outcome
from coderlplus.sandbox.literals import to_source

LIMITS = ("time_limit", "memory_limit", "output_limit")
DOES_NOT_HOLD = "the assertion does not hold"
_DETAIL_CHARS = 300
_ACTUAL_CHARS = 2_000


def at_fault(problem: Problem, test: int, what: str) -> str:
    """The sentence about a test that is itself at fault."""
    return f"test {test + 1} of problem {problem.problem_id!r} is at fault, not the program: {what}"[:_DETAIL_CHARS]


def asserted(
    problem: Problem,
    index: int,
    line: int | None,
    message: str,
    given: CallInput | None,
    actual: Actual | None,
    words: str = DOES_NOT_HOLD,
) -> Failure:
    """The failure of test code at this line of it."""
    test = problem.tests[index]
    detail = f"{words}: {_statement(test.code, line) if isinstance(test, CheckTest) else ''}"
    detail += f" ({message})" if message else ""
    return Failure(index=index, verdict="wrong_answer", detail=detail[:_DETAIL_CHARS], input=given, actual=actual)


def refused(
    test: int, refusal: Refusal, gave: str, expected: str, given: ProgramInput, actual: Actual | None
) -> Failure:
    """The failure of a test whose answer was not accepted."""
    if refusal.verdict == "sandbox_fault":
        return Failure(index=test, verdict=refusal.verdict, detail=refusal.reason, input=given)
    detail = f"{gave}: {refusal.reason}" if refusal.reason else f"{gave}, expected {expected}"
    return Failure(index=test, verdict=refusal.verdict, detail=detail[:_DETAIL_CHARS], input=given, actual=actual)


def returned(test: int, refusal: Refusal | None, wanted: CallTest, value: Any, given: CallInput) -> Failure | None:
    """What a call test came to."""
    if refusal is None:
        return None
    gave, expected = (_short(to_source(each)) for each in (value, wanted.expected))
    return refused(test, refusal, f"returned {gave}", expected, given, actual_of(value))


def no_answer(test: int, given: ProgramInput | None) -> Failure:
    """The failure of a program whose process said what no reader takes."""
    return Failure(index=test, verdict="runtime_error", detail="the program sent what is not an answer", input=given)


def not_compiled(test: int, message: str, given: ProgramInput | None) -> Failure:
    return Failure(index=test, verdict="syntax_error", detail=message[:_DETAIL_CHARS], input=given)


def raised(test: int, error: Raised, given: ProgramInput | None) -> Failure:
    """The failure of a test whose program raised an exception."""
    verdict: VerdictName = "memory_limit" if error.name == "MemoryError" else "runtime_error"
    detail = f"{error.name}: {error.message}" if error.message else error.name
    detail += "" if error.line is None else f" (line {error.line})"
    return Failure(index=test, verdict=verdict, detail=detail, input=given, actual=Actual(raised=error.name))


def _statement(code: str, line: int | None) -> str:
    """The innermost statement of test code at this line, in one line and short enough to be shown; without a line, the
    last one."""
    statements = [
        (node, node.end_lineno or 0) for node in syntax.walk(syntax.parse(code)) if isinstance(node, ast.stmt)
    ]
    place = line if line is not None else max((end for _, end in statements), default=0)
    around = [
        (end - node.lineno, index) for index, (node, end) in enumerate(statements) if node.lineno <= place <= end
    ]
    if not around:
        return ""
    text = " ".join((ast.get_source_segment(code, statements[min(around)[1]][0]) or "").split())
    return _short(text, 160)


def actual_of(value: Any) -> Actual | None:
    """What the program gave, where it is a tagged value and short enough to be kept. Of anything else no alignment
    task is made."""
    if len(json.dumps(value)) > _ACTUAL_CHARS:
        return None
    try:
        return Actual(value=tagged(value, "value"))
    except DataError:  # a reply that the program wrote itself; a verdict with it could not be read again
        return None


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


def shown(text: str) -> str:
    return repr(_short(text))


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
