"""Means over seeds and paired differences."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus_lab.study.differences import difference, mean_over_seeds, over_seeds, t_975

SHARES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=6, max_size=6)
RUNS = st.dictionaries(st.integers(0, 9), SHARES, min_size=1, max_size=5)


def test_quantiles_of_t_fall_towards_the_normal_one() -> None:
    values = [t_975(freedom) for freedom in range(1, 200)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(1.972, abs=1e-3)


@given(ours=RUNS, theirs=RUNS)
def test_a_difference_is_that_of_the_seeds_of_both_and_turns_with_its_sides(
    ours: dict[int, list[float]], theirs: dict[int, list[float]]
) -> None:
    one, other = difference(ours, theirs), difference(theirs, ours)
    if not ours.keys() & theirs.keys():
        assert one is other is None
        return
    assert one is not None
    assert other is not None
    assert len(one.by_seed) == len(ours.keys() & theirs.keys())
    assert one.mean == pytest.approx(-other.mean)
    assert one.problems_low is not None
    assert one.problems_high is not None
    assert one.problems_low - 1e-3 <= one.mean * 6 / 8 <= one.problems_high + 1e-3
    if one.low is not None and one.high is not None:
        assert one.low - 1e-3 <= one.mean <= one.high + 1e-3


def test_an_arm_is_level_with_itself() -> None:
    runs = {0: [1.0, 0.0, 0.5], 1: [0.0, 0.0, 1.0]}
    spread = difference(runs, runs)
    assert spread is not None
    assert (spread.mean, spread.low, spread.high) == (0.0, 0.0, 0.0)


def test_the_interval_over_seeds_holds_its_level() -> None:
    rng = random.Random(0)
    inside = 0
    for _ in range(2000):
        interval = over_seeds([rng.gauss(0.3, 0.1) for _ in range(3)])
        assert interval is not None
        inside += interval[0] <= 0.3 <= interval[1]
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_one_seed_has_an_interval_over_problems_only() -> None:
    spread = mean_over_seeds({3: [1.0, 0.0, 1.0, 1.0]})
    assert spread is not None
    assert spread.low is None
    assert spread.problems_low is not None
    assert spread.problems_low < 0.75


@given(measured=RUNS)
def test_no_interval_of_a_share_goes_beyond_0_and_1(measured: dict[int, list[float]]) -> None:
    spread = mean_over_seeds(measured)
    assert spread is not None
    assert all(
        0.0 <= end <= 1.0
        for end in (spread.low, spread.high, spread.problems_low, spread.problems_high)
        if end is not None
    )


def test_programs_that_claim_nothing_are_left_out_of_the_truth_of_claims() -> None:
    spread = mean_over_seeds({0: [1.0, math.nan], 1: [0.5, 0.5]})
    assert spread is not None
    assert spread.by_seed == (1.0, 0.5)
    assert difference({0: [1.0, math.nan]}, {0: [0.5, 0.5]}).problems_low is None  # type: ignore[union-attr]
    assert mean_over_seeds({0: [math.nan]}) is None
