"""Equality of tagged values: as Python's `==` on the values themselves, for anything that comes in, in near-linear
time."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.sandbox.equality import equal, equal_in_any_order
from coderlplus.sandbox.values import encode

Types = Literal["kinds", "python", "strict"]
TYPES: tuple[Types, ...] = ("kinds", "python", "strict")

NUMBERS = [
    0,
    1,
    2,
    1000,
    True,
    False,
    0.0,
    -0.0,
    0.5,
    1.0,
    2.0,
    1 + 0j,
    0.5j,
    Fraction(1, 2),
    Fraction(2),
    10**400,
    float("inf"),
]
DECIMALS = [Decimal(text) for text in ("0.5", "0.50", "1", "1E+3", "1E+400", "-Infinity")]
OTHERS = ["1", "", b"a", None, range(0), range(5, 5), range(0, 3, 2), range(0, 4, 2)]
close_by = st.sampled_from([*NUMBERS, *DECIMALS, *OTHERS])
"""Values of which many equal one of another type."""
hashable = st.recursive(
    close_by
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.fractions()
    | st.decimals(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
plain = st.recursive(
    hashable | st.complex_numbers(allow_nan=False) | st.just(bytearray(b"a")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(hashable, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
    ),
    max_leaves=10,
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
TAGS += [
    "$object",
    "fields",
    "$cycle",
    "$cut",
    "$list_node",
    "$tree_node",
    "$x",
    "nan",
    "inf",
    "0x1f",
    "sNaN",
    "1E+99999",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(TAGS) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(TAGS),
            inner | st.sampled_from(TAGS) | st.lists(st.lists(inner, min_size=2, max_size=2)),
            max_size=2,
        )
    ),
    max_leaves=15,
)


@given(plain, plain)
@settings(max_examples=300)
def test_python_types_are_equal_as_python_says(a: Any, b: Any) -> None:
    assert equal(encode(a), encode(b), types="python") is (a == b)
    assert equal(encode([a]), encode([b]), types="python") is (a == b)
    assert equal_in_any_order([encode(a), 1], [1, encode(b)], types="python") is (a == b)


@given(plain, plain)
@settings(max_examples=100)
def test_equality_is_symmetric_and_of_a_value_with_itself(a: Any, b: Any) -> None:
    for types in TYPES:
        assert equal(encode(a), encode(a), types=types)
        assert equal(encode(a), encode(b), types=types) is equal(encode(b), encode(a), types=types)
        assert equal(encode(a), encode(b), types=types) <= equal(
            encode(a), encode(b), types=types, float_tolerance=1e-6
        )
    assert equal(encode(a), encode(b), types="strict") <= equal(encode(a), encode(b), types="python")


@given(anything, anything)
@settings(max_examples=300)
def test_whatever_comes_in_the_answer_is_a_truth_value(a: Any, b: Any) -> None:
    for types in TYPES:
        for tolerance in (0.0, 1e-6):
            for x, y in (
                (a, b),
                ([a, b], [b, a]),
                ({"$set": [a, b]}, {"$set": [b, a]}),
                ({"$dict": [[a, b]]}, {"$dict": [[b, a]]}),
            ):
                assert equal(x, y, types=types, float_tolerance=tolerance, tuples_as_lists=True) in (True, False)
            assert equal_in_any_order([a, b], [b, a], types=types, float_tolerance=tolerance) in (True, False)


@given(st.sets(st.floats(-1e6, 1e6) | st.integers(-9, 9), max_size=30), st.randoms(use_true_random=False))
def test_members_of_sets_within_the_tolerance_find_each_other(members: set[float], chance: random.Random) -> None:
    far = {x: None for x in members if not any(x != y and abs(x - y) < 0.1 for y in members)}
    near = [x if isinstance(x, int) else x + 1e-9 for x in far]
    chance.shuffle(near)
    assert equal({"$set": near}, {"$set": list(far)}, float_tolerance=1e-6)
    assert equal(
        {"$set": [{"$tuple": [x, "a"]} for x in near]},
        {"$set": [{"$tuple": [x, "a"]} for x in far]},
        float_tolerance=1e-6,
    )
    assert equal({"$dict": [[x, [1]] for x in near]}, {"$dict": [[x, [1]] for x in far]}, float_tolerance=1e-6)


def test_members_that_are_out_of_their_numerical_order_find_each_other_too() -> None:
    given, wanted = [[1.0, 3], [1.0000002, 5]], [[1.0, 5], [1.0000001, 3]]
    assert equal_in_any_order(given, wanted, float_tolerance=1e-6)
    assert not equal_in_any_order([[1.0, 3], [1.0, 4]], wanted, float_tolerance=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "kinds", "python", "strict"),
    [
        (True, 1, False, True, False),
        (2.0, 2, True, True, False),
        ([True], [1.0], False, True, False),
        ({"$set": [1]}, {"$set": [True]}, False, True, False),
        ({"$dict": [[1, "a"]]}, {"$dict": [[True, "a"]]}, False, True, False),
        ({"$dict": [[1, "a"]]}, {"$dict": [[1.0, "a"]]}, True, True, False),
        ({"$set": [1]}, {"$frozenset": [1]}, True, True, False),
        ({"$decimal": "1.50"}, {"$decimal": "1.5"}, True, True, True),
        ({"$decimal": "1.50"}, 1.5, False, True, False),
        ({"$bytes": "61"}, {"$bytearray": "61"}, False, True, False),
        ({"$range": [0, 3, 2]}, {"$range": [0, 4, 2]}, True, True, True),
        ({"$float": "nan"}, {"$float": "nan"}, True, True, True),
        (0.0, -0.0, True, True, True),
        ({"$float": "inf"}, 10**400, False, False, False),
        ([1], {"$tuple": [1]}, False, False, False),
        ({"$object": "P", "fields": {"x": True}}, {"$object": "P", "fields": {"x": 1}}, False, True, False),
        (["$object", "P", {}], {"$object": "P", "fields": {}}, False, False, False),
        ([[{"$cut": "list of 3"}]], [[{"$cut": "list of 3"}]], False, False, False),
    ],
)
def test_types_may_differ_as_asked(a: Any, b: Any, kinds: bool, python: bool, strict: bool) -> None:
    for x, y in ((a, b), (b, a)):
        assert (equal(x, y), equal(x, y, types="python"), equal(x, y, types="strict")) == (kinds, python, strict)


@pytest.mark.parametrize(
    ("given", "expected", "result"),
    [
        (0.1 + 0.2, 0.3, True),
        (1234567890.5, 1234567890, False),
        (1000000.0, 1000000, True),
        (1, 1.0000001, True),
        (10**400, 1e308, False),
        ({"$float": "inf"}, 1e308, False),
        (1e308, {"$float": "inf"}, False),
        ({"$int": hex(10**5000)}, {"$float": "inf"}, False),
        ({"$complex": [0.1, 0.30000000000000004]}, {"$complex": [0.1, 0.3]}, True),
        ({"$fraction": [1, 3]}, 0.3333333, True),
        (0.3333333, {"$fraction": [1, 3]}, False),
        ({"$set": [2.0000000001]}, {"$set": [2]}, False),
    ],
)
def test_a_tolerance_is_for_expected_floats_only(given: Any, expected: Any, result: bool) -> None:
    assert equal(given, expected, float_tolerance=1e-6, types="python") is result


@pytest.mark.parametrize("types", TYPES)
def test_integers_of_any_length_are_compared(types: Types) -> None:
    number = 10**5000
    assert equal({"$int": hex(number)}, number, types=types)
    assert equal([number], [{"$int": hex(number)}], types=types, float_tolerance=1e-6)
    assert equal({"$set": [number, 1]}, {"$set": [1, {"$int": hex(number)}]}, types=types)
    assert not equal({"$int": hex(number)}, number + 1, types=types, float_tolerance=1e-6)
