"""What choosing among an arm's own programs is worth: raw numbers (see `selecting`) → shares of problems that pass.

Of n samples the one of the highest rank is kept; of several the mean counts. The n are disjoint groups of the same
samples, and a problem's value is the mean over its groups. Standard library only.
"""

from __future__ import annotations

import base64
import bz2
from collections.abc import Mapping, Sequence
from typing import Any

from coderlplus.evaluation.metrics import mean
from coderlplus_lab.study.differences import BySeed, Families, Spread, difference, mean_over_seeds
from coderlplus_lab.study.settings import Study

Raw = Mapping[str, Any]
N = 8
"""The number of samples at which choices are compared."""
OWN = "its own predictions"
RANDOM, LOGPROB, EXECUTION = "random", "logprob", "execution"
Chosen = Mapping[str, Mapping[int, Sequence[float]]]
"""Selector → n → one value a problem."""
Group = tuple[int, int, int]
"""The highest rank of a group of samples, how many have it, and how many of those pass."""


def pack(rows: Sequence[Sequence[int]]) -> str:
    """Rows of numbers as one short text: lines of them, compressed by bz2, in base 85.

    >>> unpack(pack([[0, 1, -1], [], [12]]))
    [[0, 1, -1], [], [12]]
    """
    text = "\n".join(" ".join(map(str, row)) for row in rows)
    return base64.b85encode(bz2.compress(text.encode())).decode()


def unpack(packed: str) -> list[list[int]]:
    """What was packed. Raises `ValueError` for another text."""
    try:
        text = bz2.decompress(base64.b85decode(packed)).decode()
    except OSError as error:
        raise ValueError(str(error)) from error
    return [[int(number) for number in line.split()] for line in text.split("\n")]


def check_programs(raw: Raw, problems: int) -> None:
    """Raises `ValueError`, `KeyError` or `TypeError` where the numbers are not those of programs for so many
    problems."""
    which, logprob, passed, executed = (unpack(raw[name]) for name in ("which", "logprob", "passed", "executed"))
    _same_shape("which", which, [raw["samples"]] * problems)
    _same_shape("logprob", logprob, list(map(len, which)))
    for place, of in enumerate(which, 1):
        if set(of) != set(range(max(of, default=-1) + 1)):
            raise ValueError(f"row {place} of which leaves out a program")
    programs = [len(set(of)) for of in which]
    _same_shape("passed", passed, programs)
    _same_shape("executed", executed, programs)
    float(raw["tokens"]["prompt"] + raw["tokens"]["completion"])


def check_predictions(raw: Raw, predicted: Raw) -> None:
    """Raises `ValueError`, `KeyError` or `TypeError` where the predictions are not those about the programs of
    `raw`."""
    _same_shape("predicted", unpack(predicted["predicted"]), list(map(len, unpack(raw["passed"]))))
    float(predicted["questions"] + sum(predicted["tokens"].values()))


def _same_shape(name: str, rows: Sequence[Sequence[int]], sizes: Sequence[int]) -> None:
    if len(rows) != len(sizes):
        raise ValueError(f"{name} has {len(rows)} rows for {len(sizes)} problems")
    for place, (row, size) in enumerate(zip(rows, sizes, strict=True), 1):
        if len(row) != size:
            raise ValueError(f"row {place} of {name} has {len(row)} numbers instead of {size}")


def by_reader(arm: str) -> str:
    """The selector by the predictions of an arm's model."""
    return f"by_{arm}"


def chosen(raw: Raw) -> dict[str, dict[int, list[float]]]:
    """The values of every selector for an arm with a seed."""
    which, passed = unpack(raw["which"]), unpack(raw["passed"])
    of_programs = {
        RANDOM: [[0] * len(row) for row in passed],
        **{by_reader(arm): unpack(one["predicted"]) for arm, one in raw["readers"].items()},
        EXECUTION: unpack(raw["executed"]),
    }
    ranks = {
        name: [[row[place] for place in of] for of, row in zip(which, rows, strict=True)]
        for name, rows in of_programs.items()
    }
    ranks[LOGPROB] = unpack(raw["logprob"])
    right = [[row[place] for place in of] for of, row in zip(which, passed, strict=True)]
    order = [RANDOM, LOGPROB, *(name for name in of_programs if name != RANDOM)]
    return {name: _columns([choices(*one) for one in zip(right, ranks[name], strict=True)]) for name in order}


def choices(passed: Sequence[int], ranks: Sequence[int]) -> dict[int, float]:
    """n = 1, 2, 4, … → the value of a problem; `passed` and `ranks` have one number a sample. Groups are made of two
    neighbours of half their size.

    >>> choices([0, 1, 1, 0], [5, 5, 5, 7])
    {1: 0.5, 2: 0.25, 4: 0.0}
    """
    groups = [(rank, 1, right) for rank, right in zip(ranks, passed, strict=True)]
    found, n = {}, 1
    while groups:
        found[n] = mean([right / count for _, count, right in groups])
        groups = [_merged(*pair) for pair in zip(groups[::2], groups[1::2], strict=False)]
        n *= 2
    return found


def different_programs(raw: Raw) -> dict[int, float]:
    """n → how many programs are different in a group of n, the mean over groups and problems."""
    found: dict[int, list[float]] = {}
    for of in unpack(raw["which"]):
        n = 1
        while n <= len(of):
            sizes = [len(set(of[start : start + n])) for start in range(0, len(of) - n + 1, n)]
            found.setdefault(n, []).append(mean(sizes))
            n *= 2
    return {n: mean(values) for n, values in found.items()}


def at(runs: Mapping[int, Chosen], selector: str, n: int = N) -> BySeed:
    """Seed → one value a problem, of the seeds that have it."""
    return {seed: one[selector][n] for seed, one in runs.items() if n in one.get(selector, {})}


def selection_numbers(
    study: Study,
    raws: Mapping[str, Mapping[int, Raw]],
    values: Mapping[str, Mapping[int, Chosen]],
    greedy: Mapping[str, BySeed],
    families: Families,
    compared: Mapping[str, Sequence[str]],
) -> dict[str, Any] | None:
    """Levels by n, differences at `N`, and tokens. `values` are those of `chosen`, of writers and seeds that have
    raw numbers; `greedy` are values of greedy decoding, and `compared` the arms that a writer is compared with."""
    if not raws:
        return None
    return {
        "n": N,
        "writers": [
            {
                "arm": arm,
                "label": study.label(arm),
                "seeds": list(raws[arm]),
                "greedy": _json(mean_over_seeds(_of(greedy[arm], raws[arm]), families)),
                "selectors": [_levels(study, arm, name, values[arm], families) for name in _names(values[arm])],
                "cost": _cost(arm, raws[arm]),
            }
            for arm in raws
        ],
        "differences": [
            {"label": label, "spread": spread.to_json()}
            for label, ours, theirs in _pairs(study, values, greedy, compared)
            if (spread := difference(ours, theirs, families)) is not None
        ],
    }


def selector_label(study: Study, writer: str, name: str) -> str:
    """What a selector is called for the programs of an arm."""
    words = {RANDOM: "random choice", LOGPROB: "log-probability", EXECUTION: "execution of the examples"}
    if name in words:
        return words[name]
    reader = name.removeprefix(by_reader(""))
    return OWN if reader == writer else f"predictions of {study.label(reader)}"


def _pairs(
    study: Study,
    values: Mapping[str, Mapping[int, Chosen]],
    greedy: Mapping[str, BySeed],
    compared: Mapping[str, Sequence[str]],
) -> list[tuple[str, BySeed, BySeed]]:
    """What is compared: an arm's own choice with that of other arms, with what costs nothing, and with choices by
    other readers."""
    found = []
    for arm, runs in values.items():
        own, label = at(runs, by_reader(arm)), study.label(arm)
        for other in (other for other in compared.get(arm, ()) if other in values):
            theirs = at(values[other], by_reader(other))
            found.append((f"{label} by itself − {study.label(other)} by itself", own, theirs))
        for name in (RANDOM, LOGPROB):
            found.append((f"{label}: by itself − {selector_label(study, arm, name)}", own, at(runs, name)))
        found.append((f"{label}: by itself − greedy decoding", own, greedy[arm]))
        for name in _names(runs):
            if name.startswith(by_reader("")) and name != by_reader(arm):
                reader = study.label(name.removeprefix(by_reader("")))
                found.append((f"{label}: by {reader} − by itself", at(runs, name), own))
    return found


def _levels(study: Study, arm: str, name: str, runs: Mapping[int, Chosen], families: Families) -> dict[str, Any]:
    sizes = next(iter(runs.values()))[name]
    spreads = {n: mean_over_seeds(at(runs, name, n), families) for n in sizes}
    return {
        "name": name,
        "label": selector_label(study, arm, name),
        "sizes": {n: spread.to_json() for n, spread in spreads.items() if spread is not None},
    }


def _names(runs: Mapping[int, Chosen]) -> list[str]:
    """The selectors that all seeds have."""
    first, *others = runs.values()
    return [name for name in first if all(name in one for one in others)]


def _cost(arm: str, raws: Mapping[int, Raw]) -> dict[str, Any]:
    """Means over seeds, for a problem: different programs in a group of n and in all, tokens of its prompt and of a
    program, and predictions that the writer was asked for, with tokens of one, its prompt included."""
    problems = len(unpack(next(iter(raws.values()))["which"]))
    programs = [different_programs(raw) for raw in raws.values()]
    asked = [raw["readers"][arm] for raw in raws.values() if arm in raw["readers"]]
    return {
        "of_all": mean([len(set(of)) for raw in raws.values() for of in unpack(raw["which"])]),
        "programs": {n: round(mean([one[n] for one in programs]), 3) for n in programs[0]},
        "prompt": mean([raw["tokens"]["prompt"] for raw in raws.values()]),
        "program": mean([raw["tokens"]["completion"] for raw in raws.values()]),
        "prediction": mean([sum(one["tokens"].values()) for one in asked]) if asked else 0.0,
        "questions": mean([one["questions"] for one in asked]) / problems if asked else 0.0,
    }


def _of(by_seed: BySeed, seeds: Mapping[int, Any]) -> BySeed:
    return {seed: by_seed[seed] for seed in seeds if seed in by_seed}


def _json(spread: Spread | None) -> dict[str, Any] | None:
    return None if spread is None else spread.to_json()


def _merged(one: Group, other: Group) -> Group:
    if one[0] != other[0]:
        return max(one, other)
    return one[0], one[1] + other[1], one[2] + other[2]


def _columns(problems: Sequence[Mapping[int, float]]) -> dict[int, list[float]]:
    return {n: [values[n] for values in problems] for n in problems[0]}
