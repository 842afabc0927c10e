"""The kind `output`: the output alone, what a stdin program prints or a call returns (the paper's ablation)."""

from __future__ import annotations

from coderlplus.alignment.facts import computes
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import Question, output_words
from coderlplus.alignment.variables import TracedRun, output_of
from coderlplus.records import ProgramInput, Target


def ask(run: TracedRun) -> Question | str:
    output = output_of(run)
    if isinstance(output, str):
        return output
    if not computes(run.visible.tree):
        return "trivial"
    return "answer_in_prompt" if run.visible.shows_result(output.value) else about_output(output, run.trace.input)


def about_output(target: Target, given: ProgramInput) -> Question:
    """The question for the output of a run on `given`."""
    return Question(targets=(target,), words=(output_words(given),), compact="Result")


KIND = Kind(name="output", asks="the output alone", ask=ask)
