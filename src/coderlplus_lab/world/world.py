"""The small world: real Python programs of two or three operations on lists of digits, and problems about them.

    def f(x):
        a = x[::-1]  # [2, 4, 1, 3]
        b = []
        for i in a:
            if i > 3:
                i = 3
            b.append(i)  # [2, 3, 1, 3]
        return b

A problem names the operations in words and shows three examples; numbers (*add a constant*, *cap*) are not given and
must be found from the examples. Five more examples are hidden tests. A sequence of operation names is a *composition*;
a hash puts each composition of two or more operations into one split, so a held-out problem asks for a composition
that no training problem had. It is the family of a problem, over which intervals are. The Python text of an operation
is its only definition: expected values come from running it. It runs in this process because we wrote it; programs of
a model never do.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

from coderlplus.records import CallInput, CallTest, Limits, Problem

Split = Literal["train", "validation", "test"]
Digits = list[int]

VARIABLES = "abc"
ENTRY_POINT = "f"
VISIBLE, HIDDEN = 3, 5
LENGTH = 4
"""How many digits an input has."""
MAX_DIGITS = 6
LIMITS = Limits(cpu_s=0.25, wall_s=5.0, memory_mb=32, output_kb=16)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on a list: ways to say it, its Python (`new`, `old` are variables, `k` a number) and the numbers
    that `k` may be."""

    phrases: tuple[str, ...]
    code: str
    numbers: tuple[int, ...] = (0,)


OPERATIONS = {
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
    "rotate": Operation(("move the first digit to the end", "rotate the list left"), "{new} = {old}[1:] + {old}[:1]"),
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
}

Step = tuple[str, int]
"""An operation's name and its number (0 where it has none)."""


@dataclass(frozen=True, slots=True)
class DrawnProblem:
    """A drawn problem: its steps, inputs (visible ones first), outputs, and the statement in words with the visible
    examples."""

    steps: tuple[Step, ...]
    inputs: tuple[Digits, ...]
    outputs: tuple[Digits, ...]
    statement: str

    @property
    def composition(self) -> str:
        """The names of the operations: problems that share them are a family."""
        return ",".join(name for name, _ in self.steps)


def split_of(steps: Sequence[Step]) -> Split:
    """The split that a composition belongs to: 65 % training, 15 % validation, 20 % test; single operations are all
    training."""
    return _split_of(tuple(name for name, _ in steps))


@cache
def _split_of(names: tuple[str, ...]) -> Split:
    if len(names) == 1:
        return "train"
    place = int.from_bytes(hashlib.sha256(",".join(names).encode()).digest()[:4], "big") % 100
    return "test" if place < 20 else "validation" if place < 35 else "train"


def program_text(steps: Sequence[Step], values: Sequence[Digits] | None = None) -> str:
    """The program of some steps; with `values` (the list after each step on the first example) each step's last line
    ends with a comment.

    >>> print(program_text([("reverse", 0), ("add", 2)], [[3, 1], [5, 3]]))
    def f(x):
        a = x[::-1]  # [3, 1]
        b = [(i + 2) % 10 for i in a]  # [5, 3]
        return b
    """
    lines, old = [f"def {ENTRY_POINT}(x):"], "x"
    for place, (name, number) in enumerate(steps):
        new = VARIABLES[place]
        block = OPERATIONS[name].code.format(new=new, old=old, k=number).split("\n")
        if values is not None:
            block[-1] += f"  # {values[place]}"
        lines += [f"    {line}" for line in block]
        old = new
    return "\n".join([*lines, f"    return {old}"])


@lru_cache(maxsize=1000)
def _function(name: str, number: int) -> Callable[[Digits], tuple[Digits, dict[str, Any]]]:
    """The operation as a function: list → new list and the other variables it sets."""
    body = OPERATIONS[name].code.format(new="new", old="old", k=number).replace("\n", "\n    ")
    namespace: dict[str, Any] = {}
    exec(f"def operation(old):\n    {body}\n    return new, locals()", namespace)
    operation: Callable[[Digits], tuple[Digits, dict[str, Any]]] = namespace["operation"]
    return operation


def run(steps: Sequence[Step], x: Digits) -> list[Digits] | None:
    """The list after each step, or `None` if one is empty or too long for this world."""
    values, current = [], x
    for name, number in steps:
        current = _function(name, number)(current)[0]
        if not 1 <= len(current) <= MAX_DIGITS:
            return None
        values.append(current)
    return values


def variables(steps: Sequence[Step], x: Digits) -> dict[str, Any]:
    """All variables of the program at its end, in the order in which they were first bound (`x` is the parameter and
    left out)."""
    found: dict[str, Any] = {}
    current = x
    for place, (name, number) in enumerate(steps):
        current, names = _function(name, number)(current)
        for variable, value in names.items():
            if variable != "old":
                found[VARIABLES[place] if variable == "new" else variable] = value
    return found


def draw_steps(rng: random.Random, count: int, split: Split) -> tuple[Step, ...]:
    """Steps whose composition is of the split."""
    names = tuple(OPERATIONS)
    while True:
        steps = tuple((name, rng.choice(OPERATIONS[name].numbers)) for name in rng.choices(names, k=count))
        if count == 1 or split_of(steps) == split:
            return steps


def draw_input(rng: random.Random) -> Digits:
    return [int(rng.random() * 10) for _ in range(LENGTH)]


def mutate(rng: random.Random, steps: Sequence[Step], split: Split) -> tuple[Step, ...]:
    """The steps with one of them replaced: another number where there is one (40 %), else another operation; the
    composition stays in the split."""
    while True:
        place = rng.randrange(len(steps))
        name, number = steps[place]
        others = [other for other in OPERATIONS[name].numbers if other != number]
        if others and rng.random() < 0.4:
            changed = (name, rng.choice(others))
        else:
            name = rng.choice([other for other in OPERATIONS if other != name])
            changed = (name, rng.choice(OPERATIONS[name].numbers))
        result = (*steps[:place], changed, *steps[place + 1 :])
        if split_of(result) == split:
            return result


def draw_problem(rng: random.Random, split: Split, *, counts: Sequence[int] = (2, 2, 3)) -> DrawnProblem:
    """A problem of a split whose every step matters on the visible examples and whose outputs differ."""
    while True:
        steps = draw_steps(rng, rng.choice(counts), split)
        if all(len(OPERATIONS[name].numbers) == 1 for name, _ in steps):
            continue
        inputs: list[Digits] = []
        histories: list[list[Digits]] = []
        for _ in range(4 * (VISIBLE + HIDDEN)):
            x = draw_input(rng)
            values = run(steps, x)
            if values is not None:
                inputs.append(x)
                histories.append([x, *values])
            if len(inputs) == VISIBLE + HIDDEN:
                break
        else:
            continue
        changes = [sum(history[i] != history[i + 1] for history in histories[:VISIBLE]) for i in range(len(steps))]
        outputs = [history[-1] for history in histories]
        if min(changes) < 2 or len({tuple(output) for output in outputs}) < 4:
            continue
        phrases = [rng.choice(OPERATIONS[name].phrases) for name, _ in steps]
        statement = f"Write {ENTRY_POINT}(x): {', then '.join(phrases)}."
        statement += "".join(
            f"\n{ENTRY_POINT}({x}) == {y}" for x, y in zip(inputs[:VISIBLE], outputs[:VISIBLE], strict=True)
        )
        return DrawnProblem(steps, tuple(inputs), tuple(outputs), statement)


def problem(sample: DrawnProblem, problem_id: str) -> Problem:
    """The record of a drawn problem; visible and hidden examples are its tests, and its reference shows the values on
    the first example."""
    values = run(sample.steps, sample.inputs[0])
    return Problem(
        problem_id=problem_id,
        source="quickstart",
        statement=sample.statement,
        tests=tuple(CallTest((x,), y) for x, y in zip(sample.inputs, sample.outputs, strict=True)),
        entry_point=ENTRY_POINT,
        reference=program_text(sample.steps, values),
        limits=LIMITS,
        family=sample.composition,
    )


def draw_problems(split: Split, count: int, seed: int, *, counts: Sequence[int] = (2, 2, 3)) -> list[Problem]:
    """`count` problems of a split, with a number of operations from `counts`; the same seed gives the same
    problems."""
    rng = random.Random(f"{split}:{seed}")
    return [problem(draw_problem(rng, split, counts=counts), f"{split}-{number}") for number in range(count)]


def call(x: Digits) -> CallInput:
    return CallInput(ENTRY_POINT, (x,))


def text_pieces() -> list[str]:
    """Every piece of text that the world's statements and programs are made of, for a tokenizer."""
    pieces = [
        f"Write {ENTRY_POINT}(x): ",
        ", then ",
        f".\n{ENTRY_POINT}(",
        f"]\n{ENTRY_POINT}(",
        "]) == ",
        f"def {ENTRY_POINT}(x):\n",
        "    return ",
        "  # ",
    ]
    pieces += [phrase for operation in OPERATIONS.values() for phrase in operation.phrases]
    for operation in OPERATIONS.values():
        indented = "    " + operation.code.replace("\n", "\n    ")
        pieces += [piece for piece in re.split(r"\{\w+\}", indented) if len(piece) > 1]
    pieces += [f"{start}{variable}" for start in ("    ", "\n    ", "]\n    ") for variable in VARIABLES]
    return list(dict.fromkeys(pieces))
