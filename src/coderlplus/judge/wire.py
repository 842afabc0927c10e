"""Messages between the program's process and the examiner: a length (4 bytes) and JSON. Standard library only."""

from __future__ import annotations

import os
import struct
from json import JSONDecodeError, dumps, loads
from typing import Any

MAX_MESSAGE = 64 << 20


class PeerGone(BaseException):
    """The other process ended, closed the connection, or sent what is no message. Not an `Exception`, so that test code does not catch it."""


def framed(value: Any) -> bytes:
    """A message as it travels."""
    data = dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return struct.pack("I", len(data)) + data


class Connection:
    """One end of the socket between the two processes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read, self._write = os.read, os.write

    def send(self, value: Any) -> None:
        rest = memoryview(framed(value))
        try:
            while rest:
                rest = rest[self._write(self._fd, rest) :]
        except OSError as error:
            raise PeerGone(str(error)) from None

    def receive(self) -> Any:
        (size,) = struct.unpack("I", self._receive(4))
        if size > MAX_MESSAGE:
            raise PeerGone(f"a message of {size} bytes")
        try:
            return loads(self._receive(size).decode("utf-8", "surrogatepass"))
        except (JSONDecodeError, ValueError, RecursionError) as error:
            raise PeerGone(f"not JSON: {error}") from None

    def _receive(self, size: int) -> bytes:
        chunks = []
        while size:
            try:
                chunk = self._read(self._fd, size)
            except OSError as error:
                raise PeerGone(str(error)) from None
            if not chunk:
                raise PeerGone("closed")
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)
