"""What a task asks: targets and their wording. Here is what several kinds share; a kind words the rest in its own file
(see `kinds`).

Nothing in a question is taken from the trace but names, line numbers and how often a line had run.
"""

from __future__ import annotations

from dataclasses import dataclass

from coderlplus.records import Actual, CallInput, ProgramInput, Target

MODULE = "<module>"

_ASSIGNED = "find the last assignment to it in the whole run (a parameter is assigned when its function is called)"
FINAL = f"""
The final value of a variable: {_ASSIGNED} and take the \
value that it has when that call of its function ends or, outside all functions, when the program ends. Changes made \
in place count.
"""
NUMBERED = "The numbers before the lines are not part of the program."


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Targets and their wording. `words` says for each target what it is; `definition` and `numbered` (are the lines?)
    complete the full prompt; `compact` is the question in one phrase; `example` an answer of valid form for other
    labels. `gives` is what the program gives, shown in the place of its input where that is asked for. `prompt` is the
    whole prompt of a kind that has a wording of its own, in the place of all of these."""

    targets: tuple[Target, ...]
    words: tuple[str, ...] = ()
    compact: str = ""
    definition: str = ""
    numbered: bool = False
    example_labels: tuple[str, ...] = ("n", "words")
    example: str = '{"n": -7, "words": ["ab", "c"]}'
    gives: Actual | None = None
    prompt: str | None = None


def output_words(given: ProgramInput) -> str:
    """What the output of a run on this input is."""
    return (
        "the value that the call returns"
        if isinstance(given, CallInput)
        else "all that the program prints, as one string"
    )


def variable_words(target: Target) -> str:
    """Which variable a target is."""
    name = target.label.removeprefix(f"{target.scope}.")
    place = (
        "outside all functions" if target.scope in (None, MODULE) else f"in `{target.scope.replace('.<locals>', '')}`"
    )
    return f"the variable `{name}` {place}"
