"""The run page: what a run folder holds, in the form that the page's scripts draw."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coderlplus.report import html
from coderlplus.report.folders import Folder, Run, read_folder
from coderlplus.report.samples import read_samples

STYLES = ("base.css", "run_page.css")
SCRIPTS = ("dom.js", "python.js", "plot.js", "curves.js", "views.js", "samples.js", "run_page.js")
SAMPLE_BYTES = 3_500_000
"""How much of the page samples may take; with curves and code the page stays under 5 MB."""
CURVE_POINTS = 1000
"""More steps than this are averaged in groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What stands above the curves where runs were evaluated: a table (rows with `name`, `label`, `cells`, `samples`,
    `minutes`) under `columns` (name, how), sentences (`topic`, `text`), and the evaluation of the model that the runs
    start from (`start`)."""

    columns: Sequence[tuple[str, str]] = ()
    table: Sequence[Mapping[str, Any]] = ()
    sentences: Sequence[Mapping[str, str]] = ()
    start: Mapping[str, Any] = field(default_factory=dict)


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a run folder, or of a folder of run folders, to `out` (default: `index.html` in the folder)
    and return its path.

    Raises `DataError` if the folder is not a run, a file in it is broken, or the page cannot be written.
    """
    folder = Path(folder)
    return write_page(read_folder(folder), Path(out) if out is not None else folder / "index.html")


def write_page(folder: Folder, out: Path, headline: Headline | None = None) -> Path:
    """Write the page of runs to `out`, a file or a folder, and return its path. Raises `DataError` if it cannot be
    written."""
    page = html.assemble("run_page.html", styles=STYLES, scripts=SCRIPTS, data=page_data(folder, headline))
    if out.is_dir():
        out = out / "index.html"
    html.write(out, page, "-o")
    return out


def page_data(folder: Folder, headline: Headline | None = None) -> dict[str, Any]:
    """All that the page shows, as JSON."""
    headline = headline or Headline()
    return {
        "folder": folder.path.resolve().name,
        "columns": [{"name": name, "how": how} for name, how in headline.columns],
        "table": list(headline.table),
        "sentences": list(headline.sentences),
        "start": headline.start,
        "runs": [run_data(run) for run in folder.runs],
        "samples": read_samples(folder, SAMPLE_BYTES),
    }


def run_data(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "folder": shlex.quote(str(run.folder)),
        "label": run.label,
        "config": run.config,
        "environment": run.environment,
        "steps": run.metrics[-1]["step"],
        "planned": run.planned_steps,
        "finished": run.finished,
        "curves": curves(run.metrics),
    }


def curves(metrics: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Metrics by name, one value a point (`None` where a step has none); long runs are averaged down to `CURVE_POINTS`
    points.

    >>> curves([{"step": 1, "loss": 0.5}, {"step": 2}])
    {'loss': [0.5, None], 'step': [1, 2]}
    """
    width = -(-len(metrics) // CURVE_POINTS)
    bins = [metrics[start : start + width] for start in range(0, len(metrics), width)]
    result: dict[str, list[float | None]] = {}
    for name in sorted({name for line in metrics for name in line}):
        groups = [[line[name] for line in group if name in line] for group in bins]
        result[name] = [short(sum(group) / len(group)) if group else None for group in groups]
    result["step"] = [group[-1]["step"] for group in bins]
    return result


def short(value: float) -> float:
    """Six significant digits: what a curve needs."""
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded
