"""What the rules of docs/preregistration are made of: checks of numbers, decisions, and the raw numbers of a study as
values by seed. Percentages there are shares here; a bound is that of the interval over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coderlplus_lab.study.differences import BySeed, Spread, difference, mean_over_seeds
from coderlplus_lab.study.measures import values
from coderlplus_lab.study.raw import of_measure
from coderlplus_lab.study.selection import Chosen, at, by_reader
from coderlplus_lab.study.settings import Measured, Study

SEEDS = (10, 11, 12, 13, 14)
"""The seeds that are registered: a rule is about these, whatever seeds a recipe has."""
FIRST = SEEDS[:3]
"""After these a manipulation that failed ends a study."""
EXACT = 6
"""Digits to which numbers are compared with a threshold, so that a mean of .05 is not below it by its last bit."""


@dataclass(frozen=True, slots=True)
class Check:
    """A number that a rule asks for: what it is, its spread, what is asked of it (empty: nothing, it is told beside
    the decision), whether it holds, and whether it is a `level` and no difference."""

    what: str
    spread: Spread
    asked: str = ""
    holds: bool | None = None
    level: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Sentences with what is `decided`, or keys of what is `missing`."""

    decided: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        checks = [asdict(check) | {"spread": check.spread.to_json()} for check in self.checks]
        return {"decided": list(self.decided), "checks": checks, "missing": list(self.missing)}


class Numbers:
    """The raw numbers of a study as values by seed, of the registered seeds; what is asked for and not there is noted
    in `missing`. `families` are those of problems, tasks and questions (see `raw.families_in`)."""

    def __init__(
        self,
        study: Study,
        runs: Mapping[str, Mapping[int, Mapping[str, Any]]],
        selections: Mapping[str, Mapping[int, Chosen]],
        families: Mapping[str, Any],
    ) -> None:
        self._study, self._runs, self._selections, self._families = study, runs, selections, families
        self.missing: dict[str, None] = {}

    def label(self, arm: str) -> str:
        return self._study.label(arm)

    def measured(self, arm: str, name: Measured) -> BySeed:
        found = {seed: numbers for seed, raw in self._of(arm).items() if (numbers := values(raw).get(name))}
        self._note(found, arm)
        return found

    def chosen(self, writer: str, selector: str) -> BySeed:
        """What a selector is worth for the programs of an arm."""
        found = at(self._selections.get(writer, {}), selector)
        reader = selector.removeprefix(by_reader(""))
        job = f"programs/{writer}" if reader == selector else f"predictions/{writer}/{reader}"
        self._note(found, job)
        return {seed: found[seed] for seed in SEEDS if seed in found}

    def last_points(self, arms: Sequence[str]) -> dict[str, dict[int, Mapping[str, float]]]:
        """The last point of the curve on the validation split, by arm and seed. A curve that ends before the longest
        of them has no last point."""
        curves = {arm: {seed: raw.get("curve") or [] for seed, raw in self._of(arm).items()} for arm in arms}
        last = max((curve[-1]["step"] for of in curves.values() for curve in of.values() if curve), default=0)
        found: dict[str, dict[int, Mapping[str, float]]] = {
            arm: {seed: curve[-1]["values"] for seed, curve in of.items() if curve and curve[-1]["step"] == last}
            for arm, of in curves.items()
        }
        for arm in arms:
            self._note(found[arm], f"{arm} (curve)")
        return found

    def recorded(self, arm: str, name: str) -> Spread | None:
        """A mean over the steps of a run, where all seeds have it."""
        found = [raw.get("kinds", {}).get(name) for raw in self._of(arm).values()]
        known = [[value] for value in found if value is not None]
        return mean_over_seeds(dict(enumerate(known))) if known and len(known) == len(found) else None

    def minus(self, ours: BySeed, theirs: BySeed, name: Measured = "pass_at_1_greedy") -> Spread:
        """The paired difference of two sides that are there, of what a measure is of."""
        return known(difference(ours, theirs, of_measure(self._families, name)))

    def level(self, measured: BySeed, name: Measured) -> Spread:
        return known(mean_over_seeds(measured, of_measure(self._families, name)))

    def _of(self, arm: str) -> dict[int, Mapping[str, Any]]:
        runs = self._runs.get(arm, {})
        return {seed: runs[seed] for seed in SEEDS if seed in runs}

    def _note(self, found: Mapping[int, Any], name: str) -> None:
        self.missing |= dict.fromkeys(f"{name}/{seed}" for seed in SEEDS if seed not in found)


def first_seeds(*measured: BySeed) -> list[dict[int, Sequence[float]]] | None:
    """The values of the first seeds, where all are there."""
    if not all(seed in one for one in measured for seed in FIRST):
        return None
    return [{seed: one[seed] for seed in FIRST} for one in measured]


def above(spread: Spread, bound: float) -> bool:
    """Whether the lower bound over seeds is above `bound`. One seed has no lower bound, so the answer is no."""
    return spread.low is not None and round(spread.low - bound, EXACT) > 0


def below(spread: Spread, bound: float) -> bool:
    """Whether the upper bound over seeds is below `bound`."""
    return spread.high is not None and round(spread.high - bound, EXACT) < 0


def at_least(value: float, least: float) -> bool:
    return round(value - least, EXACT) >= 0


def more_than(value: float, bound: float) -> bool:
    return round(value - bound, EXACT) > 0


def known(spread: Spread | None) -> Spread:
    """A spread of numbers that are all there."""
    assert spread is not None
    return spread
