"""Python values as plain data: *tagged values*.

JSON where JSON says the same; otherwise an object with one tag:

    {"$tuple": [...]}  {"$set": [...]}  {"$frozenset": [...]}  {"$deque": [...]}     sets sorted by their text
    {"$dict": [[key, value], ...]}        keys that are not strings, or a string key that starts with "$"
    {"$float": "nan" | "inf" | "-inf"}    {"$int": "0x..."} beyond 4,200 digits        {"$complex": [re, im]}
    {"$bytes": hex}  {"$bytearray": hex}  {"$range": [start, stop, step]}             {"$decimal": "1.50"}  {"$fraction": [n, d]}
    {"$object": "Point", "fields": {...}} an instance of any other class, by its attributes; what has none (functions, files) has no fields
    {"$list_node": [1, 2]}  {"$tree_node": [1, None, 2]}                              LeetCode's nodes, see `nodes.py`
    {"$cycle": depth}                     the container `depth` levels below the outermost one, met again inside itself
    {"$cut": "list of 2000000"}           what was beyond the budget

`defaultdict`, `OrderedDict` and `Counter` are taken as the dict that they equal. The same value gives the same text on every run and every Python.

Encoding goes by exact types and calls no method of the program: no `__repr__`, `__eq__`, `__reduce__`, property or `__getattribute__`. It shows no
memory addresses. Standard library only: this file also runs inside the sandbox.
"""

from __future__ import annotations

import json
import math
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from coderlplus.sandbox import nodes

Tagged = Any
"""A tagged value: plain JSON or an object with one of the tags above."""

MAX_DEPTH = 100
"""Levels of nesting that are encoded, decoded and compared."""
BUDGET = 1_000_000
"""Default size of an encoded value: one for each item of a container, each character of a string, each byte."""

_DICTS = (dict, defaultdict, OrderedDict, Counter)
_SEQUENCES: dict[type, str | None] = {list: None, tuple: "$tuple", set: "$set", frozenset: "$frozenset", deque: "$deque"}
_INT_BITS = 14_000
"""Longest integer written as JSON does: CPython converts at most 4,300 digits."""
# Taken here and in C, where a program that shares the process cannot patch them
_isfinite, _Member, _GetSet = math.isfinite, types.MemberDescriptorType, types.GetSetDescriptorType
_json_chunks = json.encoder.c_make_encoder(None, None, json.encoder.encode_basestring_ascii, None, ": ", ", ", True, False, True)  # type: ignore[attr-defined]
_name_of = type.__dict__["__name__"].__get__
_mro_of = type.__dict__["__mro__"].__get__
_module_of = type.__dict__["__module__"].__get__
_dict_of = type.__dict__["__dict__"].__get__
_args_of = BaseException.__dict__["args"].__get__


class NotPlain(ValueError):
    """A tagged value cannot become a Python value: it holds an object, a cycle or a cut, is nested too deeply, or is not a tagged value at all."""


def encode(value: object, budget: int = BUDGET, *, by_value: bool = False) -> Tagged:
    """The tagged form of any Python value; never raises for a value, whatever it is.

    `budget` bounds the size of the result (see `BUDGET`): what does not fit is cut as a whole and leaves a `{"$cut": ...}`. With `by_value`, an
    object that stands for plain data is that data: a `ListNode` or `TreeNode`, a named tuple and any other instance of a subclass of int, float, str,
    tuple, list, dict, set; a number of numpy.

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
        if kind in _SEQUENCES or kind in _DICTS:
            return self._container(value, kind, depth)
        if kind is bytes or kind is bytearray:
            return {f"${_name_of(kind)}": value.hex()} if self._take(len(value)) else {"$cut": f"{_name_of(kind)} of {len(value)}"}
        if kind is complex:
            return {"$complex": [self.encode(value.real, depth), self.encode(value.imag, depth)]}
        if kind is range:
            return {"$range": [self.encode(part, depth) for part in (value.start, value.stop, value.step)]}
        if kind is Decimal:
            text = Decimal.__str__(value)
            return {"$decimal": text} if self._take(len(text)) else {"$cut": "Decimal"}
        if kind is Fraction:
            return {"$fraction": [self.encode(value.numerator, depth), self.encode(value.denominator, depth)]}
        return self._object(value, kind, depth)

    def _take(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True

    def _container(self, value: Any, kind: type, depth: int) -> Tagged:
        name = _name_of(kind)
        if id(value) in self.open:
            return {"$cycle": self.open[id(value)]}
        if depth >= MAX_DEPTH or not self._take(len(value)):
            return {"$cut": f"{name} of {len(value)}"}
        self.open[id(value)] = depth
        try:
            if kind in _DICTS:
                items = [(key, item) for key, item in dict.items(value)]
                if all(type(key) is str and not key.startswith("$") for key, _ in items):
                    return {(key if self._take(len(key)) else key[:8] + "…"): self.encode(item, depth + 1) for key, item in items}
                return {"$dict": [[self.encode(key, depth + 1), self.encode(item, depth + 1)] for key, item in items]}
            encoded = [self.encode(item, depth + 1) for item in list(value)]
        except RuntimeError:  # changed by another thread while it was read
            return {"$cut": f"{name} of {len(value)}"}
        finally:
            del self.open[id(value)]
        tag = _SEQUENCES[kind]
        if tag in ("$set", "$frozenset"):
            encoded.sort(key=_text)
        return encoded if tag is None else {tag: encoded}

    def _object(self, value: Any, kind: type, depth: int) -> Tagged:
        name = str.__str__(_name_of(kind))
        if id(value) in self.open:
            return {"$cycle": self.open[id(value)]}
        if kind in _OPAQUE or any(base is type for base in _mro_of(kind)):
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


_BASES: dict[type, Any] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    tuple: lambda value: tuple(tuple.__iter__(value)),
    list: lambda value: list(list.__iter__(value)),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}


def _base_value(value: Any, kind: type) -> Any:
    """The value of an instance of a subclass of a builtin type or of a numpy number; `None` for anything else."""
    for base in _mro_of(kind):
        if base in _BASES:
            return _BASES[base](value)
        if _name_of(base) == "generic":
            try:
                plain = value.item() if _module_of(base) == "numpy" else None
            except BaseException:  # a class of the program that only looks like numpy's
                return None
            return plain if type(plain) in (bool, int, float, complex, str) else None
    return None


_OPAQUE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, types.GeneratorType)


def _fields(value: Any, kind: type) -> dict[str, Any]:
    """The attributes that an instance holds itself, read past properties and `__getattribute__`; those of a named tuple and an exception too."""
    fields: dict[str, Any] = {}
    mro = _mro_of(kind)
    spaces = [_dict_of(base) for base in mro]
    for base, space in zip(reversed(mro), reversed(spaces), strict=True):
        if base is tuple:
            names = next((space["_fields"] for space in spaces if "_fields" in space), None)
            if type(names) is tuple and len(names) == tuple.__len__(value) and all(type(key) is str for key in names):
                fields.update(zip(names, tuple.__iter__(value), strict=True))
        elif base is BaseException:
            fields["args"] = _args_of(value)
        for key, member in space.items():
            if type(member) is _Member and "__module__" in space and not key.startswith("__"):
                try:
                    fields[key] = member.__get__(value)
                except AttributeError:
                    continue
            elif key == "__dict__" and type(member) is _GetSet:
                own = member.__get__(value)
                if type(own) is dict:
                    fields.update({key: item for key, item in dict.items(own) if type(key) is str and not key.startswith("__")})
    return fields


def is_plain(tagged: Tagged) -> bool:
    """Whether `decode` will give the value back: no object, cycle or cut in it.

    >>> is_plain({"$tuple": [1]}), is_plain([{"$cut": "list of 9"}])
    (True, False)
    """
    try:
        decode(tagged)
    except NotPlain:
        return False
    return True


def decode(tagged: Tagged, classes: Mapping[str, Any] = nodes.CLASSES) -> Any:
    """The Python value of a tagged value, made anew on each call. Raises `NotPlain` (a `ValueError`), and nothing else, where there is none.

    Nodes are made of the classes `ListNode` and `TreeNode` among `classes`, or of our own. With a function `$object` among them, objects of other
    classes are what it returns for their class name and their fields.

    >>> decode({"$dict": [[1, {"$tuple": [2, {"$float": "-inf"}]}]]})
    {1: (2, -inf)}
    """
    return _decode(tagged, 0, False, classes)


def _decode(tagged: Tagged, depth: int, hashed: bool, classes: Mapping[str, Any]) -> Any:
    if depth > MAX_DEPTH + 1:
        raise NotPlain("nested too deeply")
    kind = type(tagged)
    if kind is list:
        if hashed:
            raise NotPlain("a list cannot be a key")
        return [_decode(item, depth + 1, False, classes) for item in tagged]
    if kind is not dict:
        if tagged is None or kind in (bool, int, float, str):
            return tagged
        raise NotPlain(f"{kind.__name__} is not JSON")
    tag = next(iter(tagged), "")
    if type(tag) is not str or not tag.startswith("$"):
        if hashed:
            raise NotPlain("a dict cannot be a key")
        return {_string(key): _decode(item, depth + 1, False, classes) for key, item in tagged.items()}
    if tag == "$object" and "$object" in classes and type(tagged.get("fields")) is dict:
        return classes["$object"](str(tagged["$object"]), _decode(tagged["fields"], depth + 1, False, classes))
    if len(tagged) != 1 or tag not in _DECODERS:
        raise NotPlain(f"a value tagged {tag[:20]!r} is not plain data")
    try:
        return _DECODERS[tag](tagged[tag], depth + 1, hashed, classes)
    except NotPlain:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, ZeroDivisionError, InvalidOperation, RecursionError) as error:
        raise NotPlain(f"{tag} with {str(tagged[tag])[:40]!r}: {error}") from None


def _string(key: Any) -> str:
    if type(key) is not str or key.startswith("$"):
        raise NotPlain(f"key {key!r}")
    return key


def _items(items: Any, depth: int, hashed: bool, classes: Mapping[str, Any] = nodes.CLASSES) -> list[Any]:
    if type(items) is not list:
        raise NotPlain("expected a list")
    return [_decode(item, depth, hashed, classes) for item in items]


def _node(name: str, body: Any, depth: int, hashed: bool, classes: Mapping[str, Any]) -> Any:
    return nodes.build(name, _items(body, depth, hashed, classes), classes.get(name) or nodes.CLASSES[name])


def _unhashable(hashed: bool, value: Any) -> Any:
    if hashed:
        raise NotPlain(f"a {type(value).__name__} cannot be a key")
    return value


_DECODERS: dict[str, Any] = {
    "$tuple": lambda body, depth, hashed, classes: tuple(_items(body, depth, hashed, classes)),
    "$set": lambda body, depth, hashed, classes: (frozenset if hashed else set)(_items(body, depth, True, classes)),
    "$frozenset": lambda body, depth, hashed, classes: frozenset(_items(body, depth, True, classes)),
    "$deque": lambda body, depth, hashed, classes: _unhashable(hashed, deque(_items(body, depth, False, classes))),
    "$dict": lambda body, depth, hashed, classes: _unhashable(
        hashed, {_decode(key, depth, True, classes): _decode(value, depth, False, classes) for key, value in body}
    ),
    "$list_node": lambda body, depth, hashed, classes: _node("ListNode", body, depth, hashed, classes),
    "$tree_node": lambda body, depth, hashed, classes: _node("TreeNode", body, depth, hashed, classes),
    "$float": lambda body, depth, hashed, classes: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[body],
    "$int": lambda body, depth, hashed, classes: int(body, 16),
    "$complex": lambda body, depth, hashed, classes: complex(*_items(body, depth, True)),
    "$bytes": lambda body, depth, hashed, classes: bytes.fromhex(body),
    "$bytearray": lambda body, depth, hashed, classes: _unhashable(hashed, bytearray.fromhex(body)),
    "$range": lambda body, depth, hashed, classes: range(*_items(body, depth, True)),
    "$decimal": lambda body, depth, hashed, classes: Decimal(body),
    "$fraction": lambda body, depth, hashed, classes: Fraction(*_items(body, depth, True)),
}


def equal(a: Tagged, b: Tagged, *, float_tolerance: float = 0.0, tuples_as_lists: bool = False) -> bool:
    """Whether two tagged values are the same value; what was cut equals nothing.

    Types count: `True` is not `1`, `"1"` is not `1`, a tuple is a list only with `tuples_as_lists`; sets compare without order, and equal frozensets.
    Numbers compare by value, `1 == 1.0`; where one of them is a float they may differ by `float_tolerance`, absolute or relative, whichever is more.
    `nan` equals `nan`.

    >>> equal([1, {"$set": [2, 1]}], [1.0, {"$set": [1, 2]}]), equal(True, 1), equal(0.1 + 0.2, 0.3, float_tolerance=1e-9)
    (True, False, True)
    """
    return _Equality(float_tolerance, tuples_as_lists).equal(a, b, 0)


class _Equality:
    def __init__(self, float_tolerance: float, tuples_as_lists: bool) -> None:
        self.tolerance = float_tolerance
        self.sequence = ("$list", "$tuple") if tuples_as_lists else ("$list",)

    def equal(self, a: Tagged, b: Tagged, depth: int) -> bool:
        if depth > MAX_DEPTH + 1:
            return False
        tag, body = _split(a)
        other, counterpart = _split(b)
        if tag in self.sequence and other in self.sequence:
            tag = other
        if tag == "$number" and other == "$number":
            return self._numbers(body, counterpart)
        if tag != other or tag == "$cut":
            return False
        if tag in ("$list", "$tuple", "$deque", "$complex", "$list_node", "$tree_node"):
            return len(body) == len(counterpart) and all(self.equal(x, y, depth + 1) for x, y in zip(body, counterpart, strict=True))
        if tag == "$set":
            return len(body) == len(counterpart) and self._matched([(item, None) for item in body], [(item, None) for item in counterpart], depth)
        if tag == "$dict":
            return len(body) == len(counterpart) and self._matched(body, counterpart, depth)
        return type(body) is type(counterpart) and bool(body == counterpart)

    def _numbers(self, x: Any, y: Any) -> bool:
        if type(x) is int and type(y) is int:
            return x == y
        try:
            x, y = (float(x), float(y)) if self.tolerance else (x, y)
        except OverflowError:
            return bool(x == y)
        return bool(x == y) or (x != x and y != y) or (self.tolerance > 0 and math.isclose(x, y, rel_tol=self.tolerance, abs_tol=self.tolerance))

    def _matched(self, items: list[Any], others: list[Any], depth: int) -> bool:
        """Whether the pairs (key, value) agree in some order: keys by their text first, those with floats (few) each against each."""
        by_text: dict[str, list[Any]] = {}
        for key, value in others:
            by_text.setdefault(_text(key), []).append((key, value))
        unmatched = []
        for key, value in items:
            same = by_text.get(_text(key))
            if not same:
                unmatched.append((key, value))
            elif not self.equal(value, same.pop()[1], depth + 1):
                return False
        left = [pair for pairs in by_text.values() for pair in pairs]
        if len(unmatched) > 1000:
            return False
        for key, value in unmatched:
            found = next((i for i, pair in enumerate(left) if self.equal(key, pair[0], depth + 1) and self.equal(value, pair[1], depth + 1)), None)
            if found is None:
                return False
            del left[found]
        return not left


def _split(tagged: Tagged) -> tuple[str, Any]:
    """Tag and body, with tags for what JSON says itself; numbers as numbers, dicts as lists of pairs. A malformed value is a cut."""
    kind = type(tagged)
    if kind is list:
        return "$list", tagged
    if kind is int or kind is float:
        return "$number", tagged
    if kind is not dict:
        return f"${kind.__name__}", tagged
    tag = next(iter(tagged), "")
    if not tag.startswith("$"):
        return "$dict", list(tagged.items())
    if tag == "$object" and tagged.keys() == {"$object", "fields"}:
        return "$tuple", ["$object", tagged["$object"], tagged["fields"]]
    body = tagged[tag]
    if len(tagged) != 1 or tag not in (*_DECODERS, "$cycle"):
        return "$cut", None
    if tag in ("$float", "$int"):
        try:
            return "$number", decode(tagged)
        except NotPlain:
            return "$cut", None
    if tag in nodes.TAGS.values():
        return _split_nodes(tag, body)
    if tag in ("$tuple", "$set", "$frozenset", "$deque", "$complex", "$range", "$fraction", "$dict"):
        pairs = tag != "$dict" or (type(body) is list and all(type(pair) is list and len(pair) == 2 for pair in body))
        return (tag.replace("frozen", ""), body) if type(body) is list and pairs else ("$cut", None)
    return tag, body


def _split_nodes(tag: str, body: Any) -> tuple[str, Any]:
    """No nodes are `None`; trailing `None` of a tree say nothing."""
    if type(body) is not list:
        return "$cut", None
    if tag == "$tree_node":
        body = body[: next((size for size in range(len(body), 0, -1) if body[size - 1] is not None), 0)]
    return (tag, body) if body else ("$NoneType", None)


def _text(tagged: Tagged) -> str:
    """One text for each value, `1` and `1.0` the same, `"1"` another."""
    if type(tagged) is float and tagged.is_integer():
        tagged = int(tagged)
    return "".join(_json_chunks(tagged, 0))


def to_source(tagged: Tagged) -> str:
    """The value as a Python literal or, where there is none, as the expression that a person would write.

    >>> to_source([{"$tuple": [1]}, {"$dict": [[1, "a"]]}, {"$float": "nan"}, {"$set": []}, {"$object": "Point", "fields": {"x": 1}}])
    "[(1,), {1: 'a'}, float('nan'), set(), Point(x=1)]"
    """
    kind = type(tagged)
    if kind is list:
        return f"[{_joined(tagged)}]"
    if kind is not dict:
        return repr(tagged)
    tag = next(iter(tagged), "")
    if not tag.startswith("$"):
        return "{" + ", ".join(f"{key!r}: {to_source(item)}" for key, item in tagged.items()) + "}"
    body = tagged[tag]
    match tag:
        case "$tuple":
            return f"({_joined(body)}{',' if len(body) == 1 else ''})"
        case "$set":
            return f"{{{_joined(body)}}}" if body else "set()"
        case "$frozenset":
            return f"frozenset({{{_joined(body)}}})" if body else "frozenset()"
        case "$dict":
            return "{" + ", ".join(f"{to_source(key)}: {to_source(item)}" for key, item in body) + "}"
        case "$float":
            return f"float({body!r})"
        case "$int":
            value = int(body, 16)
            return str(value) if value.bit_length() < 10_000 else body
        case "$bytes":
            return repr(bytes.fromhex(body))
        case "$bytearray":
            return f"bytearray({bytes.fromhex(body)!r})"
        case "$deque":
            return f"deque([{_joined(body)}])"
        case "$range":
            return f"range({_joined(body if body[2] != 1 else body[:2])})"
        case "$complex":
            return f"complex({_joined(body)})"
        case "$decimal":
            return f"Decimal({body!r})"
        case "$fraction":
            return f"Fraction({_joined(body)})"
        case "$list_node" | "$tree_node":
            return f"{tag[1:]}([{_joined(body)}])"
        case "$object":
            return f"{body}({', '.join(f'{key}={to_source(item)}' for key, item in tagged['fields'].items())})"
        case _:
            return "..."


def _joined(items: list[Tagged]) -> str:
    return ", ".join(to_source(item) for item in items)
