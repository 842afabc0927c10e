"""The kind `state_at`: what variables hold in the middle of a run.

A *moment* is just before a line runs for the nth time, in all calls of its function together; `intermediate_states`
says which lines count. Reason of its own: `no_state`.
"""

from __future__ import annotations

from collections.abc import Sequence

from coderlplus.alignment.intermediate_states import MAX_STEPS, state_before, worthwhile_moments
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import NUMBERED, Question, variable_words
from coderlplus.alignment.variables import TracedRun, draw, fit_variables
from coderlplus.records import Target

_STATE = f"""
{NUMBERED} Count every time that this line begins to run in the whole run, in whichever call of a function, and stop \
just before that time. A value is what the variable holds at that moment in the function call that is running \
(outside all functions: in the program). Changes made in place count.
"""


def ask(run: TracedRun) -> Question | str:
    """What variables of the running function (or of the module) hold at a moment chosen at random: in a loop where
    there is one, and where at least one of them has a value to be worked out. Reasons: `no_state` (there is no such
    moment)."""
    rng = run.rng("state_at")
    for moment in worthwhile_moments(run.visible.tree, run.trace.steps or (), rng):
        variables = state_before(run.trace.steps or (), moment)
        fit = [(target, rank) for target, rank in fit_variables(run, variables) if rank != "given"]
        if any(rank == "informative" for _, rank in fit):
            return about_state(draw(fit, run.max_variables, rng), line=moment.line, time=moment.time)
    return "no_state"


def about_state(targets: Sequence[Target], *, line: int, time: int) -> Question:
    """What variables hold just before a line runs for the nth time."""
    moment = f"just before line {line} runs for the {ordinal(time)} time"
    return Question(
        targets=tuple(targets),
        words=tuple(f"the value of {variable_words(target)} {moment}" for target in targets),
        compact=f"Values {moment}",
        definition=_STATE.replace("this line", f"line {line}").replace("that time", f"the {ordinal(time)} time"),
        numbered=True,
    )


def ordinal(number: int) -> str:
    """
    >>> [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '112th']
    """
    return f"{number}{'th' if number // 10 % 10 == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


KIND = Kind(
    name="state_at",
    asks="variables just before a line runs for the *n*th time",
    ask=ask,
    crashed=True,
    max_steps=MAX_STEPS,
)
