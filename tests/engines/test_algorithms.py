"""Every algorithm of recipes/algorithms/ against its formulas, written down here from its paper: advantages from
rewards, and the loss from both.

A recipe is run on the tiny model for one generation batch and two passes over it, so that in the second pass ratios
differ from 1 and clipping acts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from coderlplus.engines.trl.advantages import reinforce_plus_plus
from coderlplus.engines.trl.config import load_config
from coderlplus.engines.trl.train import train
from coderlplus.engines.trl.trainer import CodeRLPlusGRPO, CodeRLPlusRLOO
from coderlplus.records import CheckTest, Problem, write_jsonl

RECIPES = {path.stem: path for path in (Path(__file__).parents[2] / "recipes" / "algorithms").glob("*.yaml")}
BATCH, GROUP, LENGTH, BETA = 16, 4, 8, 0.04
Tensor = torch.Tensor


@dataclass
class Pass:
    """What a loss was computed from: log-probabilities (B, T) of the completions' tokens now, at sampling, and of the
    reference (or None)."""

    loss: float
    now: Tensor
    old: Tensor
    reference: Tensor | None
    advantages: Tensor
    mask: Tensor
    settings: dict[str, Any]

    @property
    def ratio(self) -> Tensor:
        return (self.now - self.old).exp()

    @property
    def kl(self) -> Tensor:
        """The k3 estimate of each token, times its coefficient."""
        if self.reference is None:
            return torch.zeros_like(self.now)
        return self.settings["beta"] * ((self.reference - self.now).exp() - (self.reference - self.now) - 1)


def log_probabilities(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Of the completions' tokens (B, T), by a plain forward pass."""
    tokens = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    with torch.no_grad():
        logits = model(input_ids=tokens, attention_mask=attention).logits
    count = inputs["completion_ids"].shape[1]
    return logits[:, -count - 1 : -1].log_softmax(-1).gather(2, tokens[:, -count:, None])[..., 0]


Run = tuple[list[list[float]], list[list[float]], list[Pass]]
"""Rewards and advantages of the groups, and both passes over their completions."""


@pytest.fixture(scope="module")
def run(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """What a recipe does, by its name; its hardware, model and problems are ours."""
    known: dict[str, Run] = {}
    folder = tmp_path_factory.mktemp("algorithms")
    write_jsonl(
        folder / "problems.jsonl",
        [
            Problem(problem_id=f"p{n}", statement=f"f {n}", entry_point="f", tests=(CheckTest("assert f(2) > 2"),))
            for n in range(12)
        ],
    )

    def result(name: str) -> Run:
        if name not in known:
            known[name] = once(name, settings | {"problems": str(folder / "problems.jsonl")}, folder / name)
        return known[name]

    return result


def once(name: str, settings: dict[str, Any], folder: Path) -> Run:
    recipe = {
        key: value for key, value in yaml.safe_load(RECIPES[name].read_text()).items() if key not in ("base", "output")
    }
    ours = {"max_steps": 2, "save_strategy": "no", "num_iterations": 2, "beta": BETA, "max_completion_length": LENGTH}
    trl = settings["trl"] | ours | recipe.get("trl", {}) | {"per_device_train_batch_size": BATCH}
    folder.mkdir()
    whole = settings | recipe | {"alignment": False, "samples_every": 1, "output": str(folder / "run"), "trl": trl}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(whole))
    passes: list[Pass] = []
    trainer = CodeRLPlusRLOO if recipe.get("algorithm") == "rloo" else CodeRLPlusGRPO
    original = trainer._compute_loss

    def compute_loss(self: Any, model: Any, inputs: dict[str, Any]) -> Tensor:
        now, mask = log_probabilities(model, inputs), inputs["completion_mask"]
        loss: Tensor = original(self, model, inputs)
        old = inputs["old_per_token_logps"] if "old_per_token_logps" in inputs else passes[0].now if passes else now
        passes.append(Pass(loss.item(), now, old, inputs.get("ref_per_token_logps"), inputs["advantages"], mask, trl))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_compute_loss", compute_loss)
        done = train(load_config(folder / "recipe.yaml"))
    groups = [json.loads(line) for line in (done.path / "samples.jsonl").read_text().splitlines()]
    chosen = [group["samples"] for group in groups if not group.get("replaced")]
    assert len(chosen) * GROUP == BATCH
    rewards = [[sample["reward"]["value"] for sample in samples] for samples in chosen]
    return rewards, [[sample["advantage"] for sample in samples] for samples in chosen], passes


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def deviation(values: list[float]) -> float:
    return float((sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1)) ** 0.5)


ADVANTAGES: dict[str, Callable[[list[float]], list[float]]] = {
    "grpo": lambda group: [(r - mean(group)) / (deviation(group) + 1e-4) for r in group],
    "dr_grpo": lambda group: [r - mean(group) for r in group],
    "dapo": lambda group: [(r - mean(group)) / (deviation(group) + 1e-4) for r in group],
    "cispo": lambda group: [(r - mean(group)) / (deviation(group) + 1e-4) for r in group],
    "gspo": lambda group: [(r - mean(group)) / (deviation(group) + 1e-4) for r in group],
    "rloo": lambda group: [r - (sum(group) - r) / (len(group) - 1) for r in group],
}


def clipped(ratio: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """The pessimistic surrogate of PPO."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


def token_mean(terms: Tensor, mask: Tensor) -> Tensor:
    return (terms * mask).sum() / mask.sum()


def completion_mean(terms: Tensor, mask: Tensor) -> Tensor:
    return ((terms * mask).sum(1) / mask.sum(1)).mean()


def rloo_loss(one: Pass) -> Tensor:
    ratio = ((one.now - one.old) * one.mask).sum(1).exp()
    return -clipped(ratio, one.advantages, 0.2, 0.2).mean()


def gspo_loss(one: Pass) -> Tensor:
    ratio = (((one.now - one.old) * one.mask).sum(1) / one.mask.sum(1)).exp()
    return -clipped(ratio, one.advantages, 3e-4, 4e-4).mean()


LOSSES: dict[str, Callable[[Pass], Tensor]] = {
    "grpo": lambda one: completion_mean(one.kl - clipped(one.ratio, one.advantages[:, None], 0.2, 0.2), one.mask),
    "dr_grpo": lambda one: (
        ((one.kl - clipped(one.ratio, one.advantages[:, None], 0.2, 0.2)) * one.mask).sum() / (BATCH * LENGTH)
    ),
    "dapo": lambda one: token_mean(-clipped(one.ratio, one.advantages[:, None], 0.2, 0.28), one.mask),
    "reinforce_plus_plus": lambda one: token_mean(
        one.kl - clipped(one.ratio, one.advantages[:, None], 0.2, 0.2), one.mask
    ),
    "cispo": lambda one: token_mean(-one.ratio.clamp(max=5.0) * one.advantages[:, None] * one.now, one.mask),
    "gspo": gspo_loss,
    "rloo": rloo_loss,
}


def test_every_recipe_has_its_formulas_here() -> None:
    assert set(RECIPES) == set(LOSSES) == {*ADVANTAGES, "reinforce_plus_plus"}


@pytest.mark.parametrize("name", sorted(ADVANTAGES))
def test_advantages_of_a_group(name: str, run: Callable[[str], Run]) -> None:
    rewards, advantages, _ = run(name)
    assert any(len(set(group)) > 1 for group in rewards)
    for group, given in zip(rewards, advantages, strict=True):
        assert given == pytest.approx(ADVANTAGES[name](group), abs=1e-4)


def test_advantages_of_reinforce_plus_plus_are_normalised_over_the_tokens_of_the_batch(
    run: Callable[[str], Run],
) -> None:
    rewards, advantages, passes = run("reinforce_plus_plus")
    centred = torch.tensor([[r - mean(group) for r in group] for group in rewards]).flatten()
    given = torch.tensor(advantages).flatten()
    line = torch.linalg.lstsq(torch.stack([centred, torch.ones(BATCH)], 1), given[:, None]).solution
    torch.testing.assert_close(
        centred * line[0] + line[1], given, atol=1e-4, rtol=1e-4
    )  # one shift and one scale for the whole batch
    weights = passes[0].mask.sum(1)
    tokens = passes[0].advantages.repeat_interleave(weights)
    assert tokens.mean().item() == pytest.approx(0, abs=1e-4)
    assert tokens.var(unbiased=True).item() == pytest.approx(1, abs=1e-4)


def test_reinforce_plus_plus_is_a_whitening_over_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randint(3, (6, 4), generator=generator).double()
    lengths = torch.randint(1, 9, (24,), generator=generator)
    tokens = (rewards - rewards.mean(1, keepdim=True)).flatten().repeat_interleave(lengths)
    whitened = (tokens - tokens.mean()) / (tokens.var(unbiased=True) + 1e-8).sqrt()
    first_tokens = lengths.cumsum(0) - lengths
    assert reinforce_plus_plus(rewards.flatten().tolist(), lengths.tolist(), 4) == pytest.approx(
        whitened[first_tokens].tolist(), abs=1e-9
    )


def test_reinforce_plus_plus_leaves_out_what_has_no_reward() -> None:
    values = reinforce_plus_plus([1.0, 0.0, None, None], [3, 5, 2, 2], 4)
    assert values[2:] == [0.0, 0.0]
    assert values[:2] == reinforce_plus_plus([1.0, 0.0], [3, 5], 2)
    assert reinforce_plus_plus([None, None], [1, 1], 2) == [0.0, 0.0]
    assert reinforce_plus_plus([1.0, 1.0], [1, 1], 2) == [0.0, 0.0]


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_loss_of_both_passes(name: str, run: Callable[[str], Run]) -> None:
    first, second = run(name)[2]
    assert first.loss == pytest.approx(LOSSES[name](first).item(), abs=1e-5)
    assert ((first.ratio - 1).abs() * first.mask).max() < 1e-4
    assert second.loss == pytest.approx(LOSSES[name](second).item(), abs=1e-5)
    assert ((second.ratio - 1).abs() * second.mask).max() > 0.2, "the second pass should meet the clipping"
