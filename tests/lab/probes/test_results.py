"""From what was right to numbers: planted differences come out, controls are taken off, intervals hold what they
should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.evaluation.metrics import Estimate
from coderlplus_lab.probes.results import Readers, fact_numbers, markdown, own_differences, summary
from coderlplus_lab.probes.rows import Fact, FactRows
from coderlplus_lab.probes.scores import NO_LAYER, by_unit, over_facts, shares, unpaired

UNITS = 200
ROWS = FactRows(
    fact=Fact(mark="end", name="length"),
    classes=("1", "2"),
    places=tuple(range(UNITS)),
    labels=(0, 1) * (UNITS // 2),
    units=tuple(range(UNITS)),
)
READERS = Readers(
    untrained={"a": "untrained", "b": "untrained"},
    tokens={"a": "tokens x", "b": "tokens x"},
    layers={"a": [0, 1, 2], "b": [0, 1, 2]},
)
TRUE = {
    ("a", 0): 0.5,
    ("a", 1): 0.6,
    ("a", 2): 0.6,
    ("b", 0): 0.5,
    ("b", 1): 0.8,
    ("b", 2): 0.9,
    ("untrained", 1): 0.55,
    ("tokens x", NO_LAYER): 0.6,
}


def planted(reader: str, fact: str, layer: int, is_shuffled: bool) -> Sequence[int]:
    share = 0.5 if is_shuffled else TRUE.get((reader, layer), 0.5)
    return [int(unit < round(share * UNITS)) for unit in range(UNITS)]


def test_selectivity_is_beyond_the_better_control() -> None:
    numbers, _ = fact_numbers(ROWS, READERS, planted)
    a, b = numbers["models"]["a"], numbers["models"]["b"]
    assert a["mean_selectivity"]["mean"] == pytest.approx(0.0)
    assert b["mean_selectivity"]["mean"] == pytest.approx(0.25)
    assert [one["mean"] for one in b["selectivity"]] == pytest.approx([-0.1, 0.2, 0.3])
    assert b["shuffled"]["mean"] == pytest.approx(0.5)
    (difference,) = numbers["differences"]
    assert difference["mean_difference"]["mean"] == pytest.approx(0.25)
    assert difference["mean_difference"]["low"] > 0.15


def test_the_summary_leaves_controls_out() -> None:
    control = FactRows(
        fact=Fact(mark="end", name="name"),
        classes=("a", "b"),
        places=ROWS.places,
        labels=ROWS.labels,
        units=ROWS.units,
    )
    facts = [ROWS, control]
    found = summary((facts, [fact_numbers(rows, READERS, planted)[1] for rows in facts]))
    assert list(found) == ["end"]
    assert found["end"]["facts"] == 1
    assert found["end"]["models"]["b"]["selectivity"]["mean"] == pytest.approx(0.25)
    assert found["end"]["differences"][0]["mean"] == pytest.approx(0.25)
    assert summary(([], [])) == {}


def test_own_programs_are_compared_on_facts_that_both_have() -> None:
    readers = {
        name: Readers(untrained={name: "untrained"}, tokens={name: "tokens x"}, layers={name: [0, 1, 2]})
        for name in ("a", "b")
    }
    parts = {name: ([ROWS], [fact_numbers(ROWS, one, planted)[1]]) for name, one in readers.items()}
    (difference,) = own_differences(parts)
    assert difference["mark"] == "end"
    assert difference["mean"] == pytest.approx(0.25)
    other = FactRows(fact=ROWS.fact, classes=("1", "3"), places=ROWS.places, labels=ROWS.labels, units=ROWS.units)
    assert own_differences(parts | {"b": ([other], parts["b"][1])}) == []


def test_markdown_names_every_fact_and_model() -> None:
    numbers, read = fact_numbers(ROWS, READERS, planted)
    part = {"facts": {"end/length": numbers}, "summary": summary(([ROWS], [read]))}
    text = markdown({"parts": {"given": part}, "own_differences": []})
    assert "| end/length | 2 | 200 | b | 85.0 | 60.0 | 52.5 | 50.0 | +25.0 (" in text
    assert "* end, all facts, b − a: +25.0 (" in text


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_shares_are_of_each_program(rows: list[tuple[bool, int]]) -> None:
    units = [unit for _, unit in rows]
    found = shares(by_unit([hit for hit, _ in rows], units), units)
    for place, unit in enumerate(sorted(set(units))):
        hits = [hit for hit, other in rows if other == unit]
        assert found[place] == pytest.approx(sum(hits) / len(hits))


def test_a_program_with_many_facts_counts_once() -> None:
    values: Any = np.random.default_rng(0).normal(size=100)
    one, twice = over_facts([(range(100), values)]), over_facts([(range(100), values)] * 2)
    apart = over_facts([(range(100), values), (range(100, 200), values)])
    assert (twice.low, twice.high) == (one.low, one.high)
    assert apart.high - apart.low == pytest.approx((one.high - one.low) / 2**0.5, abs=1e-3)


def test_unpaired_intervals_add_up() -> None:
    found = unpaired(Estimate(0.2, 0.17, 0.23), Estimate(0.5, 0.46, 0.54))
    assert (found.mean, found.low, found.high) == (0.3, 0.25, 0.35)
