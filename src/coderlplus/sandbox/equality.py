"""Whether two tagged values are the same value. Standard library only: this file also runs inside the sandbox.

Whatever comes in, the answer is a truth value: what was cut, is malformed or is nested too deeply equals nothing. The
work is near-linear in the size of the two values. Members of sets, keys, and items in any order are matched by a text
that equal ones have in common. Only members that differ by less than the tolerance are left over; these are matched in
their numerical order, and where that fails each against each, with at most `MATCHING_BUDGET` comparisons of numbers.
Beyond it they count as different.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from coderlplus.sandbox import nodes
from coderlplus.sandbox.decoding import NotPlain, decode
from coderlplus.sandbox.encoding import MAX_DEPTH, Tagged

Types = Literal["kinds", "python", "strict"]
MATCHING_BUDGET = 200_000
"""Comparisons of numbers, in one call, among members that have no exact counterpart."""
_MOST_DIGITS = 1_100
"""Digits and exponent of a `Decimal` up to which it is compared with numbers of other types; those of a float are
fewer."""
_MOST_BITS = 8_000
"""A whole number beyond it is larger than every such `Decimal`. `Fraction` is not asked to reduce it: that takes
quadratic time."""
_SEQUENCES = ("list", "tuple", "deque", "complex", "list_node", "tree_node", "fraction", "object")
_NUMBERS = ("number", "bool", "int", "float", "decimal", "ratio")
_SAME_TYPE = (int, float, str, bool, type(None))

_Pairs = list[tuple[Tagged, Tagged]]
Form = tuple[str, list[Any]]
"""What a value is apart from its numbers, and its numbers in order."""


def equal(
    a: Tagged, b: Tagged, *, float_tolerance: float = 0.0, tuples_as_lists: bool = False, types: Types = "kinds"
) -> bool:
    """Whether `a` is the value `b`; where one of them is expected, that is `b`.

    `types` says which types may differ:

    - `"kinds"`: an int equals a float of its value, a frozenset a set. `True` is not `1`.
    - `"python"`: as `==` says. `True` is `1`, a `Decimal` or `Fraction` is a number among others, bytes equal a
      bytearray.
    - `"strict"`: none. `2.0` is not `2`.

    A tuple is a list only with `tuples_as_lists`. Where `b` has a finite float, `a` may have a number that differs by
    `float_tolerance`, absolute or relative, whichever is more; every other number must be exactly the same. `nan`
    equals `nan`.

    >>> equal([1, {"$set": [2, 1]}], [1.0, {"$set": [1, 2]}]), equal(True, 1), equal(True, 1, types="python")
    (True, False, True)
    >>> equal(0.1 + 0.2, 0.3, float_tolerance=1e-9), equal(3.0000000001, 3, float_tolerance=1e-9)
    (True, False)
    """
    try:
        return _Equality(float_tolerance, tuples_as_lists, types).same(a, b, 0)
    except _Unequal:
        return False


def equal_in_any_order(
    items: Sequence[Tagged],
    others: Sequence[Tagged],
    *,
    float_tolerance: float = 0.0,
    tuples_as_lists: bool = False,
    types: Types = "kinds",
    budget: Budget | None = None,
) -> bool:
    """Whether the items are the others, one to one, in some order; see `equal`. Calls may share a `budget`.

    >>> equal_in_any_order([3, [1]], [[1.0], 3]), equal_in_any_order([1, 1], [1, 2])
    (True, False)
    """
    rule = _Equality(float_tolerance, tuples_as_lists, types)
    rule.budget = budget or rule.budget
    try:
        return rule.matched([rule.form(0, item) for item in items], [rule.form(0, item) for item in others])
    except _Unequal:
        return False


class _Unequal(Exception):
    """A value that equals nothing."""


class Budget:
    """How many numbers may still be compared."""

    def __init__(self) -> None:
        self.left = MATCHING_BUDGET


def match(
    forms: Sequence[Form],
    others: Sequence[Form],
    *,
    text: Callable[[Form], str],
    order: Callable[[list[Any]], list[float]],
    same: Callable[[Any, Any], bool] | None,
    budget: Budget,
) -> bool:
    """Whether things of these forms are the same one to one.

    Those with one `text` are. The rest are, without `same`, none; otherwise those that differ only in numbers which
    are the `same`: they are paired in the `order` of these numbers or, where that fails, each with the first that
    fits, as long as the budget lasts.
    """
    if len(forms) != len(others):
        return False
    wanted: dict[str, list[Form]] = defaultdict(list)
    for form in others:
        wanted[text(form)].append(form)
    rest: dict[str, list[list[Any]]] = defaultdict(list)
    for form in forms:
        found = wanted.get(text(form))
        if found:
            found.pop()
        else:
            rest[form[0]].append(form[1])
    if not rest:
        return True
    left: dict[str, list[list[Any]]] = defaultdict(list)
    for found in wanted.values():
        for words, numbers in found:
            left[words].append(numbers)
    if same is None or rest.keys() != left.keys():
        return False
    return all(_aligned(rest[words], left[words], order, same, budget) for words in rest)


def _aligned(
    rows: list[list[Any]],
    others: list[list[Any]],
    order: Callable[[list[Any]], list[float]],
    same: Callable[[Any, Any], bool],
    budget: Budget,
) -> bool:
    def fits(row: list[Any], other: list[Any]) -> bool:
        for x, y in zip(row, other, strict=True):
            budget.left -= 1
            if not same(x, y):
                return False
        return True

    if len(rows) != len(others):
        return False
    rows.sort(key=order)
    others.sort(key=order)
    if all(all(map(same, row, other)) for row, other in zip(rows, others, strict=True)):
        return True
    for row in rows:
        found = next((place for place, other in enumerate(others) if budget.left < 0 or fits(row, other)), None)
        if found is None or budget.left < 0:
            return False
        del others[found]
    return True


class _Equality:
    def __init__(self, float_tolerance: float, tuples_as_lists: bool, types: Types) -> None:
        self.tolerance = float_tolerance
        self.tuple_tag = "list" if tuples_as_lists else "tuple"
        self.types = types
        self.budget = Budget()

    def same(self, a: Tagged, b: Tagged, depth: int) -> bool:
        kind = type(a)
        if kind is type(b) and kind in _SAME_TYPE:
            if a == b:
                return True
            if kind is not float:
                return False
        tag, body = self.parts(a, depth)
        other, counterpart = self.parts(b, depth)
        if tag != other:
            return False
        if tag in _NUMBERS:
            return self.numbers(body, counterpart)
        if tag in _SEQUENCES:
            if len(body) != len(counterpart):
                return False
            depth += 1
            for x, y in zip(body, counterpart, strict=True):  # noqa: SIM110  a generator would double the depth of the stack
                if not self.same(x, y, depth):
                    return False
            return True
        if tag in ("set", "frozenset"):
            return self.matched(*([self.form(depth + 1, item) for item in items] for items in (body, counterpart)))
        if tag == "dict":
            return self.dicts(body, counterpart, depth + 1)
        return bool(body == counterpart)

    def numbers(self, x: Any, y: Any) -> bool:
        if x is y or (_comparable(x, y) and x == y) or (x != x and y != y):
            return True
        if not self.tolerance or type(y) is not float or not math.isfinite(y):
            return False
        x = _nearest_float(x)
        return math.isfinite(x) and math.isclose(x, y, rel_tol=self.tolerance, abs_tol=self.tolerance)

    def dicts(self, pairs: _Pairs, others: _Pairs, depth: int) -> bool:
        """Keys by their text first; pairs whose keys are floats within the tolerance, of which there are few, as a
        whole."""
        given = {_text(self.form(depth, key)): (key, value) for key, value in pairs}
        wanted = {_text(self.form(depth, key)): (key, value) for key, value in others}
        if len(given) != len(wanted):
            return False
        rest: _Pairs = []
        for text, pair in given.items():
            found = wanted.pop(text, None)
            if found is None:
                rest.append(pair)
            elif not self.same(pair[1], found[1], depth):
                return False
        if rest and not self.tolerance:
            return False
        return self.matched(*([self.form(depth, *pair) for pair in left] for left in (rest, wanted.values())))

    def matched(self, forms: list[Form], others: list[Form]) -> bool:
        same = self.numbers if self.tolerance else None
        return match(forms, others, text=_text, order=_order, same=same, budget=self.budget)

    def form(self, depth: int, *parts: Tagged) -> Form:
        """Of a value, or of a key and its value."""
        words: list[str] = []
        numbers: list[Any] = []
        for part in parts:
            self.flatten(part, depth, words, numbers)
        return "".join(words), numbers

    def flatten(self, tagged: Tagged, depth: int, words: list[str], numbers: list[Any]) -> None:
        tag, body = self.parts(tagged, depth)
        if tag in _NUMBERS:
            words.append(f"{tag};")
            numbers.append(body)
        elif tag in _SEQUENCES:
            words.append(f"{tag}{len(body)}:")
            for item in body:
                self.flatten(item, depth + 1, words, numbers)
        elif tag in ("set", "frozenset", "dict"):
            members = [self.form(depth + 1, *(item if tag == "dict" else (item,))) for item in body]
            members.sort(key=lambda member: (member[0], _order(member[1])))
            words.append(f"{tag}{len(members)}:")
            for member in members:
                words.append(member[0])
                numbers += member[1]
        else:
            text = str(body)
            words.append(f"{tag}{len(text)}:{text}")

    def parts(self, tagged: Tagged, depth: int) -> tuple[str, Any]:
        """Tag and body as they are compared: numbers as numbers, members and pairs as lists. Raises `_Unequal` for
        what equals nothing."""
        if depth > MAX_DEPTH + 1:
            raise _Unequal
        kind = type(tagged)
        if kind is list:
            return "list", tagged
        if kind is str:
            return "str", tagged
        if kind is int or kind is float or kind is bool:
            return self.number(kind.__name__), tagged
        if tagged is None:
            return "none", None
        if kind is not dict:
            raise _Unequal
        tag = next(iter(tagged), "")
        if type(tag) is not str:
            raise _Unequal
        if not tag.startswith("$"):
            return "dict", list(tagged.items())
        body, fields = tagged[tag], tagged.get("fields")
        if tag == "$object" and len(tagged) == 2 and type(body) is str and type(fields) is dict:
            return "object", [body, fields]
        if len(tagged) != 1:
            raise _Unequal
        try:
            return self.tagged(tag, body)
        except (NotPlain, TypeError, ValueError, ArithmeticError):
            raise _Unequal from None

    def tagged(self, tag: str, body: Any) -> tuple[str, Any]:
        match tag:
            case "$tuple" | "$deque" | "$set" | "$frozenset" if type(body) is list:
                name = tag[1:] if tag != "$frozenset" or self.types == "strict" else "set"
                return (self.tuple_tag if tag == "$tuple" else name), body
            case "$dict" if type(body) is list and all(type(pair) is list and len(pair) == 2 for pair in body):
                return "dict", body
            case "$list_node" | "$tree_node" if type(body) is list:
                return _nodes(tag, body)
            case "$float" | "$int":
                return self.number(tag[1:]), decode({tag: body})
            case "$decimal" if type(body) is str:
                return self.decimal(Decimal(body))
            case "$fraction" if type(body) is list:
                whole = [decode(part) for part in body]
                if all(type(part) is int and part.bit_length() <= _MOST_BITS for part in whole):
                    return self.number("ratio"), Fraction(*whole)
                if len(whole) == 2 and whole[1] == 1:
                    return self.number("ratio"), whole[0]
                return "fraction", body  # reduced already where it comes from an encoder
            case "$complex" if type(body) is list and len(body) == 2:
                real, imaginary = map(decode, body)
                is_real = self.types == "python" and imaginary == 0
                return (self.number("float"), float(real)) if is_real else ("complex", body)
            case "$bytes" | "$bytearray" if type(body) is str:
                return ("bytes" if self.types == "python" else tag[1:]), body.lower()
            case "$range" if type(body) is list:
                return "range", _range(decode({tag: body}))
            case "$cycle" if type(body) is int:
                return "cycle", hex(body)
        raise _Unequal

    def number(self, name: str) -> str:
        is_one_kind = self.types == "python" or (self.types == "kinds" and name in ("int", "float"))
        return "number" if is_one_kind else name

    def decimal(self, value: Decimal) -> tuple[str, Any]:
        if not value.is_finite():
            return self.number("decimal"), math.nan if value.is_nan() else math.copysign(math.inf, value)
        sign, digits, exponent = value.as_tuple()
        if len(digits) <= _MOST_DIGITS and abs(int(exponent)) <= _MOST_DIGITS:
            return self.number("decimal"), value
        text = "".join(map(str, digits))
        kept = text.rstrip("0")
        return "digits", f"{sign} {kept.lstrip('0')} {int(exponent) + len(text) - len(kept) if kept else 0}"


def _nodes(tag: str, body: list[Tagged]) -> tuple[str, Any]:
    """No nodes are `None`; trailing `None` of a tree say nothing."""
    if tag == nodes.TAGS["TreeNode"]:
        body = body[: next((size for size in range(len(body), 0, -1) if body[size - 1] is not None), 0)]
    return (tag[1:], body) if body else ("none", None)


def _range(value: range) -> str:
    """Ranges are equal where their items are."""
    start, stop, step = value.start, value.stop, value.step
    length = max(0, (stop - start + step - (1 if step > 0 else -1)) // step)
    return " ".join(map(hex, (length, start, step)[: min(length, 2) + 1]))


def _comparable(x: Any, y: Any) -> bool:
    """Whether `==` is cheap: a whole number or fraction beyond `_MOST_BITS` is no `Decimal`, and to convert it takes
    quadratic time."""
    if Decimal not in (type(x), type(y)):
        return True
    parts = [part for each in (x, y) if type(each) in (int, Fraction) for part in (each.numerator, each.denominator)]
    return all(part.bit_length() <= _MOST_BITS for part in parts)


def _nearest_float(x: Any) -> float:
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def _order(numbers: list[Any]) -> list[float]:
    """A key to sort rows of numbers by; `nan` comes last."""
    return [math.inf if x != x else x for x in map(_nearest_float, numbers)]


def _text(form: Form) -> str:
    """One text for all values that are the same without a tolerance."""
    return f"{form[0]} {' '.join(map(_number_text, form[1]))}"


def _number_text(x: Any) -> str:
    if type(x) is int or type(x) is bool:
        return hex(x)
    if type(x) is float and not math.isfinite(x):
        return str(x)
    numerator, denominator = x.as_integer_ratio()
    return hex(numerator) if denominator == 1 else f"{numerator:x}/{denominator:x}"
