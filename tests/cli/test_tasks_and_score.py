"""`coderlplus tasks` and `coderlplus score`: from files to files, with a summary."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coderlplus.alignment import reference_answer, write_answer
from coderlplus.cli import app
from coderlplus.errors import CodeRLPlusError, ConfigError
from coderlplus.judge import Judge
from coderlplus.records import (
    AlignmentTask,
    CallInput,
    CallTest,
    Problem,
    Rollout,
    StdioTest,
    Target,
    Verdict,
    read_jsonl,
    write_jsonl,
)

PROBLEMS = [
    Problem(problem_id="c", statement="Sum.", entry_point="f", tests=(CallTest(([1, 2],), 3), CallTest(([4, 5],), 9))),
    Problem(problem_id="s", statement="Twice.", tests=(StdioTest("3\n", "6\n"),)),
]
ROLLOUTS = [
    Rollout(rollout_id="right", problem_id="c", program="def f(a):\n    return sum(a)"),
    Rollout(
        rollout_id="wrong", problem_id="c", completion="```python\ndef f(a):\n    b = len(a) * 5\n    return b\n```"
    ),
    Rollout(rollout_id="crash", problem_id="s", program="print(input() + 3)"),
    Rollout(rollout_id="square", problem_id="s", program="n = int(input())\nm = n * n\nprint(m)"),
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    write_jsonl(tmp_path / "problems.jsonl", PROBLEMS)
    write_jsonl(tmp_path / "programs.jsonl", ROLLOUTS)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, CodeRLPlusError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return invoke


def test_tasks_of_the_failing_programs_and_scores_of_answers(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    summary = json.loads(run("tasks", "problems.jsonl", "programs.jsonl", "-o", "tasks.jsonl", "--json").stdout)
    assert summary == {
        "programs": 4,
        "failed": 3,
        "tasks": 2,
        "tasks_by_kind": {"final_values": 2},
        "share_with_variable": 1.0,
        "tasks_by_variables": {"1": 2},
        "verdicts": {"wrong_answer": 2, "passed": 1, "runtime_error": 1},
        "rejects": {"passed": 1, "exception": 1},
        "left_out": 0,
    }
    made = list(read_jsonl(tmp_path / "tasks.jsonl", AlignmentTask))
    assert [task.rollout_id for task in made] == ["wrong", "square"]

    answers = [write_answer(made[0].targets), '{"m": 9, "output": 8}', "no idea"]
    lines = [{"task_id": made[min(index, 1)].task_id, "answer": answer} for index, answer in enumerate(answers)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = json.loads(run("score", "tasks.jsonl", "answers.jsonl", "-o", "scores.jsonl", "--json").stdout)
    means = {
        "answers": 3,
        "mean_reward": 0.5167,
        "usable_form": 0.6667,
        "all_right": 0.3333,
        "output_accuracy": 0.3333,
        "all_variables_accuracy": 0.6667,
    }
    assert summary == {"tasks": 2, "answered": 2, **means, "by_kind": {"final_values": means}, "left_out": 0}
    scores = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [item["reward"] for item in scores] == [1.0, pytest.approx(0.55), 0.0]
    assert scores[1]["correct"] == {"m": True, "output": False}


def test_kinds_with_shares_and_a_summary_by_kind(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments = (
        "tasks",
        "problems.jsonl",
        "programs.jsonl",
        "-o",
        "tasks.jsonl",
        "--kind",
        "output=0.5",
        "--kind",
        "exception",
    )
    summary = json.loads(run(*arguments, "--json").stdout)
    assert (summary["tasks_by_kind"], summary["rejects"]) == ({"output": 2, "exception": 1}, {"passed": 1})
    made = {task.rollout_id: task for task in read_jsonl(tmp_path / "tasks.jsonl", AlignmentTask)}
    lines = [{"task_id": task.task_id, "answer": reference_answer(task)} for task in made.values()]
    lines.append({"task_id": made["crash"].task_id, "answer": '{"exception": "TypeError", "line": 2}'})
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    by_kind = json.loads(run("score", "tasks.jsonl", "answers.jsonl", "-o", "scores.jsonl", "--json").stdout)[
        "by_kind"
    ]
    assert {
        kind: (means["answers"], means["all_right"], means["output_accuracy"]) for kind, means in by_kind.items()
    } == {
        "output": (2, 1.0, 1.0),
        "exception": (2, 0.5, None),
    }
    table = run("score", "tasks.jsonl", "answers.jsonl", "-o", "scores.jsonl").stdout
    assert re.search(r"mean reward .* 0.8875 .* 0.775 .* 1.0", table)
    assert re.search(r"output accuracy .* – ", table)


def test_an_interrupted_run_goes_on_where_it_stopped(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    arguments = ("tasks", "problems.jsonl", "programs.jsonl", "--json", "-o")
    whole = json.loads(run(*arguments, "whole.jsonl").stdout)
    monkeypatch.setattr(sys.modules["coderlplus.cli.tasks"], "CHUNK", 1)
    judged: list[str] = []
    judge_many = Judge.judge_many

    def interrupted_at(place: int) -> None:
        def judge(self: Judge, pairs: Sequence[tuple[Problem, Rollout]]) -> list[Verdict]:
            if len(judged) == place:
                raise KeyboardInterrupt
            judged.extend(rollout.rollout_id for _, rollout in pairs)
            return judge_many(self, pairs)

        monkeypatch.setattr(Judge, "judge_many", judge)

    interrupted_at(2)
    result = CliRunner().invoke(app, [*arguments, "parts.jsonl"])
    assert result.exit_code == 130
    assert "stopped at 2 of 4" in result.stderr
    assert not (tmp_path / "parts.jsonl").exists()
    with (tmp_path / "parts.jsonl.unfinished").open("a") as file:
        file.write('{"programs": 1, "ta')  # killed while it wrote
    interrupted_at(-1)
    with pytest.raises(ConfigError, match=r"parts.jsonl was made with seed 0, not 1"):
        run(*arguments, "parts.jsonl", "--seed", "1")
    assert json.loads(run(*arguments, "parts.jsonl").stdout) == whole
    assert judged == [rollout.rollout_id for rollout in ROLLOUTS]
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / "parts.jsonl.unfinished").exists()


def test_a_recorded_file_brings_problems_and_programs(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    row = {
        "task_id": "MBPP/76",
        "prompt": 'def area(m, n):\n    """Area."""\n',
        "entry_point": "area",
        "test": "\ndef check(candidate):\n    assert area(4, 3) == 12\n    assert area(2, 2) == 4\ncheck(area)\n",
        "solution": 'def area(m, n):\n    """Area."""\n    s = m + n  # 7\n    return s\n',
        "is_solved": False,
    }
    (tmp_path / "runs.jsonl").write_text(json.dumps(row) + "\n")
    run("tasks", "runs.jsonl", "runs.jsonl", "-o", "tasks.jsonl")
    (task,) = read_jsonl(tmp_path / "tasks.jsonl", AlignmentTask)
    assert (task.rollout_id, task.input) == ("runs/MBPP/76", CallInput("area", (4, 3)))
    assert write_answer(task.targets) == '{"s": 7, "output": 7}'


def test_the_summary_can_be_read(run) -> None:  # type: ignore[no-untyped-def]
    output = run("tasks", "problems.jsonl", "programs.jsonl", "-o", "tasks.jsonl").stdout
    for part in ("2, 100.0% with at least one variable", "no task: exception", "written to tasks.jsonl"):
        assert part in output


def test_the_same_seed_writes_the_same_file(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("one.jsonl", "two.jsonl"):
        run("tasks", "problems.jsonl", "programs.jsonl", "-o", name, "--seed", "5", "--max-variables", "1")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tasks", "nowhere.jsonl", "programs.jsonl", "-o", "t.jsonl"), "cannot read nowhere.jsonl: No such file"),
        (
            ("tasks", "problems.jsonl", "stray.jsonl", "-o", "t.jsonl"),
            "stray.jsonl:1: rollout 'r' is of problem 'x', which problems.jsonl does",
        ),
        (("tasks", "problems.jsonl", "programs.jsonl", "-o", "no/t.jsonl"), "its folder does not exist"),
        (
            ("tasks", "problems.jsonl", "programs.jsonl", "-o", "t.jsonl", "--kind", "all"),
            "kinds must be one of final_values, .*, not 'all'",
        ),
        (
            ("tasks", "problems.jsonl", "programs.jsonl", "-o", "t.jsonl", "--kind", "branch=half"),
            "the share of branch must be a number",
        ),
        (
            ("tasks", "problems.jsonl", "programs.jsonl", "-o", "t.jsonl", "--kind", "branch=0.5"),
            "the shares in kinds must add up to 1, not 0.5",
        ),
        (
            ("score", "empty.jsonl", "answers.jsonl", "-o", "s.jsonl"),
            "empty.jsonl holds no alignment tasks",
        ),
        (("score", "one.jsonl", "answers.jsonl", "-o", "no/s.jsonl"), "its folder does not exist"),
        (("score", "one.jsonl", "empty.jsonl", "-o", "s.jsonl"), "empty.jsonl holds no rows"),
        (
            ("score", "answers.jsonl", "answers.jsonl", "-o", "s.jsonl"),
            "answers.jsonl:1: expected a task, found an answer to a task; coderlplus score takes it, after the tasks",
        ),
        (
            ("score", "one.jsonl", "stray.jsonl", "-o", "s.jsonl"),
            "stray.jsonl:1: task 'x' is not in one.jsonl",
        ),
        (
            ("score", "empty.jsonl", "answers.jsonl", "-o", "s.jsonl", "--format-weight", "1"),
            "format_weight must be in",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:  # type: ignore[no-untyped-def]
    write_jsonl(tmp_path / "stray.jsonl", [Rollout(rollout_id="r", problem_id="x", program="x = 1")])
    (tmp_path / "empty.jsonl").touch()
    target = Target(label="output", value=2)
    given = CallInput("f", (1,))
    task = {"task_id": "u", "kind": "output", "prompt": "?", "program": "x", "problem_id": "p", "rollout_id": "r"}
    write_jsonl(tmp_path / "one.jsonl", [AlignmentTask(**task, input=given, targets=(target,))])
    (tmp_path / "answers.jsonl").write_text('{"task_id": "t", "answer": ""}\n')
    with pytest.raises(CodeRLPlusError, match=message):
        run(*arguments)


def test_answers_that_are_inputs_are_judged_by_score_trace_and_eval(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Any input with the same output is right: `b` of the wrong program is 5 · len(a)."""
    run("tasks", "problems.jsonl", "programs.jsonl", "-o", "tasks.jsonl", "--kind", "input")
    tasks = {task.rollout_id: task for task in read_jsonl("tasks.jsonl", AlignmentTask)}
    answers = {"wrong": ['{"a": [7, 8]}', '{"a": [7]}', "hm"], "square": ['{"stdin": "-3"}', '{"stdin": "4"}']}
    rows = [{"task_id": tasks[name].task_id, "answer": text} for name, texts in answers.items() for text in texts]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("score", "tasks.jsonl", "answers.jsonl", "-o", "scores.jsonl")
    scores = [json.loads(line)["reward"] for line in Path("scores.jsonl").read_text().splitlines()]
    assert scores == [1.0, 0.1, 0.0, 1.0, 0.1]
    shown = run("trace", "--task", "tasks.jsonl:1", "--answer", rows[0]["answer"]).stdout
    assert "1 of 1 right, reward 1.00" in shown
    samples = [{"question_id": row["task_id"], "completion": row["answer"]} for row in rows]
    Path("samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in samples))
    run("eval", "--benchmarks", "tasks.jsonl", "--samples", "samples.jsonl", "-o", "scored", "--workers", "1")
    numbers = json.loads(Path("scored/results.json").read_text())["benchmarks"]["tasks"]
    assert numbers["outcomes"] == {"passed": 2, "wrong": 2, "no_answer": 1, "truncated": 0, "missing": 0}
