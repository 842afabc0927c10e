"""The raw numbers of a study → its results: means, paired differences, curves, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.metrics import mean
from coderlplus_lab.files import write_json
from coderlplus_lab.study.curves import Point, at_equal_seconds, mean_curve
from coderlplus_lab.study.decisions import decide
from coderlplus_lab.study.differences import BySeed, difference, mean_over_seeds
from coderlplus_lab.study.fingerprints import check_kept, check_version
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.measures import LABELS, values
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.probing import probe_numbers
from coderlplus_lab.study.raw import Raw, RawStudy, collect, curve_of, of_measure
from coderlplus_lab.study.selection import chosen, selection_numbers
from coderlplus_lab.study.settings import Measured, Study


def write_results(study: Study, layout: StudyFolder, command: str) -> tuple[RawStudy, dict[str, Any]]:
    """The raw numbers of what is there, and the results, written to `NAME.json`. Raises `DataError` for a file that is
    broken or cannot be written, `ConfigError` for a folder of an earlier version or with runs of other settings."""
    check_version(layout)
    check_kept(plan(study, layout))
    raw = collect(study, layout, command)
    results = study_results(raw)
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
        write_json(layout.results(study.name), results)
    except OSError as error:
        raise DataError(
            f"cannot write {layout.results(study.name)}: {error.strerror}; choose another output"
        ) from error
    return raw, results


def study_results(raw: RawStudy) -> dict[str, Any]:
    """See the module."""
    study, about = raw.study, raw.about
    runs = {arm: found for arm, found in raw.runs.items() if found}
    families = of_measure(about["families"], "pass_at_1_greedy")
    selections = {arm: {seed: chosen(one) for seed, one in of.items()} for arm, of in raw.selections.items()}
    decision = decide(study, runs, selections, about["families"])
    curves = {arm: {seed: curve_of(numbers) for seed, numbers in found.items()} for arm, found in runs.items()}
    return {
        "name": study.name,
        "title": study.title or study.name,
        "preregistration": study.preregistration,
        "command": about["command"],
        "version": about["version"],
        "commits": list(dict.fromkeys([*_distinct(runs, "commit"), *_commits(raw)])),
        "recipes": _distinct(runs, "recipe"),
        "labels": {
            name: LABELS[name].format(k=study.measure.samples, t=study.measure.temperature, w=study.measure.without)
            for name in _measured(runs)
        },
        "counts": _counts(raw, runs),
        "arms": [_arm(raw, arm, found) for arm, found in runs.items()],
        "differences": _differences(raw, runs, curves),
        "curves": [_shown_curve(study, arm, mean_curve(list(found.values()))) for arm, found in curves.items()],
        "probes": probe_numbers(
            study, about["probes"], [(arm, other) for arm in study.arms for other in compared_with(study, arm)]
        ),
        "selection": selection_numbers(
            study,
            raw.selections,
            selections,
            {arm: by_measure(runs[arm])["pass_at_1_greedy"] for arm in selections},
            families,
            {arm: compared_with(study, arm) for arm in selections},
        ),
        "decision": decision.to_json() if decision is not None else None,
        "missing": missing(raw),
        "search": about["search"],
        "hours": about["hours"],
        "hardware": about["hardware"],
    }


def missing(raw: RawStudy) -> list[str]:
    """What is not there: what was missing when the numbers were collected, and what is missing now."""
    study = raw.study
    absent = [
        f"{arm}/{seed}" for arm in study.arms for seed in study.arm_seeds(arm) if seed not in raw.runs.get(arm, {})
    ]
    for writer in study.selection.readers if study.selection is not None else ():
        for seed in study.arm_seeds(writer):
            found = raw.selections.get(writer, {}).get(seed)
            if found is None:
                absent.append(f"programs/{writer}/{seed}")
                continue
            readers = study.selections(seed)[writer]
            absent += [f"predictions/{writer}/{one}/{seed}" for one in readers if one not in found["readers"]]
    return list(dict.fromkeys([*raw.about["missing"], *absent]))


def by_measure(runs: Mapping[int, Raw]) -> dict[Measured, BySeed]:
    """Measure → seed → one value per problem."""
    found = {seed: values(raw) for seed, raw in runs.items()}
    return {
        name: {seed: numbers[name] for seed, numbers in found.items()}
        for name in LABELS
        if all(name in numbers for numbers in found.values())
    }


def _measured(runs: Mapping[str, Mapping[int, Raw]]) -> list[Measured]:
    """What was measured of some arm; where there is no run, all that every study measures."""
    found = {name for arm in runs.values() for name in by_measure(arm)}
    optional = ("pass_at_1_again", "pass_at_1_without")
    return [name for name in LABELS if name in found or (not found and name not in optional)]


def _arm(raw: RawStudy, arm: str, runs: Mapping[int, Raw]) -> dict[str, Any]:
    study, families = raw.study, raw.about["families"]
    measured = by_measure(runs)
    spreads = {name: mean_over_seeds(by_seed, of_measure(families, name)) for name, by_seed in measured.items()}
    cost = None
    if "pass_at_1_without" in measured:
        whole, without = measured["pass_at_1_greedy"], measured["pass_at_1_without"]
        cost = difference(whole, without, of_measure(families, "pass_at_1_greedy"))
    return {
        "name": arm,
        "label": study.label(arm),
        "initial_model": study.initial_model_of(arm),
        "seeds": list(runs),
        "measures": {name: spread.to_json() for name, spread in spreads.items() if spread is not None},
        **({} if cost is None else {"cost_of_without": cost.to_json()}),
        "training_samples": mean([raw["training_samples"] for raw in runs.values()]),
        "training_seconds": mean([raw["training_seconds"] for raw in runs.values()]),
        "chosen": next(iter(runs.values())).get("chosen", {}),
        "kinds": _mean_of_each([raw.get("kinds", {}) for raw in runs.values()]),
    }


def _mean_of_each(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number that some have, over those."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: mean([one[name] for one in found if name in one]) for name in names}


def _differences(
    raw: RawStudy, runs: Mapping[str, Mapping[int, Raw]], curves: Mapping[str, Mapping[int, Sequence[Point]]]
) -> list[dict[str, Any]]:
    """Every arm against those that it is to be compared with, at equal steps and at equal seconds."""
    study, found = raw.study, []
    for arm in runs:
        for other in compared_with(study, arm):
            if other not in runs or not set(runs[arm]) & set(runs[other]):
                continue
            ours, theirs = by_measure(runs[arm]), by_measure(runs[other])
            measures = {}
            for name in [name for name in ours if name in theirs]:
                spread = difference(ours[name], theirs[name], of_measure(raw.about["families"], name))
                if spread is not None:
                    base = mean_over_seeds({seed: theirs[name][seed] for seed in theirs[name] if seed in ours[name]})
                    relative = spread.mean / base.mean if base is not None and base.mean else None
                    measures[name] = spread.to_json() | {"relative": relative}
            seconds = {name: spread.to_json() for name, spread in at_equal_seconds(curves[arm], curves[other]).items()}
            found.append(
                {
                    "arm": arm,
                    "against": other,
                    "label": f"{study.label(arm)} − {study.label(other)}",
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


def _shown_curve(study: Study, arm: str, curve: Sequence[Point]) -> dict[str, Any]:
    names = sorted({name for point in curve for name in point.values})
    return {
        "arm": arm,
        "label": study.label(arm),
        "step": [point.step for point in curve],
        "samples": [round(point.samples) for point in curve],
        "seconds": [round(point.seconds, 1) for point in curve],
        "values": {name: [round(point.values[name], 5) for point in curve] for name in names},
    }


def _distinct(runs: Mapping[str, Mapping[int, Raw]], name: str) -> list[Any]:
    """What the runs say under a name; `None` where it was not recorded."""
    return list(dict.fromkeys(raw.get(name) for found in runs.values() for raw in found.values()))


def _commits(raw: RawStudy) -> list[Any]:
    """The commits that wrote programs to choose from, and predicted what they do."""
    parts = [part for of in raw.selections.values() for one in of.values() for part in (one, *one["readers"].values())]
    return [part["commit"] for part in parts if part.get("commit") is not None]


def _counts(raw: RawStudy, runs: Mapping[str, Mapping[int, Raw]]) -> dict[str, int]:
    one = next((raw for found in runs.values() for raw in found.values()), None)
    if one is None:
        return {}
    return {
        "problems": len(one["greedy"]),
        "families": len(set(of_measure(raw.about["families"], "pass_at_k") or range(len(one["greedy"])))),
        "tasks": len(one["output"]),
        "test_outputs": len(one["test_output"]),
        "samples": one["samples"],
    }
