"""Parts of the trainer that whole runs do not show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.tensors import without_zero_advantage
from coderlplus.engines.trl.train import train
from coderlplus.engines.trl.trainer import StepSampler
from coderlplus.judge import Judge
from coderlplus.records import Problem, Rollout, Verdict


def batch(advantages: list[float], tokens: int = 7) -> dict[str, Any]:
    """A generation batch of TRL with prompts padded on the left and completions padded on the right."""
    torch.manual_seed(0)
    count = len(advantages)
    lengths = torch.randint(1, tokens, (count, 1))
    columns = torch.arange(tokens)
    return {
        "prompt_ids": torch.randint(5, (count, tokens)),
        "prompt_mask": (columns >= tokens - lengths).long(),
        "completion_ids": torch.randint(5, (count, tokens)),
        "completion_mask": (columns < lengths).long(),
        "old_per_token_logps": torch.randn(count, tokens),
        "advantages": torch.tensor(advantages),
        "num_items_in_batch": torch.tensor(20),
    }


def gradient(rows: dict[str, Any], *, mean_over_rows: bool) -> torch.Tensor:
    """Of the policy gradient loss with one logit for each token id: a mean over rows (GRPO), or a sum over the tokens
    of the batch (DAPO)."""
    logits = torch.zeros(5, requires_grad=True)
    logps = logits.log_softmax(0)[rows["completion_ids"]]
    terms = (logps - rows["old_per_token_logps"]).exp() * rows["advantages"][:, None] * rows["completion_mask"]
    loss = (
        (terms.sum(1) / rows["completion_mask"].sum(1)).mean()
        if mean_over_rows
        else terms.sum() / rows["num_items_in_batch"]
    )
    loss.backward()
    assert logits.grad is not None
    return logits.grad


@pytest.mark.parametrize("mean_over_rows", [True, False])
@pytest.mark.parametrize(
    "advantages", [[0.0, 1.0, 0.0, -1.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, -1.0, 2.0, -2.0]]
)
def test_completions_without_advantage_are_left_out_of_the_update_and_not_missed(
    advantages: list[float], mean_over_rows: bool
) -> None:
    whole = batch(advantages)
    less = without_zero_advantage(whole, multiple_of=2, mean_over_rows=mean_over_rows)
    assert len(less["advantages"]) == max(
        2, sum(advantage != 0 for advantage in advantages) + sum(advantage != 0 for advantage in advantages) % 2
    )
    torch.testing.assert_close(
        gradient(less, mean_over_rows=mean_over_rows), gradient(whole, mean_over_rows=mean_over_rows)
    )


def test_columns_of_padding_are_left_out_too() -> None:
    whole = batch([1.0, 0.0, 0.0, 0.0])
    less = without_zero_advantage(whole, multiple_of=1, mean_over_rows=False)
    assert less["prompt_ids"].shape == (1, int(whole["prompt_mask"][0].sum()))
    assert less["prompt_mask"].all()
    assert less["completion_mask"].all()
    assert less["old_per_token_logps"].shape == less["completion_ids"].shape


def test_a_clock_ticks() -> None:
    assert len(list(StepSampler(5))) == len(StepSampler(5)) == 5


class FaultyJudge(Judge):
    """A judge whose sandbox fails on the first sample of every group."""

    def judge_as_completed(self, pairs: Any, *, all_tests: bool = False) -> Iterator[tuple[int, Verdict]]:
        pairs = list(pairs)
        for index, verdict in super().judge_as_completed(pairs, all_tests=all_tests):
            yield index, self.fault(*pairs[index]) if pairs[index][1].rollout_id.endswith("-0") else verdict

    def fault(self, problem: Problem, rollout: Rollout) -> Verdict:
        return Verdict(
            rollout_id=rollout.rollout_id,
            problem_id=problem.problem_id,
            verdict="sandbox_fault",
            tests_passed=0,
            tests_total=3,
        )


def test_a_completion_on_which_the_sandbox_failed_is_out_of_its_group(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coderlplus.engines.trl.train.Judge", FaultyJudge)
    trl = settings["trl"] | {"max_steps": 2, "save_strategy": "no"}
    run = train(make_config(settings | {"output": str(tmp_path / "run"), "trl": trl}))
    groups = [json.loads(line) for line in (run.path / "samples.jsonl").read_text().splitlines()]
    for group in (group for group in groups if group["kind"] == "generation"):
        assert group["samples"][0]["reward"]["value"] is None
        assert group["samples"][0]["advantage"] == 0
        rewards = [sample["reward"]["value"] for sample in group["samples"][1:]]
        advantages = [sample["advantage"] for sample in group["samples"][1:]]
        assert sum(advantages) == pytest.approx(0, abs=1e-4)
        assert [advantage > 0 for advantage in advantages] == [reward > sum(rewards) / 3 for reward in rewards]
    line = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[0])
    assert line["sandbox_faults/generation"] == 4
