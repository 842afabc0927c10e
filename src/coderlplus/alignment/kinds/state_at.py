"""The kind `state_at`: what variables hold in the middle of a run.

A *moment* is just before a line runs for the nth time, in all calls of its function together; `intermediate_states`
says which lines count. Reason of its own: `no_state`.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coderlplus.alignment.intermediate_states import MAX_STEPS, SIMPLE, executions, sole_statements
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import NUMBERED, Question, variable_words
from coderlplus.alignment.variables import TracedRun, draw, fit_variables
from coderlplus.records import Step, TaggedValue, Target

_MAX_TIME = 12
"""Latest time that a line runs at which a state is asked for."""
_TRIES = 12
"""Moments looked at for one with a variable that is worth asking for."""
_STATE = f"""
{NUMBERED} Count every time that this line begins to run in the whole run, in whichever call of a function, and stop \
just before that time. A value is what the variable holds at that moment in the function call that is running \
(outside all functions: in the program). Changes made in place count.
"""


@dataclass(frozen=True, slots=True)
class _Moment:
    line: int
    time: int
    place: int
    """Index of the step before which the moment lies."""


def ask(run: TracedRun) -> Question | str:
    """What variables of the running function (or of the module) hold at a moment chosen at random: in a loop where
    there is one, and where at least one of them has a value to be worked out. Reasons: `no_state` (there is no such
    moment)."""
    rng = run.rng("state_at")
    steps = run.trace.steps or ()
    sole = sole_statements(run.visible.tree)
    lines = {line for line, statement in sole.items() if isinstance(statement, (*SIMPLE, ast.If))}
    moments = _moments(steps, lines)
    for moment in _in_random_order(moments, rng):
        step = steps[moment.place]
        variables = {step.scope: _state(steps[: moment.place], step.activation)}
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


def _moments(steps: Sequence[Step], lines: set[int]) -> dict[int, list[_Moment]]:
    """The moments of each line, in order of time, up to `_MAX_TIME` of them."""
    moments: dict[int, list[_Moment]] = {}
    for index, line in executions(steps):
        if line in lines and len(moments.setdefault(line, [])) < _MAX_TIME:
            moments[line].append(_Moment(line, len(moments[line]) + 1, index))
    return moments


def _in_random_order(moments: dict[int, list[_Moment]], rng: random.Random) -> Iterator[_Moment]:
    """At most `_TRIES` moments: one of each line at random, then a second of each, …; lines that run more than once
    (their later times) first."""
    turns: list[tuple[int, bool, float, _Moment]] = []
    for _, of_line in sorted(moments.items()):
        later = of_line[1:] or of_line
        for turn, moment in enumerate(rng.sample(later, len(later))):
            turns.append((turn, len(of_line) < 2, rng.random(), moment))
    turns.sort(key=lambda item: item[:3])
    for *_, moment in turns[:_TRIES]:
        yield moment


def _state(steps: Sequence[Step], activation: int) -> dict[str, TaggedValue]:
    """The variables of an activation after some steps, in order of definition."""
    state: dict[str, TaggedValue] = {}
    for step in steps:
        for change in step.changes:
            if change.activation != activation:
                continue
            if change.deleted:
                state.pop(change.name, None)
            else:
                state[change.name] = change.value
    return state


KIND = Kind(
    name="state_at",
    asks="variables just before a line runs for the *n*th time",
    ask=ask,
    crashed=True,
    max_steps=MAX_STEPS,
)
