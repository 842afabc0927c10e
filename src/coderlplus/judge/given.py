"""Values of test code in its dry run (`dry_run.py`): whether an answer is in them, whether a program may change them,
whether they are plain data. Standard library only; runs in the sandbox."""

from __future__ import annotations

import gc
import types
from collections.abc import Iterable
from typing import Any

from coderlplus.judge.answer import Answer, Candidate
from coderlplus.judge.guest import TEST_FILENAME

_MOST_HELD = 20_000
"""Objects that are looked at where code that is not of the test is called."""
_PLAIN: set[type] = {type(None), bool, int, float, str, bytes, complex}
LISTS: tuple[type, ...] = (list, tuple, set, frozenset)
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))


def involves(value: Any) -> bool:
    """Whether there is an answer, or the candidate, in a value."""
    kind: type = type(value)
    if kind is Answer or kind is Candidate:
        return True
    if kind in LISTS:
        return any(map(involves, value))
    return kind is dict and (any(map(involves, value)) or any(map(involves, value.values())))


def is_of_test(function: Any) -> bool:
    return type(function) is types.FunctionType and function.__code__.co_filename == TEST_FILENAME


def is_builtin(kind: Any) -> bool:
    """Whether it is a class that is written in C."""
    return isinstance(kind, type) and not kind.__flags__ & (1 << 9)


def holds_no_answer(value: Any) -> bool:
    kind = type(value)
    if kind in LISTS or kind in _VIEWS:
        return all(map(holds_no_answer, value))
    if kind is dict:
        return all(map(holds_no_answer, (*value, *value.values())))
    if kind is types.BuiltinFunctionType:
        return type(value.__self__) is types.ModuleType
    return kind in _PLAIN or kind is range or isinstance(value, type)


def may_reach(code: Any) -> bool:
    """Whether a function, class or object that is not of the test may come by an answer, or by a function of the test,
    in what it holds: its object, its closure, its names."""
    seen: set[int] = set()
    left = [code]
    while left:
        value = left.pop()
        kind = type(value)
        if id(value) in seen or kind in _PLAIN or kind is types.ModuleType or kind is types.CodeType:
            continue
        if kind is Answer or kind is Candidate or kind is types.GeneratorType or is_of_test(value):
            return True
        seen.add(id(value))
        if len(seen) > _MOST_HELD:
            return True
        left += _held(value)
    return False


def _held(value: Any) -> Iterable[Any]:
    kind = type(value)
    if kind is types.FunctionType and not value.__code__.co_filename.startswith("<"):  # of a module
        return ()
    if isinstance(value, type):
        return () if is_builtin(value) else (*value.__bases__, *vars(value).values())
    if kind is dict:
        return [each for key, held in value.items() if key != "__builtins__" for each in (key, held)]
    return gc.get_referents(value)


def can_be_changed(value: Any) -> bool:
    kind = type(value)
    return kind in (list, dict, set) or (kind is tuple and any(map(can_be_changed, value)))


def items_of(value: Any) -> list[Any]:
    return [*value, *value.values()] if type(value) is dict else list(value)


def is_data(value: Any) -> bool:
    """Whether it is plain data of the usual types; `nan` is not, as it may or may not be itself in a list."""
    kind = type(value)
    if kind in LISTS:
        return all(map(is_data, value))
    return (kind in _PLAIN and value == value) or (
        kind is dict and all(map(is_data, value)) and all(map(is_data, value.values()))
    )
