"""The kind `final_values`: the output, and the final values of variables chosen as `variables` says.

An output that stands in the prompt (see `visible`) is left out where there are variables.
"""

from __future__ import annotations

from collections.abc import Sequence

from coderlplus.alignment.facts import computes
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import FINAL, Question, output_words, variable_words
from coderlplus.alignment.variables import TracedRun, choose_variables, output_of
from coderlplus.records import ProgramInput, Target


def ask(run: TracedRun) -> Question | str:
    output = output_of(run)
    if output == "output_unfit":
        return output
    variables = choose_variables(run)
    if isinstance(output, str) and all(given for _, given in variables):
        return output
    if all(given for _, given in variables) and not computes(run.visible.tree):
        return "trivial"
    targets = [target for target, _ in variables]
    if isinstance(output, Target) and not run.visible.shows_result(output.value):
        targets.append(output)
    return about_values(targets, run.trace.input) if targets else "answer_in_prompt"


def about_values(targets: Sequence[Target], given: ProgramInput) -> Question:
    """The question for the output and the final values of variables."""
    words = tuple(
        output_words(given) if target.is_output else f"the final value of {variable_words(target)}"
        for target in targets
    )
    return Question(targets=tuple(targets), words=words, compact="Final values", definition=FINAL)


KIND = Kind(
    name="final_values",
    asks="the output (what a stdin program prints, what a call returns) and at most `max_variables` variables",
    ask=ask,
)
