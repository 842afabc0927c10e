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
from coderlplus_lab.world.first import FIRST
from coderlplus_lab.world.rules import Rules

SETTINGS = AlignmentConfig(prompt_style="compact")
LINEAGE = Lineage(problem_id="world", rollout_id="world")


def program_example(
    rng: random.Random, *, counts: Sequence[int], faulty: float = 0.0, plain: float = 0.0, rules: Rules = FIRST
) -> tuple[str, str]:
    """A training problem and its program; a share of the programs is `faulty`: one operation is another, and the
    comments say what it does. A share is `plain`: without comments."""
    while True:
        sample = world.draw_problem(rng, "train", counts=counts, rules=rules)
        is_faulty = rng.random() < faulty
        steps = world.mutate(rng, sample.steps, "train", rules=rules) if is_faulty else sample.steps
        values = world.run(steps, sample.inputs[0], rules=rules)
        if values is None:
            continue
        is_plain = plain > 0 and rng.random() < plain
        return sample.statement, world.program_text(steps, None if is_plain else values, rules=rules)


def prediction_example(
    rng: random.Random, *, counts: Sequence[int], mutated: float, reasoned: bool = False, rules: Rules = FIRST
) -> tuple[str, str]:
    """An alignment task on a program of a training composition (a share of them `mutated` from another one) and its
    answer, `reasoned` or bare."""
    while True:
        steps = world.draw_steps(rng, rng.choice(counts), "train", rules=rules)
        if len(steps) > 1 and rng.random() < mutated:
            steps = world.mutate(rng, steps, "train", rules=rules)
        x = world.draw_input(rng, rules=rules)
        task = prediction_task(steps, x, seed=rng.getrandbits(32), rules=rules)
        if task is not None:
            return task.prompt, (reasoning(steps, x, rules=rules) if reasoned else "") + answer(task)


def prediction_task(
    steps: Sequence[world.Step], x: world.Digits, *, seed: int, rules: Rules = FIRST
) -> AlignmentTask | None:
    """The alignment task of the program of some steps on an input, or `None` if there is none."""
    values = world.run(steps, x, rules=rules)
    if values is None:
        return None
    trace = Trace(
        program=world.program_text(steps, rules=rules),
        input=world.call(x),
        ending=Ending(kind="finished"),
        value=values[-1],
        variables={world.ENTRY_POINT: {"x": x, **world.variables(steps, x, rules=rules)}},
    )
    task = make_task(trace, LINEAGE, settings=SETTINGS, seed=seed)
    return task if isinstance(task, AlignmentTask) else None


def reasoning(steps: Sequence[world.Step], x: world.Digits, *, rules: Rules = FIRST) -> str:
    """What the run of some steps gives every variable in the end, a line each, in the order in which they are first
    bound.

    >>> reasoning([("reverse", 0), ("cap", 4)], [9, 2, 5, 1])
    'a = [1, 5, 2, 9]\\nb = [1, 4, 2, 4]\\ni = 4\\n'
    """
    return "".join(f"{name} = {value}\n" for name, value in world.variables(steps, x, rules=rules).items())


def answer(task: AlignmentTask) -> str:
    """The right answer of a task, on one line."""
    return json.dumps({target.label: target.value for target in task.targets})
