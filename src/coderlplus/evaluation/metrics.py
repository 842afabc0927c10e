"""Metrics over problems. Standard library only; intervals over problems are in `intervals`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and a 95 % interval."""

    mean: float
    low: float
    high: float


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """The unbiased estimate of pass@k from `passed` of `samples` (Chen et al. 2021, "Evaluating large language models
    trained on code", section 2.1).

    Raises `ValueError` if `k` is not in 1..samples or `passed` not in 0..samples.

    >>> pass_at_k(samples=4, passed=1, k=1), pass_at_k(samples=4, passed=1, k=2)
    (0.25, 0.5)
    """
    if not 1 <= k <= samples or not 0 <= passed <= samples:
        raise ValueError(f"pass@{k} of {passed} passed among {samples} samples is not defined")
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def mean(values: Sequence[float]) -> float:
    """The mean; raises `ValueError` for no values."""
    if not values:
        raise ValueError("the mean of nothing is not defined")
    return math.fsum(values) / len(values)


def wilson(successes: float, trials: float, *, z: float = 1.959964) -> Estimate:
    """A share with its Wilson score interval, for independent yes-or-no trials.

    >>> wilson(9, 10)
    Estimate(mean=0.9, low=0.5958, high=0.9821)
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a share")
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low, high = max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
    return Estimate(share, round(low, 4), round(high, 4))
