"""Intervals and the paired comparison, against what they are defined to be."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.evaluation.intervals import clustered, paired, paired_interval, sign_flip
from coderlplus.evaluation.metrics import wilson

VALUES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=2, max_size=30)
MOVES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.5, 1.0]), min_size=2, max_size=30)
SHARES = st.integers(1, 4).flatmap(lambda n: st.builds(Fraction, st.integers(-n, n), st.just(n)))


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_with_one_sample_a_problem_the_interval_is_wilsons(case: tuple[int, int]) -> None:
    passed, problems = case
    ours, theirs = clustered([1.0] * passed + [0.0] * (problems - passed)), wilson(passed, problems)
    assert ours.mean == pytest.approx(theirs.mean)
    assert (ours.low, ours.high) == (
        pytest.approx(max(0.0, theirs.low), abs=1e-4),
        pytest.approx(min(1.0, theirs.high), abs=1e-4),
    )


def test_samples_that_differ_within_problems_narrow_the_interval() -> None:
    agreeing, differing = clustered([1.0] * 30 + [0.0] * 10), clustered([0.8] * 20 + [0.7] * 20)
    assert agreeing.mean == pytest.approx(differing.mean)
    assert differing.high - differing.low < (agreeing.high - agreeing.low) / 4


def test_values_that_are_all_the_same_count_as_one_trial_a_problem() -> None:
    estimate = clustered([0.75] * 40)
    assert estimate.low < 0.65
    assert estimate.high > 0.85


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_interval_holds_the_mean_and_stays_in_bounds(values: list[float]) -> None:
    estimate = clustered(values)
    assert 0 <= estimate.low <= estimate.mean + 1e-4
    assert estimate.mean - 1e-4 <= estimate.high <= 1


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def level(values: list[float], families: list[int] | None = None) -> float:
    estimate = clustered(values, families)
    return width((estimate.low, estimate.high))


@given(values=VALUES, moves=MOVES)
def test_families_of_one_problem_give_the_interval_without_families(values: list[float], moves: list[float]) -> None:
    assert clustered(values, [f"family {place}" for place in range(len(values))]) == clustered(values)
    assert paired_interval(moves, range(len(moves))) == paired_interval(moves)


@given(values=VALUES, moves=MOVES, copies=st.integers(2, 6))
def test_copies_of_every_problem_in_its_family_leave_the_interval(
    values: list[float], moves: list[float], copies: int
) -> None:
    of = [place for place in range(len(values)) for _ in range(copies)]
    assert level([value for value in values for _ in range(copies)], of) == pytest.approx(level(values), abs=3e-4)
    of = [place for place in range(len(moves)) for _ in range(copies)]
    again = paired_interval([move for move in moves for _ in range(copies)], of)
    assert again == pytest.approx(paired_interval(moves), abs=3e-4)


@given(values=VALUES, moves=MOVES, copies=st.integers(1, 300))
def test_copies_of_one_problem_tell_nothing(values: list[float], moves: list[float], copies: int) -> None:
    of = [*range(len(values)), *[0] * copies]
    assert level([*values, *[values[0]] * copies], of) >= 0.97 * level(values)  # Wilson's depends on the mean too
    of = [*range(len(moves)), *[0] * copies]  # and the pull towards 0 is not the same
    assert width(paired_interval([*moves, *[moves[0]] * copies], of)) >= 0.97 * width(paired_interval(moves))


@given(values=VALUES, data=st.data())
def test_families_never_make_the_interval_of_a_level_narrower(values: list[float], data: st.DataObject) -> None:
    of = data.draw(st.lists(st.integers(0, 8), min_size=len(values), max_size=len(values)))
    with_families, without = clustered(values, of), clustered(values)
    assert with_families.low <= without.low + 1e-4
    assert with_families.high >= without.high - 1e-4


@pytest.mark.parametrize("sizes", [[5] * 40, [1] * 60 + [10] * 12])
def test_with_families_the_intervals_hold_the_truth_about_as_often_as_they_say(sizes: list[int]) -> None:
    rng = random.Random(1)
    held, alone, moved = 0, 0, 0
    of = [family for family, size in enumerate(sizes) for _ in range(size)]
    for _ in range(400):
        hard = [rng.betavariate(0.6, 0.6) for _ in sizes]
        values = [float(rng.random() < hard[family]) for family in of]
        estimate, naive = clustered(values, of), clustered(values)
        held += estimate.low <= 0.5 <= estimate.high
        alone += naive.low <= 0.5 <= naive.high
        low, high = paired_interval(
            [value - float(rng.random() < hard[f]) for value, f in zip(values, of, strict=True)], of
        )
        moved += low <= 0 <= high
    assert 0.92 <= held / 400 <= 0.99
    assert 0.92 <= moved / 400 <= 1.0
    assert alone / 400 < 0.85


def test_in_a_comparison_families_change_sign_together() -> None:
    a = {str(number): Fraction(0) for number in range(8)}
    b = {str(number): Fraction(1) for number in range(8)}
    assert paired(a, b).p_value == 2 / 2**8
    halves = paired(a, b, {str(number): "first" if number < 4 else "second" for number in range(8)})
    assert halves.p_value == 2 / 2**2
    assert halves.low < paired(a, b).low


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random(0)
    held = 0
    for _ in range(600):
        difficulties = [rng.betavariate(2, 1) for _ in range(80)]
        values = [sum(rng.random() < p for _ in range(5)) / 5 for p in difficulties]
        estimate = clustered(values)
        held += estimate.low <= 2 / 3 <= estimate.high
    assert 0.92 <= held / 600 <= 0.98


@given(st.lists(SHARES, min_size=1, max_size=8))
def test_the_p_value_is_the_share_of_sign_changes_at_least_as_extreme(differences: list[Fraction]) -> None:
    seen = abs(sum(differences))
    changed = [
        abs(sum(x * sign for x, sign in zip(differences, signs, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    assert sign_flip(differences) == pytest.approx(sum(value >= seen for value in changed) / len(changed))


def test_mcnemar_is_the_case_of_one_sample() -> None:
    differences = [Fraction(1)] * 9 + [Fraction(-1)] * 2 + [Fraction(0)] * 50
    assert sign_flip(differences) == pytest.approx(2 * (1 + 11 + 55) / 2**11)


def test_the_comparison_is_paired_over_what_both_answered() -> None:
    a = {"1": Fraction(0), "2": Fraction(1), "3": Fraction(1, 2), "only a": Fraction(1)}
    b = {"1": Fraction(1), "2": Fraction(1), "3": Fraction(1, 4), "only b": Fraction(0)}
    result = paired(a, b)
    assert (result.problems, result.a_better, result.b_better) == (3, 1, 1)
    assert result.difference == pytest.approx(0.25)
    assert result.low < 0.25 < result.high
    assert result.p_value == 1.0


def test_models_that_agree_everywhere_still_have_an_interval() -> None:
    marks = {str(n): Fraction(n % 2) for n in range(40)}
    result = paired(marks, marks)
    assert result.p_value == 1.0
    assert result.low < 0 < result.high


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(ValueError, match="no problem"):
        paired({"a": Fraction(1)}, {"b": Fraction(1)})


def test_many_different_sample_counts_fall_back_to_the_normal_approximation() -> None:
    rng = random.Random(0)
    differences = [Fraction(rng.randint(-n, n), n) for n in range(1, 60) for _ in range(20)]
    assert 0 <= sign_flip(differences) <= 1


@pytest.fixture(scope="module")
def stats() -> Any:
    return pytest.importorskip("scipy.stats", reason="scipy is not installed")


@pytest.mark.parametrize(
    "quarters", [(4, 4, 4), (1, -2, 3, 4), (4, 0, -4, 2, 2), (-1, -1, -3, 4, 1, -2, 2), (4, 3, 2, 1, 1, 2, 3, -4)]
)
def test_the_p_value_is_that_of_scipys_exact_permutation_test(stats: Any, quarters: tuple[int, ...]) -> None:
    a, b = [value / 4 for value in quarters], [0.0] * len(quarters)
    found = stats.permutation_test(
        (a, b), lambda a, b: sum(a) - sum(b), permutation_type="samples", n_resamples=math.inf, vectorized=False
    )
    assert sign_flip([Fraction(value, 4) for value in quarters]) == pytest.approx(found.pvalue)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 3), (2, 11), (40, 61), (150, 99)])
def test_with_one_sample_it_is_mcnemars_exact_test(stats: Any, only_a: int, only_b: int) -> None:
    differences = [Fraction(-1)] * only_a + [Fraction(1)] * only_b + [Fraction(0)] * 7
    assert sign_flip(differences) == pytest.approx(stats.binomtest(only_b, only_a + only_b, 0.5).pvalue)


@pytest.mark.parametrize(("passed", "size"), [(0, 5), (5, 5), (1, 164), (62, 164), (799, 800)])
def test_with_one_sample_the_interval_is_scipys_wilson_interval(stats: Any, passed: int, size: int) -> None:
    expected = stats.binomtest(passed, size).proportion_ci(method="wilson")
    found = clustered([1.0] * passed + [0.0] * (size - passed))
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-4), pytest.approx(expected.high, abs=1e-4))
