"""Scores of all probes → `results.json` and `results.md`.

*Selectivity* is what a probe of a model's hidden states gets right beyond the better of two readers that have the text
but no training: the same probe on the tokens alone, and on an untrained model of the same shape at the same layer.
*Mean* is over all layers probed but the embedding: no layer is picked because it did well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coderlplus.evaluation.results_files import read_results_file, write_results_files
from coderlplus_lab.probes.rows import FactRows
from coderlplus_lab.probes.scores import NO_LAYER, difference, estimate, over_facts, shares, unpaired

if TYPE_CHECKING:
    import numpy as np

Right = Callable[[str, str, int, bool], Sequence[int]]
"""Reader, fact, layer, shuffled → rows right by program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Who reads a part: model → its control of the same shape, model → its tokens' name, the layers of each."""

    untrained: Mapping[str, str]
    tokens: Mapping[str, str]
    layers: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The shares of one fact for one model: by layer and their mean, and what is taken off for selectivity."""

    by_layer: dict[int, np.ndarray]
    mean: np.ndarray
    control_by_layer: dict[int, np.ndarray]
    control_mean: np.ndarray


def fact_numbers(rows: FactRows, readers: Readers, right: Right) -> tuple[dict[str, Any], dict[str, _Read]]:
    """The numbers of one fact in one part, and the shares that summaries need."""
    key = rows.fact.key

    def of(reader: str, layer: int, shuffled: bool = False) -> np.ndarray:
        return shares(right(reader, key, layer, shuffled), rows.units)

    read: dict[str, _Read] = {}
    models: dict[str, Any] = {}
    for model, control in readers.untrained.items():
        layers = list(readers.layers[model])
        deep = [layer for layer in layers if layer > 0]
        tokens = of(readers.tokens[model], NO_LAYER)
        scores = {layer: of(model, layer) for layer in layers}
        blank = {layer: of(control, layer) for layer in layers}
        blank_mean = _mean([blank[layer] for layer in deep])
        read[model] = one = _Read(
            by_layer=scores,
            mean=_mean([scores[layer] for layer in deep]),
            control_by_layer={layer: _better(blank[layer], tokens) for layer in layers},
            control_mean=_better(blank_mean, tokens),
        )
        models[model] = {
            "layers": layers,
            "score": [asdict(estimate(scores[layer])) for layer in layers],
            "selectivity": [asdict(difference(scores[layer] - one.control_by_layer[layer])) for layer in layers],
            "mean_score": asdict(estimate(one.mean)),
            "mean_selectivity": asdict(difference(one.mean - one.control_mean)),
            "shuffled": asdict(estimate(_mean([of(model, layer, shuffled=True) for layer in deep]))),
            "untrained": [asdict(estimate(blank[layer])) for layer in layers],
            "untrained_mean": asdict(estimate(blank_mean)),
            "tokens": asdict(estimate(tokens)),
        }
    numbers = {
        "mark": rows.fact.mark,
        "fact": rows.fact.name,
        "shown": rows.fact.shown,
        "control": rows.fact.is_control,
        "classes": list(rows.classes),
        "chance": rows.chance,
        "rows": len(rows.labels),
        "programs": len(set(rows.units)),
        "models": models,
        "differences": [_differences(a, b, read) for a, b in _pairs(read)],
    }
    return numbers, read


Part = tuple[Sequence[FactRows], Sequence[Mapping[str, _Read]]]
"""The facts of a part, and for each what its models read."""


def summary(part: Part) -> dict[str, Any]:
    """For each kind of mark, over its facts of the run (no controls): mean score and selectivity of each model,
    differences of each pair."""
    found: dict[str, Any] = {}
    for mark in dict.fromkeys(rows.fact.mark for rows in part[0]):
        chosen = [
            (_programs(rows), read)
            for rows, read in zip(*part, strict=True)
            if rows.fact.mark == mark and not rows.fact.is_control
        ]
        if chosen:
            found[mark] = {"facts": len(chosen), **_summary(chosen)}
    return found


def _summary(chosen: Sequence[tuple[Sequence[int], Mapping[str, _Read]]]) -> dict[str, Any]:
    def over(value: Callable[[Mapping[str, _Read]], np.ndarray]) -> dict[str, float]:
        return asdict(over_facts([(programs, value(read)) for programs, read in chosen]))

    models = {}
    for model in chosen[0][1]:
        score = over(lambda read, model=model: read[model].mean)  # type: ignore[misc]
        selectivity = over(lambda read, model=model: read[model].mean - read[model].control_mean)  # type: ignore[misc]
        models[model] = {"score": score, "selectivity": selectivity}
    differences = [
        {"a": a, "b": b, **over(lambda read, a=a, b=b: read[b].mean - read[a].mean)}  # type: ignore[misc]
        for a, b in _pairs(models)
    ]
    return {"models": models, "differences": differences}


def own_differences(parts: Mapping[str, Part]) -> list[dict[str, Any]]:
    """B minus A in selectivity over the facts of the run at each kind of mark, where each model read its own programs:
    for facts that both have, with the same classes."""
    found = []
    for a, b in _pairs(parts):
        of_a, of_b = (_selectivity(parts[model], model) for model in (a, b))
        common = [key for key in of_a if key in of_b]
        for mark in dict.fromkeys(mark for mark, *_ in common):
            estimates = [over_facts([of[key] for key in common if key[0] == mark]) for of in (of_a, of_b)]
            found.append({"a": a, "b": b, "mark": mark, **asdict(unpaired(*estimates))})
    return found


def _selectivity(part: Part, model: str) -> dict[tuple[str, str, tuple[str, ...]], tuple[Sequence[int], np.ndarray]]:
    """(Mark, fact, classes) → programs and their selectivity, for the facts of the run."""
    return {
        (rows.fact.mark, rows.fact.name, rows.classes): (_programs(rows), read[model].mean - read[model].control_mean)
        for rows, read in zip(*part, strict=True)
        if not rows.fact.is_control
    }


def _programs(rows: FactRows) -> list[int]:
    """The numbers of the programs of a fact's rows, in order."""
    return sorted(set(rows.units))


def _differences(a: str, b: str, read: Mapping[str, _Read]) -> dict[str, Any]:
    """B minus A on the same rows: by layer, where both have it, and of the means."""
    common = [layer for layer in read[a].by_layer if layer in read[b].by_layer]
    return {
        "a": a,
        "b": b,
        "layers": common,
        "difference": [asdict(difference(read[b].by_layer[layer] - read[a].by_layer[layer])) for layer in common],
        "mean_difference": asdict(difference(read[b].mean - read[a].mean)),
    }


def _pairs(models: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = list(models)
    return [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]


def _mean(vectors: Sequence[np.ndarray]) -> np.ndarray:
    found: np.ndarray = sum(vectors[1:], start=vectors[0]) / len(vectors)
    return found


def _better(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one if one.mean() >= other.mean() else other


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write `results.json` and `results.md`. Raises `DataError` if that cannot be."""
    write_results_files(folder, results, markdown(results))


def read_results(folder: Path) -> dict[str, Any]:
    """`results.json` of a folder. Raises `DataError` if there is none."""
    return read_results_file(folder, command="probe", part="parts")


def markdown(results: Mapping[str, Any]) -> str:
    """The results as Markdown tables, in percent."""
    head = "| fact | classes | rows | model | score | tokens | untrained | shuffled | selectivity (95 % interval) |"
    lines: list[str] = []
    for name, part in results["parts"].items():
        lines += [f"**{name}**", "", head, "|---|---:|---:|---|---:|---:|---:|---:|---:|"]
        for key, fact in part["facts"].items():
            for model, one in fact["models"].items():
                columns = ("mean_score", "tokens", "untrained_mean", "shuffled")
                cells = [f"{100 * one[column]['mean']:.1f}" for column in columns]
                cells.append(points(one["mean_selectivity"]))
                lines.append(f"| {key} | {len(fact['classes'])} | {fact['rows']} | {model} | {' | '.join(cells)} |")
        for mark, over in part["summary"].items():
            for model, one in over["models"].items():
                score, selectivity = f"{100 * one['score']['mean']:.1f}", points(one["selectivity"])
                lines.append(f"| {mark}, all facts | | | {model} | {score} | | | | {selectivity} |")
        lines.append("")
        for mark, over in part["summary"].items():
            lines += [f"* {mark}, all facts, {one['b']} − {one['a']}: {points(one)}" for one in over["differences"]]
        lines.append("")
    for one in results["own_differences"]:
        lines.append(f"* own programs, {one['mark']}, all facts, selectivity, {one['b']} − {one['a']}: {points(one)}")
    return "\n".join(lines) + "\n"


def points(one: Mapping[str, float]) -> str:
    """A difference in points with its interval.

    >>> points({"mean": 0.051, "low": 0.04, "high": 0.062})
    '+5.1 (+4.0 to +6.2)'
    """
    return f"{100 * one['mean']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
