"""verl's advantage functions, on what CodeRL+ hands them, against formulas written down here; PPO's with values of a
critic, made up."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl.trainer.ppo.ray_trainer import compute_advantage

from verl import DataProto

REWARDS = [1.0, 0.0, 0.55, 0.1, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]
GROUPS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
"""The last group lacks one: our sandbox failed on it."""
LENGTHS = [2, 3, 4, 1, 2, 2, 4, 3, 4, 1, 2]
T = 4


def advantages(estimator: str, values: Any = None) -> Any:
    mask = torch.tensor([[float(t < n) for t in range(T)] for n in LENGTHS])
    rewards = torch.tensor([[r * (t == n - 1) for t in range(T)] for r, n in zip(REWARDS, LENGTHS, strict=True)])
    tensors = {"token_level_rewards": rewards, "response_mask": mask} | ({} if values is None else {"values": values})
    data = DataProto.from_dict(tensors, non_tensors={"uid": np.array([str(group) for group in GROUPS], dtype=object)})
    config = OmegaConf.create({"gamma": 1.0, "lam": 0.9, "use_pf_ppo": False})
    return compute_advantage(data, adv_estimator=estimator, gamma=1.0, lam=0.9, num_repeat=4, config=config).batch[
        "advantages"
    ]


def others(index: int) -> list[float]:
    return [reward for place, reward in enumerate(REWARDS) if GROUPS[place] == GROUPS[index] and place != index]


def group(index: int) -> list[float]:
    return [reward for place, reward in enumerate(REWARDS) if GROUPS[place] == GROUPS[index]]


def whitened(values: list[float]) -> list[float]:
    """Over all tokens of the batch; `values` has one number a completion, weighted by its length."""
    tokens = [value for value, length in zip(values, LENGTHS, strict=True) for _ in range(length)]
    return [(value - statistics.mean(tokens)) / math.sqrt(statistics.variance(tokens) + 1e-8) for value in values]


FORMULAS = {
    "grpo": [(r - statistics.mean(group(i))) / (statistics.stdev(group(i)) + 1e-6) for i, r in enumerate(REWARDS)],
    "rloo": [r - statistics.mean(others(i)) for i, r in enumerate(REWARDS)],
    "reinforce_plus_plus": whitened(REWARDS),
    "reinforce_plus_plus_baseline": whitened([r - statistics.mean(group(i)) for i, r in enumerate(REWARDS)]),
}


@pytest.mark.parametrize("estimator", FORMULAS)
def test_advantages_of_outcome_rewards(estimator: str) -> None:
    found = advantages(estimator)
    for row, expected, length in zip(found, FORMULAS[estimator], LENGTHS, strict=True):
        assert row.tolist() == pytest.approx([expected] * length + [0.0] * (T - length), abs=1e-4)


def test_advantages_of_ppo() -> None:
    values = torch.rand(len(REWARDS), T, generator=torch.Generator().manual_seed(0))
    raw: list[list[float]] = []
    for row, reward, length in zip(values.tolist(), REWARDS, LENGTHS, strict=True):
        last, found = 0.0, []
        for t in reversed(range(length)):
            delta = reward * (t == length - 1) + (row[t + 1] if t + 1 < length else 0.0) - row[t]
            last = delta + 0.9 * last
            found.append(last)
        raw.append(found[::-1])
    everything = [value for row in raw for value in row]
    mean, deviation = statistics.mean(everything), math.sqrt(statistics.variance(everything) + 1e-8)
    for row, expected in zip(advantages("gae", values), raw, strict=True):
        assert row[: len(expected)].tolist() == pytest.approx(
            [(value - mean) / deviation for value in expected], abs=1e-4
        )
