"""The first world, that of the quick start: two or three operations, and no number is stated."""

from __future__ import annotations

from coderlplus_lab.world.rules import Operation, Rules

FIRST = Rules(
    name="first",
    variables="abc",
    sizes=(2, 3),
    operations={
        "reverse": Operation(("reverse the list", "turn the list around"), "{new} = {old}[::-1]"),
        "sort": Operation(("sort the list", "put the digits in order"), "{new} = sorted({old})"),
        "add": Operation(
            ("add a constant modulo 10", "raise every digit modulo 10"),
            "{new} = [(i + {k}) % 10 for i in {old}]",
            (1, 2, 3, 4, 5),
        ),
        "flip": Operation(("subtract every digit from 9", "flip the digits"), "{new} = [9 - i for i in {old}]"),
        "cap": Operation(
            ("cap the digits", "limit every digit from above"),
            "{new} = []\nfor i in {old}:\n    if i > {k}:\n        i = {k}\n    {new}.append(i)",
            (3, 4, 5, 6),
        ),
        "floor": Operation(
            ("lift small digits", "limit every digit from below"), "{new} = [max(i, {k}) for i in {old}]", (3, 4, 5, 6)
        ),
        "rotate": Operation(
            ("move the first digit to the end", "rotate the list left"), "{new} = {old}[1:] + {old}[:1]"
        ),
        "tail": Operation(("drop the first digit", "remove the head"), "{new} = {old}[1:]"),
        "init": Operation(("drop the last digit", "remove the end"), "{new} = {old}[:-1]"),
        "append": Operation(("append a digit", "add a digit at the end"), "{new} = {old} + [{k}]", tuple(range(10))),
        "keep": Operation(
            ("keep only large digits", "remove small digits"), "{new} = [i for i in {old} if i > {k}]", (1, 2, 3, 4)
        ),
        "odd": Operation(
            ("make even digits odd", "raise even digits by one"),
            "{new} = []\nfor i in {old}:\n    if i % 2 == 0:\n        i = i + 1\n    {new}.append(i)",
        ),
    },
)
