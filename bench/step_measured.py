"""The model of a step (bench/step_model.py) against steps of runs on TRL that were measured.

    python bench/step_measured.py RUN [RUN ...] [--judge-ms 1.9] [--trace-ms 11.4] [--json FILE]

A RUN is a folder with `metrics.jsonl` and `config.yaml`, as `coderlplus train` and the studies write it, or a file
that `bench/step_overhead.py --workers N --json FILE` wrote, of which its run with CodeRL+ is taken. What accelerators
and models take is not predicted here: the measured seconds of generation, of log-probabilities (judging that nothing
waited for) and of the update are given to the model, and the share of alignment tasks and the number of traces.
Predicted are judging and tracing by their costs for a program, the waits for both, and the whole step; and what a
later run adds to the step of the first, such as CodeRL+ to that of GRPO. Medians over the steps after the second.

The costs are those of an idle machine: a program with five trivial calls took 1.9 ms, traces with mining 5.5 s for 482
(docs/mining.md). They know nothing of the runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from step_model import TRACE_S, Checking, Seconds, judging_s, tracing_s

JUDGE_S = 1.25 * 1.52e-3
SKIPPED = 2
"""Steps with cold caches, and without tasks."""
PARTS = ("judging", "judging_wait", "tracing", "tracing_wait", "step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Medians of a run: what was given to the model, and what it is compared with."""

    name: str
    cores: int
    rollouts: int
    alignment: float
    traces: float
    measured: Seconds
    step_s: float


def read_run(path: Path) -> Run:
    if path.is_file():
        overhead = json.loads(path.read_text())
        lines, workers = overhead["runs"]["TRL + CodeRL+"], int(overhead["options"]["workers"])
    else:
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        workers = yaml.safe_load((path / "config.yaml").read_text())["sandbox"]["workers"]
    rows = [line for line in lines if "seconds/step" in line][SKIPPED:]
    if not rows:
        raise SystemExit(f"{path} has no steps after the second")

    def median(name: str) -> float:
        return statistics.median(row.get(name, 0.0) for row in rows)

    hidden = [row["seconds/judging_work"] - row["seconds/judging"] for row in rows]
    return Run(
        name=str(path),
        cores=workers,
        rollouts=round((rows[-1]["samples"] - rows[0]["samples"]) / (rows[-1]["step"] - rows[0]["step"])),
        alignment=median("mix/alignment_share"),
        traces=median("traced"),
        measured=Seconds(
            generation=median("seconds/generation"),
            log_probabilities=max(0.0, statistics.median(hidden)),
            update=median("seconds/update"),
            sync=0.0,
            judging=median("seconds/judging_work"),
            tracing=median("seconds/tracing_work"),
        ),
        step_s=median("seconds/step"),
    )


def predicted(run: Run, judge_s: float, trace_s: float) -> Seconds:
    programs = run.rollouts * (1 - run.alignment)
    checking = Checking(
        judge_s=judge_s,
        trace_s=trace_s,
        here_s=0.0,  # a local sandbox: in the cost of a program
        longest_s=0.0,
        failed=run.traces / programs,
        alignment=run.alignment,
    )
    given = run.measured
    return Seconds(
        generation=given.generation,
        log_probabilities=given.log_probabilities,
        update=given.update,
        sync=0.0,
        judging=judging_s(checking, run.rollouts, run.cores),
        tracing=tracing_s(checking, run.rollouts, run.cores),
    )


def compared(run: Run, judge_s: float, trace_s: float) -> dict[str, tuple[float, float]]:
    """Predicted and measured seconds of each part; nothing of tracing where nothing is traced."""
    model = predicted(run, judge_s, trace_s)
    measured = {part: getattr(run.measured, part) for part in PARTS} | {"step": run.step_s}
    shown = [part for part in PARTS if run.traces or not part.startswith("tracing")]
    return {part: (getattr(model, part), measured[part]) for part in shown}


def table(runs: Sequence[Run], judge_s: float, trace_s: float) -> Table:
    result = Table(
        *("run", "part", "predicted s", "measured s", "ratio"),
        title=f"{1000 * judge_s:.2f} ms of CPU a program judged, {1000 * trace_s:.1f} ms a program traced",
    )
    first = compared(runs[0], judge_s, trace_s)["step"]
    for run in runs:
        parts = compared(run, judge_s, trace_s)
        if run is not runs[0]:
            own = parts["step"]
            parts["step, more than the first run's"] = own[0] - first[0], own[1] - first[1]
        for place, (part, (model, measured)) in enumerate(parts.items()):
            ratio = f"{model / measured:.2f}" if measured >= 0.05 else ""
            result.add_row("" if place else run.name, part, f"{model:.3f}", f"{measured:.3f}", ratio)
        result.add_section()
    for column in result.columns[2:]:
        column.justify = "right"
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--judge-ms", type=float, default=1000 * JUDGE_S, help="CPU of judging one program")
    parser.add_argument("--trace-ms", type=float, default=1000 * TRACE_S, help="CPU of tracing one program")
    parser.add_argument("--json", type=Path, help="write the numbers to a file as well")
    options = parser.parse_args()
    costs = options.judge_ms / 1000, options.trace_ms / 1000
    runs = [read_run(folder) for folder in options.runs]
    Console(width=150).print(table(runs, *costs))
    if options.json is not None:
        written = [asdict(run) | {"compared": compared(run, *costs)} for run in runs]
        options.json.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
