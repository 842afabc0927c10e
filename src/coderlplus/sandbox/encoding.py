"""Python values → tagged values, calling no method of the program. Standard library only: this file also runs inside
the sandbox.

Classes are told apart by `is`, never by `==`, `in` or a look-up in a dict: those call `__eq__` and `__hash__` of a
metaclass (and `id`, which does not, is an event that the tracer's audit hook hears). For the same reason no name is
looked up in a dict that the program may have filled: such dicts are walked, and keys that are not `str` are passed
over.
"""

from __future__ import annotations

import json
import math
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

from coderlplus.sandbox import nodes

Tagged = Any
"""A tagged value: plain JSON or an object with one of the tags above."""

MAX_DEPTH = 100
"""Levels of nesting that are encoded, decoded and compared."""
BUDGET = 1_000_000
"""Default size of an encoded value: one for each item of a container, each character of a string, each byte."""

_INT_BITS = 14_000
"""Longest integer written as JSON does: CPython converts at most 4,300 digits."""
# Taken here and in C, where a program that shares the process cannot patch them
_Thread, _Mapping, _isfinite = threading.Thread, types.MappingProxyType, math.isfinite
_Member, _GetSet, _Method = types.MemberDescriptorType, types.GetSetDescriptorType, types.MethodDescriptorType
_json_chunks = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, None, json.encoder.encode_basestring_ascii, None, ": ", ", ", True, False, True
)
_name_of = type.__dict__["__name__"].__get__
_mro_of = type.__dict__["__mro__"].__get__
_dict_of = type.__dict__["__dict__"].__get__
_flags_of = type.__dict__["__flags__"].__get__
_args_of = BaseException.__dict__["args"].__get__
_numerator_of, _denominator_of = (Fraction.__dict__[name].__get__ for name in ("_numerator", "_denominator"))
_decimal_text = Decimal.__str__
_TRIES = 1_000
_HEAP_TYPE = 1 << 9
"""The flag of classes that are made by a `class` statement or `type(...)`; numpy's own scalars have it not."""


def encode(value: object, budget: int = BUDGET, *, by_value: bool = False) -> Tagged:
    """The tagged form of any Python value; never raises for a value, whatever it is.

    `budget` bounds the size of the result (see `BUDGET`): what does not fit is cut as a whole and leaves a `{"$cut":
    ...}`. With `by_value`, an object that stands for plain data is that data: a `ListNode` or `TreeNode`, a named
    tuple and any other instance of a subclass of int, float, str, tuple, list, dict, set; a number of numpy.

    >>> encode([1, (2.5, None), {3, 1}, {"a": b"x"}, {1: float("inf")}])
    [1, {'$tuple': [2.5, None]}, {'$set': [1, 3]}, {'a': {'$bytes': '78'}}, {'$dict': [[1, {'$float': 'inf'}]]}]
    >>> class Point:
    ...     def __init__(self): self.x = 1
    >>> encode(Point())
    {'$object': 'Point', 'fields': {'x': 1}}
    >>> encode("long" * 100, budget=50)
    {'$cut': 'str of 400'}
    """
    return _Encoder(budget, by_value).encode(value, 0)


class _Encoder:
    def __init__(self, budget: int, by_value: bool) -> None:
        self.left = budget
        self.by_value = by_value
        self.open: dict[int, int] = {}

    def encode(self, value: Any, depth: int) -> Tagged:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            if value.bit_length() <= _INT_BITS:
                return value if value.bit_length() < 64 or self._take(value.bit_length() // 4) else {"$cut": "int"}
            return {"$int": hex(value)} if self._take(value.bit_length() // 4) else {"$cut": "int"}
        if kind is float:
            return value if _isfinite(value) else {"$float": str(value)}
        if kind is str:
            return value if self._take(len(value)) else {"$cut": f"str of {len(value)}"}
        if (
            kind is list
            or kind is dict
            or kind is tuple
            or kind is set
            or kind is deque
            or kind is frozenset
            or _is_dict(kind)
        ):
            return self._container(value, kind, depth)
        if kind is bytes or kind is bytearray:
            name = _name_of(kind)
            return {f"${name}": value.hex()} if self._take(len(value)) else {"$cut": f"{name} of {len(value)}"}
        if kind is complex:
            return {"$complex": [self.encode(value.real, depth), self.encode(value.imag, depth)]}
        if kind is range:
            return {"$range": [self.encode(part, depth) for part in (value.start, value.stop, value.step)]}
        if kind is Decimal:
            text = _decimal_text(value)
            return {"$decimal": text} if self._take(len(text)) else {"$cut": "Decimal"}
        if kind is Fraction:
            return {"$fraction": [self.encode(part(value), depth) for part in (_numerator_of, _denominator_of)]}
        return self._object(value, kind, depth)

    def _take(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True

    def _container(self, value: Any, kind: type, depth: int) -> Tagged:
        name, is_dict = _name_of(kind), kind is not list and _is_dict(kind)
        size = dict.__len__(value) if is_dict else len(value)  # `Counter` is a class of Python, and can be patched
        if id(value) in self.open:
            return {"$cycle": self.open[id(value)]}
        if depth >= MAX_DEPTH or not self._take(size):
            return {"$cut": f"{name} of {size}"}
        self.open[id(value)] = depth
        try:
            if is_dict:
                items = items_of(value)
                if all(type(key) is str and not key.startswith("$") for key, _ in items):
                    return {
                        (key if self._take(len(key)) else key[:8] + "…"): self.encode(item, depth + 1)
                        for key, item in items
                    }
                return {"$dict": [[self.encode(key, depth + 1), self.encode(item, depth + 1)] for key, item in items]}
            encoded = [self.encode(item, depth + 1) for item in list(value)]
        except RuntimeError:  # changed by another thread while it was read
            return {"$cut": f"{name} of {size}"}
        finally:
            del self.open[id(value)]
        if kind is list:
            return encoded
        if kind is set or kind is frozenset:
            encoded.sort(key=text_of)
        return {f"${name}": encoded}

    def _object(self, value: Any, kind: type, depth: int) -> Tagged:
        name = str.__str__(_name_of(kind))
        if id(value) in self.open:
            return {"$cycle": self.open[id(value)]}
        if id(kind) in _OPAQUE or any(base is type for base in _mro_of(kind)):
            return {"$object": name, "fields": {}}
        if self.by_value:
            if name in nodes.FIELDS:
                return self._nodes(value, name, depth)
            plain = _base_value(value, kind)
            if plain is not None:
                return self.encode(plain, depth) if self._take(1) else {"$cut": name}
        fields = _fields(value, kind)
        if depth >= MAX_DEPTH or not self._take(1 + len(fields)):
            return {"$cut": name}
        self.open[id(value)] = depth
        try:
            return {"$object": name, "fields": {key: self.encode(item, depth + 1) for key, item in fields.items()}}
        finally:
            del self.open[id(value)]

    def _nodes(self, root: Any, name: str, depth: int) -> Tagged:
        items = nodes.values_of(name, root, lambda node: _fields(node, type(node)), self.left)
        if items is None or depth >= MAX_DEPTH or not self._take(len(items)):
            return {"$cut": name}
        self.open[id(root)] = depth
        try:
            return {nodes.TAGS[name]: [self.encode(item, depth + 1) for item in items]}
        finally:
            del self.open[id(root)]


_BASES: dict[int, Any] = {
    id(int): int.__int__,
    id(float): float.__float__,
    id(str): str.__str__,
    id(tuple): lambda value: tuple(tuple.__iter__(value)),
    id(list): lambda value: list(list.__iter__(value)),
    id(dict): lambda value: dict(dict.items(value)),
    id(set): lambda value: set(set.__iter__(value)),
    id(frozenset): lambda value: frozenset(frozenset.__iter__(value)),
}


def _is_dict(kind: type) -> bool:
    return kind is dict or kind is defaultdict or kind is OrderedDict or kind is Counter


def _base_value(value: Any, kind: type) -> Any:
    """The value of an instance of a subclass of a builtin type or of a numpy number; `None` for anything else."""
    for base in _mro_of(kind):
        if id(base) in _BASES:
            return _BASES[id(base)](value)
        if not _flags_of(base) & _HEAP_TYPE and _name_of(base) == "generic":
            item = dict(_dict_of(base)).get("item")
            try:
                plain = item.__get__(value)() if type(item) is _Method else None
            except (TypeError, ValueError):
                return None
            return plain if type(plain) in (bool, int, float, complex, str) else None
    return None


_OPAQUE = frozenset(
    map(id, (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, types.GeneratorType))
)


def items_of(mapping: Any) -> list[tuple[Any, Any]]:
    """The items of a dict or of a class's namespace, though another thread, or a finalizer, adds some meanwhile."""
    for _ in range(_TRIES):
        try:
            return list(mapping.items() if type(mapping) is _Mapping else dict.items(mapping))
        except RuntimeError:  # it has changed its size
            continue
    return []


def _fields(value: Any, kind: type) -> dict[str, Any]:
    """The attributes that an instance holds itself, read past properties and `__getattribute__`; those of a named
    tuple and an exception too."""
    fields: dict[str, Any] = {}
    # what a thread keeps for itself differs from run to run
    hidden = "_" if any(base is _Thread for base in _mro_of(kind)) else "__"
    for base in reversed(_mro_of(kind)):
        if base is tuple:
            names = _named(kind, "_fields")
            if type(names) is tuple and len(names) == tuple.__len__(value) and all(type(key) is str for key in names):
                fields.update(zip(names, tuple.__iter__(value), strict=True))
        elif base is BaseException:
            fields["args"] = _args_of(value)
        is_python = _flags_of(base) & _HEAP_TYPE
        for key, member in items_of(_dict_of(base)):
            if type(key) is not str:
                continue
            if type(member) is _Member and is_python and not key.startswith("__"):
                try:
                    fields[key] = member.__get__(value)
                except (AttributeError, TypeError):  # not set; a slot of another class
                    continue
            elif key == "__dict__" and type(member) is _GetSet:
                try:
                    own = member.__get__(value)
                except (AttributeError, TypeError):
                    continue
                for name, item in items_of(own) if type(own) is dict else ():
                    if type(name) is str and not name.startswith(hidden):
                        fields[name] = item
    return fields


def _named(kind: type, name: str) -> Any:
    """What a class has under a name, its bases included; `None` if nothing."""
    for base in _mro_of(kind):
        for key, member in items_of(_dict_of(base)):
            if type(key) is str and key == name:
                return member
    return None


def text_of(tagged: Tagged) -> str:
    """One text for each value, `1` and `1.0` the same, `"1"` another."""
    if type(tagged) is float and tagged.is_integer():
        tagged = int(tagged)
    return "".join(_json_chunks(tagged, 0))
