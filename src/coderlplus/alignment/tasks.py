"""From a trace to an alignment task: which values are asked for.

The output is always asked for: what a stdin program prints, what a call returns. Beside it stand at most `max_variables` variables with their final
values, chosen by this rule, seeded by the program and its input:

1. A variable is fit if its value is plain data that a reader can write: no object, cycle or cut, at most `max_value_chars` long, and its name
   does not begin with `_`.
2. *Given* is a variable that only hands on what can be read off: a parameter that still has the value of an argument, a constant copied from the
   source, input as it was read. *Informative* is one whose value stands neither in the source nor in the input. All others are *plain*.
3. Informative ones are drawn first, then plain ones. A given one, the last defined, is asked for only where there is nothing else.

Nothing is asked (reason `trivial`) where only given variables are left and the program computes nothing: no operator, no branch, no call of a
function that is not its own. A variable whose name occurs in several scopes is labelled `scope.name`.

Departure from the paper: it approximates a run by all variables and its code takes any three of the module's; the order of preference is ours.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass

from coderlplus.alignment.facts import Bindings, canonical, computes, input_values, is_stretch_of, literals, variable_bindings
from coderlplus.alignment.prompts import OUTPUT, write_prompt
from coderlplus.alignment.settings import AlignmentSettings
from coderlplus.records import AlignmentTask, CallInput, ProgramInput, StdioInput, TaggedValue, Target, Trace, VerdictName
from coderlplus.sandbox.values import to_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a task comes from: the rollout, the step that mined it and what the judge said."""

    problem_id: str
    rollout_id: str
    step: int = 0
    verdict: VerdictName = "wrong_answer"


def make_task(trace: Trace, lineage: Lineage, *, settings: AlignmentSettings, seed: int = 0, setup_code: str = "") -> AlignmentTask | str:
    """The task that a trace makes, or the reason why it makes none.

    Reasons: `exception`, `exit`, `time_limit`, `memory_limit`, `output_limit`, `syntax_error` (how the run ended), `nondeterministic`, `no_output` (a
    stdin program that prints nothing), `output_unfit` (too long, or no plain data), `trivial`, `prompt_too_long`.

    The task is the same whenever the same program is traced on the same input with the same seed and settings; `task_id` is a hash of its question
    and answer.
    """
    finished = trace.ending.kind == "finished" or (trace.ending.kind == "exit" and isinstance(trace.input, StdioInput))
    if not finished:
        return trace.ending.kind
    if not trace.deterministic:
        return "nondeterministic"
    output = trace.value if isinstance(trace.input, CallInput) else trace.output.rstrip()
    if isinstance(trace.input, StdioInput) and not output:
        return "no_output"
    if not is_fit(output, settings.max_value_chars):
        return "output_unfit"
    variables = choose_variables(trace, settings, seed) if settings.kind == "final_values" else []
    if all(given for _, given in variables) and not computes(trace.program):
        return "trivial"
    targets = (*(target for target, _ in variables), Target(label=OUTPUT, value=output))
    prompt = write_prompt(trace.program, trace.input, targets, kind=settings.kind, style=settings.prompt_style, setup_code=setup_code)
    if len(prompt) > settings.max_prompt_chars:
        return "prompt_too_long"
    return AlignmentTask(
        task_id=_digest(settings.kind, prompt, [target.to_json() for target in targets]),
        kind=settings.kind,
        prompt=prompt,
        program=trace.program,
        input=trace.input,
        targets=targets,
        problem_id=lineage.problem_id,
        rollout_id=lineage.rollout_id,
        step=lineage.step,
        verdict=lineage.verdict,
    )


def choose_variables(trace: Trace, settings: AlignmentSettings, seed: int) -> list[tuple[Target, bool]]:
    """The variables to ask for, in order of definition, each with whether it is *given* (see the rule at the top of this file)."""
    scopes_of = Counter(name for names in trace.variables.values() for name in names)
    bindings = variable_bindings(trace.program)
    shown_input = input_values(trace.input)
    shown = literals(trace.program) | shown_input
    fit: list[tuple[Target, str]] = []
    for scope, names in trace.variables.items():
        for name, value in names.items():
            if name.startswith("_") or not is_fit(value, settings.max_value_chars):
                continue
            label = f"{scope}.{name}" if scopes_of[name] > 1 or name == OUTPUT else name
            binding = bindings.get((scope, name), Bindings(computed=True))
            rank = "given" if _is_given(value, binding, shown_input, trace.input) else "plain" if canonical(value) in shown else "informative"
            fit.append((Target(label=label, value=value, scope=scope), rank))
    rng = random.Random(f"{seed}/variables/{_digest(trace.program, trace.input.to_json())}")
    chosen: list[int] = []
    for rank in ("informative", "plain"):
        candidates = [index for index, item in enumerate(fit) if item[1] == rank]
        chosen += rng.sample(candidates, min(len(candidates), settings.max_variables - len(chosen)))
    return [(fit[index][0], False) for index in sorted(chosen)] if chosen else [(target, True) for target, _ in fit[-1:]]


def is_fit(value: TaggedValue, max_chars: int) -> bool:
    """Whether a reader can write the value down: plain data, at most `max_chars` long as a Python literal."""
    return not _has_unwritable(value) and len(to_source(value)) <= max_chars


def _is_given(value: TaggedValue, binding: Bindings, shown_input: set[str], given: ProgramInput) -> bool:
    text = canonical(value)
    if binding.computed:
        return False
    if binding.parameter:
        return not binding.constants and text in shown_input
    if binding.reads:
        return not binding.constants and isinstance(given, StdioInput) and (text in shown_input or is_stretch_of(value, given.stdin))
    return len(binding.constants) == 1 and text == binding.constants[0]


def _has_unwritable(value: TaggedValue) -> bool:
    if isinstance(value, dict):
        return any(tag in value for tag in ("$object", "$cycle", "$cut")) or any(_has_unwritable(item) for item in value.values())
    return isinstance(value, list) and any(_has_unwritable(item) for item in value)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
