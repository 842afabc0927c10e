"""Random changes of texts and of JSON, by seed."""

from __future__ import annotations

import copy
import random
from typing import Any

ODD = [
    "```", "~~~", "```python\n", "<think>", "</think>", "\x00", "\x1b[31m", "\ud800", "\udcff", "\u202e",
    "\u00a0", "\u200b", "\ufeff", "\u2028", "\r", "\r\n", "\f", "\\", "\\\n", '"', "'", '"""', "'''", "{", "}",
    "[", "]", "(", ")", "#", "\t", "    ", "\n\n", "f'{\"\u00a0\"}'", "0x" + "f" * 4000, "9" * 5000, "1e999",
    "nan", "-", "*", "**", "lambda:", "yield", "await ", "async ", "match x:\n case", "global x", "del x", "é",
    "\u0301" * 50, "ﬁ", "名", "🎉", '{"a": ', '"output": ', "a = ", "set()", "{1, 2}", "(1,)", "float('nan')",
    "Decimal('1')", "Fraction(1, 2)", "1+2j", "deque([1])", "range(3)", "b'\\xff'", "None", "true", "null",
    "NaN", "Infinity", ":=", "->", "\N{ZERO WIDTH JOINER}", "%s", "{0}", "{targets}", "[red]", "[/]", ":smile:",
    "</script>",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 10**5000, 2**63, 1.5, float("nan"), float("inf"), "", "\ud800", "\x1b", "$tuple", [], {},
    [[]], {"$set": [1]}, {"$cut": "list"}, {"$x": 1}, {"$int": "0xff"}, {"$int": "zz"}, {"$float": "nan"},
    {"$dict": [[1, 2]]}, {"$dict": [1]}, {"$object": "P", "fields": {"x": 1}}, {"$cycle": 0},
    {"$tuple": [1, 2]}, {"kind": "stdio"}, {"kind": "call", "entry_point": "f"}, {"$fraction": [1, 0]},
    {"$decimal": "x"}, {"$range": [1, 2, 0]},
]  # fmt: skip


def mutated(text: str, others: list[str], rng: random.Random) -> str:
    """A text with one to four changes."""
    for _ in range(rng.randint(1, 4)):
        start, end = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        end = min(end, start + rng.choice((1, 3, 30, 300)))
        match rng.randrange(8):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:start] + rng.choice(ODD) + text[start:]
            case 2:
                text = text[:start] + rng.choice(ODD) + text[end:]
            case 3:
                text = text[:end] + text[start:end] * rng.choice((1, 2, 20)) + text[end:]
            case 4:
                other = rng.choice(others)
                text = text[:start] + other[rng.randint(0, len(other)) :]
            case 5:
                text = text[:end]
            case 6:
                text = text[:start] + text[start:end][::-1] + text[end:]
            case 7:
                text = (
                    text[:start]
                    + chr(rng.choice((rng.randrange(128), rng.randrange(0x300), rng.randrange(0x110000))))
                    + text[start + 1 :]
                )
    return text[:20_000]


def mutated_json(value: Any, rng: random.Random) -> Any:
    """JSON with one to three of its parts replaced, removed or put elsewhere."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        places = [
            (parent, key)
            for parent in _containers(value)
            for key in (parent if isinstance(parent, dict) else range(len(parent)))
        ]
        if not places:
            return rng.choice(VALUES)
        parent, key = rng.choice(places)
        match rng.randrange(4):
            case 0:
                del parent[key]
            case 1 | 2:
                parent[key] = copy.deepcopy(rng.choice(VALUES))
            case 3:
                parent[key] = [parent[key]] if rng.random() < 0.5 else {"$tuple": [parent[key]]}
    return value


def _containers(value: Any) -> list[Any]:
    found, stack = [], [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict | list):
            found.append(item)
            stack.extend(item.values() if isinstance(item, dict) else item)
    return found
