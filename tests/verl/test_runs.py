"""Runs on verl's own trainer, loader, agent loops, reward workers and queues, with the real judge and tracer: see
`trainer.py` for what is not real.

Without `CODERLPLUS_KILLS` a run is killed once, in a place and step that the seed of the day chooses (`make
verl-test-whole`: 6 times).
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections import defaultdict
from typing import Any

import pytest

KILLS = int(os.environ.get("CODERLPLUS_KILLS", "1"))
whole_only = pytest.mark.skipif(not os.environ.get("CODERLPLUS_WHOLE"), reason="minutes: make verl-test-whole")
PLACES = ("fetch", "finish", "mine", "update", "save", "state", "log")
SEED = os.environ.get("CODERLPLUS_SEED", time.strftime("%Y-%m-%d"))


@pytest.fixture(scope="module")
def whole(run: Any) -> Any:
    """Five steps that nothing disturbs, evaluated before the first and after the fourth."""
    outcome = run("whole", {"verl": {"trainer": {"val_before_train": True, "test_freq": 4}}})
    assert outcome.status == 0, outcome.text[-5000:]
    return outcome


def groups(step: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """The samples of a step by the number of their group."""
    found = defaultdict(list)
    for sample in step["samples"]:
        found[sample["number"]].append(sample)
    return found


def test_the_mix_is_exact_and_tasks_are_of_the_step_before(whole: Any) -> None:
    assert [line["mix/alignment_share"] for line in whole.metrics] == [0, 0.5, 0.5, 0.5, 0.5]
    assert [line["task_age"] for line in whole.metrics[1:]] == [1, 1, 1, 1]


def test_no_two_groups_of_a_batch_ask_the_same(whole: Any) -> None:
    for step in whole.steps:
        assert {number: len(samples) for number, samples in groups(step).items()} == dict.fromkeys(range(4), 4)
        assert len({samples[0]["truth"] for samples in groups(step).values()}) == 4


def test_nothing_is_mined_from_evaluation(whole: Any) -> None:
    problems = {group["task"]["problem_id"] for group in whole.samples if group["task"]}
    assert problems
    assert all(name.startswith("p") for name in problems)
    assert "val-core/coderlplus/generation/acc/mean@1" in whole.text


def test_every_task_comes_from_a_rollout_that_is_there(whole: Any) -> None:
    rollouts = {sample["rollout_id"]: sample for group in whole.samples for sample in group["samples"]}
    for task in (group["task"] for group in whole.samples if group["task"]):
        assert task["program"].strip() in rollouts[task["rollout_id"]]["completion"]
        assert rollouts[task["rollout_id"]]["reward"]["value"] == 0


def test_advantages_are_those_of_grpo(whole: Any) -> None:
    seen = set()
    for step in whole.steps:
        for samples in groups(step).values():
            rewards = [sample["reward"] for sample in samples]
            seen.add(len(set(rewards)) > 1)
            deviation = statistics.stdev(rewards)
            expected = [(reward - statistics.mean(rewards)) / (deviation + 1e-6) for reward in rewards]
            assert [sample["advantage"] for sample in samples] == pytest.approx(expected, abs=1e-4)
    assert seen == {True, False}


def test_the_metrics_are_in_the_log_of_verl(whole: Any) -> None:
    for name in (
        "reward/generation",
        "reward/alignment",
        "zero_variance/alignment",
        "pass_rate",
        "mined",
        "traced",
        "buffer/size",
        "samples",
    ):
        assert f"coderlplus/{name}:" in whole.text
    assert whole.metrics[-1]["samples"] == 5 * 16
    assert whole.metrics[-1]["buffer/size"] > 0


@pytest.mark.parametrize("number", range(KILLS))
def test_a_run_that_was_killed_and_resumed_is_the_run_that_was_not(whole: Any, run: Any, number: int) -> None:
    chance = random.Random(f"{SEED}/{number}")
    kill = {"step": chance.randint(1, 5), "at": chance.choice(PLACES)}
    trainer = {"verl": {"trainer": {"val_before_train": True, "test_freq": 4}}}
    killed = run(f"killed-{number}", trainer, kill=kill)
    assert killed.status == -9, (kill, killed.text[-5000:])
    resumed = run(f"killed-{number}", trainer)
    assert resumed.status == 0, (kill, resumed.text[-5000:])
    assert resumed.steps == whole.steps, kill
    assert resumed.metrics == whole.metrics, kill
    assert resumed.samples == whole.samples, kill


def test_dapo_trains_on_groups_that_differ_and_keeps_the_mix(run: Any) -> None:
    filtering = {"algorithm": {"filter_groups": {"enable": True, "metric": "reward", "max_num_gen_batches": 12}}}
    outcome = run("dapo", {"verl": filtering | {"trainer": {"total_training_steps": 3, "save_freq": -1}}})
    assert outcome.status == 0, outcome.text[-5000:]
    assert [line["mix/alignment_share_trained"] for line in outcome.metrics] == [0, 0.5, 0.5]
    assert sum(line["dynamic_sampling/replaced"] for line in outcome.metrics) > 0
    for line, step in zip(outcome.metrics, outcome.steps, strict=True):
        assert len(groups(step)) == 4
        if line["dynamic_sampling/generated"] < 11 * 4:  # the bound was not reached
            assert all(len({sample["reward"] for sample in samples}) > 1 for samples in groups(step).values())


@whole_only
def test_a_step_in_which_the_sandbox_fails_on_everything_ends_the_run_with_a_sentence(run: Any) -> None:
    outcome = run(
        "faults", {"sandbox": {"timeout_s": 1e-9}, "verl": {"trainer": {"total_training_steps": 1, "save_freq": -1}}}
    )
    assert outcome.status != 0
    assert "no completion of step 1 has a reward" in outcome.text
