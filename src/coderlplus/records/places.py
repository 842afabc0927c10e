"""Numbers by key in 24 to 48 bytes a key (72 for a moment when it grows), where a dictionary has some 200: places of
lines in a file, for millions of lines.

Keys are of one type: a key is known by its 64-bit hash alone. Of a million keys, two share one with a probability of
3 in 100 million.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable

_FEWEST = 8
_GONE = 2**64 - 1
_MASK = 2**64 - 1
_SPREAD = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: its multiples are far apart, also of keys in regular steps."""


class Places:
    """A table with open addressing. Numbers are from 0 to 2^64 - 3."""

    def __init__(self) -> None:
        self._empty(_FEWEST)

    def _empty(self, slots: int) -> None:
        self._hashes, self._numbers = array("Q", bytes(8 * slots)), array("Q", bytes(8 * slots))
        self._shift = 64 - (slots.bit_length() - 1)
        self._taken = self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: Hashable) -> bool:
        return self.get(key) is not None

    def get(self, key: Hashable) -> int | None:
        """The number of a key; `None` for one that is not there."""
        number = self._numbers[self._slot(hash(key) & _MASK)]
        return None if number in (0, _GONE) else number - 1

    def __setitem__(self, key: Hashable, number: int) -> None:
        if 3 * self._taken >= 2 * len(self._numbers):
            self._grow()
        self._put(hash(key) & _MASK, number + 1)

    def discard(self, key: Hashable) -> None:
        """Remove a key, if it is there."""
        slot = self._slot(hash(key) & _MASK)
        if self._numbers[slot] not in (0, _GONE):
            self._numbers[slot] = _GONE
            self._count -= 1

    def _slot(self, hashed: int) -> int:
        """Where a hash is, or would be."""
        hashes, numbers, last = self._hashes, self._numbers, len(self._numbers) - 1
        slot = (hashed * _SPREAD & _MASK) >> self._shift
        while numbers[slot] and hashes[slot] != hashed:
            slot = (slot + 1) & last
        return slot

    def _put(self, hashed: int, number: int) -> None:
        slot = self._slot(hashed)
        before = self._numbers[slot]
        self._taken += before == 0
        self._count += before in (0, _GONE)
        self._hashes[slot], self._numbers[slot] = hashed, number

    def _grow(self) -> None:
        hashes, numbers = self._hashes, self._numbers
        self._empty(2 * len(numbers))
        for hashed, number in zip(hashes, numbers, strict=True):
            if number not in (0, _GONE):
                self._put(hashed, number)
