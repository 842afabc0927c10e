"""Comparing what a program gave with what is expected takes near-linear time, whatever the program gave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coderlplus.judge import compare
from coderlplus.sandbox.equality import equal, equal_in_any_order

from .growth import assert_linear


def colliding(count: int) -> dict[str, Any]:
    """Whole numbers of one hash."""
    return {"$set": [number * (2**61 - 1) for number in range(count)]}


def tuples_of(numbers: Callable[[int], Any]) -> Callable[[int], tuple[Any, Any]]:
    def make(count: int) -> tuple[Any, Any]:
        one = {"$set": [{"$tuple": [numbers(0)] * 9 + [i]} for i in range(count)]}
        return one, {"$set": [{"$tuple": [1] * 9 + [i]} for i in reversed(range(count))]}

    return make


def nested(count: int) -> tuple[Any, Any]:
    value: Any = 0
    for level in range(90):
        value = {"$frozenset": [value, *range(level * count, (level + 1) * count)]}
    return value, value


PAIRS: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "members of other types": tuples_of(lambda _: 1.0),
    "members within the tolerance": tuples_of(lambda _: 1 + 1e-9),
    "members that are no counterparts": tuples_of(lambda _: 1.5),
    "numbers of one hash": lambda count: (colliding(count), {"$set": colliding(count)["$set"][::-1]}),
    "floats near each other": lambda count: (
        {"$set": [i * 1e-9 for i in range(count)]},
        {"$set": [i * 1e-9 + 5e-7 for i in range(count)]},
    ),
    "pairs of floats": lambda count: (
        [[i * 1e-8, i % 7] for i in range(count)],
        [[i * 1e-8, i % 5] for i in range(count)],
    ),
    "keys that are floats": lambda count: (
        {"$dict": [[i + 1e-9, i] for i in range(count)]},
        {"$dict": [[i + 0.0, i] for i in range(count)]},
    ),
    "sets in sets": lambda count: nested(count // 90),
    "long numbers": lambda count: ({"$int": "0x" + "7" * (20 * count)}, {"$decimal": "7" * (20 * count)}),
    "long fractions": lambda count: (
        ({"$set": [{"$fraction": [{"$int": "0x" + "7" * count}, {"$int": "0x" + "9" * count}]}]},) * 2
    ),
    "many decimals": lambda count: ({"$set": [{"$decimal": f"{i}E+1000"} for i in range(count // 9)]},) * 2,
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_are_compared_in_near_linear_time(name: str) -> None:
    def compare(pair: tuple[Any, Any]) -> None:
        equal(*pair, float_tolerance=1e-6, tuples_as_lists=True, types="python")
        if isinstance(pair[0], list):
            equal_in_any_order(*pair, float_tolerance=1e-6, types="python")

    assert_linear(compare, PAIRS[name], 180, doublings=4)


def lines(form: str, other: str) -> Callable[[int], tuple[str, str]]:
    return lambda count: (
        "\n".join(form.format(i) for i in range(count)),
        "\n".join(other.format(i) for i in reversed(range(count))),
    )


TEXTS: dict[str, Callable[[int], tuple[str, str]]] = {
    "lines that are no counterparts": lines("x{0}", "line {0}"),
    "lines of floats": lines("{0}.5000001 a", "{0}.5 a"),
    "lines of near floats": lambda count: (
        "\n".join(f"0.{i:09}" for i in range(count)),
        "\n".join(f"0.{i:09}5" for i in range(count)),
    ),
    "one long line": lambda count: (
        "a " * count + "\n" + "\n".join(f"x{i}" for i in range(99)),
        "\n".join(f"line {i}" for i in range(100)),
    ),
    "one long number": lambda count: ("7" * (20 * count), "7" * (20 * count) + ".0"),
    "one long fraction": lambda count: ("0." + "7" * (20 * count), "0." + "7" * (20 * count) + "0"),
    "exponents": lambda count: (f"1e{10**9} " * count, f"2e{10**9 + 1} " * count),
    "digits without an end": lambda count: ("1" * (20 * count) + "e", "1" * (20 * count) + "."),
    "spaces": lambda count: (" " * (20 * count) + "1", "\n" * (20 * count) + "1"),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("comparator", compare.STDOUT)
def test_printed_text_is_compared_in_near_linear_time(name: str, comparator: str) -> None:
    assert_linear(lambda pair: compare.STDOUT[comparator](*pair), TEXTS[name], 200, doublings=4)
