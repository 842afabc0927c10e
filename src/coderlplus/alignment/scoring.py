"""R_sem: the right answer to a task, what a completion answers, and its score, each by the kind of the task."""

from __future__ import annotations

from typing import Protocol

from coderlplus.alignment.answers import Answer
from coderlplus.alignment.kinds import DEFAULT, KINDS, Kind
from coderlplus.errors import ConfigError, SandboxError
from coderlplus.records import AlignmentTask, Problem, Rollout, Verdict

Scored = tuple[float, dict[str, bool]]
"""`R_sem` of a completion and which targets it has right."""


class Judging(Protocol):
    """A `coderlplus.Judge`."""

    def judge(self, problem: Problem, rollout: Rollout) -> Verdict: ...


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


def score_answer(
    task: AlignmentTask, completion: str, *, format_weight: float = 0.1, judge: Judging | None = None
) -> tuple[float, dict[str, bool]]:
    """`R_sem` of a completion and which targets it has right (empty if the answer has no usable form, which scores 0).

    `R_sem = w + (1 − w) · (right targets / targets)`, w = `format_weight`; with w = 0 the paper's `(1/|V|) Σ 1[v̂ =
    v]`. Tasks of the kind `official` have the published scoring, whose weight is 0.1.

    An answer to a task of the kind `input` is right if the program gives the same output on it. Only the input of the
    task itself is known to be; for any other the `judge` runs the program. Raises `ConfigError` where it is needed and
    not given, and `SandboxError` if the sandbox fails; nothing else is ever run.

    >>> from coderlplus import AlignmentTask, CallInput, Target
    >>> task = AlignmentTask(
    ...     task_id="t", kind="output", prompt="What does f(1) return?", program="def f(x): return x + 1",
    ...     input=CallInput("f", (1,)), targets=(Target(label="output", value=2),), problem_id="p", rollout_id="r",
    ... )
    >>> score_answer(task, 'It adds 1. {"output": 2}'), score_answer(task, "no idea")
    ((1.0, {'output': True}), (0.0, {}))
    """
    run = trial(task, completion)
    if run is None:
        return _kind(task).score(task, completion, format_weight)
    if judge is None:
        raise ConfigError(
            f"an answer to a task of the kind {task.kind!r} is judged by running the program on it: "
            "score_answer(…, judge=judge)"
        )
    verdict = judge.judge(*run)
    if verdict.verdict == "sandbox_fault":
        raise SandboxError(f"the sandbox failed on an answer to task {task.task_id!r}; score it again")
    return trial_score(task, verdict, format_weight)


def trial(task: AlignmentTask, completion: str) -> tuple[Problem, Rollout] | None:
    """What the judge must run to score a completion; `None` where nothing has to be run."""
    return _kind(task).trial(task, completion)


def trial_score(task: AlignmentTask, verdict: Verdict, format_weight: float) -> tuple[float, dict[str, bool]]:
    """The score of a completion by the verdict on its trial; all targets are right or none is."""
    return (1.0 if verdict.passed else format_weight), dict.fromkeys(
        (target.label for target in task.targets), verdict.passed
    )


def read_answer(task: AlignmentTask, completion: str) -> Answer | None:
    """The values that a completion gives, by label, or `None` where it has no answer of usable form."""
    return _kind(task).read(task, completion)


def _kind(task: AlignmentTask) -> Kind:
    """The kind of a task; questions of a kind that is not listed, made elsewhere, are answered in the common form."""
    return KINDS.get(task.kind, KINDS[DEFAULT])
