"""The wording of each kind of task: what exactly is asked, so that a reader with pen and paper knows.

Nothing in it is taken from the trace but names, line numbers and how often a line had run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coderlplus.records import CallInput, ProgramInput, Target

MODULE = "<module>"

EXCEPTION, LINE = "exception", "line"
"""Labels of an `exception` task."""

_ASSIGNED = "find the last assignment to it in the whole run (a parameter is assigned when its function is called)"
_FINAL = f"""
The final value of a variable: {_ASSIGNED} and take the \
value that it has when that call of its function ends or, outside all functions, when the program ends. Changes made \
in place count.
"""
_NUMBERED = "The numbers before the lines are not part of the program."
_EXCEPTION = f"""
{_NUMBERED} The run ends with an exception that the program does not catch. `{EXCEPTION}` is the name of its class, \
without a module. `{LINE}` is the number of the line on which the statement begins that was running when the \
exception was raised for the first time. If that was inside a library, it is the statement of the program that called \
it; for the header of a loop, branch or `with`, it is the line of the header.
"""
_STATE = f"""
{_NUMBERED} Count every time that this line begins to run in the whole run, in whichever call of a function, and stop \
just before that time. A value is what the variable holds at that moment in the function call that is running \
(outside all functions: in the program). Changes made in place count.
"""
_BRANCH = f"""
{_NUMBERED} Count over the whole run, in whichever call of a function. A loop makes one turn each time that its body \
begins to run.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Targets and their wording. `words` says for each target what it is; `definition` and `numbered` (are the lines?)
    complete the full prompt; `compact` is the question in one phrase; `example` an answer of valid form for other
    labels."""

    targets: tuple[Target, ...]
    words: tuple[str, ...]
    compact: str
    definition: str = ""
    numbered: bool = False
    example_labels: tuple[str, ...] = ("n", "words")
    example: str = '{"n": -7, "words": ["ab", "c"]}'


def about_values(targets: Sequence[Target], given: ProgramInput) -> Question:
    """The output and the final values of variables."""
    words = tuple(
        _output(given) if target.is_output else f"the final value of {_variable(target)}" for target in targets
    )
    return Question(targets=tuple(targets), words=words, compact="Final values", definition=_FINAL)


def about_output(target: Target, given: ProgramInput) -> Question:
    return Question(targets=(target,), words=(_output(given),), compact="Result")


def about_exception(targets: Sequence[Target]) -> Question:
    """The exception that ended the run, its line, and what variables held then; the last two targets are exception and
    line."""
    variables = targets[:-2]
    words = (
        *(f"the final value of {_variable(target)}" for target in variables),
        "the class of the exception",
        "the number of its line",
    )
    return Question(
        targets=tuple(targets),
        words=words,
        compact="Final values, exception and line" if variables else "Exception and line",
        definition=_EXCEPTION
        + (_FINAL.replace(" ends or", " ends, by the exception or before, or") if variables else ""),
        numbered=True,
        example_labels=("n", EXCEPTION, LINE),
        example=f'{{"n": -7, "{EXCEPTION}": "KeyError", "{LINE}": 4}}',
    )


def about_state(targets: Sequence[Target], *, line: int, time: int) -> Question:
    """What variables hold just before a line runs for the nth time."""
    moment = f"just before line {line} runs for the {ordinal(time)} time"
    return Question(
        targets=tuple(targets),
        words=tuple(f"the value of {_variable(target)} {moment}" for target in targets),
        compact=f"Values {moment}",
        definition=_STATE.replace("this line", f"line {line}").replace("that time", f"the {ordinal(time)} time"),
        numbered=True,
    )


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


def ordinal(number: int) -> str:
    """
    >>> [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '112th']
    """
    return f"{number}{'th' if number // 10 % 10 == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _output(given: ProgramInput) -> str:
    return (
        "the value that the call returns"
        if isinstance(given, CallInput)
        else "all that the program prints, as one string"
    )


def _variable(target: Target) -> str:
    name = target.label.removeprefix(f"{target.scope}.")
    place = (
        "outside all functions" if target.scope in (None, MODULE) else f"in `{target.scope.replace('.<locals>', '')}`"
    )
    return f"the variable `{name}` {place}"
