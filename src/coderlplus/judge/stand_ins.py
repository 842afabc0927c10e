"""What stands in test code for what the program gave: objects, iterators, exceptions, changed arguments. Standard
library only."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from coderlplus.sandbox.decoding import NotPlain
from coderlplus.sandbox.nodes import FIELDS


class CandidateError(Exception):
    """Stands for an exception of the program of which no other can be made."""


class CandidateExit(BaseException):
    """Stands for `SystemExit` and its kin: test code does not catch it."""


class Opaque:
    """Stands for a result of another class, such as a match object: it has the attributes that travelled, is true or
    false, and equals nothing."""

    def __init__(self, fields: Mapping[str, Any], truth: bool = True) -> None:
        self.__dict__.update(fields)
        self.__dict__["__truth"] = truth

    def __bool__(self) -> bool:
        return bool(self.__dict__["__truth"])

    def __repr__(self) -> str:  # an address would differ from process to process
        return "<object of the program>"


def assign(old: Any, new: Any) -> None:
    """Make an argument what the program made of it, in place."""
    kind = type(old)
    if kind is not type(new):
        return
    if kind is list and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            inner = type(after)
            if type(before) is inner and (inner in (list, dict, set) or inner.__name__ in FIELDS):
                assign(before, after)
            else:
                old[index] = after
    elif kind is list:
        old[:] = new
    elif kind in (dict, set):
        old.clear()
        old.update(new)
    elif kind.__name__ in FIELDS:
        for name in FIELDS[kind.__name__]:
            setattr(old, name, getattr(new, name))


def iterable(view: Any, items: Any) -> Any:
    """What stands for an iterator, or a view of a dict, with these items."""
    try:
        if view == "keys":
            return dict.fromkeys(items).keys()
        if view == "values":
            return dict(enumerate(items)).values()
        if view == "items":
            return dict(items).items()
        return iter(items)
    except (TypeError, ValueError) as error:
        raise NotPlain(str(error)) from None


def exception_of(name: str, message: str, base: str) -> BaseException:
    """What stands in test code for an exception of the program, of which its class's name, its message and the nearest
    builtin class are told: of a class of that name under that one, and with that message."""
    kind = getattr(builtins, base, None)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        return CandidateError(name, message)
    if issubclass(kind, StopIteration | StopAsyncIteration):  # would end a loop of the test code in silence
        return RuntimeError(f"{name}: {message}")
    if not issubclass(kind, Exception):
        return CandidateExit(name, message)
    try:
        if name == base and str(error := kind(message)) == message:
            return error
    except TypeError:
        pass
    made = {"__init__": lambda self, *args: None, "__str__": lambda self: message}
    try:
        stand_in: type[Exception] = type(name, (kind,), made)
        return stand_in(message)
    except (TypeError, ValueError):
        return CandidateError(name, message)
