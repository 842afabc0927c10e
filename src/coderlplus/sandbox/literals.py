"""Tagged values as Python source text, for people to read. Standard library only: this file also runs inside the
sandbox."""

from __future__ import annotations

from collections.abc import Iterable

from coderlplus.sandbox.encoding import MAX_DEPTH, Tagged

_MAX_BITS = 10_000
"""Longest integer in decimal; `str` takes more than linear time, and refuses 4,300 digits."""
_ENCLOSED = {
    "$set": ("{", "}", "set()"),
    "$frozenset": ("frozenset({", "})", "frozenset()"),
    "$deque": ("deque([", "])", ""),
    "$complex": ("complex(", ")", ""),
    "$fraction": ("Fraction(", ")", ""),
    "$list_node": ("list_node([", "])", ""),
    "$tree_node": ("tree_node([", "])", ""),
}
"""What stands before and after the items of a tag, and what for none."""


def to_source(tagged: Tagged) -> str:
    """The value as a Python literal or, if there is none, as the expression that a person would write.

    Takes time linear in the value and raises nothing: what is no tagged value, or is nested too deeply, is `...`.
    Long integers are hexadecimal.

    >>> to_source([{"$tuple": [1]}, {"$dict": [[1, "a"]]}, {"$float": "nan"}, {"$set": []}])
    "[(1,), {1: 'a'}, float('nan'), set()]"
    >>> to_source({"$object": "Point", "fields": {"x": 1}})
    'Point(x=1)'
    """
    out: list[str] = []
    _write(tagged, out, 0)
    return "".join(out)


def _write(tagged: Tagged, out: list[str], depth: int) -> None:
    kind = type(tagged)
    if depth > MAX_DEPTH + 1:
        out.append("...")
    elif kind is list:
        _enclosed("[", tagged, "]", out, depth)
    elif kind is int:
        out.append(str(tagged) if tagged.bit_length() < _MAX_BITS else hex(tagged))
    elif kind is not dict:
        out.append(repr(tagged) if tagged is None or kind in (bool, float, str) else "...")
    elif type(tag := next(iter(tagged), "")) is str and tag.startswith("$"):
        start = len(out)
        try:
            _write_tagged(tag, tagged, out, depth)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError):  # no tagged value
            out[start:] = ["..."]
    else:
        _pairs("{", tagged.items(), ": ", "}", out, depth, [repr(key) for key in tagged])


def _write_tagged(tag: str, tagged: Tagged, out: list[str], depth: int) -> None:
    body = tagged[tag]
    if tag in _ENCLOSED:
        before, after, empty = _ENCLOSED[tag]
        if type(body) is not list:
            raise TypeError(tag)
        if empty and not body:
            out.append(empty)
        else:
            _enclosed(before, body, after, out, depth)
        return
    match tag:
        case "$tuple":
            _enclosed("(", body, ",)" if len(body) == 1 else ")", out, depth)
        case "$dict":
            out.append("{")
            for number, (key, item) in enumerate(body):
                out.append(", " if number else "")
                _write(key, out, depth + 1)
                out.append(": ")
                _write(item, out, depth + 1)
            out.append("}")
        case "$float":
            out.append(f"float({str.__str__(body)!r})")
        case "$int":
            _write(int(body, 16), out, depth)
        case "$bytes":
            out.append(repr(bytes.fromhex(body)))
        case "$bytearray":
            out.append(f"bytearray({bytes.fromhex(body)!r})")
        case "$range":
            _enclosed("range(", body if body[2:] != [1] else body[:2], ")", out, depth)
        case "$decimal":
            out.append(f"Decimal({str.__str__(body)!r})")
        case "$object":
            fields = tagged["fields"]
            _pairs(f"{_name(body)}(", fields.items(), "=", ")", out, depth, [_name(key) for key in fields])
        case _:
            out.append("...")


def _name(text: str) -> str:
    """A name as it is; of one that a program made up, with escapes for characters that do not print."""
    return text if str.isprintable(text) else repr(text)[1:-1]


def _enclosed(before: str, items: Iterable[Tagged], after: str, out: list[str], depth: int) -> None:
    if type(items) is not list:
        raise TypeError("no list")
    out.append(before)
    for number, item in enumerate(items):
        if number:
            out.append(", ")
        _write(item, out, depth + 1)
    out.append(after)


def _pairs(
    before: str,
    items: Iterable[tuple[str, Tagged]],
    between: str,
    after: str,
    out: list[str],
    depth: int,
    names: list[str],
) -> None:
    out.append(before)
    for number, (name, (_, item)) in enumerate(zip(names, items, strict=True)):
        out.append(f"{', ' if number else ''}{name}{between}")
        _write(item, out, depth + 1)
    out.append(after)
