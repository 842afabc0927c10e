"""Plain data: every value round-trips or is cut with a mark, and nothing that comes in raises anything but
`NotPlain`."""

from __future__ import annotations

import collections
import enum
import json
import math
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.sandbox.values import NotPlain, decode, encode, equal, is_plain, to_source

hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.fractions()
    | st.decimals(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
plain = st.recursive(
    hashable
    | st.complex_numbers(allow_nan=False)
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9))
    | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.lists(inner, max_size=5).map(deque)
        | st.sets(hashable, max_size=5)
        | st.dictionaries(hashable, inner, max_size=5)
        | st.dictionaries(st.text("$ab"), inner, max_size=5)
    ),
    max_leaves=20,
)
TAGS = [
    "$tuple",
    "$set",
    "$frozenset",
    "$deque",
    "$dict",
    "$float",
    "$int",
    "$complex",
    "$bytes",
    "$bytearray",
    "$range",
    "$decimal",
    "$fraction",
]
TAGS += ["$object", "fields", "$cycle", "$cut", "$x"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(TAGS),
            inner,
            min_size=1,
            max_size=2,
        )
    ),
    max_leaves=20,
)


def same(a: Any, b: Any) -> bool:
    """Equal and of equal types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple | deque):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) and same(a[x], b[y]) for x, y in zip(a, b, strict=True))
    return a == b


@given(plain)
def test_plain_data_comes_back_with_its_types(value: Any) -> None:
    tagged = json.loads(json.dumps(encode(value)))
    assert same(decode(tagged), value)
    assert equal(tagged, encode(value))


@given(plain)
def test_the_source_evaluates_to_the_value(value: Any) -> None:
    names = {"deque": deque, "Decimal": Decimal, "Fraction": Fraction, "inf": math.inf}
    assert same(eval(to_source(encode(value)), names), value)


@given(json_values)
@settings(max_examples=300)
def test_nothing_that_comes_in_raises_anything_else(tagged: Any) -> None:
    try:
        decode(tagged)
    except NotPlain:
        assert not is_plain(tagged)
    equal(tagged, tagged)
    equal(tagged, [tagged])


@given(plain, st.integers(0, 50))
def test_the_budget_bounds_the_size(value: Any, budget: int) -> None:
    text = json.dumps(encode(value, budget))
    assert len(text) < 400 + 150 * budget


class Hostile:
    """Raises or lies wherever an encoder might ask."""

    def __init__(self) -> None:
        object.__setattr__(self, "x", 1)

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit

    __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]
    __eq__ = __repr__ = __reduce__ = __hash__ = __len__ = __iter__ = lambda *_: 1 / 0  # type: ignore[assignment]


class Slotted:
    __slots__ = ("x", "y")

    def __init__(self) -> None:
        self.x = (1, 2)


class Liar(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Color(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("make", "tagged"),
    [
        (lambda: Hostile(), {"$object": "Hostile", "fields": {"x": 1}}),
        (lambda: Slotted(), {"$object": "Slotted", "fields": {"x": {"$tuple": [1, 2]}}}),
        (lambda: Liar(6), {"$object": "Liar", "fields": {}}),
        (lambda: Color.RED, {"$object": "Color", "fields": {"_value_": 1, "_name_": "RED", "_sort_order_": 0}}),
        (lambda: Point(1, 2), {"$object": "Point", "fields": {"x": 1, "y": 2}}),
        (lambda: ValueError("no"), {"$object": "ValueError", "fields": {"args": {"$tuple": ["no"]}}}),
        (lambda: len, {"$object": "builtin_function_or_method", "fields": {}}),
        (lambda: lambda: 1, {"$object": "function", "fields": {}}),
        (lambda: int, {"$object": "type", "fields": {}}),
        (lambda: iter([1]), {"$object": "list_iterator", "fields": {}}),
        (lambda: defaultdict(int, a=1), {"a": 1}),
        (lambda: OrderedDict(a=1), {"a": 1}),
        (lambda: collections.Counter("aa"), {"a": 2}),
        (lambda: {"b", "a"}, {"$set": ["a", "b"]}),
    ],
)
def test_the_form_of_other_values(make: Callable[[], object], tagged: Any) -> None:
    assert encode(make()) == tagged


def test_a_container_inside_itself() -> None:
    value: list[Any] = [[1]]
    value[0].append(value)
    assert encode(value) == [[1, {"$cycle": 0}]]


def test_the_same_container_twice_is_no_cycle() -> None:
    inner = [1]
    assert encode([inner, inner]) == [[1], [1]]


def test_deep_nesting_is_cut() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert "$cut" in json.dumps(encode(value))


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        ("1", 1, False),
        (None, 0, False),
        ([1, 2], {"$tuple": [1, 2]}, False),
        ({"$set": [1, 2]}, {"$frozenset": [2, 1.0]}, True),
        ({"$set": [0.1]}, {"$set": [0.1 + 1e-12]}, True),
        ({"a": 1, "b": [0.3]}, {"b": [0.1 + 0.2], "a": 1}, True),
        ({"a": 1}, {"$dict": [["a", 1]]}, True),
        ({"$dict": [[1, 2]]}, {"$dict": [[True, 2]]}, False),
        ({"$float": "nan"}, {"$float": "nan"}, True),
        ({"$float": "inf"}, {"$float": "-inf"}, False),
        (1e9, 1e9 + 0.1, True),
        (10**18, 10**18 + 1, False),
        ({"$cut": "list of 3"}, {"$cut": "list of 3"}, False),
        ({"$object": "P", "fields": {"x": 1}}, {"$object": "P", "fields": {"x": 1.0}}, True),
        ({"$object": "P", "fields": {}}, {"$object": "Q", "fields": {}}, False),
    ],
)
def test_equality(a: Any, b: Any, result: bool) -> None:
    assert equal(a, b, float_tolerance=1e-9) is result
    assert equal(b, a, float_tolerance=1e-9) is result


def test_tuples_as_lists() -> None:
    assert equal([{"$tuple": [1, 2]}], {"$tuple": [[1, 2]]}, tuples_as_lists=True)
