"""Problems that stand in the evaluation sets, found by the runs of words that two statements have in common.

A word is a run of letters, in lower case; numbers and signs do not count, so changed examples do not hide a copy. Two
statements *overlap* by the share of words, of the one or the other, whichever is more, that lie in runs of `RUN_WORDS`
words which both have. A problem that overlaps with a benchmark's by half (`MOST_OVERLAP`) or more is taken to be a
copy: the rule of Tülu 3 (Lambert et al. 2024), taken both ways, because a copy may lack the examples or have more.
Statements of fewer words are copies when they are the same.

Runs that more than `COMMON_TEXTS` texts of the evaluation sets have ("the input is given from standard input in the
following format") are set phrases of a site, and count for neither. A copy in other words, or in another language, is
not found.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RUN_WORDS = 8
MOST_OVERLAP = 0.5
COMMON_TEXTS = 4
_WORD = re.compile(r"[^\W\d_]+")
_SHOWN_WORDS = 12


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much a statement has in common with a benchmark's problem: `share` in [0, 1], and the beginning of the
    longest common run."""

    name: str
    share: float
    run: str


def words(text: str) -> tuple[str, ...]:
    """The words that count.

    >>> words("Return the 2nd-largest of x_1, x_2.")
    ('return', 'the', 'nd', 'largest', 'of', 'x', 'x')
    """
    return tuple(_WORD.findall(text.lower()))


class EvaluationTexts:
    """The statements of evaluation sets, to be compared with. `texts` are pairs (name, statement); equal statements
    count once."""

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        names: dict[tuple[str, ...], str] = {}
        for name, text in texts:
            names.setdefault(words(text), name)
        names.pop((), None)
        self.names, self._words = list(names.values()), list(names)
        self._whole = {statement: place for place, statement in enumerate(self._words)}
        texts_with: Counter[int] = Counter(run for statement in self._words for run in set(_runs(statement)))
        self._common = frozenset(run for run, count in texts_with.items() if count > COMMON_TEXTS)
        self._places: dict[int, list[int]] = defaultdict(list)
        for place, statement in enumerate(self._words):
            for run in set(_runs(statement)) - self._common:
                self._places[run].append(place)

    def __len__(self) -> int:
        return len(self.names)

    def closest(self, text: str) -> Overlap | None:
        """The evaluation text that this one overlaps with most; `None` where it has nothing in common with any."""
        mine = words(text)
        if mine in self._whole:
            return Overlap(self.names[self._whole[mine]], 1.0, " ".join(mine[:_SHOWN_WORDS]))
        runs = _runs(mine)
        candidates = sorted({place for run in runs for place in self._places.get(run, ())})
        found = (self._overlap(mine, runs, place) for place in candidates)
        return max(found, key=lambda overlap: overlap.share, default=None)

    def _overlap(self, mine: Sequence[str], runs: Sequence[int], place: int) -> Overlap:
        theirs = self._words[place]
        their_runs = _runs(theirs)
        shared = (set(runs) & set(their_runs)) - self._common
        share = max(self._covered(runs, shared), self._covered(their_runs, shared))
        return Overlap(self.names[place], round(share, 3), " ".join(_longest(mine, runs, shared)))

    def _covered(self, runs: Sequence[int], shared: set[int]) -> float:
        """The share of words in shared runs, among those in any run that is no set phrase."""
        counted: set[int] = set()
        covered: set[int] = set()
        for start, run in enumerate(runs):
            if run not in self._common:
                places = range(start, start + RUN_WORDS)
                counted.update(places)
                if run in shared:
                    covered.update(places)
        return len(covered) / len(counted) if counted else 0.0


def _runs(text: Sequence[str]) -> list[int]:
    """A number for each run of `RUN_WORDS` words, by its first word."""
    return [hash(tuple(text[start : start + RUN_WORDS])) for start in range(len(text) - RUN_WORDS + 1)]


def _longest(text: Sequence[str], runs: Sequence[int], shared: set[int]) -> Sequence[str]:
    """The beginning of the longest stretch of shared runs."""
    best, start = (0, 0), None
    for place, run in enumerate([*runs, None]):
        if run is not None and run in shared:
            start = place if start is None else start
        elif start is not None:
            best, start = max(best, (place - start, start), key=lambda item: item[0]), None
    return text[best[1] : best[1] + min(_SHOWN_WORDS, best[0] + RUN_WORDS - 1)] if best[0] else ()
