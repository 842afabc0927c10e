"""Advantages that TRL does not offer; no trainer and no tensors here."""

from __future__ import annotations

import math
from collections.abc import Sequence


def reinforce_plus_plus(rewards: Sequence[float | None], tokens: Sequence[int], group_size: int) -> list[float]:
    """REINFORCE++ with a baseline (Hu et al. 2025, arXiv 2501.03262): the reward less the mean of its group,
    normalised over the tokens of the batch.

    `rewards` and `tokens` (how many tokens of a completion count in the loss) have one entry a completion, groups one
    after the other. With `a_i = r_i − mean of its group` and weights `n_i` (the tokens), the advantage is `(a_i − μ) /
    sqrt(σ² + 1e-8)`; `μ` is the weighted mean and `σ²` the weighted variance with Bessel's correction `N / (N − 1)`,
    `N = Σ n_i`. A completion without reward (`None`) is in no mean and has 0.

    >>> [round(value, 2) for value in reinforce_plus_plus([1.0, 0.0, 1.0, 1.0], [1, 1, 1, 1], group_size=2)]
    [1.22, -1.22, 0.0, 0.0]
    """
    centred: list[float | None] = []
    for start in range(0, len(rewards), group_size):
        group = rewards[start : start + group_size]
        valid = [reward for reward in group if reward is not None]
        mean = math.fsum(valid) / len(valid) if valid else 0.0
        centred += [None if reward is None else reward - mean for reward in group]
    weighted = [(value, count) for value, count in zip(centred, tokens, strict=True) if value is not None]
    total = sum(count for _, count in weighted)
    if total < 2:
        return [0.0] * len(rewards)
    mean = math.fsum(value * count for value, count in weighted) / total
    variance = math.fsum((value - mean) ** 2 * count for value, count in weighted) / (total - 1)
    return [0.0 if value is None else (value - mean) / math.sqrt(variance + 1e-8) for value in centred]
