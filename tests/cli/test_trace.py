"""`coderlplus trace`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from coderlplus.cli.trace import parse_call, trace
from coderlplus.errors import CodeRLPlusError, ConfigError, DataError

app = typer.Typer()
app.command()(trace)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, CodeRLPlusError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_table_shows_values_output_and_ending(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("def f(a):\n    b = (a, {1: 2})\n    print('hi')\nf(int(input()))\nx = [1]\n1 / 0")
    (tmp_path / "in.txt").write_text("7\n")
    shown = run(tmp_path / "p.py", "--stdin", tmp_path / "in.txt")
    assert "(7, {1: 2})" in shown
    assert "[1]" in shown
    assert "hi" in shown
    assert "ended exception: ZeroDivisionError: division by zero (line 6)" in shown


def test_json_is_a_trace_record(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("def f(n):\n    m = n * 2\n    return m")
    record = json.loads(run(tmp_path / "p.py", "--call", "f(3)", "--json"))
    assert record["value"] == 6
    assert record["variables"] == {"f": {"n": 3, "m": 6}}


@pytest.mark.parametrize("text", ["f", "f(x)", "f(", "a.b(1)", "f(*[1])", "f(**{'a': 1})", "__import__('os').system('ls')", "f()()"])
def test_a_call_must_be_literal(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_call(text)


def test_wrong_options_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("x = 1")
    with pytest.raises(ConfigError, match="'last'; use final, binding, official"):
        run(tmp_path / "p.py", "--semantics", "last")
    with pytest.raises(DataError, match="cannot read"):
        run(tmp_path / "q.py")
    with pytest.raises(ConfigError, match="exclude each other"):
        run(tmp_path / "p.py", "--call", "f()", "--stdin", tmp_path / "p.py")
