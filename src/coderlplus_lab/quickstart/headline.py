"""The headline: a table of evaluation results, and sentences that say what it shows and no more.

Differences are in percentage points. Nothing is called better or worse: one run each shows no more than the direction,
and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    ("pass_at_1_sampled", "pass@1", "sampled"),
    ("pass_at_1_greedy", "pass@1", "greedy"),
    ("pass_at_8", "pass@8", "sampled"),
    ("output_accuracy", "output", "predicted"),
    ("all_variables_accuracy", "all variables", "predicted"),
)

Summary = Mapping[str, Mapping[str, Any]]


def table(summary: Summary, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row a model: its `name`, `label`, `samples`, `minutes` and `cells`, each `{value, low, high}` (shares of 1,
    `None` where not measured)."""
    return [
        {
            "name": name,
            "label": labels[name],
            "cells": [cell(numbers, key) for key, _, _ in COLUMNS],
            "samples": numbers["samples"],
            "minutes": numbers["seconds"] / 60,
        }
        for name, numbers in summary.items()
    ]


def cell(numbers: Mapping[str, Any], key: str) -> dict[str, float | None]:
    """A measured share and its interval."""
    low, high = numbers["intervals"].get(key, (None, None))
    return {"value": numbers.get(key), "low": low, "high": high}


def sentences(summary: Summary, alignment_share: float | None = None) -> list[dict[str, str]]:
    """What the numbers say in words, each a `topic` and a `text`. `alignment_share` is the mean share of alignment
    tasks in the batches of CodeRL+.

    >>> start = {"pass_at_1_sampled": 0.25, "output_accuracy": 0.84}
    >>> grpo = {"pass_at_1_sampled": 0.46, "output_accuracy": 0.38}
    >>> ours = {"pass_at_1_sampled": 0.42, "output_accuracy": 0.82}
    >>> for sentence in sentences({"warm_start": start, "grpo": grpo, "coderlplus": ours}): print(sentence["text"])
    CodeRL+ passes with 42.0 % of its samples, 17.0 points above the warm start and 4.0 points below GRPO.
    CodeRL+ names the right output for 82.0 % of programs, 2.0 points below the warm start and 44.0 points above GRPO.
    """
    ours = summary.get("coderlplus")
    if ours is None:
        return []
    others = [
        (name, summary[key]) for key, name in (("warm_start", "the warm start"), ("grpo", "GRPO")) if key in summary
    ]
    result = []
    for key, topic, opening, ending in (
        ("pass_at_1_sampled", "Writing programs", "passes with", "of its samples"),
        ("output_accuracy", "Predicting execution", "names the right output for", "of programs"),
    ):
        differences = [difference(ours[key], numbers[key], name) for name, numbers in others]
        if differences:
            text = f"CodeRL+ {opening} {100 * ours[key]:.1f} % {ending}, {' and '.join(differences)}."
            result.append({"topic": topic, "text": text})
    if alignment_share:
        text = (
            f"At equal samples, CodeRL+ spends {100 * alignment_share:.0f} % of them on alignment tasks and so "
            "sees fewer problems than GRPO."
        )
        result.append({"topic": "Cost", "text": text})
    return result


def difference(value: float, other: float, name: str) -> str:
    points = round(100 * (value - other), 1)
    if points == 0:
        return f"level with {name}"
    return f"{abs(points):.1f} points {'above' if points > 0 else 'below'} {name}"
