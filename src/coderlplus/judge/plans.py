"""Test code → a plan: which calls it makes, and what it asks of their answers. A planned test is run as calls.

Asserts on calls with literals are read from the text (`asserts.py`). Other code that does nothing unusual is run once,
without any program, in the sandbox (`dry_run.py`); what it does there it does with every program. Where the answers of
a program leave it open how the test ends (`Unclear`), the examiner decides.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from coderlplus.judge.asserts import Call, Condition, Plan, read_asserts
from coderlplus.judge.instrument import instrumented
from coderlplus.judge.kept import Kept, key
from coderlplus.judge.repeatable import PURE
from coderlplus.judge.wire import Fields, has_shape
from coderlplus.records import CheckTest, Problem
from coderlplus.records.test_code import TestCode, read_test_code
from coderlplus.sandbox import Job, Outcome

_REPLY_KB = 2048
"""Longest plans of the tests of a problem, as JSON."""

_read_asserts = functools.lru_cache(maxsize=8192)(read_asserts)


def _plan(reply: dict[str, Any]) -> Plan:
    calls, conditions = reply["calls"], reply["asserts"]
    return Plan(
        tuple(Call(tuple(call["args"]), call["kwargs"], tuple(call.get("caught", ()))) for call in calls),
        tuple(Condition(**one) for one in conditions),
        any("caught" in call for call in calls),
    )


def _plans(replies: list[dict[str, Any]] | None) -> list[Plan] | None:
    return None if replies is None else [*map(_plan, replies)]


_kept = Kept(max_bytes=16 << 20, read=_plans)
"""Plans, or `None`, by the texts of the tests. Those of HumanEval+ and MBPP+, 60 MB of JSON, take 4 MB so."""
_CONDITION: Fields = {
    **{"after": (int,), "test": (list,), "line": (int,), "message": (str, type(None)), "shown": (list,)},
}
_MAY_HAVE: Fields = {"method": (list, type(None)), "is_error": (bool,), "is_exact": (bool,)}
_CALL: Fields = {"args": (list,), "kwargs": (dict,)}


def plans(execute: Callable[[Job], Outcome], problem: Problem, tests: Sequence[int]) -> dict[int, Plan] | None:
    """The plans of these tests, those of them that are code; `None` if one of them has none."""
    codes = {index: test.code for index in tests if isinstance(test := problem.tests[index], CheckTest)}
    name = problem.entry_point or ""
    read = {index: _read_asserts(code, name, problem.setup_code) for index, code in codes.items()}
    found = {index: plan for index, plan in read.items() if plan is not None}
    others = [index for index in codes if index not in found]
    if not others:
        return found
    of_tests = key(name, problem.setup_code, *(codes[index] for index in others))
    kept = _kept.get(of_tests)
    if kept is None:
        codes_read = [read_test_code(codes[index], name, problem.setup_code) for index in others]
        made, is_final = _dry_run(execute, problem, codes_read)
        kept = (_plans(made),)
        if is_final:
            _kept.put(of_tests, made)
    (made_plans,) = kept
    return None if made_plans is None else found | dict(zip(others, made_plans, strict=True))


def _dry_run(
    execute: Callable[[Job], Outcome], problem: Problem, codes: Sequence[TestCode]
) -> tuple[list[dict[str, Any]] | None, bool]:
    """The plans as the sandbox replies them, if there are, and whether that is so every time."""
    if any(module not in PURE for code in codes for module in code.modules):
        return None, True
    try:
        made = [instrumented(code.text, problem.setup_code, code.modules) for code in codes]
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None, True
    tests = [
        {"code": text, "main": code.is_main, "modules": list(code.modules)}
        for text, code in zip(made, codes, strict=True)
    ]
    payload = {"setup_code": problem.setup_code, "entry_point": problem.entry_point, "tests": tests}
    outcome = execute(
        Job(guest="coderlplus.judge.dry_run:dry_run", payload=payload, limits=problem.limits, reply_kb=_REPLY_KB)
    )
    if outcome.ending != "returned" or len(outcome.replies) != 1:
        return None, outcome.ending != "fault"
    (reply,) = outcome.replies
    are_plans = isinstance(reply, list) and len(reply) == len(codes) and all(map(_is_plan, reply))
    return (reply if are_plans else None), True


def _is_plan(reply: object) -> bool:
    if not has_shape(reply, {"calls": (list,), "asserts": (list,)}):
        return False
    calls, conditions = reply["calls"], reply["asserts"]
    if not all(has_shape(call, _CALL | {"caught": (list,)}, _CALL) for call in calls):
        return False
    if not conditions or not all(has_shape(one, _CONDITION | _MAY_HAVE, _CONDITION) for one in conditions):
        return False
    return all(0 < one["after"] <= len(calls) for one in conditions)
