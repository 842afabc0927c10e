"""Comparators: what is printed and returned is right where the set's own scorer, or Python, says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.judge import compare

TOKENS = [
    ("0.333333", "0.333333333333", True),
    ("0.3333", "0.333333333333", False),
    ("1e-05", "0.00001", True),
    ("3.0", "3", True),
    ("-0.0", "0", True),
    ("1e18", "1000000000000000000", True),
    ("3.0000001", "3", False),
    ("3", "3.0", True),
    ("05", "5", False),
    ("3.", "3", True),
    ("1000000000000000001", "1000000000000000000", False),
    ("9" * 5000, "9" * 5000 + ".0", True),
    ("9" * 5000 + ".0", "9" * 5000, True),
    ("9" * 4999 + "8.0", "9" * 5000, False),
    ("1e999", "7e777", False),
    ("1e999", "10e998", True),
    ("1.0000001e999", "1e999", True),
    ("1e999", "inf", False),
    ("inf", "1e999", False),
    ("1e" + "9" * 30, "2e" + "9" * 30, False),
    ("1e-999", "0.0", True),
    ("nan", "NaN", True),
    ("inf", "Infinity", True),
    ("-inf", "inf", False),
    ("nan", "1.0", False),
    ("inf", "5", False),
    ("1_000.0", "1000.0", False),
    ("0x1p-1", "0.5", False),
    ("1/2", "0.5", False),
    ("True", "1", False),
    ("YES", "Yes", False),
    ("1 2 3", "1\n2\n3", True),
    ("5\x00", "5", False),
    ("", "\n", True),
]


@pytest.mark.parametrize(("printed", "expected", "result"), TOKENS)
def test_tokens(printed: str, expected: str, result: bool) -> None:
    assert compare.same_tokens(printed, expected) is result
    if "\n" not in expected and " " not in printed:
        assert compare.same_lines_in_any_order(f"a\n{printed}", f"{expected}\na") is result


LIVECODEBENCH = [
    ("3.0", "3", True),
    ("05", "5", True),
    ("+5", "5", True),
    ("1e18", "1000000000000000000", True),
    ("-0.0", "0", True),
    ("0.333333", "0.333333333333", False),
    ("0.30000000000000004", "0.3", False),
    ("1 2\n3", "1 2 \n3\n", True),
    ("1 2 3", "1\n2\n3", False),
    ("1\n\n2", "1\n2", False),
    ("yes 1.0", "yes 1", False),
    ("Yes", "YES", False),
    ("nan", "nan", True),
    ("NaN", "nan", False),
    ("inf", "Infinity", True),
    ("sNaN", "1", False),
    ("2 1", "1 2", False),
    ("", "", True),
]
"""By the scorer itself (`lcb_runner/evaluation/testing_util.py`)."""


@pytest.mark.parametrize(("printed", "expected", "result"), LIVECODEBENCH)
def test_lines_of_decimals_are_compared_as_livecodebench_does(printed: str, expected: str, result: bool) -> None:
    assert compare.same_decimal_lines(printed, expected) is result


@pytest.mark.parametrize(
    ("name", "given", "expected", "result"),
    [
        ("values", 1, True, True),
        ("values", [True, 0.0], [1, False], True),
        ("values", {"$tuple": [1, [2]]}, [1, {"$tuple": [2]}], True),
        ("values", 1234568890.0, 1234567890, False),
        ("values", 2.0, 2, True),
        ("values", 2, 2.0000001, True),
        ("values", "1", 1, False),
        ("strict", 1, True, False),
        ("strict", 2.0, 2, False),
        ("strict", {"$tuple": [1]}, [1], False),
        ("strict", 0.1 + 0.2, 0.3, True),
        ("unordered", [[2.0], True], {"$tuple": [1, [2]]}, True),
        ("unordered", [1, 1, 2], [1, 2, 2], False),
        ("unordered", {"$set": [1, 2]}, [1, 2], False),
        ("unordered_inside", [[2, 1], []], [[1, 2], []], True),
        ("unordered_inside", [[], [2, 1]], [[1, 2], []], False),
        ("wrapped", True, [1], True),
        ("wrapped", [1], [1], True),
    ],
)
def test_values(name: str, given: Any, expected: Any, result: bool) -> None:
    assert compare.VALUES[name](given, expected) is result


words = st.text(alphabet="0123456789.-+eEinfaINF_ \n\t٣\x00", max_size=30) | st.text()


@given(words, words)
@settings(max_examples=500)
def test_no_text_makes_a_comparator_raise(printed: str, expected: str) -> None:
    for comparator in compare.STDOUT.values():
        assert comparator(printed, expected) in (True, False)
        assert comparator(expected, expected) is True


@given(st.lists(st.text(alphabet="ab1.5 ", max_size=6), max_size=6), st.randoms(use_true_random=False))
def test_lines_in_another_order_are_the_same_lines(lines: list[str], chance: Any) -> None:
    shuffled = chance.sample(lines, len(lines))
    assert compare.same_lines_in_any_order("\n".join(shuffled), "\n".join(lines))
