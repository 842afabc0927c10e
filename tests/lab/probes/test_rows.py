"""Rows are balanced, and folds never share a program."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coderlplus_lab.probes.linear import folds_of
from coderlplus_lab.probes.passages import Mark, Passage
from coderlplus_lab.probes.rows import MIN_ROWS, select


def passages_of(labels: list[str], *, shown: bool = False, each: int = 1) -> list[Passage]:
    return [
        Passage(
            passage_id=str(n),
            unit=str(n // each),
            prompt="",
            completion="x",
            marks=(Mark(kind="end", place=0, facts={"value": label}, shown=shown),),
        )
        for n, label in enumerate(labels)
    ]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 90), min_size=2, max_size=12), st.integers(100, 400), st.integers(0, 5))
def test_each_class_has_as_many_rows(sizes: list[int], most: int, seed: int) -> None:
    passages = passages_of([str(number) for number, size in enumerate(sizes) for _ in range(size)])
    selection = select(passages, rows=most, seed=seed)
    for rows in selection.facts:
        counts = Counter(rows.labels)
        assert len(set(counts.values())) == 1
        assert len(counts) == len(rows.classes) >= 2
        assert len(rows.labels) <= most
        assert all(sizes[int(label)] >= MIN_ROWS for label in rows.classes)
        assert len(set(rows.places)) == len(rows.places)
    assert len(selection.facts) + len(selection.left_out) == any(sizes)


def test_the_same_seed_chooses_the_same_rows_and_another_one_others() -> None:
    passages = passages_of(["a", "b"] * 200)
    one, same, other = (select(passages, rows=100, seed=seed).facts[0].places for seed in (0, 0, 1))
    assert one == same == tuple(sorted(one))
    assert select(passages, rows=100, seed=0).marks != select(passages, rows=100, seed=1).marks
    assert len(other) == 100


def test_a_fact_with_one_common_class_is_left_out_with_the_reason() -> None:
    selection = select(passages_of(["a"] * 100 + ["b"] * 3), rows=100, seed=0)
    assert selection.left_out == {"end/value": "fewer than two classes with enough rows: a (100), b (3)"}


def test_a_class_of_a_few_programs_is_not_enough() -> None:
    assert not select(passages_of(["a", "b"] * 100, each=50), rows=100, seed=0).facts


def test_values_that_stand_in_the_text_are_a_fact_of_their_own() -> None:
    passages = passages_of(["a", "b"] * 40) + passages_of(["a", "b"] * 40, shown=True)
    assert [rows.fact.key for rows in select(passages, rows=100, seed=0).facts] == ["end/value", "end/value/shown"]


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=60, max_size=120))
def test_no_program_is_on_two_sides(rows: list[tuple[int, int]]) -> None:
    labels, units = tuple(label for label, _ in rows), tuple(unit for _, unit in rows)
    assume(len(set(units)) >= 16 and min(labels.count(label) for label in labels) >= 8)
    asked: list[int] = []
    for fold in folds_of(labels, units, 0):
        sides = [{units[row] for row in side} for side in (fold.fit, fold.check, fold.asked)]
        assert not sides[0] & sides[1]
        assert not sides[2] & (sides[0] | sides[1])
        assert sorted([*fold.fit, *fold.check, *fold.asked]) == list(range(len(rows)))
        asked += list(fold.asked)
    assert sorted(asked) == list(range(len(rows)))
