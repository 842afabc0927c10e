"""Near-duplicates: by an exact index, found in buckets."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.errors import ConfigError
from coderlplus.preparation.near import NearDuplicates, likeness, runs

WORDS = [f"word{number}" for number in range(400)]
STATEMENTS = st.lists(st.sampled_from(WORDS[:6]), max_size=30).map(" ".join)


def closest(statements: list[str], least: float) -> list[tuple[int, float] | None]:
    """For each statement what is found among those before it."""
    pytest.importorskip("datasketch")
    known = NearDuplicates(least, statements.__getitem__)
    found = []
    for number, statement in enumerate(statements):
        found.append(known.closest(statement))
        known.add(number, statement)
    return found


@settings(deadline=None, max_examples=50)  # the first imports datasketch
@given(st.lists(STATEMENTS, max_size=6), st.floats(0.1, 1.0))
def test_nothing_below_the_threshold_is_found_and_the_share_is_the_exact_one(
    statements: list[str], least: float
) -> None:
    for number, found in enumerate(closest(statements, least)):
        if found is not None:
            place, share = found
            assert place < number
            assert share == likeness(runs(statements[number]), runs(statements[place])) >= least


def test_planted_copies_are_found_among_many_others() -> None:
    """One word of 120 changed in each: five of 116 runs, an index of 0.92."""
    draw = random.Random(0)
    originals = [[draw.choice(WORDS) for _ in range(120)] for _ in range(300)]
    copies = [[*words[:60], "another", *words[61:]] for words in originals]
    found = closest([" ".join(words) for words in [*originals, *copies]], 0.8)
    assert found[:300] == [None] * 300
    assert [one and one[0] for one in found[300:]] == list(range(300))


def test_case_signs_and_space_do_not_count_and_numbers_do() -> None:
    text = "Return the sum of the first 3 items of a list."
    same = "return  THE sum, of the first (3) items of a list"
    other = text.replace("3", "4")
    assert [one and one[1] for one in closest([text, same, other], 0.5)] == [None, 1.0, None]


def test_statements_too_short_for_a_run_are_never_near() -> None:
    assert closest(["add two numbers", "add two numbers", "", ""], 0.1) == [None] * 4


def test_without_the_library_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(ConfigError, match=r"pip install 'coderlplus\[near-duplicates\]'"):
        NearDuplicates(0.8, str)


@pytest.mark.parametrize("least", [0.0, -1.0, 1.5, float("nan")])
def test_a_threshold_is_a_share(least: float) -> None:
    with pytest.raises(ConfigError, match="--near-duplicates must be above 0 and at most 1"):
        NearDuplicates(least, str)
