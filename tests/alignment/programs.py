"""Small random programs that end: a function `f(a, n)` of loops, branches, calls and values of several types."""

from __future__ import annotations

import random

from coderlplus.records import CallInput

HELPER = """\
def g(x):
    y = x * 3
    if y > 20:
        return y - 17
    return y + 4
"""
VALUES = (
    "len(a)",
    "sum(a) * 3",
    "sorted(a)",
    "a[::-1]",
    "str(total)",
    "total / 4",
    "(total, n)",
    "{x % 4 for x in a}",
    "{x: x * x for x in a}",
    "total > 9",
    "[str(x) for x in a]",
    "g(total)",
    "None",
)


def random_program(seed: int) -> tuple[str, CallInput]:
    """A program and its call; the same for the same seed."""
    rng = random.Random(f"program/{seed}")
    lines = ["    total = n * 7"]
    for number in range(rng.randint(2, 4)):
        lines += _block(rng, number)
    for number in range(rng.randint(1, 3)):
        lines.append(f"    v{number} = {rng.choice(VALUES)}")
    lines.append(rng.choice(["    return total", "    return [total, len(a)]", "    return (total, v0)"]))
    program = HELPER + "def f(a, n):\n" + "\n".join(lines)
    return program, CallInput("f", ([rng.randint(0, 12) for _ in range(rng.randint(1, 5))], rng.randint(0, 9)))


def _block(rng: random.Random, number: int) -> list[str]:
    change = rng.choice(["total += x * 5", "total -= x", "total = g(total)", "total += g(x) + 11"])
    return rng.choice(
        [
            [
                "    for x in a:",
                f"        if x % {rng.randint(2, 3)} == 0:",
                f"            {change}",
                *(["        else:", "            total += 13"] if rng.random() < 0.5 else []),
                *(["        w = total * 2"] if rng.random() < 0.5 else []),
            ],
            [
                f"    k{number} = {rng.randint(1, 4)}",
                f"    while k{number} > 0:",
                f"        k{number} -= 1",
                "        total += 6",
                *(["        if total > 60:", "            break"] if rng.random() < 0.5 else []),
            ],
            [
                "    for x in a:",
                "        try:",
                "            total += 40 // x",
                "        except ZeroDivisionError:",
                "            total += 100",
                *(["        finally:", "            total += 1"] if rng.random() < 0.5 else []),
            ],
            [
                f"    if total % 2 == {rng.randint(0, 1)}:",
                "        total += 21",
                "    elif n > 3:",
                "        total = 8",
            ],
        ]
    )
