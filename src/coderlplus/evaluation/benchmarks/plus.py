"""Tests of HumanEval+ and MBPP+ (Liu et al. 2023): inputs, and a reference that says what is right.

A release gives inputs (`base_input`, `plus_input`) and a reference (`canonical_solution`); the hub gives finished test code (`test`), which is used
as it is. Two tests, base and plus. The reference runs beside the test code, apart from the judged program, each time: nothing is cached. Results are
compared as evalplus 0.3 does: `==`; else, where floats are expected or the task has a tolerance, the same type and close by absolute tolerance `atol`
and relative 1e-7; and its special cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coderlplus.records import CheckTest, Limits

LIMITS = Limits(cpu_s=20.0, wall_s=180.0, memory_mb=2048)
"""evalplus allows 4 s an input, or four times what the reference took, at most 60 s a program, and 4 GB."""

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
    return isinstance(value, float) or isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(item, float) for item in value)


def close(actual, expected, atol):
    if isinstance(expected, (list, tuple)):
        return len(actual) == len(expected) and all(close(*pair, atol) for pair in zip(actual, expected))
    return actual == expected or abs(actual - expected) <= atol + 1e-7 * abs(expected)


def right(arguments, actual, expected):
    {special}
    if actual == expected:
        return True
    atol = {atol!r} or (1e-6 if floats(expected) else 0)
    return bool(atol) and type(actual) is type(expected) and close(actual, expected, atol)


def check(candidate):
    truth = reference()
    for arguments in INPUTS:
        actual = candidate(*copy.deepcopy(arguments))
        expected = truth(*copy.deepcopy(arguments))
        assert right(arguments, actual, expected), f"{{actual!r:.120}}, expected {{expected!r:.120}}"
"""


def checks(
    row: Mapping[str, Any], *, inputs: Sequence[Sequence[Sequence[Any]]] | None = None, special: str = "", before: str = ""
) -> tuple[CheckTest, ...]:
    """The tests of a row: of the base inputs and of the added ones.

    `inputs` stands for the row's where they need other types than JSON has. `special` is a statement of `right` and `before` what it needs.
    """
    if "test" in row:
        return (CheckTest(row["test"]),)
    found = [row["base_input"], row["plus_input"]] if inputs is None else inputs
    reference = row["prompt"] + row["canonical_solution"]
    return tuple(
        CheckTest(
            _CODE.format(inputs=repr(part), reference=reference, name=row["entry_point"], special=special or "pass", before=before, atol=row["atol"])
        )
        for part in found
        if part
    )
