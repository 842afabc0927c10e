"""Names of benchmarks and files of problems → what is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.evaluation.asking import asked_for, spread
from coderlplus.evaluation.data import Window
from coderlplus.records import CallTest, Problem, write_jsonl


@given(st.integers(1, 300), st.integers(1, 400))
def test_a_limit_takes_as_many_different_items_in_their_order_from_the_whole_length(size: int, limit: int) -> None:
    found = list(spread(range(size), limit))
    assert len(found) == min(size, limit)
    assert found == sorted(set(found))
    gaps = [after - before for before, after in zip(found, [*found[1:], size], strict=True)]
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("limit", [None, 2, 9])
def test_a_limit_is_of_each_benchmark_and_of_files_too(tmp_path: Path, limit: int | None) -> None:
    rows = [{"id": f"sample_{n}", "code": "def f(x):\n    return x", "input": "1", "output": "1"} for n in range(5)]
    (tmp_path / "cruxeval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_jsonl(
        tmp_path / "mine.jsonl",
        [Problem(problem_id=str(n), statement="s", entry_point="f", tests=(CallTest((1,), 1),)) for n in range(4)],
    )
    names = ["cruxeval-o", str(tmp_path / "mine.jsonl")]
    asked = asked_for(names, Window(), tmp_path, lambda problem: problem.statement, limit=limit)
    ids = [[question.question_id for question in one.questions] for one in asked]
    assert ids == (
        [["sample_0", "sample_2"], ["0", "2"]] if limit == 2 else [[f"sample_{n}" for n in range(5)], list("0123")]
    )
