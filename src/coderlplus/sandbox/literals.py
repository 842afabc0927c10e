"""Tagged values as Python source text, for people to read. Standard library only: this file also runs inside the
sandbox."""

from __future__ import annotations

from coderlplus.sandbox.encoding import MAX_DEPTH, Tagged

_MAX_BITS = 10_000
"""Longest integer in decimal; `str` takes more than linear time, and refuses 4,300 digits."""
_ENCLOSED = {
    "$tuple": ("(", ")", "()"),
    "$set": ("{", "}", "set()"),
    "$frozenset": ("frozenset({", "})", "frozenset()"),
    "$deque": ("deque([", "])", "deque([])"),
    "$complex": ("complex(", ")", "complex()"),
    "$fraction": ("Fraction(", ")", "Fraction()"),
    "$range": ("range(", ")", "range()"),
    "$list_node": ("list_node([", "])", "list_node([])"),
    "$tree_node": ("tree_node([", "])", "tree_node([])"),
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
    return _source(tagged, 0)


def _source(tagged: Tagged, depth: int) -> str:
    kind = type(tagged)
    if depth > MAX_DEPTH + 1:
        return "..."
    if kind is list:
        return f"[{_items(tagged, depth)}]"
    if kind is int:
        return str(tagged) if tagged.bit_length() < _MAX_BITS else hex(tagged)
    if kind is not dict:
        return repr(tagged) if tagged is None or kind in (bool, float, str) else "..."
    tag = next(iter(tagged), "")
    if type(tag) is not str or not tag.startswith("$"):
        pairs = [f"{key!r}: {_source(item, depth + 1)}" for key, item in tagged.items()]
        return f"{{{', '.join(pairs)}}}"
    try:
        return _tagged_source(tag, tagged, depth)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):  # no tagged value
        return "..."


def _tagged_source(tag: str, tagged: Tagged, depth: int) -> str:
    body = tagged[tag]
    if tag in _ENCLOSED:
        before, after, nothing = _ENCLOSED[tag]
        if tag == "$range" and body[2:] == [1]:
            body = body[:2]
        items = _items(body, depth)
        return f"{before}{items}{',' if tag == '$tuple' and len(body) == 1 else ''}{after}" if body else nothing
    match tag:
        case "$dict":
            pairs = [f"{_source(key, depth + 1)}: {_source(item, depth + 1)}" for key, item in body]
            return f"{{{', '.join(pairs)}}}"
        case "$float":
            return f"float({str.__str__(body)!r})"
        case "$int":
            return _source(int(body, 16), depth)
        case "$bytes":
            return repr(bytes.fromhex(body))
        case "$bytearray":
            return f"bytearray({bytes.fromhex(body)!r})"
        case "$decimal":
            return f"Decimal({str.__str__(body)!r})"
        case "$object":
            fields = [f"{_name(key)}={_source(item, depth + 1)}" for key, item in tagged["fields"].items()]
            return f"{_name(body)}({', '.join(fields)})"
    return "..."


def _name(text: str) -> str:
    """A name as it is; of one that a program made up, with escapes for characters that do not print."""
    return text if str.isprintable(text) else repr(text)[1:-1]


def _items(items: list[Tagged], depth: int) -> str:
    if type(items) is not list:
        raise TypeError("no list")
    return ", ".join([_source(item, depth + 1) for item in items])
