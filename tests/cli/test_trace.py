"""`coderlplus trace`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from coderlplus.cli import main
from coderlplus.cli.failed import read_failed
from coderlplus.cli.trace import parse_call, read_task, trace
from coderlplus.errors import CodeRLPlusError, ConfigError, DataError
from coderlplus.records import AlignmentTask, CallInput, StdioInput, Target, Trace, write_jsonl

app = typer.Typer()
app.command()(trace)


def run(*arguments: object, width: int = 80, stdin: str | bytes = "") -> str:
    result = CliRunner().invoke(
        app, [str(argument) for argument in arguments], input=stdin, env={"COLUMNS": str(width)}
    )
    if isinstance(result.exception, CodeRLPlusError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "p.py"
    path.write_text("def f(a):\n    b = (a, {1: 2})\n    print('hi')\n    return b\nf(int(input()))\nx = [1]\n1 / 0\n")
    return path


def task(**more: Any) -> AlignmentTask:
    common = {"task_id": "t1", "kind": "final_values", "prompt": "", "problem_id": "p", "rollout_id": "r"}
    targets = (Target(label="m", value=[6, 7], scope="f"), Target(label="output", value=13))
    program = "def f(n):\n    m = [n, n + 1]\n    return sum(m)\n"
    return AlignmentTask(**(common | {"program": program, "input": CallInput("f", (6,)), "targets": targets} | more))


def test_table_shows_values_output_and_ending(program: Path) -> None:
    shown = run(program, "--stdin", "-", stdin="7\n")
    assert re.search(r"^<module> +x +\[1\] *$", shown, re.MULTILINE)
    assert re.search(r"^f +a +7 *$", shown, re.MULTILINE)
    assert re.search(r"^ +b +\(7, {1: 2}\) *$", shown, re.MULTILINE)
    assert shown.endswith("\noutput\nhi\n\nended by ZeroDivisionError: division by zero\nline 7: 1 / 0\n")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    (tmp_path / "p.py").write_text(
        "class Tree:\n    def insert(self, key):\n        path = list(range(key))\nlong = 'ab' * "
        "400\nTree().insert(300)"
    )
    shown = run(tmp_path / "p.py", "--stdin", "/dev/null", width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert re.search(r"\([\d,]+\s+characters\)", shown)


def test_the_program_cannot_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("x = '\\x1b[2J'\nprint(x, '\\r\\x9b')\nraise ValueError(x)")
    shown = run(tmp_path / "p.py", "--stdin", "/dev/null")
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\\x1b[2J" in shown


def test_steps_are_listed_with_what_they_changed(program: Path) -> None:
    shown = run(program, "--stdin", "-", "--steps", stdin="7\n", width=100)
    steps = [line.split(maxsplit=2) for line in shown.split("\n\n")[0].splitlines()[1:]]
    assert [number for number, *_ in steps] == [str(number) for number in range(1, len(steps) + 1)]
    assert any(re.match(r"def f\(a\): +a = 7$", rest) for _, line, rest in steps if line == "1")
    assert any(re.search(r"b = \(7, {1: 2}\)$", rest) for _, line, rest in steps if line == "2")
    assert any(rest.endswith(r"prints 'hi\n'") for _, line, rest in steps if line == "3")
    assert steps[-1][1] == "7"


def test_json_is_a_trace_record_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("def f(n):\n    m = n * 2\n    return m")
    record = Trace.from_json(json.loads(run(tmp_path / "p.py", "--call", "f(3)", "--json")))
    assert (record.value, record.variables, record.steps) == (6, {"f": {"n": 3, "m": 6}}, None)
    record = Trace.from_json(
        json.loads(run(tmp_path / "p.py", "--call", "f(3)", "--json", "--html", tmp_path / "t.html", "--steps"))
    )
    assert record.steps
    assert (tmp_path / "t.html").read_text().startswith("<!doctype html>")


def test_a_page_is_written_and_named(tmp_path: Path, program: Path) -> None:
    assert run(program, "--stdin", "-", "--html", tmp_path / "new" / "t.html", stdin="1\n").strip() == str(
        tmp_path / "new" / "t.html"
    )
    assert (tmp_path / "new" / "t.html").stat().st_size > 10_000


def test_an_answer_to_a_task_is_shown_beside_the_truth(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "tasks.jsonl", [task(program="def f(n): return n"), task()])
    (tmp_path / "answer.txt").write_text('I think\n{"m": [6, 8], "output": 13}')
    for answer in ('{"m": [6, 8], "output": 13}', tmp_path / "answer.txt"):
        shown = run("--task", f"{tmp_path / 'tasks.jsonl'}:2", "--answer", answer)
        assert re.search(r"^m +\[6, 7\] +\[6, 8\] +wrong *$", shown, re.MULTILINE)
        assert re.search(r"^output +13 +13 +right *$", shown, re.MULTILINE)
        assert "1 of 2 right, reward 0.55\n" in shown
        assert "returned 13" in shown


def test_a_task_is_named_by_its_place(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "tasks.jsonl", [task(), task(task_id="t2")])
    assert read_task(f"{tmp_path / 'tasks.jsonl'}").task_id == "t1"
    assert read_task(f"{tmp_path / 'tasks.jsonl'}:2").task_id == "t2"
    for wrong in ("3", "0"):
        with pytest.raises(DataError, match=f"has no task number {wrong}"):
            read_task(f"{tmp_path / 'tasks.jsonl'}:{wrong}")


def test_input_is_handed_on_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_bytes(b"\xef\xbb\xbfimport sys\r\ndata = sys.stdin.read()\r\n")
    (tmp_path / "in.txt").write_bytes("é\r\n".encode())
    record = Trace.from_json(json.loads(run(tmp_path / "p.py", "--stdin", tmp_path / "in.txt", "--json")))
    assert record.input == StdioInput("é\r\n")
    assert record.variables["<module>"]["data"] in ("é\r\n", "é\n")


@pytest.mark.parametrize(
    "text",
    [
        "f",
        "f(x)",
        "f(",
        "a.b(1)",
        "f(*[1])",
        "f(**{'a': 1})",
        "__import__('os').system('ls')",
        "f()()",
        "",
        "f({[]: 1})",
    ],
)
def test_a_call_must_be_literal(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write a call with literal arguments, like 'f\(3\)'"):
        parse_call(text)


WRONG = {
    "unknown semantics": (["P", "--call", "f(1)", "--semantics", "last"], "'last'; use final, binding, official"),
    "no file": (["Q", "--stdin", "/dev/null"], "cannot read .*q.py: No such file or directory"),
    "a folder": (["D", "--stdin", "/dev/null"], "cannot read .*: Is a directory"),
    "no text": (["B", "--stdin", "/dev/null"], "cannot read .*: it is not UTF-8 text"),
    "no standard input": (["P", "--stdin", "Q"], "cannot read .*q.py: No such file or directory"),
    "syntax error": (
        ["S", "--stdin", "/dev/null"],
        "s.py, line 2: .*; only valid Python can be traced",
    ),
    "bad call": (["P", "--call", "f(x)"], r"cannot call 'f\(x\)' \(x is not a literal\)"),
    "call and input": (["P", "--call", "f(1)", "--stdin", "P"], "exclude each other"),
    "no call and no input": (["P"], "the program needs an input: --stdin FILE"),
    "no program": (["--stdin", "P"], "name a program to trace, or a task with --task"),
    "two standard inputs": (["-", "--stdin", "-"], "cannot both be -"),
    "answer to nothing": (["P", "--call", "f(1)", "--answer", "{}"], "--answer needs the task: add --task FILE"),
    "task and program": (["P", "--task", "T"], "--task has its own program and input"),
    "no task": (["--task", "T:9"], "has no task number 9; name an existing one"),
    "no task file": (["--task", "Q"], "cannot read .*q.py: No such file or directory"),
    "page is a folder": (["P", "--call", "f(1)", "--html", "D"], "cannot write .*: it is a folder"),
    "page cannot be written": (
        ["P", "--call", "f(1)", "--html", "P/page.html"],
        "cannot write .*page.html: its folder is not a directory; use another file with --html",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_one_sentence_and_exit_code_2(
    tmp_path: Path,
    program: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "s.py").write_text("x = 1\ny = = 2")
    (tmp_path / "b.py").write_bytes(b"\xff\xfe")
    write_jsonl(tmp_path / "t.jsonl", [task()])
    names = {
        "P": program,
        "Q": tmp_path / "q.py",
        "S": tmp_path / "s.py",
        "B": tmp_path / "b.py",
        "D": tmp_path,
        "T": tmp_path / "t.jsonl",
    }
    given = [re.sub(r"^[PQSBDT](?=$|[:/])", lambda match: str(names[match[0]]), argument) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["coderlplus", "trace", *given])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr()
    assert end.value.code == 2
    assert told.out == ""
    assert re.fullmatch(rf"error: .*{message}.*\n", told.err)


@pytest.mark.parametrize("place", ["x" * 300, "x" * 5000 + ":1", "a\0b", ":", ""])
def test_a_place_that_can_be_no_file_is_refused(place: str) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_failed(place, None)
