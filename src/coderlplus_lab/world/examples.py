"""What the warm start learns from: problems with programs, and alignment tasks with answers, worded exactly as the
library words them later.

Each is a pair of user text and assistant text. The facts of an alignment task come from the world's own definition of
its operations rather than from the sandboxed tracer, which would be too slow for fifty thousand examples; task and
prompt are made by `coderlplus.alignment`. A test compares both ways.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.alignment.tasks import Lineage, make_task
from coderlplus.records import AlignmentTask, Ending, Trace
from coderlplus_lab.world import world

SETTINGS = AlignmentConfig(prompt_style="compact")
LINEAGE = Lineage(problem_id="world", rollout_id="world")


def program_example(rng: random.Random, *, counts: Sequence[int], faulty: float = 0.0) -> tuple[str, str]:
    """A training problem and its program; a share of the programs is `faulty`: one operation is another, and the
    comments say what it does."""
    while True:
        sample = world.draw_problem(rng, "train", counts=counts)
        steps = world.mutate(rng, sample.steps, "train") if rng.random() < faulty else sample.steps
        values = world.run(steps, sample.inputs[0])
        if values is not None:
            return sample.statement, world.program_text(steps, values)


def prediction_example(rng: random.Random, *, counts: Sequence[int], mutated: float) -> tuple[str, str]:
    """An alignment task on a program of a training composition (a share of them `mutated` from another one) and its
    answer."""
    while True:
        steps = world.draw_steps(rng, rng.choice(counts), "train")
        if len(steps) > 1 and rng.random() < mutated:
            steps = world.mutate(rng, steps, "train")
        task = prediction_task(steps, world.draw_input(rng), seed=rng.getrandbits(32))
        if task is not None:
            return task.prompt, answer(task)


def prediction_task(steps: Sequence[world.Step], x: world.Digits, *, seed: int) -> AlignmentTask | None:
    """The alignment task of the program of some steps on an input, or `None` where there is none."""
    values = world.run(steps, x)
    if values is None:
        return None
    trace = Trace(
        program=world.program_text(steps),
        input=world.call(x),
        ending=Ending(kind="finished"),
        value=values[-1],
        variables={world.ENTRY_POINT: {"x": x, **world.variables(steps, x)}},
    )
    task = make_task(trace, LINEAGE, settings=SETTINGS, seed=seed)
    return task if isinstance(task, AlignmentTask) else None


def answer(task: AlignmentTask) -> str:
    """The right answer of a task, on one line."""
    return json.dumps({target.label: target.value for target in task.targets})
