"""What is learnt from: alignment tasks and rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from coderlplus.errors import DataError
from coderlplus.records.fields import JsonRecord, TaggedValue, fields_in
from coderlplus.records.problem import ProgramInput
from coderlplus.records.run import Actual, Verdict, VerdictName

OUTPUT = "output"
"""The label of what the program prints or returns; a variable of that name is labelled with its scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(JsonRecord):
    """One value that an alignment task asks for. `label` is its name in the prompt, `value` the true tagged value.
    `scope` is set for variables and `None` for everything else: the output, an exception and its line, a branch or
    loop.

    >>> Target(label="output", value=3).is_output, Target(label="y", value=3, scope="f").is_output
    (True, False)
    """

    label: str
    value: TaggedValue
    scope: str | None = None
    called: ClassVar[str] = "a target"

    @property
    def is_output(self) -> bool:
        return self.label == OUTPUT and self.scope is None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentTask(JsonRecord):
    """A question about an execution with a known answer, and its lineage: the rollout that it was made from, the
    `step` and the verdict.

    >>> from coderlplus import CallInput
    >>> task = AlignmentTask(
    ...     task_id="t", kind="output", prompt="What does f(1) return?", program="def f(x): return x + 1",
    ...     input=CallInput("f", (1,)), targets=(Target(label="output", value=2),), problem_id="p", rollout_id="r",
    ... )
    >>> AlignmentTask.from_json(task.to_json()) == task
    True
    """

    task_id: str
    kind: str
    prompt: str
    program: str
    input: ProgramInput
    targets: tuple[Target, ...]
    setup_code: str = ""
    """Runs before the program, as in its problem."""
    gives: Actual | None = None
    """What the program gives on `input`, in tasks that ask for an input with which it does."""
    problem_id: str
    rollout_id: str
    step: int = 0
    verdict: VerdictName = "wrong_answer"
    called: ClassVar[str] = "a task"

    def to_json(self) -> dict[str, Any]:
        data = JsonRecord.to_json(self)
        return data if self.gives is not None else {name: value for name, value in data.items() if name != "gives"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        found = fields_in(cls, data)
        if not found["targets"]:
            raise DataError("field 'targets' is empty; a task must ask for something")
        return cls(**found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward(JsonRecord):
    """The reward of one completion: R_gen or R_sem (paper, section 3).

    `value` is `None` if the sandbox failed: the completion is excluded from its group and never counts as 0.
    `kind` is `"generation"`, the kind of the alignment task, or `"own"` for a row of the user's own, which has no
    reward here. `program` and `verdict` (generation) or `correct` (alignment: target label → correct or not; empty if
    the answer had no usable form) explain the reward.

    >>> Reward(kind="final_values", value=0.55, correct={"output": True, "y": False}).value
    0.55
    """

    kind: str
    value: float | None
    program: str | None = None
    verdict: Verdict | None = None
    correct: Mapping[str, bool] = field(default_factory=dict)
