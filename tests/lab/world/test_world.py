"""The small world: programs, problems and splits."""

from __future__ import annotations

import hashlib
import json
import random

import pytest

from coderlplus.judge import Judge
from coderlplus.records import Rollout
from coderlplus.sandbox import Sandbox
from coderlplus_lab.world import world
from coderlplus_lab.world.first import FIRST
from coderlplus_lab.world.settings import WarmStartSettings
from coderlplus_lab.world.tokenizer import vocabulary
from coderlplus_lab.world.warm_start import examples

SPLITS: tuple[world.Split, ...] = ("train", "validation", "test")


@pytest.mark.parametrize("name", FIRST.operations)
def test_every_operation_is_python_that_says_what_run_computes(name: str) -> None:
    for number in FIRST.operations[name].numbers:
        steps = [(name, number)]
        namespace: dict[str, object] = {}
        exec(world.program_text(steps), namespace)
        x = [8, 3, 0, 5]
        values = world.run(steps, x)
        assert values is not None
        assert namespace[world.ENTRY_POINT](x) == values[-1]  # type: ignore[operator]
        assert x == [8, 3, 0, 5]


def test_some_operations_have_loops_and_conditions() -> None:
    assert {
        name
        for name, operation in FIRST.operations.items()
        if "for i in" in operation.code and "if i" in operation.code
    } == {
        "cap",
        "keep",
        "odd",
    }


def test_references_pass_the_judge() -> None:
    problems = [problem for split in SPLITS for problem in world.draw_problems(split, 20, seed=0)]
    with Sandbox(workers=1) as sandbox:
        rollouts = [
            Rollout(rollout_id="r", problem_id=problem.problem_id, program=problem.reference) for problem in problems
        ]
        verdicts = Judge(sandbox).judge_many(zip(problems, rollouts, strict=True))
    assert all(verdict.passed for verdict in verdicts)


@pytest.mark.parametrize("split", SPLITS)
def test_problems_are_of_their_split(split: world.Split) -> None:
    rng = random.Random(0)
    for _ in range(200):
        sample = world.draw_problem(rng, split)
        assert world.split_of(sample.steps) == split
        assert len(sample.inputs) == len(sample.outputs) == FIRST.visible + FIRST.hidden
        assert any(len(FIRST.operations[name].numbers) > 1 for name, _ in sample.steps)


def test_every_split_has_many_compositions() -> None:
    names = tuple(FIRST.operations)
    counts = dict.fromkeys(SPLITS, 0)
    for first in names:
        for second in names:
            for third in names:
                counts[world.split_of([(first, 0), (second, 0), (third, 0)])] += 1
    assert min(counts.values()) > 150


def test_mutation_changes_one_step_and_stays_in_the_split() -> None:
    rng = random.Random(0)
    for _ in range(200):
        steps = world.draw_steps(rng, 3, "train")
        changed = world.mutate(rng, steps, "train")
        assert sum(one != other for one, other in zip(steps, changed, strict=True)) == 1
        assert world.split_of(changed) == "train"


def test_the_statement_names_operations_and_shows_three_examples_but_no_numbers() -> None:
    problem = world.draw_problems("test", 1, seed=3)[0]
    first, *examples = problem.statement.split("\n")
    assert len(examples) == FIRST.visible
    assert all(
        example == f"f({test.args[0]}) == {test.expected}"
        for example, test in zip(examples, problem.tests, strict=False)
    )  # type: ignore[union-attr]
    assert any(phrase in first for operation in FIRST.operations.values() for phrase in operation.phrases)


def test_the_same_seed_draws_the_same_problems() -> None:
    assert world.draw_problems("train", 5, seed=1) == world.draw_problems("train", 5, seed=1)
    assert world.draw_problems("train", 5, seed=1) != world.draw_problems("train", 5, seed=2)


def test_problems_tokens_and_warm_start_of_the_first_world_are_what_they_were() -> None:
    """Published numbers come from them: whatever changes this digest needs all of them anew."""
    drawn = [(problem.statement, problem.reference) for problem in world.draw_problems("train", 50, seed=3)]
    taught = [examples(WarmStartSettings(steps=40), step) for step in (0, 10, 39)]
    digest = hashlib.sha256(json.dumps([drawn, vocabulary(), taught]).encode()).hexdigest()
    assert digest.startswith("e2ed65b019e662af")
