"""A small world: real Python programs of a few operations on lists of digits, and problems about them. What it is made
of stands in `Rules`, the first world's (`first.py`) where none are named.

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
from coderlplus_lab.world.first import FIRST
from coderlplus_lab.world.rules import Rules

Split = Literal["train", "validation", "test"]
Digits = list[int]

ENTRY_POINT = "f"
MAX_DIGITS = 6
LIMITS = Limits(cpu_s=0.25, wall_s=5.0, memory_mb=32, output_kb=16)

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


def program_text(steps: Sequence[Step], values: Sequence[Digits] | None = None, *, rules: Rules = FIRST) -> str:
    """The program of some steps; with `values` (the list after each step on the first example) each step's last line
    ends with a comment. Where a number is missing, the last value, which the statement shows, stands above its step.

    >>> print(program_text([("reverse", 0), ("add", 2)], [[3, 1], [5, 3]]))
    def f(x):
        a = x[::-1]  # [3, 1]
        b = [(i + 2) % 10 for i in a]  # [5, 3]
        return b
    """
    lines, old = [f"def {ENTRY_POINT}(x):"], "x"
    for place, (name, number) in enumerate(steps):
        new = rules.variables[place]
        block = rules.operations[name].code.format(new=new, old=old, k=number).split("\n")
        left = len(steps) - 2 - place if rules.missing else 0
        if values is not None and left < 0:
            block.insert(0, f"# {values[place]}")
        elif values is not None and left % rules.told_every == 0:
            block[-1] += f"  # {values[place]}"
        lines += [f"    {line}" for line in block]
        old = new
    return "\n".join([*lines, f"    return {old}"])


@lru_cache(maxsize=1000)
def _function(code: str, number: int) -> Callable[[Digits], tuple[Digits, dict[str, Any]]]:
    """The operation as a function: list → new list and the other variables it sets."""
    body = code.format(new="new", old="old", k=number).replace("\n", "\n    ")
    namespace: dict[str, Any] = {}
    exec(f"def operation(old):\n    {body}\n    return new, locals()", namespace)
    operation: Callable[[Digits], tuple[Digits, dict[str, Any]]] = namespace["operation"]
    return operation


def run(steps: Sequence[Step], x: Digits, *, rules: Rules = FIRST) -> list[Digits] | None:
    """The list after each step, or `None` if one is empty or too long for this world."""
    values, current = [], x
    for name, number in steps:
        current = _function(rules.operations[name].code, number)(current)[0]
        if not 1 <= len(current) <= MAX_DIGITS:
            return None
        values.append(current)
    return values


def variables(steps: Sequence[Step], x: Digits, *, rules: Rules = FIRST) -> dict[str, Any]:
    """All variables of the program at its end, in the order in which they were first bound (`x` is the parameter and
    left out)."""
    found: dict[str, Any] = {}
    current = x
    for place, (name, number) in enumerate(steps):
        current, names = _function(rules.operations[name].code, number)(current)
        for variable, value in names.items():
            if variable != "old":
                found[rules.variables[place] if variable == "new" else variable] = value
    return found


def draw_steps(rng: random.Random, count: int, split: Split, *, rules: Rules = FIRST) -> tuple[Step, ...]:
    """Steps whose composition is of the split."""
    operations = tuple(rules.operations)
    while True:
        names = rng.choices(operations, k=count)
        if rules.missing and count > 1:
            names[-1] = rng.choice(rules.missing)
        steps = tuple((name, rng.choice(rules.operations[name].numbers)) for name in names)
        if count == 1 or split_of(steps) == split:
            return steps


def draw_input(rng: random.Random, *, rules: Rules = FIRST) -> Digits:
    return [int(rng.random() * 10) for _ in range(rules.length)]


def mutate(rng: random.Random, steps: Sequence[Step], split: Split, *, rules: Rules = FIRST) -> tuple[Step, ...]:
    """The steps with one of them replaced: another number where there is one (40 %), else another operation; the
    composition stays in the split and its last operation one that the rules allow there."""
    while True:
        place = rng.randrange(len(steps))
        name, number = steps[place]
        others = [other for other in rules.operations[name].numbers if other != number]
        if others and rng.random() < 0.4:
            changed = (name, rng.choice(others))
        else:
            name = rng.choice([other for other in rules.operations if other != name])
            changed = (name, rng.choice(rules.operations[name].numbers))
        result = (*steps[:place], changed, *steps[place + 1 :])
        if split_of(result) == split and (not rules.missing or result[-1][0] in rules.missing):
            return result


def draw_problem(
    rng: random.Random, split: Split, *, counts: Sequence[int] = (2, 2, 3), rules: Rules = FIRST
) -> DrawnProblem:
    """A problem of a split whose every step matters on the visible examples and whose outputs differ."""
    wanted = rules.visible + rules.hidden
    while True:
        steps = draw_steps(rng, rng.choice(counts), split, rules=rules)
        if all(len(rules.operations[name].numbers) == 1 for name, _ in steps):
            continue
        inputs: list[Digits] = []
        histories: list[list[Digits]] = []
        for _ in range(4 * wanted):
            x = draw_input(rng, rules=rules)
            values = run(steps, x, rules=rules)
            if values is not None:
                inputs.append(x)
                histories.append([x, *values])
            if len(inputs) == wanted:
                break
        else:
            continue
        shown = histories[: rules.visible]
        changes = [sum(history[i] != history[i + 1] for history in shown) for i in range(len(steps))]
        outputs = [history[-1] for history in histories]
        if min(changes) < 2 or len({tuple(output) for output in outputs}) < 4:
            continue
        if rules.missing and len(fitting_numbers(steps, shown, rules=rules)) > 1:
            continue
        statement = f"Write {ENTRY_POINT}(x): {', then '.join(_phrases(rng, steps, rules))}."
        statement += "".join(
            f"\n{ENTRY_POINT}({x}) == {y}"
            for x, y in zip(inputs[: rules.visible], outputs[: rules.visible], strict=True)
        )
        return DrawnProblem(steps, tuple(inputs), tuple(outputs), statement)


def fitting_numbers(steps: Sequence[Step], histories: Sequence[Sequence[Digits]], *, rules: Rules) -> list[int]:
    """The numbers with which the last operation gives the last value of each history from the one before it."""
    operation = rules.operations[steps[-1][0]]
    return [
        number
        for number in operation.numbers
        if all(_function(operation.code, number)(history[-2])[0] == history[-1] for history in histories)
    ]


def _phrases(rng: random.Random, steps: Sequence[Step], rules: Rules) -> list[str]:
    """How a statement says each step."""
    said = []
    for place, (name, number) in enumerate(steps, 1):
        operation = rules.operations[name]
        is_stated = rules.missing and place < len(steps) and operation.stated
        said.append(operation.stated.format(k=number) if is_stated else rng.choice(operation.phrases))
    return said


def problem(sample: DrawnProblem, problem_id: str, *, rules: Rules = FIRST) -> Problem:
    """The record of a drawn problem; visible and hidden examples are its tests, and its reference shows the values on
    the first example."""
    values = run(sample.steps, sample.inputs[0], rules=rules)
    return Problem(
        problem_id=problem_id,
        source="quickstart",
        statement=sample.statement,
        tests=tuple(CallTest((x,), y) for x, y in zip(sample.inputs, sample.outputs, strict=True)),
        entry_point=ENTRY_POINT,
        reference=program_text(sample.steps, values, rules=rules),
        limits=LIMITS,
        family=sample.composition,
    )


def draw_problems(
    split: Split, count: int, seed: int, *, counts: Sequence[int] = (2, 2, 3), rules: Rules = FIRST
) -> list[Problem]:
    """`count` problems of a split, with a number of operations from `counts`; the same seed gives the same
    problems."""
    rng = random.Random(f"{split}:{seed}")
    drawn = [draw_problem(rng, split, counts=counts, rules=rules) for _ in range(count)]
    return [problem(sample, f"{split}-{number}", rules=rules) for number, sample in enumerate(drawn)]


def call(x: Digits) -> CallInput:
    return CallInput(ENTRY_POINT, (x,))


def text_pieces(rules: Rules = FIRST) -> list[str]:
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
    pieces += [phrase for operation in rules.operations.values() for phrase in operation.phrases]
    pieces += [piece for operation in rules.operations.values() for piece in _between(operation.stated)]
    for operation in rules.operations.values():
        pieces += _between("    " + operation.code.replace("\n", "\n    "))
    if rules.missing:
        pieces.append("]\n    # ")
    pieces += [f"{start}{variable}" for start in ("    ", "\n    ", "]\n    ") for variable in rules.variables]
    return list(dict.fromkeys(pieces))


def _between(form: str) -> list[str]:
    """What of a form stands between its fields."""
    return [piece for piece in re.split(r"\{\w+\}", form) if len(piece) > 1]
