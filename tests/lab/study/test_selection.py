"""Choosing among samples: the numbers are those of the definition."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.evaluation.metrics import mean
from coderlplus_lab.study.selection import choices, chosen, different_programs, pack, unpack

SAMPLES = st.sampled_from([2, 4, 8, 32, 6]).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(0, 1), min_size=count, max_size=count),
        st.lists(st.integers(-1, 3), min_size=count, max_size=count),
    )
)


@given(SAMPLES)
def test_a_choice_keeps_the_best_of_each_group_and_averages_ties_and_groups(
    sample: tuple[list[int], list[int]],
) -> None:
    passed, ranks = sample
    found = choices(passed, ranks)
    assert list(found) == [n for n in (1, 2, 4, 8, 16, 32) if n <= len(passed)]
    for n, value in found.items():
        shares = []
        for start in range(0, len(passed) - n + 1, n):
            group = range(start, start + n)
            best = [passed[place] for place in group if ranks[place] == max(ranks[one] for one in group)]
            shares.append(Fraction(sum(best), len(best)))
        assert value == pytest.approx(float(sum(shares) / len(shares)))


@given(SAMPLES)
def test_ranks_that_know_the_verdict_cover_all_and_equal_ranks_are_pass_at_1(
    sample: tuple[list[int], list[int]],
) -> None:
    passed, _ = sample
    whole = len(passed) & (len(passed) - 1) == 0
    for n, value in choices(passed, [0] * len(passed)).items():
        if whole:
            assert value == pytest.approx(mean(passed)), n
    if whole:
        assert choices(passed, passed)[len(passed)] == max(passed)


@given(st.lists(st.lists(st.integers(-1, 40)), min_size=1))
def test_what_is_packed_comes_back(rows: list[list[int]]) -> None:
    assert unpack(pack(rows)) == rows


@pytest.mark.parametrize("text", ["abc", "no base 85 \\", pack([[1]])[:-9]])
def test_another_text_is_no_packed_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack(text)


RAW: dict[str, Any] = {
    "which": pack([[0, 1, 1, 0], [0, 0, 0, 0]]),
    "logprob": pack([[0, 3, 2, 1], [0, 0, 0, 0]]),
    "passed": pack([[1, 0], [1]]),
    "executed": pack([[3, 1], [3]]),
    "readers": {"ours": {"predicted": pack([[1, 2], [-1]])}, "theirs": {"predicted": pack([[2, 2], [0]])}},
}


def test_every_selector_has_a_value_for_every_problem_and_size() -> None:
    assert chosen(RAW) == {
        "random": {1: [0.5, 1.0], 2: [0.5, 1.0], 4: [0.5, 1.0]},
        "logprob": {1: [0.5, 1.0], 2: [0.0, 1.0], 4: [0.0, 1.0]},
        "by_ours": {1: [0.5, 1.0], 2: [0.0, 1.0], 4: [0.0, 1.0]},
        "by_theirs": {1: [0.5, 1.0], 2: [0.5, 1.0], 4: [0.5, 1.0]},
        "execution": {1: [0.5, 1.0], 2: [1.0, 1.0], 4: [1.0, 1.0]},
    }


def test_programs_that_differ_are_counted_by_group() -> None:
    assert different_programs(RAW) == {1: 1.0, 2: 1.5, 4: 1.5}
