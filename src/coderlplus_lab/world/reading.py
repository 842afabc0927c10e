"""The second world, in which writing needs reading: four or five operations with their numbers, but for the last one.

    Write f(x): reverse the list, then add 3 modulo 10, then limit to 5 from above, then add a constant modulo 10.
    f([7, 2, 9, 4]) == [9, 6, 9, 4]

    def f(x):
        a = list(reversed(x))  # [4, 9, 2, 7]
        b = [(i + 3) % 10 for i in a]
        c = [min(i, 5) for i in b]  # [5, 2, 5, 0]
        # [9, 6, 9, 4]
        d = [(i + 4) % 10 for i in c]
        return d

The missing number is the difference between the value before the last operation and the example's output, which stand
in comments above each other. The statement shows neither that value nor the number, so a writer has to compute it, in
the comments or without them. Every operation is told from the others by the first piece of text after its variable.
"""

from __future__ import annotations

from coderlplus_lab.world.rules import Operation, Rules

READING = Rules(
    name="reading",
    variables="abcde",
    sizes=(4, 5),
    missing=("add",),
    told_every=2,
    visible=2,
    operations={
        "reverse": Operation(("reverse the list",), "{new} = list(reversed({old}))"),
        "rotate": Operation(("rotate the list left",), "{new} = [*{old}[1:], {old}[0]]"),
        "sort": Operation(("sort the list",), "{new} = sorted({old})"),
        "flip": Operation(("subtract every digit from 9",), "{new} = [9 - i for i in {old}]"),
        "add": Operation(
            ("add a constant modulo 10",),
            "{new} = [(i + {k}) % 10 for i in {old}]",
            (1, 2, 3, 4, 5),
            stated="add {k} modulo 10",
        ),
        "cap": Operation(
            ("limit every digit from above",),
            "{new} = [min(i, {k}) for i in {old}]",
            (3, 4, 5, 6),
            stated="limit to {k} from above",
        ),
        "floor": Operation(
            ("limit every digit from below",),
            "{new} = [max(i, {k}) for i in {old}]",
            (3, 4, 5, 6),
            stated="limit to {k} from below",
        ),
    },
)
