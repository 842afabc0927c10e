"""Facts → rows: which marks a probe of a fact learns from and is asked about.

The rows of a fact are drawn so that each class has as many: guessing is right one time in as many as there are
classes. Of the classes those are kept that give the most rows; what has too few is not probed and the reader is told.
Rows are chosen before any model is asked, the same for all models.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from coderlplus_lab.probes.facts import SURFACE
from coderlplus_lab.probes.passages import MarkKind, Passage

MAX_CLASSES = 10
MIN_ROWS, MIN_UNITS = 30, 20
"""Rows and different programs that a class must have."""
_WITHOUT_VALUE = SURFACE | {"branch", "turns", "raises"}
"""Facts that are not about a value, which could stand in the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact at a kind of mark. `shown`: only where the value stands in the text before the mark (else: only where it
    does not)."""

    mark: MarkKind
    name: str
    shown: bool = False

    @property
    def key(self) -> str:
        return f"{self.mark}/{self.name}{'/shown' if self.shown else ''}"

    @property
    def is_control(self) -> bool:
        """Whether the text has it: a fact of its surface, or a value that stands in it."""
        return self.shown or self.name in SURFACE


@dataclass(frozen=True, slots=True, kw_only=True)
class FactRows:
    """The rows of a fact: for each its place among the marks that are looked at, its class and its program, by
    number."""

    fact: Fact
    classes: tuple[str, ...]
    places: tuple[int, ...]
    labels: tuple[int, ...]
    units: tuple[int, ...]

    @property
    def chance(self) -> float:
        return 1 / len(self.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The marks to look at, as (passage, mark in it), in that order; the rows of each fact; why other facts have
    none."""

    marks: tuple[tuple[int, int], ...]
    facts: tuple[FactRows, ...]
    left_out: dict[str, str]


def select(passages: Sequence[Passage], *, rows: int, seed: int) -> Selection:
    """Choose at most `rows` rows for each fact of the passages."""
    found: dict[Fact, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for index, passage in enumerate(passages):
        for place, mark in enumerate(passage.marks):
            for name, label in mark.facts.items():
                fact = Fact(mark=mark.kind, name=name, shown=mark.shown and name not in _WITHOUT_VALUE)
                found[fact][label].append((index, place))
    chosen: dict[Fact, list[tuple[str, list[tuple[int, int]]]]] = {}
    left_out: dict[str, str] = {}
    for fact in sorted(found, key=lambda one: one.key):
        labels = [(label, at) for label, at in found[fact].items() if _is_enough(at, passages)]
        count, each = _shape([len(at) for _, at in labels], rows)
        if count < 2:
            largest = Counter({label: len(at) for label, at in found[fact].items()}).most_common(3)
            sizes = ", ".join(f"{label} ({size})" for label, size in largest)
            left_out[fact.key] = f"fewer than two classes with enough rows: {sizes}"
            continue
        labels.sort(key=lambda item: (-len(item[1]), item[0]))
        rng = random.Random(f"{seed}/{fact.key}")
        chosen[fact] = [
            (label, sorted(rng.sample(at, each)))
            for label, at in sorted(labels[:count], key=lambda item: _order(item[0]))
        ]
    marks = sorted({at for classes in chosen.values() for _, places in classes for at in places})
    place_of = {at: place for place, at in enumerate(marks)}
    unit_of = {unit: number for number, unit in enumerate(sorted({passage.unit for passage in passages}))}
    facts = []
    for fact, classes in chosen.items():
        members = sorted((at, number) for number, (_, places) in enumerate(classes) for at in places)
        facts.append(
            FactRows(
                fact=fact,
                classes=tuple(label for label, _ in classes),
                places=tuple(place_of[at] for at, _ in members),
                labels=tuple(number for _, number in members),
                units=tuple(unit_of[passages[index].unit] for (index, _), _ in members),
            )
        )
    return Selection(marks=tuple(marks), facts=tuple(facts), left_out=left_out)


def _is_enough(at: Sequence[tuple[int, int]], passages: Sequence[Passage]) -> bool:
    return len(at) >= MIN_ROWS and len({passages[index].unit for index, _ in at}) >= MIN_UNITS


def _shape(sizes: Sequence[int], rows: int) -> tuple[int, int]:
    """How many classes, the largest ones, and how many rows of each: what gives the most rows, of equals the most
    classes.

    >>> _shape([500, 480, 60], 1000), _shape([300, 300, 290], 1000), _shape([50], 1000)
    ((2, 480), (3, 290), (0, 0))
    """
    best = (0, 0, 0)
    for count, size in enumerate(sorted(sizes, reverse=True)[:MAX_CLASSES], 1):
        each = min(size, rows // count)
        if count > 1:
            best = max(best, (count * each, count, each))
    return best[1:]


def _order(label: str) -> tuple[bool, float, str]:
    """Numbers by size, then words."""
    try:
        return False, float(label), ""
    except ValueError:
        return True, 0.0, label
