"""A table of places is a dictionary in a fifth of its memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.records.places import Places


def steps(keys: st.SearchStrategy[Hashable]) -> st.SearchStrategy[list[tuple[bool, Hashable, int]]]:
    return st.lists(st.tuples(st.booleans(), keys, st.integers(0, 2**40)), max_size=80)


KEYS = (
    st.integers(0, 40).map(lambda n: 64 * n),
    st.text(max_size=2),
    st.tuples(st.text(max_size=1), st.integers(0, 4)),
)


@given(steps=st.one_of(map(steps, KEYS)))
def test_it_holds_what_a_dictionary_holds(steps: list[tuple[bool, Hashable, int]]) -> None:
    places, expected = Places(), {}
    for is_set, key, number in steps:
        if is_set:
            places[key] = expected[key] = number
        else:
            places.discard(key)
            expected.pop(key, None)
        assert len(places) == len(expected)
    for _, key, _ in steps:
        assert places.get(key) == expected.get(key)
        assert (key in places) == (key in expected)


@pytest.mark.parametrize(
    "key",
    [lambda n: n, lambda n: 1024 * n, lambda n: n << 40, lambda n: f"r{n}", lambda n: (f"p{n % 7}", n)],
    ids=["rows", "chunks", "high bits", "names", "samples"],
)
def test_a_key_takes_at_most_48_bytes_and_few_looks(key: Callable[[int], Hashable]) -> None:
    places = Places()
    looked = 0

    class Counted(type(places._numbers)):  # type: ignore[misc]
        def __getitem__(self, place: int) -> int:
            nonlocal looked
            looked += 1
            return int(super().__getitem__(place))

    for number in range(20_000):
        places[key(number)] = number
    held = sum(len(table) * table.itemsize for table in (places._hashes, places._numbers))
    assert held <= 48 * len(places)
    places._numbers = Counted("Q", places._numbers)
    assert all(places.get(key(number)) == number for number in range(20_000))
    assert looked < 10 * 20_000
