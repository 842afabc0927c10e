"""`coderlplus-lab probe` with bad input: one sentence, exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from coderlplus.errors import CodeRLPlusError
from coderlplus.records import Problem, StdioTest, write_jsonl
from coderlplus_lab.cli import app


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("not json\n", "problems.jsonl:1: not valid JSON"),
        ("", "holds no rows"),
        ('{"colour": "red"}\n', "are those of no known format"),
        ('{"task_id": "t", "targets": []}\n', "problems.jsonl:1: field 'kind' is missing"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(rows)
    (tmp_path / "model").mkdir()
    result = CliRunner().invoke(
        app, ["probe", "--model", str(tmp_path / "model"), "--programs", str(path), "-o", str(tmp_path / "out")]
    )
    assert isinstance(result.exception, CodeRLPlusError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("prompt", "message"), [("{colour}", "unknown field {colour}"), ("{statement", "cannot be read")]
)
def test_a_template_that_cannot_be_filled(tmp_path: Path, prompt: str, message: str) -> None:
    result = CliRunner().invoke(
        app, ["probe", "--model", "m", "--programs", "x.jsonl", "--prompt", prompt, "-o", str(tmp_path / "out")]
    )
    assert isinstance(result.exception, CodeRLPlusError)
    assert message in str(result.exception)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    write_jsonl(path, [Problem(problem_id="p", statement="S", tests=(StdioTest("", "1"),))])
    result = CliRunner().invoke(
        app, ["probe", "--model", "./nowhere", "--programs", str(path), "-o", str(tmp_path / "out")]
    )
    assert "the model folder ./nowhere does not exist" in str(result.exception)


def test_models_and_programs_are_asked_for() -> None:
    result = CliRunner().invoke(app, ["probe", "-o", "x"])
    assert result.exit_code == 2
    assert "Missing option '--model'" in result.output
