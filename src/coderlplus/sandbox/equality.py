"""Whether two tagged values are the same value. Standard library only: this file also runs inside the sandbox."""

from __future__ import annotations

import math
from typing import Any

from coderlplus.sandbox import nodes
from coderlplus.sandbox.decoding import DECODERS, NotPlain, decode
from coderlplus.sandbox.encoding import MAX_DEPTH, Tagged, text_of


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
            by_text.setdefault(text_of(key), []).append((key, value))
        unmatched = []
        for key, value in items:
            same = by_text.get(text_of(key))
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
    if len(tagged) != 1 or tag not in (*DECODERS, "$cycle"):
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
