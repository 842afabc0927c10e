"""What is kept from one program to the next, by a key: JSON, compressed, under a bound in bytes. What was used last is
also kept as it is read, since the programs of a problem come one behind the other."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

_lock = threading.Lock()


def _renew_lock() -> None:
    """Another thread may hold it in the moment of a fork."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)

_ENTRY_BYTES = 220
"""What a value takes besides its data: the key, and its place."""
_AS_READ, _AS_READ_BYTES = 32, 10_000
"""So many values are kept as they are read, of not more bytes of JSON: as objects they take up to 30 times as much."""


class Kept:
    """Values that were used longest ago go first. Can be shared between threads. `read` makes of a value what `get`
    gives; nobody may change that.

    >>> kept = Kept(max_bytes=1000)
    >>> kept.put(key("a", 1), [1, 2])
    >>> kept.get(key("a", 1)), kept.get(key("a", 2))
    (([1, 2],), None)
    """

    def __init__(self, max_bytes: int, read: Callable[[Any], Any] = lambda value: value) -> None:
        self._max_bytes = max_bytes
        self._read = read
        self._values: OrderedDict[bytes, bytes] = OrderedDict()
        self._as_read: OrderedDict[bytes, tuple[Any]] = OrderedDict()
        self.size = 0
        """Bytes that they take."""

    def get(self, key: bytes) -> tuple[Any] | None:
        """The value, as the only item, if there is one."""
        with _lock:
            data = self._values.get(key)
            if data is None:
                return None
            self._values.move_to_end(key)
            if key in self._as_read:
                self._as_read.move_to_end(key)
                return self._as_read[key]
        text = zlib.decompress(data)
        value = (self._read(json.loads(text)),)
        with _lock:
            if len(text) <= _AS_READ_BYTES and self._values.get(key) is data:
                self._as_read[key] = value
                if len(self._as_read) > _AS_READ:
                    self._as_read.popitem(last=False)
        return value

    def put(self, key: bytes, value: Any) -> None:
        data = zlib.compress(json.dumps(value).encode())
        with _lock:
            before = self._values.pop(key, None)
            self._as_read.pop(key, None)
            self.size += len(data) - len(before) if before is not None else len(data) + _ENTRY_BYTES
            self._values[key] = data
            while self.size > self._max_bytes:
                last, data = self._values.popitem(last=False)
                self._as_read.pop(last, None)
                self.size -= len(data) + _ENTRY_BYTES


def key(*parts: object) -> bytes:
    """Of what has the same `repr` wherever it is equal: texts, numbers, tuples of them."""
    return hashlib.sha256(repr(parts).encode()).digest()
