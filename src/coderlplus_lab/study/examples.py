"""What the warm starts of a study learn from: the quick start's examples, and questions of further kinds among
them."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from coderlplus.report.folders import json_lines
from coderlplus_lab.study.settings import InitialModel
from coderlplus_lab.world import world
from coderlplus_lab.world.examples import program_example
from coderlplus_lab.world.first import FIRST
from coderlplus_lab.world.rules import Rules
from coderlplus_lab.world.settings import WarmStartSettings
from coderlplus_lab.world.warm_start import Pairs, examples

PIECES = (
    "])\nResult as a JSON object: ",
    "Values just before line ",
    " runs for the ",
    *(f"{ending} time as a JSON object: " for ending in ("st", "nd", "rd", "th")),
    "Turns of loops and times that conditions are true as a JSON object: ",
    "line ",
    '{"line ',
    ', "line ',
    '": ',
    "  ",
)
"""Pieces of text of these questions, one token each."""


def pairs_of(initial: InitialModel, operations: Sequence[int], taught_questions: Path, rules: Rules = FIRST) -> Pairs:
    """What an initial model is taught in each step."""
    questions: dict[str, list[tuple[str, str]]] = {kind: [] for kind in initial.questions}
    if initial.questions:
        for line in json_lines(taught_questions):
            if line["kind"] in questions:
                questions[line["kind"]].append((line["prompt"], line["answer"]))
    return functools.partial(
        _pairs,
        operations=operations,
        revise=initial.revise,
        shares=initial.questions,
        questions=questions,
        rules=rules,
    )


def _pairs(
    settings: WarmStartSettings,
    step: int,
    *,
    operations: Sequence[int],
    revise: bool,
    shares: Mapping[str, float],
    questions: Mapping[str, Sequence[tuple[str, str]]],
    rules: Rules = FIRST,
) -> list[tuple[str, str]]:
    """The texts of a step; once single operations are learnt, questions stand in the place of some of them."""
    write = revised_example if revise else program_example
    rows = examples(settings, step, sizes=operations, write=write, rules=rules)
    if step / settings.steps < settings.early_until:
        return rows
    rng = random.Random(f"{settings.seed}/questions/{step}")
    wanted = [kind for kind, share in shares.items() for _ in range(_count(rng, share * len(rows)))]
    for place, kind in zip(rng.sample(range(len(rows)), len(wanted)), wanted, strict=True):
        rows[place] = rng.choice(questions[kind])
    return rows


def revised_example(
    rng: random.Random, *, counts: Sequence[int], faulty: float = 0.0, plain: float = 0.0, rules: Rules = FIRST
) -> tuple[str, str]:
    """A training problem and its program, which is never `plain`; where the program is faulty and gives something else
    on the first example, the right one follows. The last definition is the one that counts, as in any Python
    program."""
    while True:
        sample = world.draw_problem(rng, "train", counts=counts, rules=rules)
        is_faulty = rng.random() < faulty
        steps = world.mutate(rng, sample.steps, "train", rules=rules) if is_faulty else sample.steps
        values = world.run(steps, sample.inputs[0], rules=rules)
        right = world.run(sample.steps, sample.inputs[0], rules=rules)
        if values is None or right is None:
            continue
        text = world.program_text(steps, values, rules=rules)
        if values[-1] != sample.outputs[0]:
            text += "\n" + world.program_text(sample.steps, right, rules=rules)
        return sample.statement, text


def _count(rng: random.Random, mean: float) -> int:
    """A whole number whose mean is `mean`."""
    return int(mean) + (rng.random() < mean - int(mean))
