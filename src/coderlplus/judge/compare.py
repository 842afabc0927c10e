"""Whether what a program gave is what was expected. Decided outside the sandbox, on plain data only.

Standard output, by the name in `Problem.checker`:

- `tokens` (the default): the same number of tokens between white space, each the same text; where the expected token is written as a float (`0.5`,
  `1e-3`), any number within `FLOAT_TOLERANCE` of it, absolute or relative. Line breaks do not count; case does.
- `exact`: the same text, but for white space at the end.
- `case_insensitive`: as `tokens`, in lower case.

Returned values:

- by default `values.equal` with `FLOAT_TOLERANCE` and with tuples as lists, as LeetCode treats them. `True` is not `1`, `nan` is `nan`.
- `unordered`: the same, the items of the outermost list in any order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from coderlplus.errors import DataError
from coderlplus.records import Problem, TaggedValue
from coderlplus.sandbox import values

FLOAT_TOLERANCE = 1e-6

Comparator = TypeVar("Comparator")

_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)


def same_tokens(actual: str, expected: str) -> bool:
    """
    >>> same_tokens("3 0.33333334\\n", "3\\n0.3333333"), same_tokens("3.0", "3"), same_tokens("Yes", "YES")
    (True, False, False)
    """
    given, wanted = actual.split(), expected.split()
    return len(given) == len(wanted) and all(x == y or _close(x, y) for x, y in zip(given, wanted, strict=True))


def _close(actual: str, expected: str) -> bool:
    if len(actual) > 400 or not _FLOAT.fullmatch(expected) or not _NUMBER.fullmatch(actual):
        return False
    x, y = float(actual), float(expected)
    return math.isclose(x, y, rel_tol=FLOAT_TOLERANCE, abs_tol=FLOAT_TOLERANCE) or (x != x and y != y)


def same_text(actual: str, expected: str) -> bool:
    """
    >>> same_text("a  b\\n", "a  b"), same_text("a b", "a  b")
    (True, False)
    """
    return actual.rstrip() == expected.rstrip()


def same_tokens_in_any_case(actual: str, expected: str) -> bool:
    return same_tokens(actual.lower(), expected.lower())


same_value = partial(values.equal, float_tolerance=FLOAT_TOLERANCE, tuples_as_lists=True)


def same_items(actual: TaggedValue, expected: TaggedValue) -> bool:
    """
    >>> same_items([3, 1], [1, 3]), same_items([1, 1], [1])
    (True, False)
    """
    given, wanted = (value.get("$tuple") if isinstance(value, dict) else value for value in (actual, expected))
    if not isinstance(given, list) or not isinstance(wanted, list) or len(given) != len(wanted):
        return False
    left = list(wanted)
    for item in given:
        found = next((index for index, other in enumerate(left) if same_value(item, other)), None)
        if found is None:
            return False
        del left[found]
    return True


STDOUT: dict[str, Callable[[str, str], bool]] = {"tokens": same_tokens, "exact": same_text, "case_insensitive": same_tokens_in_any_case}
VALUES: dict[str, Callable[[TaggedValue, TaggedValue], bool]] = {"values": same_value, "unordered": same_items}


def stdout_comparator(problem: Problem) -> Callable[[str, str], bool]:
    """The comparator of a problem's stdio tests. Raises `DataError` if `checker` is not the name of one."""
    return _named(problem, STDOUT, "tokens")


def value_comparator(problem: Problem) -> Callable[[TaggedValue, TaggedValue], bool]:
    """The comparator of a problem's call tests. Raises `DataError` if `checker` is not the name of one."""
    return _named(problem, VALUES, "values")


def _named(problem: Problem, comparators: dict[str, Comparator], default: str) -> Comparator:
    name = problem.checker or default
    if name not in comparators:
        raise DataError(f"problem {problem.problem_id!r} has the checker {name!r}; known here are {', '.join(comparators)}")
    return comparators[name]
