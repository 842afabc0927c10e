"""R_sem: the right answer to a task, what a completion answers, and its score, each by the kind of the task."""

from __future__ import annotations

from coderlplus.alignment.answers import Answer
from coderlplus.alignment.kinds import DEFAULT, KINDS, Kind
from coderlplus.records import AlignmentTask


def reference_answer(task: AlignmentTask) -> str:
    """The right answer to a task, in the form that its prompt asks for.

    >>> from coderlplus import AlignmentTask, CallInput, Target
    >>> task = AlignmentTask(
    ...     task_id="t", kind="output", prompt="What does f(1) return?", program="def f(x): return x + 1",
    ...     input=CallInput("f", (1,)), targets=(Target(label="output", value=2),), problem_id="p", rollout_id="r",
    ... )
    >>> reference_answer(task)
    '{"output": 2}'
    """
    return _kind(task).answer(task.targets)


def score_answer(task: AlignmentTask, completion: str, *, format_weight: float = 0.1) -> tuple[float, dict[str, bool]]:
    """`R_sem` of a completion and which targets it has right (empty if the answer has no usable form, which scores 0).

    `R_sem = w + (1 − w) · (right targets / targets)`, w = `format_weight`; with w = 0 the paper's `(1/|V|) Σ 1[v̂ =
    v]`. Tasks of the kind `official` have the published scoring, whose weight is 0.1.

    >>> from coderlplus import AlignmentTask, CallInput, Target
    >>> task = AlignmentTask(
    ...     task_id="t", kind="output", prompt="What does f(1) return?", program="def f(x): return x + 1",
    ...     input=CallInput("f", (1,)), targets=(Target(label="output", value=2),), problem_id="p", rollout_id="r",
    ... )
    >>> score_answer(task, 'It adds 1. {"output": 2}'), score_answer(task, "no idea")
    ((1.0, {'output': True}), (0.0, {}))
    """
    return _kind(task).score(task, completion, format_weight)


def read_answer(task: AlignmentTask, completion: str) -> Answer | None:
    """The values that a completion gives, by label, or `None` where it has no answer of usable form."""
    return _kind(task).read(task, completion)


def _kind(task: AlignmentTask) -> Kind:
    """The kind of a task; questions of a kind that is not listed, made elsewhere, are answered in the common form."""
    return KINDS.get(task.kind, KINDS[DEFAULT])
