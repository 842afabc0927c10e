"""Whether what a program gave is what was expected. Decided outside the sandbox, on plain data only.

Standard output, by the name in `Problem.checker`:

- `tokens` (the default): the same number of tokens between white space, each the same text or the same number. Where
  the expected token is written as a float (`0.5`, `1e-3`), any number within `FLOAT_TOLERANCE` of it, absolute or
  relative, is; where it is a whole number, a float of exactly that value is (`3.0`, `1e18`). Line breaks do not count;
  case does.
- `exact`: the same text, but for white space at the end.
- `case_insensitive`: as `tokens`, in lower case.
- `unordered`: the lines as `tokens`, in any order; empty lines do not count.
- `decimal_lines`: as LiveCodeBench's scorer. As many lines, each the same text but for white space at its ends, or the
  same decimal numbers, exactly.

Returned values:

- `values` (the default): as Python's `==`, with tuples as lists and `FLOAT_TOLERANCE` where a float is expected.
  `True` is `1`, `nan` is `nan`.
- `strict`: the same, and the types must match: `True` is not `1`, `2.0` is not `2`, a tuple is no list.
- `unordered`: as `values`, the items of the outermost list in any order.
- `unordered_inside`: as `values`, the items of the lists in the outermost list in any order.
- `wrapped`: as `values`, or the same as the only item of the expected list.

No comparator raises, whatever it is given, and each takes near-linear time (see `sandbox.equality`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from functools import partial
from typing import TypeVar

from coderlplus.errors import DataError
from coderlplus.records import Problem, TaggedValue
from coderlplus.sandbox import equality

FLOAT_TOLERANCE = 1e-6

Comparator = TypeVar("Comparator")

_FLOAT = re.compile(
    r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE | re.ASCII
)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_WIDE = Context(prec=30, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_MOST_DIGITS = 400
"""Length of a text up to which it is read as a binary float."""


def same_tokens(actual: str, expected: str) -> bool:
    """
    >>> same_tokens("3 0.33333334\\n", "3\\n0.3333333"), same_tokens("3.0", "3")
    (True, True)
    >>> same_tokens("3.1", "3"), same_tokens("Yes", "YES")
    (False, False)
    """
    given, wanted = actual.split(), expected.split()
    return len(given) == len(wanted) and all(map(_same_token, given, wanted))


def _same_token(given: str, wanted: str) -> bool:
    if given == wanted:
        return True
    if _FLOAT.fullmatch(wanted):
        return bool(_FLOAT.fullmatch(given) or _WHOLE.fullmatch(given)) and _close(given, wanted)
    return bool(_WHOLE.fullmatch(wanted) and _FLOAT.fullmatch(given)) and _same_decimal(given, wanted)


def _close(given: str, wanted: str) -> bool:
    """Whether two numbers in text are the same up to the tolerance. What a float cannot hold is no infinity, but a
    decimal number."""
    x, y = _float(given), _float(wanted)
    if math.isfinite(x) and math.isfinite(y):
        return math.isclose(x, y, rel_tol=FLOAT_TOLERANCE, abs_tol=FLOAT_TOLERANCE)
    if given[-1].isalpha() or wanted[-1].isalpha():  # "inf", "nan"
        return given[-1].isalpha() == wanted[-1].isalpha() and (x == y or (x != x and y != y))
    try:
        a, b = Decimal(given), Decimal(wanted)
    except InvalidOperation:  # an exponent of many digits
        return False
    most = _WIDE.multiply(_WIDE.max_mag(a, b).copy_abs(), Decimal(str(FLOAT_TOLERANCE)))
    return _WIDE.abs(_WIDE.subtract(a, b)) <= most


def _float(text: str) -> float:
    """The number, where its text is not too long for a float; an infinity otherwise."""
    return float(text) if len(text) <= _MOST_DIGITS else math.inf


def _same_decimal(given: str, wanted: str) -> bool:
    try:
        return Decimal(given) == Decimal(wanted)
    except InvalidOperation:
        return False


def same_decimal_lines(actual: str, expected: str) -> bool:
    """
    >>> same_decimal_lines("1 2.0\\n", "1 2"), same_decimal_lines("1\\n2", "1 2")
    (True, False)
    >>> same_decimal_lines("0.30000000000000004", "0.3")
    False
    """
    given, wanted = (text.strip().split("\n") for text in (actual, expected))
    return len(given) == len(wanted) and all(map(_same_decimal_line, given, wanted))


def _same_decimal_line(given: str, wanted: str) -> bool:
    if given.strip() == wanted.strip():
        return True
    words, others = given.split(), wanted.split()
    return len(words) == len(others) and all(map(_same_decimal, words, others))


def same_text(actual: str, expected: str) -> bool:
    """
    >>> same_text("a  b\\n", "a  b"), same_text("a b", "a  b")
    (True, False)
    """
    return actual.rstrip() == expected.rstrip()


def same_tokens_in_any_case(actual: str, expected: str) -> bool:
    return same_tokens(actual.lower(), expected.lower())


def same_lines_in_any_order(actual: str, expected: str) -> bool:
    """
    >>> same_lines_in_any_order("b 1\\na\\n", "a\\n\\nb 1.0"), same_lines_in_any_order("a\\na", "a\\nb")
    (True, False)
    """
    given, wanted = ([_line(line) for line in text.split("\n") if line.strip()] for text in (actual, expected))
    return equality.match(given, wanted, text=_words_of_line, order=_order, same=_same_token, budget=equality.Budget())


def _line(text: str) -> equality.Form:
    """What a line is apart from its numbers, and its numbers."""
    words = [(word, bool(_FLOAT.fullmatch(word) or _WHOLE.fullmatch(word))) for word in text.split()]
    form = " ".join("#" if is_number else f"={word}" for word, is_number in words)
    return form, [word for word, is_number in words if is_number]


def _words_of_line(form: equality.Form) -> str:
    return f"{form[0]} # {' '.join(form[1])}"


def _order(numbers: list[str]) -> list[float]:
    return [math.inf if value != value else value for value in map(_float, numbers)]


same_value = partial(equality.equal, float_tolerance=FLOAT_TOLERANCE, tuples_as_lists=True, types="python")
same_value_and_types = partial(equality.equal, float_tolerance=FLOAT_TOLERANCE, types="strict")


def same_items(actual: TaggedValue, expected: TaggedValue) -> bool:
    """
    >>> same_items([3, 1], [1, 3]), same_items([1, 1], [1])
    (True, False)
    """
    return _same_items(actual, expected, equality.Budget())


def _same_items(actual: TaggedValue, expected: TaggedValue, budget: equality.Budget) -> bool:
    given, wanted = _items(actual), _items(expected)
    if given is None or wanted is None:
        return False
    return equality.equal_in_any_order(
        given, wanted, float_tolerance=FLOAT_TOLERANCE, tuples_as_lists=True, types="python", budget=budget
    )


def _items(value: TaggedValue) -> list[TaggedValue] | None:
    """The items of a list or tuple."""
    items = value.get("$tuple") if isinstance(value, dict) else value
    return items if isinstance(items, list) else None


def same_items_inside(actual: TaggedValue, expected: TaggedValue) -> bool:
    """
    >>> same_items_inside([[2, 1], [3]], [[1, 2], [3]]), same_items_inside([[3], [1, 2]], [[1, 2], [3]])
    (True, False)
    """
    given, wanted = _items(actual), _items(expected)
    if given is None or wanted is None:
        return False
    budget = equality.Budget()
    return len(given) == len(wanted) and all(_same_items(x, y, budget) for x, y in zip(given, wanted, strict=True))


def same_value_or_only_item(actual: TaggedValue, expected: TaggedValue) -> bool:
    """
    >>> same_value_or_only_item(3, [3]), same_value_or_only_item([3], [3]), same_value_or_only_item(3, [3, 4])
    (True, True, False)
    """
    return same_value(actual, expected) or (
        isinstance(expected, list) and len(expected) == 1 and same_value(actual, expected[0])
    )


STDOUT: dict[str, Callable[[str, str], bool]] = {
    "tokens": same_tokens,
    "exact": same_text,
    "case_insensitive": same_tokens_in_any_case,
    "unordered": same_lines_in_any_order,
    "decimal_lines": same_decimal_lines,
}
VALUES: dict[str, Callable[[TaggedValue, TaggedValue], bool]] = {
    "values": same_value,
    "strict": same_value_and_types,
    "unordered": same_items,
    "unordered_inside": same_items_inside,
    "wrapped": same_value_or_only_item,
}


def stdout_comparator(problem: Problem) -> Callable[[str, str], bool]:
    """The comparator of a problem's stdio tests. Raises `DataError` if `checker` is not the name of one."""
    return _named(problem, STDOUT, "tokens")


def value_comparator(problem: Problem) -> Callable[[TaggedValue, TaggedValue], bool]:
    """The comparator of a problem's call tests. Raises `DataError` if `checker` is not the name of one."""
    return _named(problem, VALUES, "values")


def check_name(problem: Problem) -> None:
    """Raise `DataError` if `checker` names a comparator that the tests of the problem cannot use."""
    kinds = {test.kind for test in problem.tests}
    if isinstance(problem.checker, str):
        if "stdio" in kinds:
            stdout_comparator(problem)
        if "call" in kinds:
            value_comparator(problem)
    if problem.checker is not None and not kinds & {"stdio", "call"}:
        raise DataError(f"problem {problem.problem_id!r} has a checker, but only check tests, which decide themselves")


def _named(problem: Problem, comparators: dict[str, Comparator], default: str) -> Comparator:
    name = problem.checker or default
    if not isinstance(name, str) or name not in comparators:
        raise DataError(
            f"problem {problem.problem_id!r} has the checker {name!r}; known here are {', '.join(comparators)}"
        )
    return comparators[name]
