"""One row that cannot be used never ends a command: it is named with its file and line, counted, and the others go
on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coderlplus.alignment import AlignmentConfig, JudgedRollout, mine
from coderlplus.cli import app
from coderlplus.judge import Judge
from coderlplus.records import Problem, Rollout, StdioTest, write_jsonl
from coderlplus.sandbox import Sandbox

GOOD_PROBLEM = {
    "problem_id": "p",
    "statement": "Square the number.",
    "tests": [{"kind": "stdio", "stdin": "3\n", "stdout": "9\n"}],
}
GOOD_ROLLOUT = {"rollout_id": "good", "problem_id": "p", "program": "n = int(input())\nm = n * 5\nprint(m)"}


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _call(**fields: Any) -> dict[str, Any]:
    return {
        "problem_id": "bad",
        "statement": "s",
        "entry_point": "f",
        "tests": [{"kind": "call", "args": [1], "expected": 1} | fields],
    }


BAD_PROBLEMS: dict[str, dict[str, Any]] = {
    "no tests": GOOD_PROBLEM | {"problem_id": "bad", "tests": []},
    "tests of another type": GOOD_PROBLEM | {"problem_id": "bad", "tests": "x"},
    "a test that is none": GOOD_PROBLEM | {"problem_id": "bad", "tests": [None]},
    "no fields": {"problem_id": "bad"},
    "no fields at all": {},
    "an unknown checker": GOOD_PROBLEM | {"problem_id": "bad", "checker": "prayer"},
    "deep": _call(expected=_deep(500)),
    "no tagged value": _call(expected={"$set": 3}),
    "an unknown tag": _call(args=[{"$price": 3}]),
    "null": GOOD_PROBLEM | {"problem_id": None},
    "a limit of a number that is none": GOOD_PROBLEM | {"problem_id": "bad", "limits": {"cpu_s": float("nan")}},
}
BAD_ROLLOUTS: dict[str, dict[str, Any]] = {
    "no program": {"rollout_id": "bad", "problem_id": "p"},
    "a number as program": {"rollout_id": "bad", "problem_id": "p", "program": 3},
    "both": {"rollout_id": "bad", "problem_id": "p", "program": "x", "completion": "y"},
    "of no problem": {"rollout_id": "bad", "problem_id": "nowhere", "program": "x = 1"},
    "no id": {"problem_id": "p", "program": "x = 1"},
    "a second one": GOOD_ROLLOUT,
    "nothing": {},
}
BAD_TASKS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no targets": {"targets": []},
    "targets of another type": {"targets": [3]},
    "a value that is none": {"targets": [{"label": "m", "value": {"$tuple": None}, "scope": None}]},
    "an unknown verdict": {"verdict": "splendid"},
    "an input of no kind": {"input": {"kind": "prayer"}},
    "a step that is none": {"step": 10**400},
}
BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "of no task": {"task_id": "nowhere", "answer": "{}"},
    "a number": {"task_id": 3, "answer": 4},
    "null": {"task_id": None, "answer": None},
}
BAD_SAMPLES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "of no question": {"problem_id": "nowhere", "completion": "x"},
    "no text": {"problem_id": "p"},
    "a number": {"problem_id": "p", "completion": 3},
}


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@dataclass(frozen=True)
class Command:
    """How a command is given good rows with a bad one before and behind them, and where the row behind stands."""

    arguments: Callable[[Path, dict[str, Any]], list[str]]
    bad: dict[str, dict[str, Any]]
    file: str
    done: str
    """A file that must hold something in the end."""


def task_row() -> dict[str, Any]:
    target = {"label": "m", "value": 15, "scope": "<module>"}
    task = {
        "task_id": "t",
        "kind": "final_values",
        "prompt": "?",
        "program": "m = 15",
        "input": {"kind": "stdio", "stdin": ""},
    }
    return task | {"targets": [target], "problem_id": "p", "rollout_id": "r"}


def with_problem(command: str, out: str) -> Callable[[Path, dict[str, Any]], list[str]]:
    return lambda at, bad: [
        command,
        written(at / "problems.jsonl", bad, GOOD_PROBLEM, bad),
        written(at / "programs.jsonl", GOOD_ROLLOUT),
        "-o",
        str(at / out),
    ]


def with_rollout(command: str, out: str) -> Callable[[Path, dict[str, Any]], list[str]]:
    return lambda at, bad: [
        command,
        written(at / "problems.jsonl", GOOD_PROBLEM),
        written(at / "programs.jsonl", bad, GOOD_ROLLOUT, bad),
        "-o",
        str(at / out),
    ]


def evaluated(problems: list[dict[str, Any]], samples: list[dict[str, Any]], at: Path) -> list[str]:
    given = [
        "--benchmarks",
        written(at / "problems.jsonl", *problems),
        "--samples",
        written(at / "samples.jsonl", *samples),
    ]
    return ["eval", *given, "-o", str(at / "out")]


SAMPLE = {"problem_id": "p", "completion": "```python\nprint(int(input()) ** 2)\n```"}
ANSWER = {"task_id": "t", "answer": '{"m": 15}'}
COMMANDS = {
    "judge problems": Command(with_problem("judge", "v.jsonl"), BAD_PROBLEMS, "problems.jsonl", "v.jsonl"),
    "judge programs": Command(with_rollout("judge", "v.jsonl"), BAD_ROLLOUTS, "programs.jsonl", "v.jsonl"),
    "tasks problems": Command(with_problem("tasks", "t.jsonl"), BAD_PROBLEMS, "problems.jsonl", "t.jsonl"),
    "tasks programs": Command(with_rollout("tasks", "t.jsonl"), BAD_ROLLOUTS, "programs.jsonl", "t.jsonl"),
    "score tasks": Command(
        lambda at, bad: [
            "score",
            written(at / "tasks.jsonl", bad and task_row() | bad, task_row(), bad and task_row() | bad),
            written(at / "answers.jsonl", ANSWER),
            "-o",
            str(at / "s.jsonl"),
        ],
        BAD_TASKS,
        "tasks.jsonl",
        "s.jsonl",
    ),
    "score answers": Command(
        lambda at, bad: [
            "score",
            written(at / "tasks.jsonl", task_row()),
            written(at / "answers.jsonl", bad, ANSWER, bad),
            "-o",
            str(at / "s.jsonl"),
        ],
        BAD_ANSWERS,
        "answers.jsonl",
        "s.jsonl",
    ),
    "eval problems": Command(
        lambda at, bad: evaluated([bad, GOOD_PROBLEM, bad], [SAMPLE], at),
        BAD_PROBLEMS,
        "problems.jsonl",
        "out/results.json",
    ),
    "eval samples": Command(
        lambda at, bad: evaluated([GOOD_PROBLEM], [bad, SAMPLE, bad], at),
        BAD_SAMPLES,
        "samples.jsonl",
        "out/results.json",
    ),
}
CASES = [
    pytest.param(command, kind, id=f"{name}: {kind}") for name, command in COMMANDS.items() for kind in command.bad
]


@pytest.mark.parametrize(("command", "kind"), CASES)
def test_a_row_that_cannot_be_used_is_named_and_the_others_go_on(tmp_path: Path, command: Command, kind: str) -> None:
    result = CliRunner().invoke(app, [*command.arguments(tmp_path, command.bad[kind]), "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1, result.output
    assert f"{command.file}:3: " in result.stderr
    assert json.loads(result.stdout)["left_out"] >= 1
    assert (tmp_path / command.done).read_text().strip()


@pytest.mark.parametrize("kind", BAD_PROBLEMS)
def test_prepare_cuts_a_row_that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    rows = written(tmp_path / "rows.jsonl", GOOD_PROBLEM, BAD_PROBLEMS[kind])
    result = CliRunner().invoke(
        app, ["prepare", rows, "-o", str(tmp_path / "out.jsonl"), "--benchmarks", "none", "--json"]
    )
    assert result.exit_code == 0, result.exception
    report = json.loads(result.stdout)
    assert (report["rows"], report["kept"]) == (2, 1)
    (cut,) = map(json.loads, (tmp_path / "out.cut.jsonl").read_text().splitlines())
    assert cut["place"].endswith("rows.jsonl:2")


BAD_LINES = {
    "no JSON": "{",
    "no object": "[3]",
    "a long number": '{"a": ' + "9" * 200_000 + "}",
    "deep": "[" * 100_000 + "]" * 100_000,
}


@pytest.mark.parametrize("line", BAD_LINES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_that_is_no_json_is_a_row_that_cannot_be_used(tmp_path: Path, name: str, line: str) -> None:
    command = COMMANDS[name]
    arguments = command.arguments(tmp_path, {})
    path = tmp_path / command.file
    path.write_text(f"{path.read_text()}{BAD_LINES[line]}\n")
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1, result.output
    assert f"{command.file}:4: " in result.stderr
    assert (tmp_path / command.done).read_text().strip()


@pytest.mark.parametrize("kind", BAD_PROBLEMS)
def test_prepare_goes_on_behind_a_first_row_that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    rows = written(tmp_path / "rows.jsonl", BAD_PROBLEMS[kind], GOOD_PROBLEM)
    (tmp_path / "rows.jsonl").write_text("{\n[]\n" + (tmp_path / "rows.jsonl").read_text())
    result = CliRunner().invoke(
        app, ["prepare", rows, "-o", str(tmp_path / "out.jsonl"), "--benchmarks", "none", "--json"]
    )
    assert result.exit_code == 0, result.exception
    report = json.loads(result.stdout)
    assert (report["rows"], report["kept"]) == (4, 1)


def test_where_no_row_is_left_the_first_error_is_raised(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, with_rollout("judge", "v.jsonl")(tmp_path, {"rollout_id": "bad"}))
    assert result.exit_code == 1
    written(tmp_path / "programs.jsonl", {"rollout_id": "bad"})
    result = CliRunner().invoke(
        app,
        ["judge", str(tmp_path / "problems.jsonl"), str(tmp_path / "programs.jsonl"), "-o", str(tmp_path / "w.jsonl")],
    )
    assert "programs.jsonl:1: field 'problem_id' is missing" in str(result.exception)


def test_a_defect_of_ours_in_mining_costs_one_rollout_and_is_told_once(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from coderlplus.alignment import mining

    problem = Problem(problem_id="p", statement="", tests=(StdioTest("3\n", "9\n"),))
    programs = [f"n = int(input())\nm = n * {k}\nprint(m)" for k in range(4, 10)]
    rollouts = [Rollout(rollout_id=f"r{k}\x1b", problem_id="p", program=program) for k, program in enumerate(programs)]
    verdicts = Judge(sandbox).judge_many([(problem, rollout) for rollout in rollouts])
    judged = [
        JudgedRollout(problem, rollout, rollout.program, verdict)
        for rollout, verdict in zip(rollouts, verdicts, strict=True)
    ]
    whole = mining.make_task

    def fragile(trace: Any, *arguments: Any, **options: Any) -> Any:
        if "* 5" in trace.program or "* 7" in trace.program:
            raise KeyError("a defect")
        return whole(trace, *arguments, **options)

    monkeypatch.setattr(mining, "make_task", fragile)
    mined = mine(sandbox, judged, settings=AlignmentConfig(), seed=0)
    assert mined.rejects["error"] == 2
    assert len(mined.tasks) == 4
    told = capsys.readouterr().err
    assert told.count("a bug in coderlplus") == 1
    assert "\x1b" not in told


def test_a_defect_of_ours_in_the_judge_costs_one_verdict(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from coderlplus.judge import judge as module

    whole = module.judge_program

    def fragile(execute: Any, problem: Problem, program: str | None, all_tests: bool = False) -> Any:
        if program == "defect":
            raise KeyError("a defect")
        return whole(execute, problem, program, all_tests)

    monkeypatch.setattr(module, "judge_program", fragile)
    problem = Problem(problem_id="p", statement="", tests=(StdioTest("3\n", "9\n"),))
    texts = ["print(9)", "defect", "print(8)"]
    rollouts = [Rollout(rollout_id=str(k), problem_id="p", program=text) for k, text in enumerate(texts)]
    verdicts = Judge(sandbox).judge_many([(problem, rollout) for rollout in rollouts])
    assert [verdict.verdict for verdict in verdicts] == ["passed", "sandbox_fault", "wrong_answer"]


def test_half_a_surrogate_pair_in_one_test_costs_the_others_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    odd = Problem(problem_id="odd", statement="", tests=(StdioTest("a\ud83d\n", "4\n"),))
    good = Problem(problem_id="good", statement="", tests=(StdioTest("a\n", "1\n"),))
    write_jsonl(tmp_path / "problems.jsonl", [odd, good])
    write_jsonl(
        tmp_path / "programs.jsonl",
        [Rollout(rollout_id=name, problem_id=name, program="print(len(input()))") for name in ("odd", "good")],
    )
    result = CliRunner().invoke(
        app,
        [
            "judge",
            str(tmp_path / "problems.jsonl"),
            str(tmp_path / "programs.jsonl"),
            "-o",
            str(tmp_path / "v.jsonl"),
            "--json",
        ],
    )
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["verdicts"] == {"passed": 2}
