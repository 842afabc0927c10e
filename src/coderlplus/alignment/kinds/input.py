"""The kind `input`: an input with which the program gives the output that is shown (abduction).

Any such input is right, so the judge decides: it runs the program on the input of the answer, which is read as data,
and compares what comes back (`trial`). The input of the traced run is right without that. Reasons of its own:
`no_input` (there is nothing to give), `input_unfit` (too long, or no plain data), `any_input` (an output that much the
same any input gives: `None`, `True`, `False`).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from coderlplus.alignment.answers import parse_answer
from coderlplus.alignment.facts import canonical, computes
from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import Question
from coderlplus.alignment.variables import TracedRun, output_of
from coderlplus.alignment.visible import is_fit
from coderlplus.records import (
    OUTPUT,
    Actual,
    AlignmentTask,
    CallInput,
    CallTest,
    Problem,
    Rollout,
    StdioTest,
    TaggedValue,
    Target,
)
from coderlplus.sandbox.values import is_plain

STDIN = "stdin"
"""Label."""
_DEFINITION = """
There may be several answers; any with which the program gives exactly this is right.
"""


def ask(run: TracedRun) -> Question | str:
    """The arguments of the call, or the standard input."""
    output = output_of(run)
    if isinstance(output, str):
        return output
    if output.value is None or isinstance(output.value, bool):
        return "any_input"
    targets = input_targets(run.visible.tree, run.trace.input)
    if not targets:
        return "no_input"
    if not all(is_fit(target.value, run.max_value_chars) for target in targets):
        return "input_unfit"
    if not computes(run.visible.tree):
        return "trivial"
    return "answer_in_prompt" if run.visible.shows_input(output.value) else about_input(targets, output.value)


def about_input(targets: Sequence[Target], output: TaggedValue) -> Question:
    """The question for the input of a run that gives `output`."""
    is_call = targets[0].label != STDIN
    words = [f"the argument `{target.label}`" if is_call else "the standard input" for target in targets]
    return Question(
        targets=tuple(targets),
        words=tuple(words),
        compact="Arguments" if is_call else "Input",
        definition=_DEFINITION,
        gives=Actual(value=output),
    )


def input_targets(tree: ast.Module, given: object) -> list[Target]:
    """What an answer must name: the standard input, or each argument under the name of its parameter, where the
    program tells it."""
    if not isinstance(given, CallInput):
        return [Target(label=STDIN, value=getattr(given, "stdin", ""))] if getattr(given, "stdin", "") else []
    values = [*given.args, *given.kwargs.values()]
    labels = [*_parameters(tree, given)[: len(given.args)], *given.kwargs]
    if len(set(labels)) != len(values) or {OUTPUT, STDIN} & set(labels):
        labels = [f"argument {number}" for number in range(1, len(values) + 1)]
    return [Target(label=label, value=value) for label, value in zip(labels, values, strict=True)]


def _parameters(tree: ast.Module, call: CallInput) -> list[str]:
    """The names of the parameters that take arguments by position; none where the function is not found."""
    name, is_method = call.entry_point.rpartition(".")[2], "." in call.entry_point
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return [parameter.arg for parameter in (*node.args.posonlyargs, *node.args.args)][is_method:]
    return []


def trial(task: AlignmentTask, completion: str) -> tuple[Problem, Rollout] | None:
    """The program on the input of the answer, and the test that it gives the output; `None` where no run is needed:
    the answer is the input of the task, is not complete, or has no usable form."""
    given = _values(task, completion)
    if given is None or not _is_complete(task, given) or _is_known(task, given):
        return None
    assert task.gives is not None
    values = [given[target.label] for target in task.targets]
    if isinstance(task.input, CallInput):
        places = len(task.input.args)
        kwargs = dict(zip(task.input.kwargs, values[places:], strict=True))
        test: CallTest | StdioTest = CallTest(tuple(values[:places]), task.gives.value, kwargs)
        entry_point: str | None = task.input.entry_point
    else:
        test, entry_point = StdioTest(values[0], task.gives.value), None
    problem = Problem(
        problem_id=task.task_id,
        statement=task.prompt,
        entry_point=entry_point,
        tests=(test,),
        setup_code=task.setup_code,
    )
    return problem, Rollout(rollout_id=task.task_id, problem_id=task.task_id, program=task.program)


def score(task: AlignmentTask, completion: str, format_weight: float) -> tuple[float, dict[str, bool]]:
    """The score of an answer that needs no run (see `trial`)."""
    given = _values(task, completion)
    if given is None:
        return 0.0, {}
    is_right = _is_known(task, given)
    return (1.0 if is_right else format_weight), {target.label: is_right for target in task.targets}


def _values(task: AlignmentTask, completion: str) -> Mapping[str, TaggedValue] | None:
    """What an answer gives; a number for the standard input stands for its own text."""
    answer = parse_answer(completion, [target.label for target in task.targets])
    if answer is None or isinstance(task.input, CallInput):
        return None if answer is None else answer.values
    text = answer.values[STDIN]
    is_number = isinstance(text, int | float) and not isinstance(text, bool)
    return {STDIN: repr(text) if is_number else text}


def _is_complete(task: AlignmentTask, given: Mapping[str, TaggedValue]) -> bool:
    """Whether each part of the input is given as data that can be handed to a program."""
    if any(target.label not in given or not is_plain(given[target.label]) for target in task.targets):
        return False
    return isinstance(task.input, CallInput) or isinstance(given[STDIN], str)


def _is_known(task: AlignmentTask, given: Mapping[str, TaggedValue]) -> bool:
    return all(
        target.label in given and canonical(given[target.label]) == canonical(target.value) for target in task.targets
    )


KIND = Kind(
    name="input",
    asks="an input with which the program gives the output that is shown",
    ask=ask,
    trial=trial,
    score=score,
)
