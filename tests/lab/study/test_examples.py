"""What the warm starts of a study learn from."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from coderlplus.judge import Judge
from coderlplus.records import CallTest, Problem, Rollout
from coderlplus.sandbox import Sandbox
from coderlplus_lab.study.examples import PIECES, _pairs, revised_example
from coderlplus_lab.world import world
from coderlplus_lab.world.settings import WarmStartSettings
from coderlplus_lab.world.tokenizer import make_tokenizer, vocabulary
from coderlplus_lab.world.warm_start import examples

SETTINGS = WarmStartSettings(steps=100, batch_size=32)
QUESTION = ("asked", "answered")


def pairs(step: int, share: float) -> list[tuple[str, str]]:
    how: dict[str, Any] = {"operations": (2, 2, 3), "revise": False, "questions": {"test_output": [QUESTION]}}
    return _pairs(SETTINGS, step, shares={"test_output": share}, **how)


def test_without_questions_a_warm_start_learns_what_the_quick_starts_does() -> None:
    assert all(
        _pairs(SETTINGS, step, operations=(2, 2, 3), revise=False, shares={}, questions={}) == examples(SETTINGS, step)
        for step in (0, 50, 99)
    )


def test_questions_come_in_their_share_once_single_operations_are_learnt() -> None:
    assert QUESTION not in pairs(30, 0.25)
    assert sum(pairs(step, 0.2).count(QUESTION) for step in range(40, 100)) / (60 * 32) == pytest.approx(0.2, abs=0.01)


def test_a_faulty_draft_is_followed_by_a_program_that_counts() -> None:
    rng = random.Random(0)
    problems, rollouts = [], []
    for number in range(30):
        statement, text = revised_example(rng, counts=(2, 2, 3), faulty=0.8)
        given, output = statement.split("\nf(")[1].split(") == ")
        test = CallTest((json.loads(given),), json.loads(output))
        problems.append(
            Problem(problem_id=str(number), statement=statement, tests=(test,), entry_point="f", limits=world.LIMITS)
        )
        rollouts.append(Rollout(rollout_id=str(number), problem_id=str(number), program=text))
    with Sandbox(workers=1) as sandbox:
        assert all(verdict.passed for verdict in Judge(sandbox).judge_many(zip(problems, rollouts, strict=True)))
    revised = sum((rollout.program or "").count("def f(x):") == 2 for rollout in rollouts)
    assert revised > 10


def test_the_pieces_change_no_id_of_the_quick_starts_tokens() -> None:
    plain, with_pieces = vocabulary(), vocabulary(PIECES)
    assert with_pieces[: len(plain)] == plain
    tokenizer, other = make_tokenizer(), make_tokenizer(PIECES)
    for problem in world.draw_problems("train", 30, 0):
        for text in (problem.statement, problem.reference or ""):
            assert tokenizer(text)["input_ids"] == other(text)["input_ids"]
            assert other.decode(other(text)["input_ids"]) == text
