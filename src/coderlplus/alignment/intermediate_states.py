"""Which lines of a program count, and when they run, read off the steps of a trace.

Only lines count on which one simple statement (or the test of an `if`) begins and nothing else, so that "line 4 runs"
has one meaning. Everything is counted over the whole run, in all calls of a function together.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coderlplus.records import Step, TaggedValue

MAX_STEPS = 2_000
"""Steps of a run that are recorded; a reader with pen and paper would not go further."""
_MAX_TIME = 12
"""Latest time that a line runs at which a state is asked for."""
_TRIES = 12
"""Moments looked at for one with a variable that is worth asking for."""

SIMPLE = (
    ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Raise, ast.Assert, ast.Delete, ast.Pass,
    ast.Break, ast.Continue,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """Just before a line runs for the nth time in the whole run."""

    line: int
    time: int
    place: int
    """Index of the step before which the moment lies."""


def sole_statements(tree: ast.Module) -> dict[int, ast.stmt]:
    """Line → statement of the lines on which exactly one statement begins, and none ends that began before; bare
    annotations do not run."""
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    begins = Counter(node.lineno for node in statements)
    ends = {node.end_lineno for node in statements if isinstance(node, SIMPLE) and node.end_lineno != node.lineno}
    idle = {node.lineno for node in statements if isinstance(node, ast.AnnAssign) and node.value is None}
    return {node.lineno: node for node in statements if begins[node.lineno] == 1 and node.lineno not in ends | idle}


def first_line(body: Sequence[ast.stmt]) -> int:
    """The line of the statement that runs first in a block once each time that the block runs, 0 if there is none:
    a loop may turn or not."""
    first = body[0]
    while isinstance(first, ast.Try):
        first = first.body[0]
    return first.lineno if isinstance(first, (*SIMPLE, ast.If, ast.With)) else 0


def executions(steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """(index of the step, line) of every time that a line begins to run. A step on the line of the step before it in
    the same activation is the end of a statement that called functions, not a second time."""
    last: dict[int, int] = {}
    for index, step in enumerate(steps):
        if last.get(step.activation) != step.line:
            yield index, step.line
        last[step.activation] = step.line


def worthwhile_moments(tree: ast.Module, steps: Sequence[Step], rng: random.Random) -> Iterator[Moment]:
    """At most `_TRIES` moments: one of each line at random, then a second of each, …; lines that run more than once
    (their later times) first."""
    sole = sole_statements(tree)
    moments: dict[int, list[Moment]] = {}
    for index, line in executions(steps):
        if isinstance(sole.get(line), (*SIMPLE, ast.If)) and len(moments.setdefault(line, [])) < _MAX_TIME:
            moments[line].append(Moment(line, len(moments[line]) + 1, index))
    turns: list[tuple[int, bool, float, Moment]] = []
    for _, of_line in sorted(moments.items()):
        later = of_line[1:] or of_line
        for turn, moment in enumerate(rng.sample(later, len(later))):
            turns.append((turn, len(of_line) < 2, rng.random(), moment))
    turns.sort(key=lambda item: item[:3])
    for *_, moment in turns[:_TRIES]:
        yield moment


def state_before(steps: Sequence[Step], moment: Moment) -> dict[str, dict[str, TaggedValue]]:
    """The variables of the running activation at a moment, in order of definition, under the name of its scope."""
    running = steps[moment.place]
    state: dict[str, TaggedValue] = {}
    for step in steps[: moment.place]:
        for change in step.changes:
            if change.activation != running.activation:
                continue
            if change.deleted:
                state.pop(change.name, None)
            else:
                state[change.name] = change.value
    return {running.scope: state}
