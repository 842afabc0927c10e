"""A kind of task: how many characters does the output have? An answer that is near earns a part."""

from __future__ import annotations

from coderlplus.alignment.answers import parse_answer
from coderlplus.alignment.kinds import Kind
from coderlplus.alignment.questions import Question
from coderlplus.alignment.variables import TracedRun, output_of
from coderlplus.records import AlignmentTask, Target
from coderlplus.sandbox.values import to_source


def ask(run: TracedRun) -> Question | str:
    output = output_of(run)
    if isinstance(output, str):
        return output
    length = Target(label="length", value=len(to_source(output.value)))
    return Question(
        targets=(length,), words=("the number of characters of the output",), compact="Length of the output"
    )


def score(task: AlignmentTask, completion: str, format_weight: float) -> tuple[float, dict[str, bool]]:
    (target,) = task.targets
    answer = parse_answer(completion, [target.label])
    if answer is None or not isinstance(answer.values[target.label], int):
        return 0.0, {}
    off = abs(answer.values[target.label] - target.value)
    return 1 / (1 + off), {target.label: off == 0}


KIND = Kind(name="length", asks="the number of characters of the output", ask=ask, score=score)
