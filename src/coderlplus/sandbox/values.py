"""Python values as plain data: *tagged values*.

JSON where JSON says the same; otherwise an object with one tag:

    {"$tuple": [...]}  {"$set": [...]}  {"$frozenset": [...]}  {"$deque": [...]}     sets sorted by their text
    {"$dict": [[key, value], ...]}        keys that are not strings, or a string key that starts with "$"
    {"$float": "nan" | "inf" | "-inf"}    {"$int": "0x..."} beyond 4,200 digits        {"$complex": [re, im]}
    {"$bytes": hex}  {"$bytearray": hex}  {"$range": [start, stop, step]}
    {"$decimal": "1.50"}  {"$fraction": [n, d]}
    {"$object": "Point", "fields": {...}} any other instance by its attributes; functions and files have no fields
    {"$list_node": [1, 2]}  {"$tree_node": [1, None, 2]}                              LeetCode's nodes, see `nodes.py`
    {"$cycle": depth}                     the container `depth` levels below the outermost one, met again inside itself
    {"$cut": "list of 2000000"}           what was beyond the budget

`defaultdict`, `OrderedDict` and `Counter` are taken as the dict that they equal. The same value gives the same text on
every run and every Python.

Encoding goes by exact types and calls no method of the program: no `__repr__`, `__eq__`, `__reduce__`, property or
`__getattribute__`. It shows no memory addresses. Standard library only: this file also runs inside the sandbox.
"""

from __future__ import annotations

from coderlplus.sandbox.decoding import NotPlain, decode, is_plain
from coderlplus.sandbox.encoding import BUDGET, MAX_DEPTH, Tagged, encode
from coderlplus.sandbox.equality import equal
from coderlplus.sandbox.literals import to_source

__all__ = ["BUDGET", "MAX_DEPTH", "NotPlain", "Tagged", "decode", "encode", "equal", "is_plain", "to_source"]
