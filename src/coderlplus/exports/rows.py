"""A task as a row of a data set: a prompt in chat form, the answer, and where it comes from."""

from __future__ import annotations

import json
import platform
from typing import Any

from coderlplus import __version__
from coderlplus.alignment import reference_answer
from coderlplus.engines.reward_functions import to_dataset_row
from coderlplus.records import AlignmentTask

COLUMNS = {
    "prompt": "chat messages: the question",
    "answer": "the right answer, as the prompt asks for it",
    "record": "the task as JSON: what `coderlplus.score_answer` and `coderlplus.alignment_reward` read",
    "kind": "what is asked: `final_values`, `output`, `exception`, …",
    "task_id": "identity of the task",
    "problem_id": "the problem that the program was written for",
    "rollout_id": "the sample of the model that the program is",
    "step": "the training step of the sample; 0 where there was none",
    "verdict": "how the program failed its tests",
    "program": "the program, without comments",
    "input": "the input that was traced, as JSON",
    "coderlplus": "the version that traced it",
    "python": "the Python that ran it",
}
"""The columns of a task and what they hold."""


def task_row(task: AlignmentTask) -> dict[str, Any]:
    """The row of a task, with the columns `COLUMNS`.

    >>> from coderlplus import CallInput, Target
    >>> row = task_row(AlignmentTask(
    ...     task_id="t", kind="output", prompt="What does f(1) return?", program="def f(x): return x + 1",
    ...     input=CallInput("f", (1,)), targets=(Target(label="output", value=2),), problem_id="p", rollout_id="r",
    ... ))
    >>> row["prompt"], row["answer"], row["rollout_id"]
    ([{'role': 'user', 'content': 'What does f(1) return?'}], '{"output": 2}', 'r')
    """
    same = ("kind", "task_id", "problem_id", "rollout_id", "step", "verdict", "program")
    return {
        **to_dataset_row(task),
        "answer": reference_answer(task),
        **{name: getattr(task, name) for name in same},
        "input": json.dumps(task.input.to_json()),
        "coderlplus": __version__,
        "python": platform.python_version(),
    }


def task_schema(pyarrow: Any) -> Any:
    """The Arrow schema of `task_row`."""
    kinds = {"prompt": messages(pyarrow), "step": pyarrow.int64()}
    return pyarrow.schema({name: kinds.get(name, pyarrow.string()) for name in COLUMNS})


def messages(pyarrow: Any) -> Any:
    """The Arrow type of chat messages."""
    return pyarrow.list_(pyarrow.struct({"role": pyarrow.string(), "content": pyarrow.string()}))
