"""The kind `next_statement`: which line runs next, after a line has run for the nth time.

Next is meant in the same call of the function: what functions that the line calls run is passed over.
`intermediate_states` says which lines count. Reason of its own: `no_branch` (no line that ran may be followed by more
than one).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from coderlplus.alignment.intermediate_states import MAX_STEPS, SIMPLE, executions, sole_statements
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.kinds.state_at import ordinal
from coderlplus.alignment.questions import NUMBERED, Question
from coderlplus.alignment.variables import TracedRun
from coderlplus.records import Target, Trace

NEXT = "next"
"""Label."""
_MAX_TIME = 12
"""Latest time that a line runs after which is asked."""
_NEXT = f"""
{NUMBERED} Count every time that this line begins to run in the whole run, in whichever call of a function. `{NEXT}` \
is the number of the line that begins to run next in the same call of its function (outside all functions: in the \
program); lines of functions that this line calls do not count. The line of a `for` runs once for each item that it \
takes: after the last item, the next line is one behind the loop. Where no line of this call runs any more, `{NEXT}` \
is 0.
"""


def ask(run: TracedRun) -> Question | str:
    """The line after one of the lines that may be followed by several: the test of an `if` or `while`, or a line that
    was followed by several in this run."""
    sole = sole_statements(run.visible.tree)
    seen: defaultdict[int, list[int | None]] = defaultdict(list)
    for line, following in successors(run.trace):
        if isinstance(sole.get(line), (*SIMPLE, ast.If, ast.While)):
            seen[line].append(following)
    moments = [
        [(line, time, after) for time, after in enumerate(following[:_MAX_TIME], 1) if after is not None]
        for line, following in sorted(seen.items())
        if isinstance(sole[line], ast.If | ast.While) or len(set(following) - {None}) > 1
    ]
    forks = [of_line for of_line in moments if of_line]
    if not forks:
        return "no_branch"
    rng = run.rng("next_statement")
    line, time, after = rng.choice(rng.choice(forks))
    return about_next(after, line=line, time=time)


def about_next(following: int, *, line: int, time: int) -> Question:
    """Which line follows a line that runs for the nth time."""
    moment = f"after line {line} has run for the {ordinal(time)} time"
    return Question(
        targets=(Target(label=NEXT, value=following),),
        words=(f"the number of the line that runs next {moment}",),
        compact=f"Number of the next line {moment}",
        definition=_NEXT.replace("this line", f"line {line}"),
        numbered=True,
        example_labels=("a", "b"),
        example='{"a": 12, "b": 0}',
    )


def successors(trace: Trace) -> Iterator[tuple[int, int | None]]:
    """(line, the line that runs next in the same activation, 0 if none does) of every time that a line begins to run,
    in this order; `None` where the record of the run ends before."""
    begun = list(executions(trace.steps or ()))
    following: dict[int, int] = {}
    """Activation → the line that it runs after this place."""
    found: list[tuple[int, int | None]] = []
    for index, line in reversed(begun):
        activation = (trace.steps or ())[index].activation
        found.append((line, following.get(activation, None if trace.steps_cut else 0)))
        following[activation] = line
    yield from reversed(found)


KIND = Kind(
    name="next_statement",
    asks="which line runs next, after a line has run for the *n*th time",
    ask=ask,
    crashed=True,
    max_steps=MAX_STEPS,
)
