"""Every script in examples/ runs on tiny data and says what it should. Those that train are in tests/engines."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

import coderlplus as crl

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAINING = {"own_loop", "trl_script", "trl_rewards", "sdpo"}
PROBLEM = crl.Problem(
    problem_id="double", statement="Double x.", entry_point="f", tests=(crl.CallTest((2,), 4), crl.CallTest((3,), 6))
)
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def double(x):\n    """Double x."""\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-1) == -2\n",
}


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short_and_tested(path: Path) -> None:
    assert len(path.read_text().splitlines()) < (150 if path.stem == "own_loop" else 60)
    assert path.stem in TRAINING or f'example("{path.stem}")' in Path(__file__).read_text()


def test_judge_programs(capsys: pytest.CaptureFixture[str]) -> None:
    example("judge_programs").main()
    said = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert {name: text.split()[0] for name, text in said.items()} == {
        "right": "passed",
        "wrong": "wrong_answer",
        "endless": "time_limit",
        "nothing": "no_program",
    }


def test_trace_program(capsys: pytest.CaptureFixture[str]) -> None:
    example("trace_program").main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "finished: returned 16, the same in every run: True"
    assert {"total: result = 16", "line 4: result = 6"} <= set(lines)


def test_tasks_from_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crl.write_jsonl(tmp_path / "problems.jsonl", [PROBLEM])
    texts = {
        "right": "def f(x):\n    return 2 * x",
        "wrong": "```python\ndef f(x):\n    y = x + 1\n    return y * 3\n```",
    }
    rollouts = [crl.Rollout(rollout_id=name, problem_id="double", completion=text) for name, text in texts.items()]
    crl.write_jsonl(tmp_path / "programs.jsonl", rollouts)
    files = [str(tmp_path / name) for name in ("problems.jsonl", "programs.jsonl")]
    parquet: list[str] = []
    if importlib.util.find_spec("datasets"):
        parquet = ["--parquet", str(tmp_path / "tasks.parquet")]
    example("tasks_from_failures").main([*files, "--output", str(tmp_path / "tasks.jsonl"), *parquet])
    task, *others = crl.read_jsonl(tmp_path / "tasks.jsonl", crl.AlignmentTask)
    assert (task.rollout_id, others) == ("wrong", [])
    assert "1 tasks from 2 programs; the others: {'passed': 1}" in capsys.readouterr().out
    if parquet:
        from datasets import Dataset

        (row,) = Dataset.from_parquet(parquet[1])
        assert crl.AlignmentTask.from_json(json.loads(row["record"])) == task
        reward = crl.alignment_reward()
        assert reward([crl.reference_answer(task), ""], [row["record"]] * 2) == [1.0, 0.0]


def test_score_humaneval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [HUMANEVAL, HUMANEVAL | {"task_id": "HumanEval/1"}]
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    answers = {
        "HumanEval/0": "def double(x):\n    return x + x\n",
        "HumanEval/1": "def double(x):\n    return x * x\n",
    }
    samples = write_lines(
        tmp_path / "samples.jsonl", [{"task_id": name, "solution": text} for name, text in answers.items()]
    )
    places = ["--data-dir", str(tmp_path), "--output", str(tmp_path / "scores")]
    example("score_humaneval").main(["--samples", samples, *places])
    assert capsys.readouterr().out.startswith("pass@1 0.500 (95 % interval ")


def test_own_checker(capsys: pytest.CaptureFixture[str]) -> None:
    example("own_checker").main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[1].split()[0] for line in lines] == ["passed", "passed", "wrong_answer"]
    assert "expected two factors above 1" in lines[2]


def test_own_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [{"problem_id": f"power-{k}", "completion": "def f(x):\n    return x * x"} for k in (2, 3, 4)]
    samples = write_lines(tmp_path / "answers.jsonl", texts)
    example("own_benchmark").main(["--samples", samples, "--output", str(tmp_path / "scores")])
    assert "pass@1 0.333 on 3 problems; outcomes: {'passed': 1, 'wrong': 2" in capsys.readouterr().out


def test_own_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"name": "a", "task": "Print it twice.", "examples": [["x", "xx"]], "solution": "print(input() * 2)"}
    rows = write_lines(
        tmp_path / "rows.jsonl", [row, row | {"name": "b", "examples": []}, row | {"name": "c", "solution": "print()"}]
    )
    example("own_format").main([rows, "--output", str(tmp_path / "problems.jsonl")])
    assert [problem.problem_id for problem in crl.load_problems(tmp_path / "problems.jsonl")] == ["a"]
    said = capsys.readouterr().out
    assert f"{rows}:2: problem 'b' has no tests" in said
    assert "1 of 2 problems are passed by their own solution" in said
