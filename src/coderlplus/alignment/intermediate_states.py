"""Questions about the middle of a run, read off the steps of its trace: the state at a moment, what branches and loops
did.

A *moment* is just before a line runs for the nth time. Only lines count on which one simple statement (or the test of
an `if`) begins and nothing else, so that "line 4 runs" has one meaning. Everything is counted over the whole run, in
all calls of a function together.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coderlplus.alignment.facts import canonical
from coderlplus.alignment.questions import Question, about_branches, about_state, condition_words, turn_words
from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.alignment.variables import digest, draw, fit_variables
from coderlplus.alignment.visible import Rank, Visible
from coderlplus.records import Step, TaggedValue, Target, Trace

MAX_STEPS = 2_000
"""Steps of a run that are recorded; a reader with pen and paper would not go further."""
_MAX_TIME = 12
"""Latest time that a line runs at which a state is asked for."""
_TRIES = 12
"""Moments looked at for one with a variable that is worth asking for."""

_SIMPLE = (
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Expr,
    ast.Return,
    ast.Raise,
    ast.Assert,
    ast.Delete,
    ast.Pass,
    ast.Break,
    ast.Continue,
)


@dataclass(frozen=True, slots=True)
class _Moment:
    line: int
    time: int
    place: int
    """Index of the step before which the moment lies."""


def ask_state(trace: Trace, visible: Visible, settings: AlignmentConfig, seed: int) -> Question | str:
    """What variables of the running function (or of the module) hold at a moment chosen at random: in a loop where
    there is one, and where at least one of them has a value to be worked out. Reasons: `no_state` (there is no such
    moment)."""
    rng = random.Random(f"{seed}/state_at/{digest(trace.program, trace.input.to_json())}")
    steps = trace.steps or ()
    lines = {
        line for line, statement in sole_statements(visible.tree).items() if isinstance(statement, (*_SIMPLE, ast.If))
    }
    moments = _moments(steps, lines)
    for moment in _in_random_order(moments, rng):
        step = steps[moment.place]
        variables = {step.scope: _state(steps[: moment.place], step.activation)}
        fit = [(target, rank) for target, rank in fit_variables(variables, visible, settings) if rank != "given"]
        if any(rank == "informative" for _, rank in fit):
            return about_state(draw(fit, settings.max_variables, rng), line=moment.line, time=moment.time)
    return "no_state"


def ask_branches(trace: Trace, visible: Visible, settings: AlignmentConfig, seed: int) -> Question | str:
    """How often loops turned and conditions were true, for at most `max_variables` of them that were reached: first
    those whose number stands neither in the source nor in the input and, of conditions, that were sometimes true and
    sometimes not.

    Reasons: `no_branch` (there is no loop or branch whose number has to be worked out), `too_many_steps` (the record
    of the run ends before the run).
    """
    if trace.steps_cut is not None:
        return "too_many_steps"
    rng = random.Random(f"{seed}/branch/{digest(trace.program, trace.input.to_json())}")
    times: Counter[int] = Counter(line for _, line in executions(trace.steps or ()))
    sole = sole_statements(visible.tree)
    fit: list[tuple[Target, Rank]] = []
    words: dict[str, str] = {}
    for line, statement in sorted(sole.items()):
        if not isinstance(statement, ast.If | ast.For | ast.AsyncFor | ast.While):
            continue
        is_for = isinstance(statement, ast.For | ast.AsyncFor)
        first = line if is_for else first_line(statement.body)
        if first not in sole or not (is_for or times[line]):
            continue
        count, reached = times[first], times[line]
        target = Target(label=f"line {line}", value=count)
        is_open = 0 < count < reached if isinstance(statement, ast.If) else canonical(count) not in visible.values
        fit.append((target, "informative" if is_open else "plain"))
        words[target.label] = condition_words(line) if isinstance(statement, ast.If) else turn_words(line)
    if not any(rank == "informative" for _, rank in fit):
        return "no_branch"
    chosen = draw(fit, settings.max_variables, rng)
    return about_branches(chosen, [words[target.label] for target in chosen])


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


def sole_statements(tree: ast.Module) -> dict[int, ast.stmt]:
    """Line → statement of the lines on which exactly one statement begins, and none ends that began before; bare
    annotations do not run."""
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    begins = Counter(node.lineno for node in statements)
    ends = {node.end_lineno for node in statements if isinstance(node, _SIMPLE) and node.end_lineno != node.lineno}
    idle = {node.lineno for node in statements if isinstance(node, ast.AnnAssign) and node.value is None}
    return {node.lineno: node for node in statements if begins[node.lineno] == 1 and node.lineno not in ends | idle}


def first_line(body: Sequence[ast.stmt]) -> int:
    """The line of the statement that runs first in a block once each time that the block runs, 0 if there is none:
    a loop may turn or not."""
    first = body[0]
    while isinstance(first, ast.Try):
        first = first.body[0]
    return first.lineno if isinstance(first, (*_SIMPLE, ast.If, ast.With)) else 0


def executions(steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """(index of the step, line) of every time that a line begins to run. A step on the line of the step before it in
    the same activation is the end of a statement that called functions, not a second time."""
    last: dict[int, int] = {}
    for index, step in enumerate(steps):
        if last.get(step.activation) != step.line:
            yield index, step.line
        last[step.activation] = step.line


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
