"""What one command writes given to every other in the wrong place: one sentence that says what it is, or where it
belongs; no traceback, no success on nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coderlplus.cli import app
from coderlplus.errors import CodeRLPlusError
from coderlplus.records import AlignmentTask, CallInput, CallTest, Problem, Rollout, Target, Verdict, write_jsonl
from coderlplus.records.forms import FORMS, misplaced

PROBLEM = Problem(problem_id="p", statement="Double x.", entry_point="f", tests=(CallTest((2,), 4),))
PROGRAM = Rollout(rollout_id="r", problem_id="p", program="def f(x):\n    return x")
VERDICT = Verdict(rollout_id="r", problem_id="p", verdict="wrong_answer", tests_passed=0, tests_total=1)
TASK = AlignmentTask(
    task_id="t",
    kind="output",
    prompt="?",
    program="def f(x):\n    return x",
    input=CallInput("f", (1,)),
    targets=(Target(label="output", value=1),),
    problem_id="p",
    rollout_id="r",
)
ROWS: dict[str, dict[str, Any]] = {
    "problem": PROBLEM.to_json(),
    "program": PROGRAM.to_json(),
    "verdict": VERDICT.to_json(),
    "task": TASK.to_json(),
    "answer": {"task_id": "t", "answer": "1"},
    "score": {"task_id": "t", "kind": "output", "reward": 1.0, "correct": {"output": True}},
    "question": {"question_id": "p", "messages": [], "tests": []},
    "plus": {"task_id": "HumanEval/0", "prompt": "", "entry_point": "f", "base_input": [], "plus_input": []},
    "cruxeval": {"id": "sample_0", "code": "def f(): pass", "input": "", "output": "None"},
    "livecodebench": {"question_id": "a", "question_content": "x", "starter_code": ""},
}
PLACES = {
    "judge problems": (["judge", "{}", "program.jsonl", "-o", "out.jsonl"], {"problem"}),
    "judge programs": (["judge", "problem.jsonl", "{}", "-o", "out.jsonl"], {"program"}),
    "tasks problems": (["tasks", "{}", "program.jsonl", "-o", "out.jsonl"], {"problem"}),
    "tasks programs": (["tasks", "problem.jsonl", "{}", "-o", "out.jsonl"], {"program"}),
    "score tasks": (["score", "{}", "answer.jsonl", "-o", "out.jsonl"], {"task"}),
    "score answers": (["score", "task.jsonl", "{}", "-o", "out.jsonl"], {"answer", "task"}),
    "eval samples": (["eval", "--samples", "{}", "--benchmarks", "problem.jsonl", "-o", "out"], {"program"}),
    "trace task": (["trace", "--task", "{}"], {"task"}),
    "trace program": (["trace", "{}", "--call", "f(1)"], set()),
    "train": (["train", "{}"], set()),
    "compare": (["eval", "compare", "{}", "{}"], set()),
}
KNOWN = {
    "problem": "a problem",
    "program": "a program",
    "verdict": "a verdict of coderlplus judge",
    "task": "a task",
    "answer": "an answer to a task",
    "score": "a score of coderlplus score",
    "question": "a question of coderlplus eval",
    "plus": "a row of HumanEval+ or MBPP+",
    "cruxeval": "a row of a benchmark that asks what code does",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, row in ROWS.items():
        Path(f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    write_jsonl("empty.jsonl", [])


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [*ROWS, "empty"])
def test_a_file_in_the_wrong_place_is_an_error_of_one_sentence(place: str, name: str) -> None:
    arguments, right = PLACES[place]
    if name in right:
        pytest.skip("its place")
    result = CliRunner().invoke(app, [part.format(f"{name}.jsonl") for part in arguments])
    assert isinstance(result.exception, CodeRLPlusError), (result.exit_code, result.output)
    assert f"{name}.jsonl" in str(result.exception) or "problem.jsonl" in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not Path("out.jsonl").exists()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("place", ["judge problems", "tasks problems", "score tasks", "trace task"])
@pytest.mark.parametrize("name", KNOWN)
def test_where_a_record_is_expected_it_says_what_it_found(place: str, name: str) -> None:
    arguments, right = PLACES[place]
    if name in right:
        pytest.skip("its place")
    result = CliRunner().invoke(app, [part.format(f"{name}.jsonl") for part in arguments])
    assert f"found {KNOWN[name]}; " in str(result.exception)


@pytest.mark.parametrize("name", KNOWN)
def test_every_form_is_known_by_its_keys(name: str) -> None:
    assert misplaced(ROWS[name], KNOWN[name]) is None
    assert f"found {KNOWN[name]}; " in str(misplaced(ROWS[name], "something else"))
    assert KNOWN[name] in {form for form, _, _ in FORMS}
