"""Which lines of a program count, and when they run, read off the steps of a trace.

Only lines count on which one simple statement (or the test of an `if`) begins and nothing else, so that "line 4 runs"
has one meaning. Everything is counted over the whole run, in all calls of a function together.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence

from coderlplus.records import Step

MAX_STEPS = 2_000
"""Steps of a run that are recorded; a reader with pen and paper would not go further."""

SIMPLE = (
    ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Raise, ast.Assert, ast.Delete, ast.Pass,
    ast.Break, ast.Continue,
)  # fmt: skip


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
