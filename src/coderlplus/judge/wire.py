"""Messages between the program's process and the examiner: a length (4 bytes) and JSON. Standard library only.

One reader for each kind of message that the program sends, with a closed set of fields, types and sizes. Whatever else
arrives is no answer, and the program has failed. None of these fields says how a test ended; that is for the examiner
alone.

    examiner → program      {"args": [...], "kwargs": {...}, "of": n}     a call; `of`: the instance, 0 the candidate's
    program → examiner      {"loaded": bool}                              once
                            an `Answer`                                   to each call
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Mapping, Sequence
from json import dumps, loads
from typing import Any, NamedTuple, TypeGuard

MAX_MESSAGE = 64 << 20
MESSAGE_CHARS = 300
"""Longest message of an exception that is told of."""
NAME_CHARS = 80
"""Longest name of its class."""


class PeerGone(BaseException):
    """The other process ended, closed the connection, or sent what is no message. Not an `Exception`, so that test
    code does not catch it."""


class AnotherCall(PeerGone):
    """A conversation that is repeated goes on with another call than it did."""


class Answer(NamedTuple):
    """What the program says came of a call: a value, the items of an iterator or of a view of a dict, or an
    exception."""

    kind: str
    """`value`, `items` or `raised`."""
    value: Any = None
    """Of `value` the tagged value, of `items` the tagged list."""
    truth: bool | None = None
    """Of a value that is not plain data: whether it counts as true."""
    same: int | str | None = None
    """Place or name of the argument that was returned."""
    view: str | None = None
    """`keys`, `values`, `items`: which view of a dict the items are."""
    raised: str = ""
    message: str = ""
    base: str = ""
    """The nearest builtin class of the exception."""
    line: int | None = None
    args: list[Any] | None = None
    """The arguments as they are now, where the program changed one."""
    kwargs: dict[str, Any] | None = None


Fields = dict[str, tuple[type, ...]]
"""Fields of a message and their types; `object` is any."""
VIEWS = ("keys", "values", "items")
_SHAPES: dict[str, Fields] = {
    "value": {"value": (object,), "truth": (bool,), "same": (int, str)},
    "items": {"items": (list,), "view": (str, type(None))},
    "raised": {"raised": (str,), "message": (str,), "line": (int, type(None)), "base": (str,)},
}
"""The fields of each kind of answer, the first of them required."""
_CHANGED: Fields = {"args": (list,), "kwargs": (dict,)}


def has_shape(message: object, fields: Fields, required: Collection[str] | None = None) -> TypeGuard[dict[str, Any]]:
    """Whether a message is an object with the required fields (all, where none are named), no others than these, and
    each of its type."""
    if type(message) is not dict:
        return False
    for name in fields if required is None else required:
        if name not in message:
            return False
    for name, value in message.items():
        allowed = fields.get(name)
        if allowed is None or (allowed != (object,) and type(value) not in allowed):
            return False
    return True


def read_loaded(message: object) -> bool:
    """Whether the program was loaded. Raises `PeerGone` for anything but that message."""
    if has_shape(message, {"loaded": (bool,)}):
        return bool(message["loaded"])
    raise PeerGone("not a message of a program that was loaded")


def read_answer(message: object, places: int, names: frozenset[str]) -> Answer:
    """The answer to a call with so many positional arguments and keyword arguments of these names. Raises `PeerGone`
    for anything else."""
    if type(message) is not dict:
        raise PeerGone("not an answer")
    kind = "value" if "value" in message else "items" if "items" in message else "raised"
    fields, required = _SHAPES[kind], [kind]
    if "args" in message or "kwargs" in message:
        fields, required = fields | _CHANGED, [kind, *_CHANGED]
    view = message.get("view")
    if not has_shape(message, fields, required) or (view is not None and view not in VIEWS):
        raise PeerGone("not an answer")
    if "args" in message and (len(message["args"]) != places or message["kwargs"].keys() != names):
        raise PeerGone("not an answer: other arguments than were given")
    return Answer(
        kind=kind,
        value=message.get("items" if kind == "items" else "value"),
        truth=message.get("truth"),
        same=message.get("same"),
        view=view,
        raised=message.get("raised", "")[:NAME_CHARS],
        message=message.get("message", "")[:MESSAGE_CHARS],
        base=message.get("base", "")[:NAME_CHARS],
        line=message.get("line"),
        args=message.get("args"),
        kwargs=message.get("kwargs"),
    )


def is_answer(message: object, call: Mapping[str, Any]) -> bool:
    """Whether a message is an answer to a call that was made."""
    try:
        read_answer(message, len(call["args"]), frozenset(call["kwargs"]))
    except PeerGone:
        return False
    return True


def framed(value: Any) -> bytes:
    """A message as it travels."""
    data = dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return struct.pack("I", len(data)) + data


class Connection:
    """One end of the socket between the two processes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read, self._write = os.read, os.write
        self.size = 0
        """Bytes of all messages."""

    def send(self, value: Any) -> None:
        rest = memoryview(framed(value))
        self.size += len(rest)
        try:
            while rest:
                rest = rest[self._write(self._fd, rest) :]
        except OSError as error:
            raise PeerGone(str(error)) from None

    def receive(self) -> Any:
        (size,) = struct.unpack("I", self._receive(4))
        self.size += size
        if size > MAX_MESSAGE:
            raise PeerGone(f"a message of {size} bytes")
        try:
            return loads(self._receive(size).decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError, MemoryError) as error:
            raise PeerGone(f"not JSON: {error}") from None

    def _receive(self, size: int) -> bytes:
        chunks = []
        while size:
            try:
                chunk = self._read(self._fd, min(size, 1 << 20))
            except OSError as error:
                raise PeerGone(str(error)) from None
            if not chunk:
                raise PeerGone("closed")
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)


class Repeated:
    """A conversation that was had before, of calls and their answers, in place of a `Connection`; no answer (`None`)
    if the program's process ended."""

    size = 0

    def __init__(self, conversation: Sequence[tuple[Any, Any]]) -> None:
        self._turns = iter(conversation)
        self._answer: Any = {"loaded": True}

    def send(self, value: Any) -> None:
        call, self._answer = next(self._turns, (None, None))
        if dumps(call) != dumps(value):
            raise AnotherCall("another call than before")

    def receive(self) -> Any:
        if self._answer is None:
            raise PeerGone("closed")
        return self._answer
