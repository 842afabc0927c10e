"""What is kept from one program to the next, by a key: JSON, compressed, under a bound in bytes."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from collections import OrderedDict
from typing import Any

_lock = threading.Lock()


def _renew_lock() -> None:
    """Another thread may hold it in the moment of a fork."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)

_ENTRY_BYTES = 220
"""What a value takes besides its data: the key, and its place."""


class Kept:
    """Values that were used longest ago go first. Can be shared between threads.

    >>> kept = Kept(max_bytes=1000)
    >>> kept.put(key("a", 1), [1, 2])
    >>> kept.get(key("a", 1)), kept.get(key("a", 2))
    (([1, 2],), None)
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._values: OrderedDict[bytes, bytes] = OrderedDict()
        self.size = 0
        """Bytes that they take."""

    def get(self, key: bytes) -> tuple[Any] | None:
        """The value, as the only item, if there is one."""
        with _lock:
            data = self._values.get(key)
            if data is None:
                return None
            self._values.move_to_end(key)
        return (json.loads(zlib.decompress(data)),)

    def put(self, key: bytes, value: Any) -> None:
        data = zlib.compress(json.dumps(value).encode())
        with _lock:
            before = self._values.pop(key, None)
            self.size += len(data) - len(before) if before is not None else len(data) + _ENTRY_BYTES
            self._values[key] = data
            while self.size > self._max_bytes:
                self.size -= len(self._values.popitem(last=False)[1]) + _ENTRY_BYTES


def key(*parts: object) -> bytes:
    """Of what has the same `repr` wherever it is equal: texts, numbers, tuples of them."""
    return hashlib.sha256(repr(parts).encode()).digest()
