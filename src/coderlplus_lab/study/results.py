"""Measured runs → the numbers of a study: means, paired differences, curves, what is missing."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coderlplus import __version__
from coderlplus.errors import DataError
from coderlplus.evaluation.metrics import mean
from coderlplus.report.folders import read_object
from coderlplus_lab.files import write_json
from coderlplus_lab.study.curves import Point, at_equal_seconds, mean_curve, read_curve
from coderlplus_lab.study.differences import BySeed, difference, mean_over_seeds
from coderlplus_lab.study.measures import LABELS, means, values
from coderlplus_lab.study.plan import MEASURED, WALL, StudyFolder, check_version, plan, spent_before
from coderlplus_lab.study.probing import probe_numbers
from coderlplus_lab.study.settings import Measured, Study

Raw = Mapping[str, Any]


def write_results(study: Study, layout: StudyFolder, command: str) -> dict[str, Any]:
    """The numbers of what is there, written to `NAME.json`. Raises `DataError` for a file that is broken or cannot be
    written, `ConfigError` for a folder of an earlier version."""
    check_version(layout)
    results = study_results(study, layout, command)
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
        write_json(layout.results(study.name), results)
    except OSError as error:
        raise DataError(
            f"cannot write {layout.results(study.name)}: {error.strerror}; choose another output"
        ) from error
    return results


def study_results(study: Study, layout: StudyFolder, file: str) -> dict[str, Any]:
    """See the module; `file` is that of the study, for the command that makes it."""
    runs = {arm: read_runs(study, layout, arm) for arm in study.arms}
    curves = {arm: {seed: _curve(study, layout, arm, seed) for seed in found} for arm, found in runs.items()}
    done = {arm: found for arm, found in runs.items() if found}
    jobs = plan(study, layout)
    walls = [wall for job in jobs.values() if (wall := job.folder / WALL).exists()]
    return {
        "name": study.name,
        "title": study.title or study.name,
        "command": f"coderlplus-lab study {file}",
        "version": __version__,
        "labels": {name: label.format(k=study.measure.samples) for name, label in LABELS.items()},
        "counts": _counts(done),
        "arms": [_arm(study, arm, found) for arm, found in done.items()],
        "differences": _differences(study, done, curves),
        "curves": [_shown_curve(study, arm, mean_curve(list(found.values()))) for arm, found in curves.items()],
        "probes": probe_numbers(
            study, layout, [(arm, other) for arm in study.arms for other in compared_with(study, arm)]
        ),
        "missing": [
            job.key.removeprefix("run/") for job in jobs.values() if job.kind in ("run", "probe") and not job.done
        ],
        "search": _search(study, layout),
        "hours": round(sum(read_object(wall).get("seconds", 0.0) for wall in walls) / 3600, 2),
        "hardware": hardware(done),
    }


def read_runs(study: Study, layout: StudyFolder, arm: str) -> dict[int, Raw]:
    """The raw numbers of an arm by seed, of the seeds that are there. Raises `DataError` for a file that is not what
    measuring wrote."""
    paths = {seed: layout.run(arm, seed) / MEASURED for seed in study.arm_seeds(arm)}
    return {seed: read_raw(path) for seed, path in paths.items() if path.exists()}


def read_raw(path: Path) -> Raw:
    """One measured file."""
    raw = read_object(path)
    try:
        values(raw)
        float(raw["training_samples"] + raw["training_seconds"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{path} was not written by a study ({type(error).__name__}: {error}); remove it and rerun the study"
        ) from error
    return raw


def by_measure(runs: Mapping[int, Raw]) -> dict[Measured, BySeed]:
    """Measure → seed → one value per problem."""
    found = {seed: values(raw) for seed, raw in runs.items()}
    return {name: {seed: numbers[name] for seed, numbers in found.items()} for name in LABELS}


def hardware(runs: Mapping[str, Mapping[int, Raw]]) -> str:
    """What the study ran on, in words."""
    names = {raw.get("device", "cpu") for found in runs.values() for raw in found.values()} - {"cpu"}
    processor = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        processor = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor
        )
    return ", ".join([f"{os.cpu_count()} cores of {processor}", *sorted(names)])


def _arm(study: Study, arm: str, runs: Mapping[int, Raw]) -> dict[str, Any]:
    spreads = {name: mean_over_seeds(by_seed) for name, by_seed in by_measure(runs).items()}
    return {
        "name": arm,
        "label": label(study, arm),
        "initial_model": study.initial_model_of(arm),
        "seeds": list(runs),
        "measures": {name: spread.to_json() for name, spread in spreads.items() if spread is not None},
        "training_samples": mean([raw["training_samples"] for raw in runs.values()]),
        "training_seconds": mean([raw["training_seconds"] for raw in runs.values()]),
        "chosen": next(iter(runs.values())).get("chosen", {}),
    }


def _differences(
    study: Study, runs: Mapping[str, Mapping[int, Raw]], curves: Mapping[str, Mapping[int, Sequence[Point]]]
) -> list[dict[str, Any]]:
    """Every arm against those that it is to be compared with, at equal steps and at equal seconds."""
    found = []
    for arm in runs:
        for other in compared_with(study, arm):
            if other not in runs or not set(runs[arm]) & set(runs[other]):
                continue
            ours, theirs = by_measure(runs[arm]), by_measure(runs[other])
            measures = {}
            for name in LABELS:
                spread = difference(ours[name], theirs[name])
                if spread is not None:
                    base = mean_over_seeds({seed: theirs[name][seed] for seed in theirs[name] if seed in ours[name]})
                    relative = spread.mean / base.mean if base is not None and base.mean else None
                    measures[name] = spread.to_json() | {"relative": relative}
            seconds = {name: spread.to_json() for name, spread in at_equal_seconds(curves[arm], curves[other]).items()}
            found.append(
                {
                    "arm": arm,
                    "against": other,
                    "label": f"{label(study, arm)} − {label(study, other)}",
                    "seeds": [seed for seed in runs[arm] if seed in runs[other]],
                    "measures": measures,
                    "equal_seconds": seconds,
                }
            )
    return found


def compared_with(study: Study, arm: str) -> list[str]:
    """The arms that an arm is compared with; one that is not trained only with those that it names."""
    one = study.arms[arm]
    others = one.against or ((study.baseline,) if study.baseline and one.is_trained else ())
    return [other for other in others if other != arm]


def label(study: Study, arm: str) -> str:
    return study.arms[arm].label or arm


def _curve(study: Study, layout: StudyFolder, arm: str, seed: int) -> list[Point]:
    folder = layout.run(arm, seed)
    if not (folder / "metrics.jsonl").exists():
        return []
    return read_curve(folder, *spent_before(study, layout, arm, seed))


def _shown_curve(study: Study, arm: str, curve: Sequence[Point]) -> dict[str, Any]:
    names = sorted({name for point in curve for name in point.values})
    return {
        "arm": arm,
        "label": label(study, arm),
        "step": [point.step for point in curve],
        "samples": [round(point.samples) for point in curve],
        "seconds": [round(point.seconds, 1) for point in curve],
        "values": {name: [round(point.values[name], 5) for point in curve] for name in names},
    }


def _search(study: Study, layout: StudyFolder) -> list[dict[str, Any]]:
    """What was tried for each arm, and the measure that decided."""
    if study.search is None:
        return []
    found = []
    for arm in study.arms:
        for path in sorted((layout.root / "search" / arm).glob(f"*/{MEASURED}")):
            raw = read_raw(path)
            value = means(raw)[study.search.measure] or 0.0
            found.append({"arm": arm, "chosen": raw["chosen"], "measure": study.search.measure, "value": value})
    return found


def _counts(runs: Mapping[str, Mapping[int, Raw]]) -> dict[str, int]:
    raw = next((raw for found in runs.values() for raw in found.values()), None)
    if raw is None:
        return {}
    return {
        "problems": len(raw["greedy"]),
        "tasks": len(raw["output"]),
        "test_outputs": len(raw["test_output"]),
        "samples": raw["samples"],
    }
