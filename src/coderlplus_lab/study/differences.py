"""Means over seeds and paired differences, with 95 % intervals. Standard library only.

Two kinds of interval: *over seeds* (Student's t on one number per seed; what another training run would give) and
*over problems* (of the mean over the seeds that were run; what other families of problems would give). With one seed
there is only the second.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from coderlplus.evaluation.intervals import clustered, paired_interval
from coderlplus.evaluation.metrics import mean

T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Quantiles of Student's t at 0.975 for 1 to 30 degrees of freedom."""
_Z = 1.959964

BySeed = Mapping[int, Sequence[float]]
"""Seed → one value per problem; NaN if there is none."""
Families = Sequence[Hashable] | None
"""The family of each problem; `None`: each is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A mean over seeds: `low` and `high` over seeds (`None` with one seed), `problems_low` and `problems_high` over
    problems (`None` where some problem has no value). `by_seed` are the numbers of the seeds, in order."""

    mean: float
    low: float | None
    high: float | None
    problems_low: float | None
    problems_high: float | None
    by_seed: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Bounds over seeds are rounded to four digits; a rule compares them as they are."""
        ends = {name: None if end is None else round(end, 4) for name, end in (("low", self.low), ("high", self.high))}
        return asdict(self) | ends | {"by_seed": list(self.by_seed)}


def t_975(freedom: int) -> float:
    """The quantile of Student's t at 0.975; beyond the table by the first terms of its expansion around the normal
    one.

    >>> t_975(4), round(t_975(60), 2)
    (2.776, 2.0)
    """
    if freedom <= len(T_975):
        return T_975[freedom - 1]
    return _Z + (_Z**3 + _Z) / (4 * freedom) + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * freedom**2)


def over_seeds(numbers: Sequence[float]) -> tuple[float, float] | None:
    """The interval of a mean of one number per seed; `None` with one.

    >>> [round(end, 4) for end in over_seeds([0.1, 0.2, 0.3])]
    [-0.0484, 0.4484]
    """
    if len(numbers) < 2:
        return None
    centre = mean(numbers)
    deviation = math.sqrt(math.fsum((number - centre) ** 2 for number in numbers) / (len(numbers) - 1))
    reach = t_975(len(numbers) - 1) * deviation / math.sqrt(len(numbers))
    return centre - reach, centre + reach


def mean_over_seeds(measured: BySeed, families: Families = None) -> Spread | None:
    """The mean of an arm's shares; `None` where nothing was measured in a seed. Intervals over seeds end at 0 and 1,
    which Student's t does not know.

    >>> spread = mean_over_seeds({0: [0.0, 0.0], 1: [0.5, 0.0]})
    >>> spread.mean, spread.low, spread.high
    (0.125, 0.0, 1.0)
    """
    by_seed = [known_mean(values) for values in measured.values()]
    if any(number is None for number in by_seed) or not by_seed:
        return None
    numbers = [number for number in by_seed if number is not None]
    means = _by_problem(measured)
    places = [place for place, value in enumerate(means) if not math.isnan(value)]
    of = None if families is None else [families[place] for place in places]
    problems = clustered([means[place] for place in places], of) if places else None
    spread = spread_of(numbers, (problems.low, problems.high) if problems else (None, None))
    if spread.low is None or spread.high is None:
        return spread
    return replace(spread, low=max(0.0, spread.low), high=min(1.0, spread.high))


def difference(ours: BySeed, theirs: BySeed, families: Families = None) -> Spread | None:
    """Ours minus theirs over the seeds of both, seed by seed; `None` if there is none."""
    seeds = [seed for seed in ours if seed in theirs]
    pairs = [(known_mean(ours[seed]), known_mean(theirs[seed])) for seed in seeds]
    numbers = [a - b for a, b in pairs if a is not None and b is not None]
    if not numbers or len(numbers) < len(pairs):
        return None
    a, b = (_by_problem({seed: side[seed] for seed in seeds}) for side in (ours, theirs))
    moved = [x - y for x, y in zip(a, b, strict=True)] if len(a) == len(b) else []
    whole = bool(moved) and not any(
        math.isnan(value) for value in moved
    )  # else the mean is not over pairs of problems
    return spread_of(numbers, paired_interval(moved, families) if whole else (None, None))


def spread_of(numbers: Sequence[float], problems: tuple[float | None, float | None] = (None, None)) -> Spread:
    """The spread of one number per seed; `problems` is its interval over problems."""
    low, high = over_seeds(numbers) or (None, None)
    return Spread(
        mean=mean(numbers),
        low=low,
        high=high,
        problems_low=problems[0],
        problems_high=problems[1],
        by_seed=tuple(numbers),
    )


def known_mean(values: Sequence[float]) -> float | None:
    """The mean of the values that are no NaN; `None` where all are."""
    known = [value for value in values if not math.isnan(value)]
    return mean(known) if known else None


def _by_problem(measured: BySeed) -> list[float]:
    """The mean over seeds of every problem, over the values that there are; NaN if there is none. Nothing where
    seeds had other problems."""
    columns = list(measured.values())
    if len({len(column) for column in columns}) != 1:
        return []
    means = [known_mean(row) for row in zip(*columns, strict=True)]
    return [math.nan if value is None else value for value in means]
