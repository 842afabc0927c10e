"""What a row of a file is, for messages about a file that was given in the place of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ORDER = "are the files in the right order?"
FORMS = (
    ("a task", ("targets",), ORDER),
    ("a group of samples of a run", ("step", "kind", "samples"), "judge, tasks, score and trace take its file"),
    (
        "a verdict of coderlplus judge",
        ("rollout_id", "verdict", "tests_passed"),
        "coderlplus trace --verdict takes it",
    ),
    ("a program", ("rollout_id", "problem_id"), ORDER),
    ("a verdict of coderlplus eval", ("question_id", "sample", "verdict"), "it goes where samples go"),
    ("a completion of coderlplus eval", ("question_id", "sample"), "it goes where samples go"),
    ("a question of coderlplus eval", ("question_id", "messages"), "no command takes it"),
    ("a score of coderlplus score", ("task_id", "reward", "correct"), "no command takes it"),
    (
        "a row of HumanEval+ or MBPP+",
        ("base_input", "plus_input"),
        "coderlplus eval scores samples of it: --benchmarks humanevalplus (or mbppplus) --samples FILE",
    ),
    (
        "a row of a benchmark that asks what code does",
        ("code", "input", "output"),
        "coderlplus eval scores answers to it: --benchmarks cruxeval-o (or cruxeval-i, lcb-execution) --samples FILE",
    ),
    ("a problem", ("statement",), ORDER),
    ("an answer to a task", ("task_id", "answer"), "coderlplus score takes it, after the tasks"),
    ("a sample", ("task_id", "solution"), "it goes where programs go, after the problems"),
    ("a sample", ("task_id", "completion"), "it goes where programs go, after the problems"),
    ("a sample", ("question_id", "code_list"), "it goes where programs go, after the problems"),
)
"""Name, the keys that tell, and where the row belongs; in the order in which they are tried."""


def misplaced(row: Mapping[str, Any], wanted: str) -> str | None:
    """The sentence about a row that is something else than what is `wanted`; `None` where it is not known what.

    >>> misplaced({"task_id": "t", "answer": "3"}, "a problem")
    'expected a problem, found an answer to a task; coderlplus score takes it, after the tasks'
    """
    for name, keys, way in FORMS:
        if all(key in row for key in keys):
            return None if name == wanted else f"expected {wanted}, found {name}; {way}"
    return None
