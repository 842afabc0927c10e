"""Choosing one of several programs by what a model predicts that they do: nothing is run.

Of n samples the one is kept whose outputs, as a model that reads it predicts them, agree with most of the examples
that the prompt shows. The model is asked as in alignment tasks of the kind `output`; answers are read as theirs are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coderlplus.alignment.answers import is_right, parse_answer
from coderlplus.alignment.kinds.final_values import about_values
from coderlplus.alignment.kinds.output import about_output
from coderlplus.alignment.prompts import shown_program, write_prompt
from coderlplus.alignment.settings import PromptStyle
from coderlplus.errors import DataError
from coderlplus.evaluation.examples import Example, visible_examples
from coderlplus.problems.prompts import user_message
from coderlplus.programs import extract_program
from coderlplus.records import OUTPUT, CallInput, Problem, ProgramInput, StdioInput, StdioTest, Target


@dataclass(frozen=True, slots=True)
class Selection:
    """`index` of the sample that is kept; `agreements`: with how many examples the predictions of each sample agree,
    `None` for a sample without a program."""

    index: int
    agreements: tuple[int | None, ...]


def select(
    problem: Problem,
    completions: Sequence[str],
    predict: Callable[[list[str]], Sequence[str]],
    *,
    examples: Sequence[Example] | None = None,
    prompt_style: PromptStyle = "full",
) -> Selection:
    """Keep the sample whose predicted outputs agree with most examples; of several the first.

    `predict` is the model that reads: prompts → what it says to each. It need not be the model that wrote.
    `examples` are those of the prompt (`CallTest`, `StdioTest`); by default those that `problem.statement` shows.
    Raises `DataError` where there is no example or no sample.

    >>> from coderlplus import CallTest
    >>> text = "Double x: f(2) == 4, f(3) == 6."
    >>> problem = Problem(problem_id="p", statement=text, entry_point="f", tests=(CallTest((5,), 10),))
    >>> written = ["def f(x): return x + 2", "def f(x): return 2 * x"]
    >>> def model(prompts):
    ...     return [str(4 if "f(2)" in prompt else 6 if "2 * x" in prompt else 5) for prompt in prompts]
    >>> select(problem, written, model)
    Selection(index=1, agreements=(1, 2))
    """
    shown = visible_examples(problem, user_message(problem)) if examples is None else list(examples)
    if not shown:
        raise DataError(f"problem {problem.problem_id!r} shows no example to agree with; give examples=[…]")
    if not completions:
        raise DataError(f"there is no sample for problem {problem.problem_id!r} to choose from")
    programs = [extract_program(text, problem.entry_point, starter_code=problem.starter_code) for text in completions]
    questions = {
        (program, place): prediction_prompt(problem, program, example, prompt_style)
        for program in programs
        if program is not None
        for place, example in enumerate(shown)
    }
    prompts = list(dict.fromkeys(questions.values()))
    said = dict(zip(prompts, predict(prompts), strict=True))
    agreements = tuple(
        None
        if program is None
        else sum(agrees(example, said[questions[program, place]]) for place, example in enumerate(shown))
        for program in programs
    )
    return Selection(max(range(len(programs)), key=lambda index: (_rank(agreements[index]), -index)), agreements)


def _rank(agreements: int | None) -> int:
    return -1 if agreements is None else agreements


def prediction_prompt(
    problem: Problem, program: str, example: Example, style: PromptStyle, *, variables: Sequence[str] = ()
) -> str:
    """What the model that reads is asked: what the program gives on the input of the example. With `variables` of the
    entry point their final values are asked for before it, as in alignment tasks of the kind `final_values`."""
    given = example_input(problem, example)
    output = Target(label=OUTPUT, value=None)
    named = [Target(label=name, value=None, scope=problem.entry_point) for name in variables]
    question = about_values([*named, output], given) if named else about_output(output, given)
    return write_prompt(shown_program(program), given, question, style=style, setup_code=problem.setup_code)


def example_input(problem: Problem, example: Example) -> ProgramInput:
    if isinstance(example, StdioTest):
        return StdioInput(example.stdin)
    return CallInput(problem.entry_point or "", example.args, example.kwargs)


def agrees(example: Example, completion: str) -> bool:
    """Whether a predicted output is that of the example."""
    answer = parse_answer(completion, [OUTPUT])
    printed = isinstance(example, StdioTest)
    expected = example.stdout if isinstance(example, StdioTest) else example.expected
    return answer is not None and is_right(Target(label=OUTPUT, value=expected), answer, printed=printed)
