"""The kind `exception`: the class and line of the exception that ended the run, and variables that have to be worked
out.

Reasons of its own: `recursion_limit` (where it strikes depends on the interpreter), `no_line` (it has no line in the
program, or its class no name).
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from coderlplus.alignment.facts import computes
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import FINAL, NUMBERED, Question, variable_words
from coderlplus.alignment.variables import TracedRun, choose_variables
from coderlplus.records import OUTPUT, Target

EXCEPTION, LINE = "exception", "line"
"""Labels."""
_EXCEPTION = f"""
{NUMBERED} The run ends with an exception that the program does not catch. `{EXCEPTION}` is the name of its class, \
without a module. `{LINE}` is the number of the line on which the statement begins that was running when the \
exception was raised for the first time. If that was inside a library, it is the statement of the program that called \
it; for the header of a loop, branch or `with`, it is the line of the header.
"""


def ask(run: TracedRun) -> Question | str:
    ending = run.trace.ending
    if ending.type == "RecursionError":
        return "recursion_limit"  # where it strikes depends on the interpreter, and so do the values
    line = None if ending.line is None else statement_line(run.visible.tree, ending.line)
    if line is None or ending.type is None or not all(part.isidentifier() for part in ending.type.split(".")):
        return "no_line"
    chosen = choose_variables(run, reserved={OUTPUT, EXCEPTION, LINE})
    variables = [target for target, given in chosen if not given]
    if not variables and not computes(run.visible.tree):
        return "trivial"
    return about_exception([*variables, Target(label=EXCEPTION, value=ending.type), Target(label=LINE, value=line)])


def about_exception(targets: Sequence[Target]) -> Question:
    """The exception that ended the run, its line, and what variables held then; the last two targets are exception and
    line."""
    variables = targets[:-2]
    words = (
        *(f"the final value of {variable_words(target)}" for target in variables),
        "the class of the exception",
        "the number of its line",
    )
    return Question(
        targets=tuple(targets),
        words=words,
        compact="Final values, exception and line" if variables else "Exception and line",
        definition=_EXCEPTION
        + (FINAL.replace(" ends or", " ends, by the exception or before, or") if variables else ""),
        numbered=True,
        example_labels=("n", EXCEPTION, LINE),
        example=f'{{"n": -7, "{EXCEPTION}": "KeyError", "{LINE}": 4}}',
    )


def statement_line(tree: ast.Module, line: int) -> int | None:
    """The line on which the innermost statement begins (or the `except` or `case`) that covers a line; `None` where
    none does.

    >>> statement_line(ast.parse("x = [1,\\n     1 / 0]"), 2)
    1
    """
    found: int | None = None
    for node in ast.walk(tree):
        if isinstance(node, ast.match_case):
            node = node.pattern
        elif not isinstance(node, ast.stmt | ast.ExceptHandler):
            continue
        if node.lineno <= line <= (node.end_lineno or node.lineno) and (found is None or node.lineno > found):
            found = node.lineno
    return found


KIND = Kind(
    name="exception",
    asks="its class, the line of the statement that raised it, and variables with the values that they had then",
    ask=ask,
    finished=False,
    crashed=True,
)
