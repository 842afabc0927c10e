"""Tagged values as Python source text, for people to read. Standard library only: this file also runs inside the sandbox."""

from __future__ import annotations

from coderlplus.sandbox.encoding import Tagged


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
