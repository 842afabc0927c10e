"""The files that `bench/gpu.py` leaves → a table of steps, a summary and a page."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coderlplus.records.files import atomic_write
from coderlplus.report import html
from coderlplus.report.folders import json_lines

HERE = Path(__file__).parent
PARTS = ("sampling", "weight_sync", "log_probabilities", "judging", "tracing", "update")
"""What a step's seconds consist of. Judging and tracing run beside the model: these are the seconds that it waited for
them. Mining is part of tracing."""
COLUMNS = (
    *("arm", "step", "samples", "seconds_step", *(f"seconds_{part}" for part in PARTS)),
    *("seconds_judging_work", "seconds_tracing_work", "prompt_tokens", "completion_tokens", "utilisation"),
    *("reward_generation", "pass_rate", "reward_alignment", "alignment_share", "mined", "held_out"),
)
Step = dict[str, Any]


def step_seconds(run: Path) -> list[float]:
    """How long each step of a run took, in seconds, without evaluation."""
    lines = {line["step"]: line for line in json_lines(run / "metrics.jsonl") if "seconds/step" in line}
    return [lines[step]["seconds/step"] for step in sorted(lines)]


def steps_of(output: Path, arm: str) -> list[Step]:
    """A row of `COLUMNS` for each step of an arm; what was not measured is `None`. Step 0 has `held_out` alone."""
    parts = {line["step"]: line for line in _lines(output / f"{arm}.parts.jsonl")}  # of a step done twice the last one
    device = _lines(output / f"{arm}.device.jsonl")
    rows = []
    for line in json_lines(output / arm / "metrics.jsonl"):
        step, part = line["step"], parts.get(line["step"], {})
        seconds = {name: line.get(f"seconds/{name}") for name in ("step", "judging", "tracing", "update")}
        row: Step = dict.fromkeys(COLUMNS) | {"arm": arm, "step": step, "samples": line.get("samples")}
        row |= {f"seconds_{name}": value for name, value in seconds.items()}
        row |= {f"seconds_{name}_work": line.get(f"seconds/{name}_work") for name in ("judging", "tracing")}
        if part and "seconds/generation" in line:
            row |= {name: part[name] for name in ("prompt_tokens", "completion_tokens")}
            row["seconds_sampling"], row["seconds_weight_sync"] = part["sampling_s"], part["weight_sync_s"]
            row["seconds_log_probabilities"] = max(
                0.0, line["seconds/generation"] - part["sampling_s"] - part["weight_sync_s"]
            )
            ended = part["began"] + (seconds["step"] or 0.0)
            row["utilisation"] = _mean([one["utilisation"] for one in device if part["began"] <= one["at"] <= ended])
        row |= {
            "reward_generation": line.get("reward/generation"),
            "pass_rate": line.get("pass_rate"),
            "reward_alignment": line.get("reward/alignment"),
            "alignment_share": line.get("mix/alignment_share"),
            "mined": line.get("mined"),
            "held_out": next(
                (value for name, value in line.items() if name.startswith("eval/") and name.endswith("/pass@1")), None
            ),
        }
        rows.append(row)
    return rows


def summary_of(output: Path, arm: str, rows: Sequence[Step], rounds: Sequence[int]) -> dict[str, Any]:
    """The numbers of an arm. Times are means over the steps but the first of each process, which warms up."""
    steps = [row for row in rows if row["seconds_step"] is not None]
    first = {1, *(end + 1 for end in rounds)}
    timed = [row for row in steps if row["step"] not in first and row["seconds_sampling"] is not None]
    seconds = {part: _mean([row[f"seconds_{part}"] or 0.0 for row in timed]) for part in ("step", *PARTS)}
    whole, sampling = (sum(row[f"seconds_{name}"] for row in timed) for name in ("step", "sampling"))
    tokens = sum(row["completion_tokens"] for row in timed)
    waited = sum((row["seconds_judging"] or 0.0) + (row["seconds_tracing"] or 0.0) for row in timed)
    busy = _mean([row["utilisation"] for row in timed if row["utilisation"] is not None])
    processes = _lines(output / f"{arm}.process.jsonl")
    device = _lines(output / f"{arm}.device.jsonl")
    fifth = max(1, len(steps) // 5)
    return {
        "steps": len(steps),
        "samples": max((row["samples"] or 0 for row in steps), default=0),
        "training_seconds": round(sum(row["seconds_step"] for row in steps), 1),
        "steps_timed": len(timed),
        "seconds": seconds,
        "work_seconds": {
            name: _mean([row[f"seconds_{name}_work"] or 0.0 for row in timed]) for name in ("judging", "tracing")
        },
        "completion_tokens_per_second": {
            "sampling": tokens / sampling if sampling else None,
            "step": tokens / whole if whole else None,
        },
        "mean_completion_tokens": _mean([row["completion_tokens"] for row in timed]),
        "waiting_share": waited / whole if whole else None,
        "gpu_idle_share": None if busy is None else 1 - busy / 100,
        "memory_gib": {
            "device": max((one["memory_mib"] / 1024 for one in device), default=None),
            **{
                name: max((one[f"peak_{name}_gib"] for one in processes if f"peak_{name}_gib" in one), default=None)
                for name in ("allocated", "reserved", "rss")
            },
        },
        "first_and_last": {
            name: [_mean(_known(part, name)) for part in (steps[:fifth], steps[-fifth:])]
            for name in ("reward_generation", "pass_rate", "reward_alignment")
        },
        "held_out": [[row["step"], row["held_out"]] for row in rows if row["held_out"] is not None],
        "tasks_mined": sum(row["mined"] or 0 for row in steps),
    }


def write(output: Path, plan: Mapping[str, Any], arms: Sequence[str]) -> Path:
    """Write steps, summary and page into `output` and return the page."""
    rows = {arm: steps_of(output, arm) for arm in arms}
    everything = [row for arm in arms for row in rows[arm]]
    atomic_write(output / "steps.jsonl", "".join(json.dumps(row) + "\n" for row in everything))
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(everything)
    atomic_write(output / "steps.csv", table.getvalue())
    process = _lines(output / f"{arms[0]}.process.jsonl")[-1]
    summary = {
        "date": time.strftime("%Y-%m-%d"),
        **plan["about"],
        "device": process["device"],
        "versions": process["versions"],
        "rounds": plan["rounds"],
        "wall_seconds": plan["walls"],
        "arms": {arm: summary_of(output, arm, rows[arm], plan["rounds"]) for arm in arms},
    }
    atomic_write(output / "summary.json", json.dumps(summary, indent=2) + "\n")
    page = html.assemble(
        HERE / "gpu_page.html",
        styles=("base.css", "run_page.css"),
        scripts=("dom.js", "plot.js", HERE / "gpu_page.js"),
        data={"summary": summary, "parts": PARTS, "steps": rows},
    )
    html.write(output / "index.html", page, "-o")
    return output / "index.html"


def _lines(path: Path) -> list[dict[str, Any]]:
    return list(json_lines(path)) if path.exists() else []


def _known(rows: Sequence[Step], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
