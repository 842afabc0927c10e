"""What the warm start learns from agrees with what the library does."""

from __future__ import annotations

import json
import random

from coderlplus.alignment.scoring import score_answer
from coderlplus.alignment.tasks import make_task
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, trace_many
from coderlplus_lab.world import world
from coderlplus_lab.world.examples import (
    LINEAGE,
    SETTINGS,
    answer,
    prediction_example,
    prediction_task,
    program_example,
    reasoning,
)
from coderlplus_lab.world.first import FIRST
from coderlplus_lab.world.reading import READING


def test_tasks_are_those_that_the_library_makes_of_a_traced_program() -> None:
    rng = random.Random(0)
    drawn = [
        (world.draw_steps(rng, count, "train"), world.draw_input(rng))
        for count in (1, 2, 2, 3, 3, 3)
        for _ in range(8)
    ]
    drawn = [(steps, x) for steps, x in drawn if world.run(steps, x) is not None]
    with Sandbox(workers=1) as sandbox:
        traces = trace_many(
            sandbox, [TraceRequest(program=world.program_text(steps), input=world.call(x)) for steps, x in drawn]
        )
    for (steps, x), trace in zip(drawn, traces, strict=True):
        made = make_task(trace, LINEAGE, settings=SETTINGS, seed=5)
        assert prediction_task(steps, x, seed=5) == (None if isinstance(made, str) else made)


def test_answers_score_full_marks() -> None:
    for seed in range(20):
        task = prediction_task([("reverse", 0), ("cap", 4), ("append", 7)], [9, 2, 5, 1], seed=seed)
        assert task is not None
        value, correct = score_answer(task, answer(task), format_weight=0.1)
        assert value == 1.0
        assert all(correct.values())


def test_examples_are_of_training_compositions_and_seeded() -> None:
    first = [program_example(random.Random(seed), counts=(2, 3)) for seed in range(10)]
    assert first == [program_example(random.Random(seed), counts=(2, 3)) for seed in range(10)]
    for statement, program in first:
        assert statement.startswith("Write f(x): ")
        assert program.count("  # [") in (2, 3)


def test_predictions_end_with_the_output() -> None:
    prompt, text = prediction_example(random.Random(1), counts=(2,), mutated=1.0)
    assert prompt.endswith("output")
    assert list(json.loads(text))[-1] == "output"


def test_a_reasoned_answer_tells_every_variable_and_scores_full_marks() -> None:
    rng = random.Random(0)
    for rules in (FIRST, READING):
        for _ in range(40):
            steps, x = world.draw_steps(rng, rules.sizes[0], "train", rules=rules), world.draw_input(rng, rules=rules)
            task = prediction_task(steps, x, seed=1, rules=rules)
            if task is None:
                continue
            told = reasoning(steps, x, rules=rules)
            assert {line.split(" = ")[0] for line in told.splitlines()} == set(world.variables(steps, x, rules=rules))
            assert score_answer(task, told + answer(task), format_weight=0.1)[0] == 1.0
    prompt, text = prediction_example(random.Random(1), counts=(2,), mutated=0.0, reasoned=True)
    assert text.startswith("a = [")
    assert prediction_example(random.Random(1), counts=(2,), mutated=0.0) == (prompt, text.splitlines()[-1])
