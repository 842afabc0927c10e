"""What the validation split said during training, and arms compared at equal seconds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderlplus.evaluation.metrics import mean
from coderlplus.report.folders import json_lines
from coderlplus_lab.study.differences import Spread, spread_of

MEASURES = ("pass_at_1_sampled", "output_accuracy", "all_variables_accuracy")
"""What is measured during training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The measures (`values`) of a run after so many steps: completions sampled and seconds trained until then,
    evaluation not counted."""

    step: int
    samples: float
    seconds: float
    values: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        values = {name: round(value, 5) for name, value in self.values.items()}
        return {"step": self.step, "samples": self.samples, "seconds": round(self.seconds, 1), "values": values}


def read_curve(folder: Path, samples_before: float = 0.0, seconds_before: float = 0.0) -> list[Point]:
    """The points of a run folder; what was spent before the run is added."""
    points, seconds, samples = [], seconds_before, samples_before
    for line in json_lines(folder / "metrics.jsonl"):
        seconds += line.get("seconds/step", 0.0)
        samples = samples_before + line.get("samples", 0.0)
        values = {name: line[f"eval/{name}"] for name in MEASURES if f"eval/{name}" in line}
        if values:
            points.append(Point(step=line["step"], samples=samples, seconds=seconds, values=values))
    return points


def mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean over the runs of an arm, at the steps that all of them have."""
    if not curves:
        return []
    at = [{point.step: point for point in curve} for curve in curves]
    steps = [step for step in at[0] if all(step in one for one in at)]
    return [
        Point(
            step=step,
            samples=mean([one[step].samples for one in at]),
            seconds=mean([one[step].seconds for one in at]),
            values={name: mean([one[step].values[name] for one in at]) for name in at[0][step].values},
        )
        for step in steps
    ]


def value_at(curve: Sequence[Point], seconds: float, measure: str) -> float | None:
    """A measure after so many seconds, between points in proportion; `None` where the curve does not reach so far.

    >>> curve = [Point(step=0, samples=0, seconds=0.0, values={"m": 0.2})]
    >>> curve += [Point(step=9, samples=9, seconds=10.0, values={"m": 0.4})]
    >>> round(value_at(curve, 5.0, "m"), 6)
    0.3
    """
    known = [(point.seconds, point.values[measure]) for point in curve if measure in point.values]
    for (start, first), (end, second) in itertools.pairwise(known):
        if start <= seconds <= end:
            return first + (second - first) * ((seconds - start) / (end - start) if end > start else 1.0)
    return None


def at_equal_seconds(ours: Mapping[int, Sequence[Point]], theirs: Mapping[int, Sequence[Point]]) -> dict[str, Spread]:
    """Ours minus theirs on the validation split, seed by seed, when the faster of the two runs of a seed had ended."""
    found: dict[str, Spread] = {}
    for measure in MEASURES:
        numbers = []
        for seed in (seed for seed in ours if seed in theirs and ours[seed] and theirs[seed]):
            budget = min(ours[seed][-1].seconds, theirs[seed][-1].seconds)
            a, b = value_at(ours[seed], budget, measure), value_at(theirs[seed], budget, measure)
            if a is not None and b is not None:
                numbers.append(a - b)
        if numbers:
            found[measure] = spread_of(numbers)
    return found
