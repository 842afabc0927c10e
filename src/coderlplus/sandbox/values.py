"""Python values as tagged JSON: the only form in which a value leaves or enters the process of an untrusted program.

`encode` looks at exact types only. It never calls a method that a program could have written (`__repr__`, `__eq__`, `__reduce__`, `__iter__`,
`__hash__`, properties), holds no memory address, and is bounded in items, depth and characters: what is beyond the budget becomes `{"$cut": …}`.
The same value gives the same text on every run and every Python.

    JSON as it is        None, bool, int, finite float, str, list, dict with string keys none of which starts with "$"
    {"$tuple": […]}      {"$set": […]} (sorted; frozensets too)      {"$dict": [[key, value], …]} (any other dict)
    {"$float": "nan"}    also "inf", "-inf"                          {"$int": "0x…"} (beyond the digits that Python prints)
    {"$bytes": "00ff"}   bytes, bytearray                            {"$complex": [re, im]}
    {"$object": "Point", "fields": {…}}                              {"$cycle": levels up}      {"$cut": what}

Dicts of the `collections` module are dicts here, and a `deque` is an object with its items. Standard library only: a bare interpreter loads this
file by path.
"""

from __future__ import annotations

import collections
import json
import math
import types
from collections.abc import Callable
from typing import Any

TaggedValue = Any

MAX_ITEMS = 100_000
MAX_CHARS = 1_000_000
MAX_DEPTH = 100
MAX_INT_BITS = 14_000
"""Integers below 2**14000 are written in decimal (under the 4,300 digits that Python converts)."""

_DICTS = (dict, collections.defaultdict, collections.OrderedDict, collections.Counter)
_SHOWN_AS_NAME = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    types.GeneratorType,
    types.CoroutineType,
)
_MISSING: Any = object()


def encode(value: object, *, max_items: int = MAX_ITEMS, max_chars: int = MAX_CHARS) -> TaggedValue:
    """The tagged form of any value.

    >>> encode({(1, 2): {3, 1}, "x": float("inf")})
    {'$dict': [[{'$tuple': [1, 2]}, {'$set': [1, 3]}], ['x', {'$float': 'inf'}]]}
    >>> encode([1, 2, 3], max_items=2)
    [1, {'$cut': 'items'}]
    """
    return _Encoder(max_items, max_chars).encode(value, 0)


class _Encoder:
    def __init__(self, items: int, chars: int) -> None:
        self.items = items
        self.chars = chars
        self.path: dict[int, int] = {}

    def encode(self, value: object, depth: int) -> TaggedValue:
        self.items -= 1
        if self.items < 0:
            return {"$cut": "items"}
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return self._int(value)  # type: ignore[arg-type]
        if kind is str:
            return self._text(value)  # type: ignore[arg-type]
        if kind is float:
            return value if math.isfinite(value) else {"$float": float.__repr__(value)}  # type: ignore[arg-type]
        if kind is bytes or kind is bytearray:
            return {"$bytes": self._text(bytes.hex(bytes(value)))}  # type: ignore[call-overload]
        if kind is complex:
            return {"$complex": [self.encode(value.real, depth), self.encode(value.imag, depth)]}  # type: ignore[attr-defined]
        if issubclass(kind, _SHOWN_AS_NAME):
            return {"$object": _name(type(value)), "fields": {}}
        if depth >= MAX_DEPTH:
            return {"$cut": "depth"}
        above = self.path.get(id(value))
        if above is not None:
            return {"$cycle": depth - above}
        self.path[id(value)] = depth
        try:
            return self._container(value, kind, depth + 1)
        finally:
            del self.path[id(value)]

    def _container(self, value: Any, kind: type, depth: int) -> TaggedValue:
        if kind is list:
            return self._items(list.__iter__(value), depth)
        if kind is tuple:
            return {"$tuple": self._items(tuple.__iter__(value), depth)}
        if kind is set or kind is frozenset:
            if len(value) > self.items:
                return {"$cut": "items"}
            return {"$set": sorted(self._items(kind.__iter__(value), depth), key=_sort_key)}
        if kind in _DICTS:
            return self._dict(value, depth)
        return {"$object": _name(kind), "fields": self._fields(value, kind, depth)}

    def _items(self, items: Any, depth: int) -> list[TaggedValue]:
        found = []
        for item in items:
            found.append(self.encode(item, depth))
            if self.items <= 0:
                if next(items, _MISSING) is not _MISSING and found[-1] != {"$cut": "items"}:
                    found.append({"$cut": "items"})
                break
        return found

    def _dict(self, value: Any, depth: int) -> TaggedValue:
        pairs: list[list[TaggedValue]] = []
        plain = True
        for key, item in dict.items(value):
            plain = plain and type(key) is str and not key.startswith("$")
            pairs.append([self.encode(key, depth), self.encode(item, depth)])
            if self.items <= 0 and len(pairs) < dict.__len__(value):
                pairs.append([{"$cut": "items"}, None])
                plain = False
                break
        if plain and all(type(key) is str for key, _ in pairs) and len({key for key, _ in pairs}) == len(pairs):
            return dict(pairs)  # type: ignore[arg-type]
        return {"$dict": pairs}

    def _fields(self, value: Any, kind: type, depth: int) -> dict[str, TaggedValue]:
        """What an object holds: a named tuple's fields, an exception's arguments, a subclass's plain content, and instance attributes."""
        fields: dict[str, TaggedValue] = {}
        if issubclass(kind, tuple):
            names = _class_attribute(kind, "_fields")
            items = list(tuple.__iter__(value))
            if type(names) is tuple and len(names) == len(items) and all(type(name) is str for name in names):
                return {name: self.encode(item, depth) for name, item in zip(names, items, strict=True)}
            fields["items"] = self._items(iter(items), depth)
        elif issubclass(kind, collections.deque):
            fields["items"] = self._items(collections.deque.__iter__(value), depth)
        elif issubclass(kind, list):
            fields["items"] = self._items(list.__iter__(value), depth)
        elif issubclass(kind, dict):
            fields["items"] = self._dict(value, depth)
        elif issubclass(kind, set | frozenset):
            base = set if issubclass(kind, set) else frozenset
            fields["items"] = sorted(self._items(base.__iter__(value), depth), key=_sort_key)
        elif issubclass(kind, int):
            fields["value"] = self._int(int.__int__(value))
        elif issubclass(kind, float):
            fields["value"] = self.encode(float.__float__(value), depth)
        elif issubclass(kind, str):
            fields["value"] = self._text(str.__str__(value))
        elif kind is range:
            return {"start": self._int(value.start), "stop": self._int(value.stop), "step": self._int(value.step)}
        elif issubclass(kind, BaseException):
            fields["args"] = self.encode(BaseException.args.__get__(value), depth)  # type: ignore[attr-defined]
        for name, item in _attributes(value, kind):
            fields[name] = self.encode(item, depth)
            if self.items <= 0:
                break
        return fields

    def _int(self, value: int) -> TaggedValue:
        if int.bit_length(value) > MAX_INT_BITS:
            return {"$int": self._text(hex(value))}
        return value

    def _text(self, text: str) -> TaggedValue:
        self.chars -= len(text)
        if self.chars < 0:
            return {"$cut": "characters"}
        return text


def _name(kind: type) -> str:
    name = type.__dict__["__qualname__"].__get__(kind)
    return name if type(name) is str else "object"


def _class_attribute(kind: type, name: str) -> Any:
    for base in type.__dict__["__mro__"].__get__(kind):
        namespace = type.__dict__["__dict__"].__get__(base)
        if name in namespace:
            return namespace[name]
    return None


def _attributes(value: object, kind: type) -> list[tuple[str, Any]]:
    """Instance attributes in order of definition: slots, then the instance's dict; read through the interpreter's own descriptors only."""
    found: dict[str, Any] = {}
    for base in reversed(type.__dict__["__mro__"].__get__(kind)):
        for name, member in type.__dict__["__dict__"].__get__(base).items():
            if type(member) is types.MemberDescriptorType and base.__module__ != "builtins" and type(name) is str:
                try:
                    found[name] = member.__get__(value)
                except AttributeError:  # a slot that was never set
                    continue
    for base in type.__dict__["__mro__"].__get__(kind):
        holder = type.__dict__["__dict__"].__get__(base).get("__dict__")
        if type(holder) is types.GetSetDescriptorType:
            namespace = holder.__get__(value)
            if type(namespace) is dict:
                found.update((name, item) for name, item in dict.items(namespace) if type(name) is str)
            break
    return list(found.items())


def _sort_key(tagged: TaggedValue) -> tuple[int, Any, str]:
    """Numbers by size, then everything else by its text."""
    if isinstance(tagged, bool | None.__class__) or not isinstance(tagged, int | float):
        return (1, 0, json.dumps(tagged, sort_keys=True))
    return (0, tagged, "")


def decode(tagged: TaggedValue) -> Any:
    """The Python value of a tagged value. Raises `ValueError` for objects, cycles and cuts, which have no value to rebuild, and for unknown tags.

    >>> decode({"$tuple": [1, {"$set": [2]}]})
    (1, {2})
    """
    if isinstance(tagged, list):
        return [decode(item) for item in tagged]
    if not isinstance(tagged, dict):
        return tagged
    tag = next(iter(tagged), "")
    if not tag.startswith("$"):
        return {key: decode(item) for key, item in tagged.items()}
    decoder = _DECODERS.get(tag)
    if decoder is None or len(tagged) != 1:
        raise ValueError(f"a value tagged {tag!r} cannot be rebuilt")
    try:
        return decoder(tagged[tag])
    except (TypeError, AttributeError) as error:
        raise ValueError(f"malformed {tag!r} value: {error}") from error


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$tuple": lambda items: tuple(decode(item) for item in items),
    "$set": lambda items: {decode(item) for item in items},
    "$dict": lambda pairs: {decode(key): decode(item) for key, item in pairs},
    "$float": lambda text: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[text] if text in ("nan", "inf", "-inf") else float(text),
    "$int": lambda text: int(text, 16),
    "$bytes": bytes.fromhex,
    "$complex": lambda parts: complex(decode(parts[0]), decode(parts[1])),
}


def equal(left: TaggedValue, right: TaggedValue, *, float_tolerance: float = 0.0) -> bool:
    """Whether two tagged values are the same value.

    Numbers are equal as numbers, with a relative and absolute tolerance as soon as one of them is a float; NaN equals NaN. `True` is not 1, a list is
    not a tuple. Order matters in lists and tuples, not in sets and dicts. A cut value equals nothing.

    >>> equal([1, 2.0], [1.0, 2]), equal(True, 1), equal({"$tuple": [1]}, [1])
    (True, False, False)
    """
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _numbers_equal(left, right, float_tolerance)
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and isinstance(right, str) and left == right
    if isinstance(left, list):
        return isinstance(right, list) and _all_equal(left, right, float_tolerance)
    if not isinstance(left, dict) or not isinstance(right, dict):
        return False
    tag, other = _tag(left), _tag(right)
    if tag != other or tag == "$cut":
        return False
    if tag == "$set":
        return _same_members(left[tag], right[tag], float_tolerance)
    if tag == "$dict":
        return _same_members([{"$tuple": pair} for pair in left[tag]], [{"$tuple": pair} for pair in right[tag]], float_tolerance)
    if tag in ("$tuple", "$complex"):
        return _all_equal(left[tag], right[tag], float_tolerance)
    if tag == "$object" and left.get("$object") != right.get("$object"):
        return False
    if tag == "$object":
        left, right = left.get("fields", {}), right.get("fields", {})
    elif tag:
        return bool(left[tag] == right[tag])
    return left.keys() == right.keys() and all(equal(item, right[key], float_tolerance=float_tolerance) for key, item in left.items())


def _tag(tagged: dict[str, Any]) -> str:
    tag = next(iter(tagged), "")
    return tag if tag.startswith("$") else ""


def _numbers_equal(left: float, right: float, tolerance: float) -> bool:
    if left == right:
        return True
    if tolerance <= 0 or (isinstance(left, int) and isinstance(right, int)):
        return False
    try:
        return math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:  # an integer beyond every float
        return False


def _all_equal(left: list[TaggedValue], right: list[TaggedValue], tolerance: float) -> bool:
    return len(left) == len(right) and all(equal(a, b, float_tolerance=tolerance) for a, b in zip(left, right, strict=True))


def _same_members(left: list[TaggedValue], right: list[TaggedValue], tolerance: float) -> bool:
    """Equality without order. Members that are the same text are paired first, so only members within tolerance of each other cost a search."""
    if len(left) != len(right):
        return False
    counts = collections.Counter(json.dumps(item, sort_keys=True) for item in right)
    rest_left = []
    for item in left:
        text = json.dumps(item, sort_keys=True)
        if counts[text]:
            counts[text] -= 1
        else:
            rest_left.append(item)
    if len(rest_left) > 1000:
        return False
    rest_right = [json.loads(text) for text, count in counts.items() for _ in range(count)]
    for item in rest_left:
        place = next((i for i, other in enumerate(rest_right) if equal(item, other, float_tolerance=tolerance)), None)
        if place is None:
            return False
        del rest_right[place]
    return True


def to_source(tagged: TaggedValue) -> str:
    """A tagged value as Python source text; cycles and cuts are written as `...`.

    >>> to_source({"$dict": [[1, {"$tuple": [True]}], ["a", {"$float": "nan"}]]})
    "{1: (True,), 'a': float('nan')}"
    """
    if isinstance(tagged, list):
        return "[" + ", ".join(map(to_source, tagged)) + "]"
    if not isinstance(tagged, dict):
        return repr(tagged)
    tag = _tag(tagged)
    if not tag:
        return "{" + ", ".join(f"{key!r}: {to_source(item)}" for key, item in tagged.items()) + "}"
    content = tagged[tag]
    if tag == "$tuple":
        return "(" + ", ".join(map(to_source, content)) + (",)" if len(content) == 1 else ")")
    if tag == "$set":
        return "{" + ", ".join(map(to_source, content)) + "}" if content else "set()"
    if tag == "$dict":
        return "{" + ", ".join(f"{to_source(key)}: {to_source(item)}" for key, item in content) + "}"
    if tag == "$float":
        return f"float({content!r})"
    if tag == "$int":
        return str(content)
    if tag == "$bytes":
        return repr(bytes.fromhex(content)) if isinstance(content, str) else "..."
    if tag == "$complex":
        return f"complex({to_source(content[0])}, {to_source(content[1])})"
    if tag == "$object":
        return f"{content}(" + ", ".join(f"{name}={to_source(item)}" for name, item in tagged["fields"].items()) + ")"
    return "..."
