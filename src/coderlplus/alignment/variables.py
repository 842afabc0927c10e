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

from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.alignment.visible import Rank, Visible, is_fit
from coderlplus.records import OUTPUT, TaggedValue, Target, Trace

Values = Mapping[str, Mapping[str, TaggedValue]]
"""Scope → name → tagged value, in order of definition."""
RESERVED = frozenset({OUTPUT})


def choose_variables(
    trace: Trace, visible: Visible, settings: AlignmentConfig, seed: int, reserved: Set[str] = RESERVED
) -> list[tuple[Target, bool]]:
    """The variables of a whole run to ask for, in order of definition, each with whether it is *given*; none has a
    label of the `reserved`."""
    fit = fit_variables(trace.variables, visible, settings, reserved)
    rng = random.Random(f"{seed}/variables/{digest(trace.program, trace.input.to_json())}")
    chosen = draw(fit, settings.max_variables, rng)
    return [(target, False) for target in chosen] if chosen else [(target, True) for target, _ in fit[-1:]]


def fit_variables(
    variables: Values, visible: Visible, settings: AlignmentConfig, reserved: Set[str] = RESERVED
) -> list[tuple[Target, Rank]]:
    """The fit variables with their ranks, in order of definition."""
    scopes_of = Counter(name for names in variables.values() for name in names)
    fit: list[tuple[Target, Rank]] = []
    for scope, names in variables.items():
        for name, value in names.items():
            if name.startswith("_") or not is_fit(value, settings.max_value_chars) or visible.stands(value):
                continue
            label = f"{scope}.{name}" if scopes_of[name] > 1 or name in reserved else name
            fit.append((Target(label=label, value=value, scope=scope), visible.rank(scope, name, value)))
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
