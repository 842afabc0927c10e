"""The buffer of alignment tasks between the step that mined them and the step that trains on them.

A draw depends only on the seed, the step and what the buffer holds, so every process that holds the same buffer draws
the same tasks without communication, and a resumed run draws what the interrupted one would have drawn. Nothing is
taken out by a draw.
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from coderlplus.alignment.settings import TaskSampling
from coderlplus.errors import DataError
from coderlplus.records import AlignmentTask


class TaskBuffer:
    """At most `size` tasks, distinct by `task_id`; a task that is added again counts as new, and the oldest leave
    first.

    `shares` are the shares of the kinds in a draw (kind → share); without them, and beyond what the buffer has of a
    kind, any task will do.
    """

    def __init__(
        self, size: int = 20_000, sampling: TaskSampling = "recent", shares: Mapping[str, float] | None = None
    ) -> None:
        self.size = size
        self.sampling = sampling
        self.shares: dict[str, float] = dict(shares or {})
        self._tasks: dict[str, AlignmentTask] = {}  # oldest first
        self._questions: Counter[str] = Counter()
        self._spread: dict[str, float] = {}  # task id → standard deviation of the rewards of its last group

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
                self._drop(next(iter(self._tasks)))

    def drop_before(self, step: int) -> None:
        """Take out the tasks whose rollouts are older than `step`."""
        for task in [task for task in self if task.step < step]:
            self._drop(task.task_id)

    def note(self, outcomes: Mapping[str, Sequence[float]]) -> None:
        """Keep how much the rewards of a group varied, by task id, for the sampling `solvable`; tasks that the buffer
        does not hold are passed over."""
        for task_id, rewards in outcomes.items():
            if task_id in self._tasks and rewards:
                self._spread[task_id] = statistics.pstdev(rewards)

    def can_fill(self, count: int) -> bool:
        """Whether a draw of `count` tasks would be complete."""
        return len(self._questions) >= count

    def draw(self, count: int, *, seed: int, step: int) -> list[AlignmentTask]:
        """`count` tasks (fewer where the buffer cannot fill them), no two of them with the same input and output (or,
        without one, the same answer).

        >>> TaskBuffer().draw(3, seed=0, step=1)
        []
        """
        drawn: dict[str, AlignmentTask] = {}
        left_over: list[AlignmentTask] = []
        places = parts(self.shares, count) if len(self.shares) > 1 else {}
        if count > 0:
            for task in self._in_drawing_order(random.Random(f"{seed}/draw/{step}")):
                key = question(task)
                if key in drawn:
                    continue
                if places and not places.get(task.kind):
                    left_over.append(task)
                    continue
                drawn[key] = task
                if places:
                    places[task.kind] -= 1
                if len(drawn) == count:
                    break
        for task in left_over:
            if len(drawn) >= count:
                break
            drawn.setdefault(question(task), task)
        return list(drawn.values())

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON; with `load_state_dict` a buffer that draws the same tasks from then on."""
        return {"tasks": [task.to_json() for task in self._tasks.values()], "spread": dict(self._spread)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state.get("tasks"), list):
            raise DataError(
                "this is not the state of a task buffer: 'tasks' is missing; the checkpoint is damaged, resume from "
                "an earlier one"
            )
        self._tasks.clear()
        self._questions.clear()
        self.add(AlignmentTask.from_json(task) for task in state["tasks"])
        self._spread = dict(state.get("spread", {}))

    def _drop(self, task_id: str) -> None:
        self._remove(task_id)
        self._spread.pop(task_id, None)

    def _remove(self, task_id: str) -> None:
        key = question(self._tasks.pop(task_id))
        self._questions[key] -= 1
        if not self._questions[key]:
            del self._questions[key]

    def _in_drawing_order(self, rng: random.Random) -> Iterator[AlignmentTask]:
        if self.sampling == "recent":
            for _, group in groupby(reversed(self._tasks.values()), key=lambda task: task.step):
                tasks = list(group)
                rng.shuffle(tasks)
                yield from tasks
            return
        tasks = list(self._tasks.values())
        rng.shuffle(tasks)
        if self.sampling == "solvable":
            tasks.sort(key=lambda task: self._rank(task, rng))
        yield from tasks

    def _rank(self, task: AlignmentTask, rng: random.Random) -> tuple[int, float]:
        """Unseen tasks first, those without variance last; those between in a random order in which more variance
        tends to come earlier (the first of exponential clocks whose rates are the deviations: Efraimidis and Spirakis,
        2006)."""
        spread = self._spread.get(task.task_id)
        if spread is None:
            return 0, 0.0
        return (1, -math.log(1 - rng.random()) / spread) if spread > 0 else (2, 0.0)


def parts(shares: Mapping[str, float], count: int) -> dict[str, int]:
    """`count` divided by shares, which add up to 1, by largest remainders.

    >>> parts({"final_values": 0.75, "exception": 0.25}, 10)
    {'final_values': 8, 'exception': 2}
    """
    whole = {kind: math.floor(share * count + 1e-9) for kind, share in shares.items()}
    by_remainder = sorted(shares, key=lambda kind: whole[kind] - shares[kind] * count)
    for kind in by_remainder[: count - sum(whole.values())]:
        whole[kind] += 1
    return whole


def question(task: AlignmentTask) -> str:
    """What makes two tasks too alike for one batch: the input together with the output (paper, section 3; one task per
    distinct pair); of tasks that do not ask for the output, the input together with the answer."""
    output = [target.value for target in task.targets if target.is_output]
    asked = output[0] if output else [[target.label, target.value] for target in task.targets]
    return json.dumps([task.input.to_json(), asked], sort_keys=True)
