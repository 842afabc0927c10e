"""Probes of hidden states in a study: `coderlplus-lab probe` on the models of a seed, and what it said over the
seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from coderlplus.progress import silent
from coderlplus_lab.probes.probe_page import write_probe_page
from coderlplus_lab.probes.results import read_results
from coderlplus_lab.probes.run import OWN, ProbeSettings, probe
from coderlplus_lab.study.differences import spread_of
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.runs import model_of
from coderlplus_lab.study.settings import Study

PROGRAMS = ("task", "given", OWN)
"""Whose programs are read: those of alignment tasks, the references of problems, and what each model writes itself."""


def probe_seed(study: Study, layout: StudyFolder, seed: int) -> None:
    """Probe the models of a seed, on the problems and alignment tasks of the test split."""
    assert study.probe is not None
    settings = ProbeSettings(
        rows=study.probe.rows,
        layers=study.probe.layers,
        max_tokens=study.measure.max_new_tokens,
        prompt=study.train.get("prompt_template"),
    )
    models = {arm: model_of(study, layout, arm, seed) for arm in study.probe.arms}
    folder = layout.probe(seed)
    open_tracer = partial(study.sandbox.open_for_tracing, None)
    probe(folder, models, [layout.problems("test"), layout.tasks("test")], settings, silent, open_tracer)
    write_probe_page(folder)


def read_probes(study: Study, layout: StudyFolder) -> dict[int, dict[str, Any]]:
    """Seed → what its probes say over facts and layers, of the seeds that are probed."""
    found = {}
    for seed in study.probe_seeds():
        if (layout.probe(seed) / "results.json").exists():
            results = read_results(layout.probe(seed))
            parts = {name: {"summary": part["summary"]} for name, part in results["parts"].items()}
            found[seed] = {"parts": parts, "own_differences": results["own_differences"]}
    return found


def probe_numbers(
    study: Study, seeds: Mapping[int, Mapping[str, Any]], pairs: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """What hidden states tell beyond the text, for each kind of programs and marks: a spread for each arm, and for
    each of `pairs` of arms (ours, theirs) that of the difference, over the `seeds` that are probed (see
    `read_probes`). A mark that a seed has too few rows for is there for the other seeds."""
    if study.probe is None:
        return []
    arms = study.probe.arms
    asked = [pair for pair in pairs if set(pair) <= set(arms)]
    found = []
    for programs in PROGRAMS:
        marks = dict.fromkeys(
            mark for results in seeds.values() for arm in arms for mark in _summary(results, programs, arm)
        )
        for mark in marks:
            by_arm = {arm: [_summary(results, programs, arm).get(mark) for results in seeds.values()] for arm in arms}
            by_pair = [
                (pair, [_difference(results, programs, mark, *pair) for results in seeds.values()]) for pair in asked
            ]
            found.append(
                {
                    "programs": programs,
                    "mark": mark,
                    "seeds": list(seeds),
                    "arms": {arm: spread for arm, one in by_arm.items() if (spread := _spread(one)) is not None},
                    "differences": [
                        {"arm": arm, "against": other} | spread
                        for (arm, other), one in by_pair
                        if (spread := _spread(one)) is not None
                    ],
                }
            )
    return found


def _summary(results: Mapping[str, Any], programs: str, arm: str) -> dict[str, Mapping[str, float]]:
    """Mark → selectivity of a model over the facts of the run, with its interval over programs."""
    part = results["parts"].get(f"{OWN}/{arm}" if programs == OWN else programs, {"summary": {}})
    return {mark: over["models"][arm]["selectivity"] for mark, over in part["summary"].items()}


def _difference(
    results: Mapping[str, Any], programs: str, mark: str, arm: str, other: str
) -> Mapping[str, float] | None:
    """Arm minus other. On the same programs controls are the same, and what is left is the difference in what is
    right."""
    given = results["parts"].get(programs, {"summary": {}})["summary"].get(mark, {"differences": []})["differences"]
    rows = [one for one in results["own_differences"] if one["mark"] == mark] if programs == OWN else given
    for one in rows:
        if (one["a"], one["b"]) == (other, arm):
            return {name: one[name] for name in ("mean", "low", "high")}
        if (one["a"], one["b"]) == (arm, other):
            return {"mean": -one["mean"], "low": -one["high"], "high": -one["low"]}
    return None


def _spread(estimates: Iterable[Mapping[str, float] | None]) -> dict[str, Any] | None:
    """Over seeds; of one seed over programs."""
    known = [one for one in estimates if one is not None]
    if not known:
        return None
    alone = known[0] if len(known) == 1 else {}
    return spread_of([one["mean"] for one in known], (alone.get("low"), alone.get("high"))).to_json()
