"""`load_problems`: a file, a folder, every format; one problem for one id."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from coderlplus import DataError, Problem, StdioTest, load_problems, write_jsonl


def problem(name: str, statement: str = "Print 1.") -> Problem:
    return Problem(problem_id=name, statement=statement, tests=(StdioTest("", "1"),))


def test_all_files_of_a_folder_are_read_once_each(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [problem("one"), problem("two")])
    rows = [json.dumps(one.to_json()) for one in (problem("two"), problem("three"))]
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    assert [one.problem_id for one in load_problems(tmp_path)] == ["one", "two", "three"]
    assert load_problems(str(tmp_path / "a.jsonl")) == [problem("one"), problem("two")]


def test_a_public_format_is_known_by_its_fields(tmp_path: Path) -> None:
    row = {"task_id": 2, "text": "Double x.", "code": "def f(x):\n    return 2 * x", "test_list": ["assert f(2) == 4"]}
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(row))
    (found,) = load_problems(tmp_path / "mbpp.jsonl")
    assert found.entry_point == "f"


def test_two_problems_of_one_id_are_an_error_in_one_file_and_in_two(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [problem("one")])
    write_jsonl(tmp_path / "b.jsonl", [problem("one", "Print one.")])
    with pytest.raises(DataError, match=r"b\.jsonl: another file of .* has another problem 'one'"):
        load_problems(tmp_path)
    left_out: list[DataError] = []
    assert load_problems(tmp_path, left_out) == [problem("one")]
    assert len(left_out) == 1
    write_jsonl(tmp_path / "c.jsonl", [problem("one"), problem("one", "Print one.")])
    with pytest.raises(DataError, match="ids must be unique"):
        load_problems(tmp_path / "c.jsonl")
