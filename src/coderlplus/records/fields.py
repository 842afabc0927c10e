"""The JSON form of frozen records: the annotation of a field says what is read, and what is refused.

- `str`, `int`, `float`, `bool`: whole numbers are those of 64 bits, numbers (`float`) may be whole and are finite
- `Literal[...]`: one of these texts
- `TaggedValue`: a tagged value, see `tagged`
- a record, or several that differ in their `kind`: an object
- `tuple[X, ...]` and `Mapping[str, X]`: a list and an object of these

A field with a default, or that may be `None`, may be absent or null.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from coderlplus.errors import DataError, nearest
from coderlplus.records.forms import misplaced
from coderlplus.records.tagged import tagged

TaggedValue = Any
"""Plain JSON or a tagged object; see `coderlplus.sandbox.values`."""
_NEEDS = {"a problem": "statement", "a task": "targets", "a program": "rollout_id"}
"""What tells these records from others."""


class JsonRecord:
    """A frozen record with a JSON form. Reading raises `DataError`; a record that is `called` something refuses keys
    that it does not have."""

    __slots__ = ()
    called: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        cls: Any = type(self)
        return {name: plain(getattr(self, name)) for name in _readers(cls)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**fields_in(cls, data))


class Kinded(JsonRecord):
    """A record whose JSON form says its `kind`."""

    __slots__ = ()
    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind} | JsonRecord.to_json(self)


def plain(value: Any) -> Any:
    """A field's value as JSON."""
    if isinstance(value, JsonRecord):
        return value.to_json()
    if isinstance(value, tuple):
        return list(map(plain, value))
    return value


def without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}


def fields_in(cls: Any, data: Mapping[str, Any], **known: Any) -> dict[str, Any]:
    """The fields of a record in an object, but for those that are `known`."""
    readers = _readers(cls)
    if cls.called:
        refuse_unknown(data, [*(["kind"] if issubclass(cls, Kinded) else []), *readers], cls.called)
    found = dict(known)
    for name, (read, is_optional) in readers.items():
        if name not in found and not (is_optional and data.get(name) is None):
            found[name] = read(data, name)
    return found


def of_kind(data: Mapping[str, Any], kinds: Sequence[type[Kinded]]) -> Any:
    """The record of one of several `kinds`."""
    by_kind = {cls.kind: cls for cls in kinds}
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in by_kind:
        *names, last = map(repr, by_kind)
        what = kinds[0].called.split()[1]
        raise DataError(f"unknown {what} kind {short(kind)!r}; use {', '.join(names)} or {last}")
    return by_kind[kind].from_json(data)


_Reader = Callable[[Mapping[str, Any], str], Any]


@cache
def _readers(cls: Any) -> dict[str, tuple[_Reader, bool]]:
    """How each field is read, and whether it has a default."""
    hints = get_type_hints(cls)
    missing = dataclasses.MISSING
    return {
        field.name: (_reader(hints[field.name]), (field.default, field.default_factory) != (missing, missing))
        for field in dataclasses.fields(cls)
    }


def _reader(hint: Any) -> _Reader:
    origin, parts = get_origin(hint), [part for part in get_args(hint) if part not in (NoneType, ...)]
    if hint is Any:
        return lambda data, name: tagged(present(data, name), name)
    if origin is Literal:
        return lambda data, name: choice(data, name, parts)
    if origin in (Union, UnionType) and len(parts) > 1:
        return lambda data, name: of_kind(get(data, name, dict), parts)
    if origin in (Union, UnionType):
        read = _reader(parts[0])
        return lambda data, name: None if data.get(name) is None else read(data, name)
    if origin is tuple:
        return _list_reader(parts[0])
    if origin is Mapping:
        read_item = _reader(parts[1])
        return lambda data, name: {key: read_item(data[name], key) for key in get(data, name, dict)}
    if issubclass(hint, JsonRecord):
        return lambda data, name: hint.from_json(get(data, name, dict))
    return lambda data, name: get(data, name, hint)


def _list_reader(hint: Any) -> _Reader:
    if hint is Any:
        return lambda data, name: tuple(tagged(get(data, name, list), name))
    if hint is str:
        return lambda data, name: tuple(_texts(data, name))
    if get_origin(hint) is tuple:
        read = _list_reader(get_args(hint)[0])
        return lambda data, name: tuple(read({name: part}, name) for part in get(data, name, list))
    return lambda data, name: tuple(map(hint.from_json, items(data, name)))


def present(data: Mapping[str, Any], name: str) -> Any:
    """The field `name`, whatever it holds."""
    if name not in data:
        raise DataError(f"field {name!r} is missing")
    return data[name]


def _texts(data: Mapping[str, Any], name: str) -> list[str]:
    found: list[Any] = get(data, name, list)
    if not all(isinstance(text, str) for text in found):
        raise DataError(f"field {name!r} must hold text")
    return found


def get(data: Mapping[str, Any], name: str, kind: type) -> Any:
    """The field `name`, which must be there and of type `kind`; whole numbers are those of 64 bits, numbers (`float`)
    may be whole."""
    value = present(data, name)
    is_kind = isinstance(value, (int, float) if kind is float else kind)
    if not is_kind or (kind in (int, float) and isinstance(value, bool)):
        raise DataError(f"field {name!r} must be {kind.__name__}, not {described(value)}")
    if isinstance(value, int) and value.bit_length() > 63:
        raise DataError(f"field {name!r} is a number of more than 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"field {name!r} must be a finite number, not {value}")
    return value


def refuse_unknown(data: Mapping[str, Any], names: Collection[str], what: str) -> None:
    """Raise `DataError` for a key of an object that is none of its `names`, with the nearest one, and for an object
    that is something else than `what`. A key without a value does not count: tables have all columns in all rows."""
    is_whole = what not in _NEEDS or _NEEDS[what] in data
    if is_whole and data.keys() <= set(names):
        return
    if what in _NEEDS and (sentence := misplaced(data, what)):
        raise DataError(sentence)
    for name, value in data.items():
        if name not in names and value is not None:
            near = nearest(str(name), names)
            hint = f"did you mean {near!r}?" if near else f"its keys are {', '.join(names)}"
            raise DataError(f"{what} has the unknown key {str(name)[:60]!r}; {hint}")


def optional(data: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """The field `name` of type `kind`; `default` where it is absent or null."""
    return default if data.get(name) is None else get(data, name, kind)


def choice(data: Mapping[str, Any], name: str, choices: Sequence[str]) -> Any:
    """The field `name`, which must be one of `choices`."""
    value = get(data, name, str)
    if value not in choices:
        raise DataError(f"field {name!r} must be one of {', '.join(choices)}, not {value[:60]!r}")
    return value


def items(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The field `name`, which must be a list of objects."""
    found = get(data, name, list)
    for item in found:
        if not isinstance(item, dict):
            raise DataError(f"field {name!r} must hold objects, not {described(item)}")
    return list(found)


def described(value: Any) -> str:
    """A value that is of the wrong type, for messages: its type, and the beginning of what is short.

    >>> described(-1), described("2"), described({"a": [1]}), described(None)
    ('int -1', "str '2'", 'dict', 'null')
    """
    text = short(value)
    if value is None or text == "…":
        return "null" if value is None else type(value).__name__
    return f"{type(value).__name__} {text!r}" if isinstance(value, str) else f"{type(value).__name__} {text}"


def short(value: Any) -> str:
    """The beginning of a value's text; of what may be long or deep, nothing."""
    is_short = isinstance(value, str | float | None) or (isinstance(value, int) and value.bit_length() < 64)
    return str(value)[:60] if is_short else "…"
