"""The numbers of a quick start, or of several seeds, as Markdown tables. Shares are printed in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coderlplus.evaluation.metrics import mean
from coderlplus_lab.study.cells import markdown, percent

COLUMNS = {
    "pass_at_1_sampled": "pass@1 sampled",
    "pass_at_8": "pass@8",
    "pass_at_1_greedy": "pass@1 greedy",
    "output_accuracy": "output predicted",
    "all_variables_accuracy": "all variables",
}
BASELINE, OURS = "grpo", "coderlplus"

Summary = Mapping[str, Mapping[str, Any]]


def summary_table(summary: Summary, labels: Mapping[str, str]) -> str:
    """One row a model, with 95 % intervals over problems and tasks."""
    rows = [
        [
            labels[name],
            *(percent(values[key], *values["intervals"][key]) for key in COLUMNS),
            f"{values['samples']:,}",
            f"{values['seconds']:.0f}",
        ]
        for name, values in summary.items()
    ]
    return markdown(["", *COLUMNS.values(), "samples", "seconds"], rows)


def seeds_table(summaries: Sequence[Summary], labels: Mapping[str, str]) -> str:
    """One row a model: mean over seeds, then the value of every seed; and the differences of CodeRL+ to GRPO and to
    the warm start, seed by seed."""
    rows = [
        [labels[name], *(_spread([summary[name][key] for summary in summaries]) for key in COLUMNS)]
        for name in summaries[0]
    ]
    for other in (BASELINE, "warm_start"):
        differences = [
            _spread([summary[OURS][key] - summary[other][key] for summary in summaries], signed=True)
            for key in COLUMNS
        ]
        rows.append([f"{labels[OURS]} − {labels[other]}", *differences])
    return markdown(["", *COLUMNS.values()], rows)


def _spread(values: Sequence[float], *, signed: bool = False) -> str:
    form = "{:+.1f}" if signed else "{:.1f}"
    return f"{form.format(100 * mean(values))} ({' '.join(form.format(100 * value) for value in values)})"
