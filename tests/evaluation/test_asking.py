"""Names of benchmarks and files of problems → what is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.errors import ConfigError
from coderlplus.evaluation.asking import asked_for, spread
from coderlplus.evaluation.data import Window
from coderlplus.evaluation.generate import Continued
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


def test_a_base_model_goes_on_with_a_text_and_the_evaluation_says_so(tmp_path: Path) -> None:
    row = {"id": "sample_0", "code": "def f(x):\n    return x", "input": "1", "output": "1"}
    (tmp_path / "cruxeval.jsonl").write_text(json.dumps(row))
    chat, base = (
        asked_for(["cruxeval-o-direct"], Window(), tmp_path, lambda problem: problem.statement, style=style)[0]
        for style in ("chat", "base")
    )
    (question,) = base.questions
    assert question.messages == Continued(chat.questions[0].messages[0]["content"], ("[/ANSWER]",))
    assert chat.digest != base.digest


def test_what_cannot_be_asked_of_a_base_model_is_said(tmp_path: Path) -> None:
    row = {"question_id": 1, "test_id": 0, "question_content": "Add.\n", "starter_code": "def add(a, b):"}
    test = {"test": json.dumps([{"input": "1\n2", "output": "3"}]), "contest_date": "2023-05-13"}
    (tmp_path / "lcb_testoutput.jsonl").write_text(json.dumps(row | test))
    with pytest.raises(ConfigError, match="lcb-testoutput has no prompt for base models"):
        asked_for(["lcb-testoutput"], Window(), tmp_path, lambda problem: problem.statement, style="base")
    with pytest.raises(ConfigError, match="unknown style 'text'; use chat or base"):
        asked_for(["lcb-testoutput"], Window(), tmp_path, lambda problem: problem.statement, style="text")
