"""Intervals of pass@1 in the published single-seed comparisons, over problems and over compositions.

    python bench/clustered_intervals.py

Problems of the small world that share a sequence of operations (a composition) are alike, so an interval that takes
problems as independent is too narrow. This bootstrap draws compositions with replacement. It reads docs/results/.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

from coderlplus_lab.study.loading import load_study
from coderlplus_lab.world import world

ROOT = Path(__file__).parents[1]
DRAWS = 10_000
PAIRS = [
    ("main", "coderlplus", "grpo", range(5)),
    ("generation", "code_first", "coderlplus", [0]),
    ("generation", "on_top_long", "grpo_long", [0]),
    ("generation", "coderlplus_longer_start", "grpo_longer_start", [0]),
    ("generation", "coderlplus_large", "grpo_large", [0]),
]
Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


def clusters() -> list[int]:
    """For each test problem of the main comparison the number of its composition."""
    study = load_study(ROOT / "recipes" / "study" / "main.yaml")
    assert study.world is not None
    rng = random.Random(f"test:{study.world.seed}")
    names: dict[tuple[str, ...], int] = {}
    found = []
    for _ in range(study.world.test_problems):
        sample = world.draw_problem(rng, "test", counts=study.world.operations)  # type: ignore[arg-type]
        found.append(names.setdefault(tuple(name for name, _ in sample.steps), len(names)))
    return found


def passed(study: str, arm: str, seed: int) -> Numbers:
    """For each test problem the share of samples that pass."""
    raw = json.loads((ROOT / "docs" / "results" / study / f"{arm}-{seed}.json").read_text(encoding="utf-8"))
    return np.array(raw["sampled"]) / raw["samples"]


def interval(values: Numbers, groups: list[int], rng: np.random.Generator) -> tuple[float, float, float]:
    """Low and high end of the 95 % interval of the mean, and its standard error, in points; groups are drawn whole."""
    count = max(groups) + 1
    sums, sizes = np.bincount(groups, values, count), np.bincount(groups, minlength=count)
    picked = rng.integers(0, count, (DRAWS, count))
    means = 100 * sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975)), float(means.std())


def main() -> None:
    groups = clusters()
    sizes = sorted(np.bincount(groups), reverse=True)
    print(f"{len(groups)} problems, {len(sizes)} compositions; the 21 largest hold {sum(sizes[:21])} problems")
    rows = {"GRPO, main, seed 0": passed("main", "grpo", 0)}
    for study, arm, other, seeds in PAIRS:
        differences = [passed(study, arm, seed) - passed(study, other, seed) for seed in seeds]
        rows[f"{study}: {arm} - {other}"] = np.mean(differences, axis=0)
    for label, values in rows.items():
        print(f"{label}: {100 * values.mean():+.1f}")
        for name, split in {"problems": list(range(len(values))), "compositions": groups}.items():
            low, high, error = interval(values, split, np.random.default_rng(0))
            print(f"  over {name}: {low:+.1f} to {high:+.1f}, standard error {error:.1f}")


if __name__ == "__main__":
    main()
