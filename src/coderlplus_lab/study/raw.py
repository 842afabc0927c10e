"""The raw numbers of a study: all that its tables and pictures are made of.

In a folder (`docs/results/NAME/`) they are `study.json` — settings, command, hours, families of problems, probes — and
one file a run, `ARM-SEED.json`: what `measures.py` wrote, with commit, recipe hash and curve. Where programs were
chosen, `ARM-SEED.selection.json` has what `selecting.py` wrote, with each reader's part under `readers`. What an
earlier version did not record is absent.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from coderlplus import __version__
from coderlplus.errors import DataError
from coderlplus.evaluation.metrics import mean
from coderlplus.records.files import atomic_write
from coderlplus.report.folders import json_lines, read_object
from coderlplus_lab.study.curves import Point, read_curve
from coderlplus_lab.study.folder import DONE, MEASURED, WALL, StudyFolder
from coderlplus_lab.study.measures import means, values
from coderlplus_lab.study.plan import plan, spent_before
from coderlplus_lab.study.probing import read_probes
from coderlplus_lab.study.selection import check_predictions, check_programs
from coderlplus_lab.study.settings import Measured, Study
from coderlplus_lab.study.tries import searched

Raw = Mapping[str, Any]
ABOUT, SELECTION = "study.json", "selection"
HELD_OUT = ("problems", "tasks", "test_outputs")
OF: Mapping[Measured, str] = {
    "output_accuracy": "tasks",
    "all_variables_accuracy": "tasks",
    "test_output_accuracy": "test_outputs",
}
"""What is measured, where it is not problems."""
KINDS = ("generation", "alignment")
"""Of rows in training: problems, and tasks."""
PER_KIND = ("gradient_norm", "entropy", "zero_variance")
GRADIENT = "gradient_norm/alignment above generation"
"""The share of the recorded steps in which the gradient of alignment was the larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawStudy:
    """A study with the raw numbers of its runs and of selections (arm → seed → numbers), and `about`: `command`,
    `version`, `hours`, `hardware`, `missing`, `search`, `families` and `probes`."""

    study: Study
    runs: Mapping[str, Mapping[int, Raw]]
    selections: Mapping[str, Mapping[int, Raw]] = field(default_factory=dict)
    about: Mapping[str, Any]


def collect(study: Study, layout: StudyFolder, command: str) -> RawStudy:
    """The raw numbers of a study's folder, of what is there. Raises `DataError` for a file that is broken."""
    jobs = plan(study, layout)
    walls = [wall for job in jobs.values() if (wall := job.folder / WALL).exists()]
    runs = {arm: _runs(study, layout, arm) for arm in study.arms}
    return RawStudy(
        study=study,
        runs=runs,
        selections=_selections(study, layout, runs),
        about={
            "command": command,
            "version": __version__,
            "hours": round(sum(read_object(wall).get("seconds", 0.0) for wall in walls) / 3600, 2),
            "hardware": hardware(runs),
            "missing": [
                job.key.removeprefix("run/")
                for job in jobs.values()
                if job.kind in ("search", "run", "programs", "predictions", "probe") and not job.done
            ],
            "search": _search(study, layout),
            "families": families_in(layout, study.held_out),
            "probes": read_probes(study, layout),
        },
    )


def write_raw(raw: RawStudy, folder: Path) -> None:
    """Write the raw numbers; other JSON files of the folder are removed, after all are written. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = raw.study.model_dump(mode="json", exclude_defaults=True)
    files = {folder / f"{arm}-{seed}.json": one for arm, of in raw.runs.items() for seed, one in of.items()}
    files |= {_selection(folder, arm, seed): one for arm, of in raw.selections.items() for seed, one in of.items()}
    files[folder / ABOUT] = {"study": settings, **raw.about}
    for path, data in files.items():
        atomic_write(path, json.dumps(data, separators=(",", ":"), ensure_ascii=False) + "\n")
    for path in folder.glob("*.json"):
        if path not in files:
            path.unlink()


def read_raw_study(folder: Path) -> RawStudy:
    """Read what `write_raw` wrote. Raises `DataError` for a file that is missing or broken."""
    about = read_object(folder / ABOUT)
    try:
        study = Study.model_validate(about.pop("study"))
        paths = {arm: {seed: folder / f"{arm}-{seed}.json" for seed in study.arm_seeds(arm)} for arm in study.arms}
        runs = {
            arm: {seed: read_raw(path) for seed, path in found.items() if path.exists()}
            for arm, found in paths.items()
        }
        selections = {
            arm: {
                seed: read_selection(path, numbers)
                for seed, numbers in runs[arm].items()
                if (path := _selection(folder, arm, seed)).exists()
            }
            for arm in (study.selection.readers if study.selection is not None else ())
        }
        return RawStudy(
            study=study,
            runs=runs,
            selections={arm: seeds for arm, seeds in selections.items() if seeds},
            about=about | {"probes": _by_seed(about["probes"])},
        )
    except DataError:  # names its file
        raise
    except (KeyError, TypeError, AttributeError, ValueError, ValidationError) as error:
        raise DataError(f"{folder / ABOUT} was not written by a study ({error}); rerun it with --docs") from error


def read_raw(path: Path) -> Raw:
    """The raw numbers of one run."""
    raw = read_object(path)
    try:
        values(raw)
        curve_of(raw)
        float(raw["training_samples"] + raw["training_seconds"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{path} was not written by a study ({type(error).__name__}: {error}); remove it and rerun the study"
        ) from error
    return raw


def read_selection(path: Path, run: Raw, readers: Mapping[str, Path] | None = None) -> Raw:
    """The raw numbers of choices among the programs of a run; `readers` has the files of predictions, where they are
    not in the same one. Raises `DataError`, which names the file, where numbers are not about the same problems and
    programs."""
    raw = read_object(path)
    if readers is not None:
        raw["readers"] = {}
    place = path
    try:
        check_programs(raw, len(run["greedy"]))
        for reader, place in (readers or dict.fromkeys(raw["readers"], path)).items():
            one = raw["readers"][reader] if readers is None else read_object(place)
            check_predictions(raw, one)
            raw["readers"][reader] = one
    except DataError:  # names its file
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{place} was not written by a study ({type(error).__name__}: {error}); remove it and rerun the study"
        ) from error
    return raw


def curve_of(raw: Raw) -> list[Point]:
    """The curve of a run on the validation split; empty where it has none or it was not recorded."""
    return [Point(**point) for point in raw.get("curve", ())]


def families_in(layout: StudyFolder, split: str = "test") -> dict[str, Any]:
    """The families of what is held out: `names`, and for each problem, task and question the place of its family's.
    A problem without a family is its own; a task has that of its problem. Empty where nothing is held out yet."""
    if not layout.problems(split).exists():
        return {}
    of = {line["problem_id"]: line.get("family") or line["problem_id"] for line in json_lines(layout.problems(split))}
    places: dict[str, int] = {}
    found = {
        name: [
            places.setdefault(of.get(line["problem_id"], line["problem_id"]), len(places)) for line in json_lines(path)
        ]
        for name, path in zip(
            HELD_OUT, (layout.problems(split), layout.tasks(split), layout.test_outputs(split)), strict=True
        )
    }
    return {"names": list(places), **found}


def of_measure(families: Mapping[str, Any], name: Measured) -> Sequence[int] | None:
    """The family of each problem, task or question that a measure is of; `None` where families are not known."""
    return families.get(OF.get(name, "problems")) or None


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


def _runs(study: Study, layout: StudyFolder, arm: str) -> dict[int, Raw]:
    """The raw numbers of an arm by seed with their curves, of the seeds that are there."""
    paths = {seed: layout.run(arm, seed) / MEASURED for seed in study.arm_seeds(arm)}
    return {
        seed: {**read_raw(path), "curve": _curve(study, layout, arm, seed), **_kinds(layout.run(arm, seed))}
        for seed, path in paths.items()
        if path.exists()
    }


def _selections(study: Study, layout: StudyFolder, runs: Mapping[str, Mapping[int, Raw]]) -> dict[str, dict[int, Raw]]:
    """What was written to be chosen from and predicted, by writer and seed, of what is there."""
    found: dict[str, dict[int, Raw]] = {}
    for writer in study.selection.readers if study.selection is not None else ():
        for seed, run in runs[writer].items():
            readers = study.selections(seed)[writer]
            programs = layout.programs(writer, seed) / DONE["programs"]
            paths = {arm: layout.predictions(writer, arm, seed) / DONE["predictions"] for arm in readers}
            if programs.exists():
                by = {arm: path for arm, path in paths.items() if path.exists()}
                found.setdefault(writer, {})[seed] = read_selection(programs, run, by)
    return found


def _selection(folder: Path, arm: str, seed: int) -> Path:
    return folder / f"{arm}-{seed}.{SELECTION}.json"


def _curve(study: Study, layout: StudyFolder, arm: str, seed: int) -> list[dict[str, Any]]:
    folder = layout.run(arm, seed)
    if not (folder / "metrics.jsonl").exists():
        return []
    return [point.to_json() for point in read_curve(folder, *spent_before(study, layout, arm, seed))]


def _kinds(folder: Path) -> dict[str, dict[str, float]]:
    """Means over the recorded steps of what problems and tasks have each: gradient norm, entropy, groups without
    variance; and in which share of the steps the gradient of tasks is the larger. Absent where nothing is recorded."""
    lines = list(json_lines(folder / "metrics.jsonl")) if (folder / "metrics.jsonl").exists() else []
    names = [f"{name}/{kind}" for name in PER_KIND for kind in KINDS]
    found = {name: [line[name] for line in lines if name in line] for name in names}
    pairs = [[line.get(f"gradient_norm/{kind}") for kind in KINDS] for line in lines]
    found[GRADIENT] = [float(tasks > code) for code, tasks in pairs if code is not None and tasks is not None]
    known = {name: round(mean(numbers), 5) for name, numbers in found.items() if numbers}
    return {"kinds": known} if known else {}


def _search(study: Study, layout: StudyFolder) -> list[dict[str, Any]]:
    """What was tried for each arm, and the measure that decided."""
    if study.search is None:
        return []
    found = []
    for arm in study.arms:
        for number in range(len(searched(study, arm)) if study.search_arm(arm) == arm else 0):
            path = layout.search(arm, number) / MEASURED
            if path.exists():
                raw = read_raw(path)
                value = means(raw)[study.search.measure] or 0.0
                found.append({"arm": arm, "chosen": raw["chosen"], "measure": study.search.measure, "value": value})
    return found


def _by_seed(probes: Mapping[str, Any]) -> dict[int, Any]:
    """JSON knows no keys that are numbers."""
    return {int(seed): results for seed, results in probes.items()}
