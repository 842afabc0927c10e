"""The kind `branch`: how many turns loops make and how many times conditions are true.

Everything is counted over the whole run, in all calls of a function together; `points` says which lines count. Reasons
of its own: `no_branch`, `too_many_steps`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence

from coderlplus.alignment.facts import canonical
from coderlplus.alignment.intermediate_states import MAX_STEPS, executions, first_line, sole_statements
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import NUMBERED, Question
from coderlplus.alignment.variables import TracedRun, draw
from coderlplus.alignment.visible import Rank
from coderlplus.records import Target

_BRANCH = f"""
{NUMBERED} Count over the whole run, in whichever call of a function. A loop makes one turn each time that its body \
begins to run.
"""


def ask(run: TracedRun) -> Question | str:
    """How often loops turned and conditions were true, for at most `max_variables` of them that were reached: first
    those whose number stands neither in the source nor in the input and, of conditions, that were sometimes true and
    sometimes not.

    Reasons: `no_branch` (there is no loop or branch whose number has to be worked out), `too_many_steps` (the record
    of the run ends before the run).
    """
    if run.trace.steps_cut is not None:
        return "too_many_steps"
    rng = run.rng("branch")
    times: Counter[int] = Counter(line for _, line in executions(run.trace.steps or ()))
    sole = sole_statements(run.visible.tree)
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
        is_open = 0 < count < reached if isinstance(statement, ast.If) else canonical(count) not in run.visible.values
        fit.append((target, "informative" if is_open else "plain"))
        words[target.label] = condition_words(line) if isinstance(statement, ast.If) else turn_words(line)
    if not any(rank == "informative" for _, rank in fit):
        return "no_branch"
    chosen = draw(fit, run.max_variables, rng)
    return about_branches(chosen, [words[target.label] for target in chosen])


def about_branches(targets: Sequence[Target], words: Sequence[str]) -> Question:
    """What branches and loops did; `words` as `condition_words` and `turn_words` make them."""
    return Question(
        targets=tuple(targets),
        words=tuple(words),
        compact="Turns of loops and times that conditions are true",
        definition=_BRANCH,
        numbered=True,
        example_labels=("line 2", "line 5"),
        example='{"line 2": 6, "line 5": 0}',
    )


def turn_words(line: int) -> str:
    return f"how many turns the loop on line {line} makes"


def condition_words(line: int) -> str:
    return f"how many times the condition on line {line} is true"


KIND = Kind(
    name="branch",
    asks="how many turns loops make, how many times conditions are true",
    ask=ask,
    crashed=True,
    max_steps=MAX_STEPS,
)
