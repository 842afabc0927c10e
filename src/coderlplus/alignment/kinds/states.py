"""The kind `states`: variables at several moments of one run, each right value with its part of the reward.

A moment is one of `state_at`; of each one variable is asked for. Reason of its own: `no_state` (there are no two
moments with a value to be worked out).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coderlplus.alignment.intermediate_states import MAX_STEPS, Moment, state_before, worthwhile_moments
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.kinds.state_at import ordinal
from coderlplus.alignment.questions import NUMBERED, Question, variable_words
from coderlplus.alignment.variables import TracedRun, draw, fit_variables
from coderlplus.records import Target

_STATES = f"""
{NUMBERED} Count every time that a line begins to run in the whole run, in whichever call of a function, and stop \
just before that time. A value is what the variable holds at that moment in the function call that is running \
(outside all functions: in the program). Changes made in place count.
"""


def ask(run: TracedRun) -> Question | str:
    """One informative variable at each of at most `max_variables` moments (at least two), in the order of the run."""
    rng = run.rng("states")
    steps = run.trace.steps or ()
    found: list[tuple[Moment, Target]] = []
    for moment in worthwhile_moments(run.visible.tree, steps, rng):
        fit = [pair for pair in fit_variables(run, state_before(steps, moment)) if pair[1] == "informative"]
        found += [(moment, target) for target in draw(fit, 1, rng)]
        if len(found) == max(2, run.max_variables):
            break
    if len(found) < 2:
        return "no_state"
    return about_states(sorted(found, key=lambda pair: pair[0].place))


def about_states(asked: Sequence[tuple[Moment, Target]]) -> Question:
    """What a variable holds at each of some moments."""
    targets = [replace(target, label=f"{target.label}@{moment.line}.{moment.time}") for moment, target in asked]
    words = [
        f"the value of {variable_words(target)} just before line {moment.line} runs for the {ordinal(moment.time)} "
        "time"
        for moment, target in asked
    ]
    return Question(
        targets=tuple(targets),
        words=tuple(words),
        compact="Values just before line L runs for the nth time (@L.n)",
        definition=_STATES,
        numbered=True,
        example_labels=("n@4.2", "words@7.1"),
        example='{"n@4.2": -7, "words@7.1": ["ab", "c"]}',
    )


KIND = Kind(
    name="states",
    asks="a variable at each of several moments, at most `max_variables` of them (at least two)",
    ask=ask,
    crashed=True,
    max_steps=MAX_STEPS,
)
