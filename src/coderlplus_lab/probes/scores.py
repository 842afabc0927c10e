"""What a probe got right, program by program, and what follows: shares with intervals, selectivity, differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coderlplus.evaluation.intervals import Z, clustered, paired_interval
from coderlplus.evaluation.metrics import Estimate

if TYPE_CHECKING:
    import numpy as np

TOKENS = "tokens"
"""The reader that sees tokens only (see `tokens.py`), in the place of a model."""
NO_LAYER = -1


def score_key(part: str, reader: str, fact: str, *, shuffled: bool) -> str:
    """The `question_id` of a line of `scores.jsonl`; its `sample` is the layer, and `right` the rows right by program,
    in the order of the programs of the fact's rows."""
    return f"{part}|{reader}|{fact}|{'shuffled' if shuffled else 'true'}"


def by_unit(hits: Sequence[bool] | np.ndarray, units: Sequence[int]) -> tuple[int, ...]:
    """How many hits each unit has, in the order of the units' numbers.

    >>> by_unit([True, False, True, True], [7, 7, 7, 2])
    (1, 2)
    """
    counts = dict.fromkeys(sorted(set(units)), 0)
    for hit, unit in zip(hits, units, strict=True):
        counts[unit] += bool(hit)
    return tuple(counts.values())


def shares(right: Sequence[int], units: Sequence[int]) -> np.ndarray:
    """The share of its rows that each unit has right, in the order of the units' numbers."""
    import numpy as np

    share_U: np.ndarray = np.asarray(right) / np.asarray(by_unit([True] * len(units), units))
    return share_U


def estimate(share_U: np.ndarray) -> Estimate:
    """The mean of shares with a 95 % interval over programs."""
    return clustered([float(share) for share in share_U])


def difference(difference_U: np.ndarray) -> Estimate:
    """The mean of paired differences with a 95 % interval over programs."""
    low, high = paired_interval([float(value) for value in difference_U])
    return Estimate(float(difference_U.mean()), low, high)


def over_facts(differences: Sequence[tuple[Sequence[int], np.ndarray]]) -> Estimate:
    """The mean over facts of their mean differences; a program counts once, with all of its facts, in the 95 %
    interval.

    `differences` are for each fact its programs (numbers) and their values. The variance is the sum over programs of
    their squared influence.
    """
    influence: dict[int, float] = {}
    means = []
    for units, values in differences:
        mean = float(values.mean())
        means.append(mean)
        for unit, value in zip(units, values, strict=True):
            influence[unit] = influence.get(unit, 0.0) + (float(value) - mean) / len(values) / len(differences)
    centre = math.fsum(means) / len(means)
    spread = Z * math.sqrt(math.fsum(value * value for value in influence.values()))
    return Estimate(centre, round(max(-1.0, centre - spread), 4), round(min(1.0, centre + spread), 4))


def unpaired(a: Estimate, b: Estimate) -> Estimate:
    """B minus A where they are of different programs: spreads add as squares (Zou and Donner 2008).

    >>> unpaired(Estimate(0.5, 0.4, 0.6), Estimate(0.7, 0.6, 0.8))
    Estimate(mean=0.2, low=0.0586, high=0.3414)
    """
    centre = b.mean - a.mean
    low = centre - math.hypot(b.mean - b.low, a.high - a.mean)
    high = centre + math.hypot(b.high - b.mean, a.mean - a.low)
    return Estimate(round(centre, 6), round(low, 4), round(high, 4))
