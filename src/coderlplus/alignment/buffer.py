"""The buffer of alignment tasks between the step that mined them and the step that trains on them.

A draw depends only on the seed, the step and what the buffer holds, so every process that holds the same buffer draws the same tasks without
communication, and a resumed run draws what the interrupted one would have drawn. Nothing is taken out by a draw.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from coderlplus.alignment.settings import Policy
from coderlplus.errors import DataError
from coderlplus.records import AlignmentTask


class TaskBuffer:
    """At most `size` tasks, distinct by `task_id`; a task that is added again counts as new, and the oldest leave first."""

    def __init__(self, size: int = 20_000, policy: Policy = "recent") -> None:
        self.size = size
        self.policy = policy
        self._tasks: dict[str, AlignmentTask] = {}  # oldest first
        self._questions: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[AlignmentTask]:
        """The tasks, oldest first."""
        return iter(self._tasks.values())

    def add(self, tasks: Iterable[AlignmentTask]) -> None:
        for task in tasks:
            if task.task_id in self._tasks:
                self._remove(task.task_id)
            self._tasks[task.task_id] = task
            self._questions[question(task)] += 1
            if len(self._tasks) > self.size:
                self._remove(next(iter(self._tasks)))

    def can_fill(self, count: int) -> bool:
        """Whether a draw of `count` tasks would be complete."""
        return len(self._questions) >= count

    def draw(self, count: int, *, seed: int, step: int) -> list[AlignmentTask]:
        """`count` tasks (fewer where the buffer cannot fill them), no two of them with the same input and output.

        >>> TaskBuffer().draw(3, seed=0, step=1)
        []
        """
        drawn: dict[str, AlignmentTask] = {}
        if count > 0:
            for task in self._in_drawing_order(random.Random(f"{seed}/draw/{step}")):
                drawn.setdefault(question(task), task)
                if len(drawn) == count:
                    break
        return list(drawn.values())

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON; with `load_state_dict` a buffer that draws the same tasks from then on."""
        return {"tasks": [task.to_json() for task in self._tasks.values()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state.get("tasks"), list):
            raise DataError("this is not the state of a task buffer: 'tasks' is missing; the checkpoint is damaged, resume from an earlier one")
        self._tasks.clear()
        self._questions.clear()
        self.add(AlignmentTask.from_json(task) for task in state["tasks"])

    def _remove(self, task_id: str) -> None:
        key = question(self._tasks.pop(task_id))
        self._questions[key] -= 1
        if not self._questions[key]:
            del self._questions[key]

    def _in_drawing_order(self, rng: random.Random) -> Iterator[AlignmentTask]:
        if self.policy == "uniform":
            tasks = list(self._tasks.values())
            rng.shuffle(tasks)
            yield from tasks
            return
        for _, group in groupby(reversed(self._tasks.values()), key=lambda task: task.step):
            tasks = list(group)
            rng.shuffle(tasks)
            yield from tasks


def question(task: AlignmentTask) -> str:
    """What makes two tasks too alike for one batch: the input together with the output (paper, section 3; one task per distinct pair)."""
    output = next((target.value for target in task.targets if target.scope is None), None)
    return json.dumps([task.input.to_json(), output], sort_keys=True)
