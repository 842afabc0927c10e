"""Near-duplicates inside a training set: statements that share most of their runs of words.

Two statements are alike by the Jaccard index of their sets of `RUN_WORDS` words in a row: shared runs by all runs. A
word is a run of letters and digits, in lower case. MinHash signatures (datasketch) in buckets find the pairs that
are worth a comparison. The index itself is exact, so nothing below the threshold is cut. A pair a little above it may
be overlooked.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from coderlplus.errors import ConfigError
from coderlplus.records.places import Places

RUN_WORDS = 5
_WORD = re.compile(r"[^\W_]+")
_PERMUTATIONS = 128
_MOST_PRECISE = 0.9
"""Above it datasketch has too few buckets; the exact index decides anyway."""
_UNCERTAINTY = 0.2
"""By so much a signature may say less than the index: more than four standard errors at 128 permutations."""
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
    """The statements of a set as they come, by numbers; `statement_of` gives one back, so that none need be held: it
    is some 900 bytes a statement.

    Raises `ConfigError` without datasketch, or for a threshold that is not in (0, 1].
    """

    def __init__(self, least: float, statement_of: Callable[[int], str]) -> None:
        if not 0 < least <= 1:
            raise ConfigError(f"--near-duplicates must be above 0 and at most 1, not {least}")
        try:
            import numpy
            from datasketch import MinHash, MinHashLSH
        except ImportError:
            raise ConfigError(
                "--near-duplicates needs datasketch: pip install 'coderlplus[near-duplicates]', or leave it out"
            ) from None
        self._least, self._statement_of, self._signature, self._numpy = least, statement_of, MinHash, numpy
        chosen = MinHashLSH(threshold=min(least, _MOST_PRECISE), num_perm=_PERMUTATIONS, weights=_WEIGHTS)
        self._rows = chosen.r
        self._buckets = [Places() for _ in range(chosen.b)]
        """For each band of a signature, its hash → the last statement with it."""
        self._before = [array("I") for _ in self._buckets]
        """For each statement, the one before it in its bucket, plus 1."""
        self._numbers, self._signatures = array("Q"), bytearray()
        self._last: tuple[str, Any] = "", None

    def closest(self, statement: str) -> tuple[int, float] | None:
        """The number of the statement that is most like this one, and how much; `None` where none reaches the
        threshold."""
        mine = runs(statement)
        found = [(likeness(mine, runs(self._statement_of(number))), -number) for number in self._candidates(statement)]
        share, number = max(found, default=(0.0, 0))
        return (-number, share) if share >= self._least else None

    def add(self, number: int, statement: str) -> None:
        signature = self._hashed(statement)
        if signature is None:
            return
        place = len(self._numbers)
        for buckets, before, band in zip(self._buckets, self._before, self._bands(signature), strict=True):
            before.append((-1 if (last := buckets.get(band)) is None else last) + 1)
            buckets[band] = place
        self._numbers.append(number)
        self._signatures += signature.astype(self._numpy.uint16).tobytes()

    def _candidates(self, statement: str) -> list[int]:
        """Statements that share a bucket with this one and whose signature is about as like as it must be."""
        signature = self._hashed(statement)
        found: set[int] = set()
        for buckets, before, band in zip(
            self._buckets, self._before, self._bands(signature) if signature is not None else (), strict=False
        ):
            place = (-1 if (last := buckets.get(band)) is None else last) + 1
            while place:
                found.add(place - 1)
                place = before[place - 1]
        if not found:
            return []
        places = sorted(found)
        known = self._numpy.frombuffer(self._signatures, self._numpy.uint16).reshape(-1, _PERMUTATIONS)[places]
        shares = (known == signature.astype(self._numpy.uint16)).mean(axis=1)
        return [
            self._numbers[place]
            for place, share in zip(places, shares, strict=True)
            if share >= self._least - _UNCERTAINTY
        ]

    def _bands(self, signature: Any) -> Iterator[bytes]:
        ends = range(self._rows, self._rows * len(self._buckets) + 1, self._rows)
        return (signature[end - self._rows : end].tobytes() for end in ends)

    def _hashed(self, statement: str) -> Any:
        """The signature of a statement; `None` for one that is too short to have runs."""
        if self._last[0] != statement:
            mine = runs(statement)
            signature = self._signature(num_perm=_PERMUTATIONS)
            signature.update_batch([run.encode("utf-8", "surrogatepass") for run in mine])
            self._last = statement, signature.hashvalues if mine else None
        return self._last[1]
