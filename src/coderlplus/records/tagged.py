"""Tagged values as they come from a file: checked once, where they are read, so that nothing behind has to ask
again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from coderlplus.errors import DataError, a

MAX_LEVELS = 400
"""Deepest nesting of JSON in a tagged value; `values.encode` makes at most 100 levels of containers, of three JSON
levels each."""
MAX_INT_BITS = 14_000
"""Longest integer that stands as a number; JSON and CPython's `str` stop at 4,300 digits. Longer ones are
`{"$int": "0x…"}`."""

_SCALARS = frozenset({str, bool, float, type(None)})
_SEQUENCES = frozenset({"$tuple", "$set", "$frozenset", "$deque", "$list_node", "$tree_node"})
_FORMS = {
    "$float": re.compile(r"nan|inf|-inf"),
    "$int": re.compile(r"-?0[xX][0-9a-fA-F]+"),
    "$bytes": re.compile(r"(?:[0-9a-fA-F]{2})*"),
    "$bytearray": re.compile(r"(?:[0-9a-fA-F]{2})*"),
    "$decimal": re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,18})?|[-+]?(?:Infinity|s?NaN\d*)"),
    "$cut": re.compile(r"[^\0]*"),
}
"""The whole body of a tag whose body is text."""
_NUMBERS = {"$complex": (2, 2), "$range": (1, 3), "$fraction": (1, 2)}
"""Tags whose body is a list of numbers, with how many."""


def tagged(value: Any, name: str) -> Any:
    """The tagged value of field `name`, as records hold it: integers that are too long for text and floats that JSON
    does not have are tagged.

    Raises `DataError` for what is no tagged value, or is nested more than `MAX_LEVELS` deep.

    >>> tagged([1, float("inf")], "expected")
    [1, {'$float': 'inf'}]
    """
    stack: list[tuple[Any, int]] = [([value], 0)]
    is_odd = False
    while stack:
        item, level = stack.pop()
        if level > MAX_LEVELS:
            raise DataError(f"field {name!r} is nested more than {MAX_LEVELS} levels deep")
        for child in item if type(item) is list else _members(item, name):
            kind = type(child)
            if kind is list or kind is dict:
                stack.append((child, level + 1))
            elif kind is int:
                is_odd |= child.bit_length() > MAX_INT_BITS
            elif kind not in _SCALARS:
                raise DataError(
                    f"field {name!r} holds {a(kind.__name__)}, which is not JSON; "
                    "coderlplus.sandbox.values.encode(value) writes it"
                )
            elif kind is float:
                is_odd |= not math.isfinite(child)
    return _with_tags(value) if is_odd else value


def _members(item: dict[Any, Any], name: str) -> Iterable[Any]:
    """The tagged values in an object. Raises `DataError` if its tag or its body is none."""
    tag = next(iter(item), "")
    if type(tag) is not str or not tag.startswith("$"):
        for key in item:
            if type(key) is not str or key.startswith("$"):
                raise DataError(
                    f'field {name!r} has a dict with the key {str(key)[:20]!r}; write it as {{"$dict": [[key, '
                    f"value], …]}}"
                )
        return item.values()
    body = item[tag]
    if tag == "$object":
        fields = item.get("fields")
        if len(item) == 2 and type(body) is str and type(fields) is dict and all(type(key) is str for key in fields):
            return fields.values()
    elif len(item) == 1 and _fits(tag, body):
        if tag == "$dict":
            return [part for pair in body for part in pair]
        return body if type(body) is list else ()
    raise DataError(f"field {name!r} has {tag[:20]!r} with {type(body).__name__!s}, which is no tagged value")


def _fits(tag: str, body: Any) -> bool:
    """Whether a tag is known and its body of the right form, what is in it aside."""
    if tag in _SEQUENCES:
        return type(body) is list
    if tag in _FORMS:
        return type(body) is str and _FORMS[tag].fullmatch(body) is not None
    if tag in _NUMBERS:
        least, most = _NUMBERS[tag]
        is_list = type(body) is list and least <= len(body) <= most and all(_is_number(part, tag) for part in body)
        return is_list and not (tag == "$range" and body[2:] == [0]) and not (tag == "$fraction" and body[1:] == [0])
    if tag == "$dict":
        return type(body) is list and all(type(pair) is list and len(pair) == 2 for pair in body)
    return tag == "$cycle" and type(body) is int and 0 <= body <= MAX_LEVELS


def _is_number(part: Any, tag: str) -> bool:
    if type(part) is dict:
        inner = next(iter(part), "")
        return len(part) == 1 and inner == ("$float" if tag == "$complex" else "$int") and _fits(inner, part[inner])
    if tag == "$complex":
        return type(part) is float or (type(part) is int and part.bit_length() < 1024)
    return type(part) is int


def _with_tags(value: Any) -> Any:
    if type(value) is list:
        return [_with_tags(item) for item in value]
    if type(value) is dict:
        return {key: _with_tags(item) for key, item in value.items()}
    if type(value) is int and value.bit_length() > MAX_INT_BITS:
        return {"$int": hex(value)}
    return {"$float": str(value)} if type(value) is float and not math.isfinite(value) else value
