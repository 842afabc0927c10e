"""Measuring a model on problems and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from coderlplus.judge import Judge
from coderlplus.records import AlignmentTask, CallInput, CallTest, Problem, Target
from coderlplus.sandbox import Sandbox
from coderlplus_lab.study import measures as module
from coderlplus_lab.study.measures import outcomes
from coderlplus_lab.study.settings import Study

PROBLEMS = [
    Problem(problem_id=str(n), statement=f"add {n}", tests=(CallTest((1,), 1 + n),), entry_point="f") for n in range(2)
]
TASKS = [
    AlignmentTask(
        task_id=str(n),
        kind="final_values",
        prompt=f"task {n}",
        program="def f(x):\n    a = x\n    return a",
        input=CallInput("f", (n,)),
        targets=(Target(label="a", value=n, scope="f"), Target(label="output", value=n)),
        problem_id="p",
        rollout_id="r",
    )
    for n in range(4)
]
ANSWERS = {
    "task 0": '{"a": 0, "output": 0}',
    "task 1": '{"a": 7, "output": 1}',
    "task 2": "no idea",
    "task 3": '{"a": 3, "output": 4}',
}


def scripted(
    model: Any, tokenizer: Any, conversations: Sequence[Any], *, samples: int, greedy: bool, **_: Any
) -> list[list[str]]:
    """A model that adds nothing when greedy, and when sampled adds 1 in one sample of four."""
    texts = [conversation[0]["content"] for conversation in conversations]
    return [
        [ANSWERS[text]]
        if text in ANSWERS
        else [f"def f(x):\n    return x + {0 if greedy else int(sample == 0)}" for sample in range(samples)]
        for text in texts
    ]


def test_numbers_of_a_scripted_model(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "generate", scripted)
    with Sandbox(workers=1) as sandbox:
        result = outcomes(study, None, None, Judge(sandbox), PROBLEMS, TASKS, samples=4)
    assert result.greedy_passed == [True, False]
    assert [sum(group) for group in result.sampled_passed] == [3, 1]
    assert result.output_right == [True, True, False, False]
    assert result.all_right == [True, False, False, False]
