"""Tests of HumanEval+ and MBPP+ (Liu et al. 2023): inputs, and a reference that says what is right.

A release gives inputs (`base_input`, `plus_input`) and a reference (`canonical_solution`), and may hold the tests of
the set without plus beside them; the hub gives finished test code (`test`), which is used as it is. Two tests, base
and plus. The reference runs beside the test code, apart from the judged program, each time: nothing is cached. Results
are compared as evalplus 0.3 does: `==`; else, where floats are expected or the task has a tolerance, the same type and
close by absolute tolerance `atol` and relative 1e-7; and its special cases.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from coderlplus import syntax
from coderlplus.errors import DataError
from coderlplus.records import CheckTest, Limits

LIMITS = Limits(cpu_s=20.0, wall_s=180.0, memory_mb=2048)
"""evalplus allows 4 s an input, or four times what the reference took, at most 60 s a program, and 4 GB."""

PARTS = ("base_input", "plus_input")
INPUTS = "base_input and plus_input"
BASE_ALONE = "base_input, with an empty plus_input"

_CODE = """\
import copy, math

inf, nan = float("inf"), float("nan")
{before}
INPUTS = {inputs}


def reference():
    names = {{}}
    exec({reference!r}, names)
    return names[{name!r}]


def floats(value):
    return isinstance(value, float) or isinstance(value, (list, tuple)) and len(value) > 0 \
and all(isinstance(item, float) for item in value)


def close(same, actual, expected, atol):
    if isinstance(expected, (list, tuple)):
        assert same or len(actual) == len(expected), f"expected {{len(expected)}} items, not {{actual!r}}"
        for place, item in enumerate(expected):
            close(same, actual[place], item, atol)
    else:
        bound = atol + 1e-7 * abs(expected)
        is_close = actual == expected or abs(actual - expected) <= bound
        assert same or is_close, f"expected {{expected!r}}, not {{actual!r}}"


def compare(actual, expected, also=False):
    same = also or actual == expected
    atol = {atol!r} or (1e-6 if floats(expected) else 0)
    shown = repr(expected)[:120]
    if atol:
        assert same or type(actual) is type(expected), f"expected {{shown}}, not {{actual!r}}"
        close(same, actual, expected, atol)
    else:
        assert same, f"expected {{shown}}, not {{actual!r}}"


def check(candidate):
    truth = reference()
    for arguments in INPUTS:
        actual = candidate(*copy.deepcopy(arguments))
        expected = truth(*copy.deepcopy(arguments))
        {special}
"""
"""Written so that the judge can plan it: each comparison is an assert, and no branch depends on `actual`."""


def checks(
    row: Mapping[str, Any], *, restore: Callable[[list[Any]], Any] = list, special: str = "", before: str = ""
) -> tuple[tuple[CheckTest, ...], int, str]:
    """The tests of a row (of the base inputs, and of the added ones), how many inputs they have, and the layout that
    they come from.

    A row of a release may hold the tests of the set that it extends as well (`test`): they are another benchmark's and
    are left alone. `restore` gives an input the types that JSON does not have. `special` are the statements that
    compare, and `before` what they need. Raises `DataError` for a row that has neither both kinds of inputs nor
    evalplus's own test code.
    """
    if not is_release(row):
        return _of_the_hub(row)
    absent = [
        part for part in PARTS if not isinstance(row.get(part), list) and row.get(part) != {}
    ]  # Mbpp/793 has {} for no added inputs
    if absent or not row["base_input"]:
        lacking = " and ".join(repr(part) for part in absent) or "an input in 'base_input'"
        raise DataError(
            f"the row lacks {lacking}: the tests of HumanEval+ and MBPP+; download the release again, or use the set "
            "without plus"
        )
    found = [[restore(given) for given in row[part]] for part in PARTS]
    about = {"reference": row["prompt"] + row["canonical_solution"], "name": row["entry_point"], "atol": row["atol"]}
    about |= {"special": special or "compare(actual, expected)", "before": before}
    tests = tuple(CheckTest(_CODE.format(inputs=repr(part), **about)) for part in found if part)
    return tests, sum(map(len, found)), INPUTS if row["plus_input"] else BASE_ALONE


def is_release(row: Mapping[str, Any]) -> bool:
    """Whether a row is of a release, or what is left of one, rather than of the hub."""
    return any(part in row for part in PARTS) or ("canonical_solution" in row and "test" not in row)


def _of_the_hub(row: Mapping[str, Any]) -> tuple[tuple[CheckTest, ...], int, str]:
    code = row.get("test") or ""
    count = inputs_in(code)
    if not count:
        raise DataError(
            "the row has neither 'base_input' and 'plus_input' nor evalplus's test code with its list of inputs: it "
            "is not of HumanEval+ or MBPP+; download their release, or use the set without plus"
        )
    if re.search(r"^\s*(import|from) numpy\b", code, re.MULTILINE) and importlib.util.find_spec("numpy") is None:
        raise DataError(
            "the hub's test code imports numpy, which is not installed: pip install numpy, or use evalplus's "
            "release with --data-dir"
        )
    return (CheckTest(code),), count, "evalplus's test code"


def inputs_in(code: str) -> int | None:
    """How many inputs evalplus's test code has in its list `inputs`; `None` for other test code.

    >>> inputs_in("def check(candidate):\\n    inputs = [[1], [2]]\\n    results = [1, 2]")
    2
    >>> inputs_in("assert f(1) == 2") is None
    True
    """
    for node in _nodes(code):
        match node:
            case ast.Assign(targets=[ast.Name(id="inputs")], value=ast.List(elts=items)):
                return len(items)
    return None


def asserts_in(code: str) -> int:
    """How many `assert` statements test code has that compare anything."""
    return sum(isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant) for node in _nodes(code))


def _nodes(code: str) -> Iterator[ast.AST]:
    try:
        return ast.walk(syntax.parse(code, "<program>"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return iter(())
