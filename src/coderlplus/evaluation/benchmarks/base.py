"""What a benchmark is: questions, how an answer is taken from a completion, and which program stands for an answer
before the judge.

Every benchmark goes through the same judge as the reward. A question that asks for a program is a problem with tests;
a question that asks for a value or an input becomes one too: the answer is an expression, the program returns it, and
the test compares.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from coderlplus.evaluation.generate import Continued, Message, Prompt
from coderlplus.programs import extract_program
from coderlplus.records import Problem, ProgramInput

Metric = Literal["pass@1", "accuracy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkQuestion:
    """One thing that a benchmark asks: the conversation, and the problem that judges the answer. `base` is the text
    that a base model continues instead, where there is one; in an evaluation of base models it is `messages`.

    `date` is the ISO date of the contest where there is one; `keys` are the names under which other tools' files know
    the question. `cases` counts what the tests compare, where one test compares several things. `layout` says which
    form of the data the tests come from; `lacks` what the row does not have that the benchmark is about (its statement
    can still be read, but it cannot be asked). `family` is the same for questions that are alike, such as those about
    one program; empty where a question stands for itself.
    """

    question_id: str
    messages: Prompt
    problem: Problem
    base: Continued | None = None
    date: str | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)
    cases: int | None = None
    layout: str = ""
    lacks: str | None = None
    family: str = ""


def families_of(questions: Iterable[BenchmarkQuestion]) -> list[Hashable]:
    """The family of each question; one that has none is its own."""
    return [question.family or (question.question_id,) for question in questions]


def program_in(question: BenchmarkQuestion, completion: str) -> str | None:
    """The program in a completion, which may continue the starter code."""
    return extract_program(completion, question.problem.entry_point, starter_code=question.problem.starter_code)


def as_it_is(question: BenchmarkQuestion, answer: str) -> str | None:
    """The program of an answer that is a program."""
    return answer or None


def as_one_part(path: Path, row: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """A row that is a question."""
    return (row,)


def own_problem(question: BenchmarkQuestion, answer: str | None) -> Problem:
    """The problem of the question, whatever the answer."""
    return question.problem


def on_failing_input(
    question: BenchmarkQuestion, program: str, given: ProgramInput | None
) -> tuple[str, ProgramInput] | None:
    """What to trace of a failed program: its run on the input on which it failed."""
    return None if given is None else (program, given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark: where its data is and what is done with it.

    `hub` and `hub_files` (patterns) name it on the hub, `files` the names of its own releases, best first. `parts`
    takes a row of a file apart that holds several questions, `read` makes the question of a row or part (`None`: it is
    of another split). `answer` takes the answer from a completion (`None`: there is none), `program` makes the program
    that is judged of an answer (`None`: it cannot be read), `problem` the problem that judges it, `traced` says what
    the page traces of a failed one. `dated`: questions have contest dates. `format`: the other tool's file of answers.
    `size`: how many questions there are, where that is fixed.
    """

    name: str
    metric: Metric
    read: Callable[[Mapping[str, Any]], BenchmarkQuestion | None]
    hub: str = ""
    hub_files: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    parts: Callable[[Path, Mapping[str, Any]], Iterable[Mapping[str, Any]]] = as_one_part
    answer: Callable[[BenchmarkQuestion, str], str | None] = program_in
    program: Callable[[BenchmarkQuestion, str], str | None] = as_it_is
    problem: Callable[[BenchmarkQuestion, str | None], Problem] = own_problem
    traced: Callable[[BenchmarkQuestion, str, ProgramInput | None], tuple[str, ProgramInput] | None] = on_failing_input
    dated: bool = False
    format: Literal["evalplus", "livecodebench"] | None = None
    size: int | None = None


def user(text: str, system: str | None = None) -> tuple[Message, ...]:
    """A conversation of one question."""
    return (*(() if system is None else ({"role": "system", "content": system},)), {"role": "user", "content": text})
