"""Tagged values → Python values. Whatever comes in, only `NotPlain` is raised. Standard library only: this file also
runs inside the sandbox."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from coderlplus.sandbox import nodes
from coderlplus.sandbox.encoding import MAX_DEPTH, Tagged

_FRACTION_BITS = 100_000
"""Longest number of a fraction; reducing one takes quadratic time."""


class NotPlain(ValueError):
    """A tagged value cannot become a Python value: it holds an object, a cycle or a cut, is nested too deeply, or is
    not a tagged value at all."""


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
    """The Python value of a tagged value, created on each call. Raises `NotPlain` (a `ValueError`), and nothing
    else, if there is none.

    Nodes are made of the classes `ListNode` and `TreeNode` among `classes`, or of our own. With a function `$object`
    among them, objects of other classes are what it returns for their class name and their fields.

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
    if tag == "$object" and "$object" in classes and type(tagged[tag]) is str and type(tagged.get("fields")) is dict:
        return classes["$object"](tagged[tag], _decode(tagged["fields"], depth + 1, False, classes))
    if len(tagged) != 1 or tag not in DECODERS:
        raise NotPlain(f"a value tagged {tag[:20]!r} is not plain data")
    try:
        return DECODERS[tag](tagged[tag], depth + 1, hashed, classes)
    except NotPlain:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError, RecursionError) as error:
        raise NotPlain(f"{tag} with {_short(tagged[tag])}: {type(error).__name__}") from None


def _short(body: Any) -> str:
    return repr(body[:40]) if type(body) is str else f"a {type(body).__name__}"


def _string(key: Any) -> str:
    if type(key) is not str or key.startswith("$"):
        raise NotPlain(f"a dict with {_short(key)} as a key")
    return key


def _items(items: Any, depth: int, hashed: bool, classes: Mapping[str, Any] = nodes.CLASSES) -> list[Any]:
    if type(items) is not list:
        raise NotPlain("expected a list")
    return [_decode(item, depth, hashed, classes) for item in items]


def _node(name: str, body: Any, depth: int, hashed: bool, classes: Mapping[str, Any]) -> Any:
    return nodes.build(name, _items(body, depth, hashed, classes), classes.get(name) or nodes.CLASSES[name])


def _fraction(parts: list[Any]) -> Fraction:
    if any(type(part) is not int or part.bit_length() > _FRACTION_BITS for part in parts):
        raise NotPlain("a fraction of what is no integer, or of one that is too long")
    return Fraction(*parts)


def _unhashable(hashed: bool, value: Any) -> Any:
    if hashed:
        raise NotPlain(f"a {type(value).__name__} cannot be a key")
    return value


DECODERS: dict[str, Any] = {
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
    "$fraction": lambda body, depth, hashed, classes: _fraction(_items(body, depth, True)),
}
