"""Near-duplicates inside a training set: statements that share most of their runs of words.

Two statements are alike by the Jaccard index of their sets of `RUN_WORDS` words in a row: shared runs by all runs. A
word is a run of letters and digits, in lower case. MinHash signatures in buckets (datasketch) find the pairs that are
worth a comparison. The index itself is exact, so nothing below the threshold is cut. A pair a little above it may be
overlooked.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from coderlplus.errors import ConfigError

RUN_WORDS = 5
_WORD = re.compile(r"[^\W_]+")
_PERMUTATIONS = 128
_MOST_PRECISE = 0.9
"""Above it datasketch has too few buckets; the exact index decides anyway."""
_WEIGHTS = (0.1, 0.9)
"""What a needless comparison and an overlooked pair weigh where datasketch chooses its buckets."""


def runs(statement: str) -> frozenset[str]:
    """The runs of words of a statement.

    >>> sorted(runs("Return the sum of a and b."))
    ['return the sum of a', 'sum of a and b', 'the sum of a and']
    """
    words = _WORD.findall(statement.lower())
    return frozenset(" ".join(words[place : place + RUN_WORDS]) for place in range(len(words) - RUN_WORDS + 1))


def likeness(a: frozenset[str], b: frozenset[str]) -> float:
    """The Jaccard index, in [0, 1]; 0 for statements too short to have runs."""
    return len(a & b) / len(a | b) if a and b else 0.0


class NearDuplicates:
    """The statements of a set as they come, by numbers; `statement_of` gives one back, so that none need be held.

    Raises `ConfigError` without datasketch, or for a threshold that is not in (0, 1].
    """

    def __init__(self, least: float, statement_of: Callable[[int], str]) -> None:
        if not 0 < least <= 1:
            raise ConfigError(f"--near-duplicates must be above 0 and at most 1, not {least}")
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError:
            raise ConfigError(
                "--near-duplicates needs datasketch: pip install 'coderlplus[near-duplicates]', or leave it out"
            ) from None
        self._least, self._statement_of, self._signature = least, statement_of, MinHash
        self._buckets = MinHashLSH(threshold=min(least, _MOST_PRECISE), num_perm=_PERMUTATIONS, weights=_WEIGHTS)

    def closest(self, statement: str) -> tuple[int, float] | None:
        """The number of the statement that is most like this one, and how much; `None` where none reaches the
        threshold."""
        mine = runs(statement)
        found = [(likeness(mine, runs(self._statement_of(number))), -number) for number in self._candidates(mine)]
        share, number = max(found, default=(0.0, 0))
        return (-number, share) if share >= self._least else None

    def add(self, number: int, statement: str) -> None:
        if mine := runs(statement):
            self._buckets.insert(number, self._hashed(mine))

    def _candidates(self, mine: frozenset[str]) -> list[int]:
        return list(self._buckets.query(self._hashed(mine))) if mine else []

    def _hashed(self, mine: frozenset[str]) -> object:
        signature = self._signature(num_perm=_PERMUTATIONS)
        signature.update_batch([run.encode("utf-8", "surrogatepass") for run in mine])
        return signature
