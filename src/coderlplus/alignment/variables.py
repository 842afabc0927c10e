"""Which variables a task asks for: at most `max_variables`, chosen by a stated rule, seeded by the program and its
input.

1. A variable is fit if its value is plain data that a reader can write (no object, cycle or cut, at most
   `max_value_chars` long), does not stand in the prompt (see `visible`), and its name does not begin with `_`. What
   the tracer counts as a variable is fit only: no modules, functions, classes.
2. Informative ones are drawn first, then plain ones (see `Visible.rank`). A given one, the last defined, is asked for
   only where there is nothing
else.

A variable whose name occurs in several scopes, or is the label of something else, is labelled `scope.name`.

Departure from the paper: it approximates a run by all variables and its code takes the last three of the module's; the
order of preference is ours.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from coderlplus.alignment.visible import Rank, Visible, is_fit
from coderlplus.records import OUTPUT, CallInput, StdioInput, TaggedValue, Target, Trace

Values = Mapping[str, Mapping[str, TaggedValue]]
"""Scope → name → tagged value, in order of definition."""
RESERVED = frozenset({OUTPUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRun:
    """A run to ask about: its trace, what the reader of the prompt sees, and the settings that bound the question
    (see `AlignmentConfig`)."""

    trace: Trace
    visible: Visible
    max_variables: int
    max_value_chars: int
    seed: int
    setup_code: str = ""

    def rng(self, use: str) -> random.Random:
        """Random numbers for one use, the same for the same program, input and seed."""
        return random.Random(f"{self.seed}/{use}/{digest(self.trace.program, self.trace.input.to_json())}")


def output_of(run: TracedRun) -> Target | str:
    """The output as a target, or why it is none: `no_output`, `output_unfit`."""
    trace = run.trace
    value = trace.value if isinstance(trace.input, CallInput) else trace.output.rstrip()
    if isinstance(trace.input, StdioInput) and not value:
        return "no_output"
    return Target(label=OUTPUT, value=value) if is_fit(value, run.max_value_chars) else "output_unfit"


def choose_variables(run: TracedRun, reserved: Set[str] = RESERVED) -> list[tuple[Target, bool]]:
    """The variables of a whole run to ask for, in order of definition, each with whether it is *given*; none has a
    label of the `reserved`."""
    fit = fit_variables(run, run.trace.variables, reserved)
    chosen = draw(fit, run.max_variables, run.rng("variables"))
    return [(target, False) for target in chosen] if chosen else [(target, True) for target, _ in fit[-1:]]


def fit_variables(run: TracedRun, variables: Values, reserved: Set[str] = RESERVED) -> list[tuple[Target, Rank]]:
    """The fit variables with their ranks, in order of definition."""
    scopes_of = Counter(name for names in variables.values() for name in names)
    fit: list[tuple[Target, Rank]] = []
    for scope, names in variables.items():
        for name, value in names.items():
            if name.startswith("_") or not is_fit(value, run.max_value_chars) or run.visible.stands(value):
                continue
            label = f"{scope}.{name}" if scopes_of[name] > 1 or name in reserved else name
            fit.append((Target(label=label, value=value, scope=scope), run.visible.rank(scope, name, value)))
    return fit


def draw(fit: Sequence[tuple[Target, Rank]], count: int, rng: random.Random) -> list[Target]:
    """At most `count` of the targets, informative ones first, then plain ones, in the order given."""
    chosen: list[int] = []
    for rank in ("informative", "plain"):
        candidates = [index for index, item in enumerate(fit) if item[1] == rank]
        chosen += rng.sample(candidates, min(len(candidates), count - len(chosen)))
    return [fit[index][0] for index in sorted(chosen)]


def digest(*parts: object) -> str:
    """A short text that stands for JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
