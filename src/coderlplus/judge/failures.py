"""The failure of a test, from what came of it: its verdict, and a sentence short enough to be kept."""

from __future__ import annotations

import ast
import json
import signal
from typing import Any

from coderlplus.errors import DataError
from coderlplus.judge.checkers import Refusal
from coderlplus.judge.replies import Raised
from coderlplus.records import Actual, CallInput, CallTest, Failure, Limits, Problem, ProgramInput, VerdictName
from coderlplus.records.tagged import tagged
from coderlplus.sandbox import Outcome, values

LIMITS = ("time_limit", "memory_limit", "output_limit")
DOES_NOT_HOLD = "the assertion does not hold"
_DETAIL_CHARS = 300
_ACTUAL_CHARS = 2_000


def at_fault(problem: Problem, test: int, what: str) -> str:
    """The sentence about a test that is itself at fault."""
    return f"test {test + 1} of problem {problem.problem_id!r} is at fault, not the program: {what}"[:_DETAIL_CHARS]


def asserted(
    test: int,
    code: str,
    line: int | None,
    message: str,
    given: CallInput | None,
    actual: Actual | None,
    words: str = DOES_NOT_HOLD,
) -> Failure:
    """The failure of test code with this line."""
    detail = f"{words}: {_statement(code, line)}" + (f" ({message})" if message else "")
    return Failure(index=test, verdict="wrong_answer", detail=detail[:_DETAIL_CHARS], input=given, actual=actual)


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
    return refused(test, refusal, f"returned {_source(value)}", _source(wanted.expected), given, actual_of(value))


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


def over_limit(test: int, outcome: Outcome, limits: Limits, given: ProgramInput | None = None) -> Failure | None:
    """The failure of a test whose process was beyond a limit, if it was."""
    return ended(test, outcome, limits, given) if outcome.ending in LIMITS else None


def _statement(code: str, line: Any) -> str:
    """The innermost statement of test code at this line, in one line and short enough to be shown; without a line, the
    last one."""
    statements = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.stmt)]
    last = max((node.end_lineno or 0 for node in statements), default=0)
    place = line if isinstance(line, int) else last
    around = [node for node in statements if node.lineno <= place <= (node.end_lineno or 0)]
    text = " ".join((ast.get_source_segment(code, min(around, key=_lines)) or "").split()) if around else ""
    return text if len(text) <= 160 else text[:157] + "..."


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno


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
    return repr(text if len(text) <= 120 else text[:117] + "...")


def _source(value: Any) -> str:
    try:
        text = values.to_source(value)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        text = "a malformed value"
    return text if len(text) <= 120 else text[:117] + "..."
