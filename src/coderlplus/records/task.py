"""What is learnt from: alignment tasks and rewards."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from coderlplus.errors import DataError
from coderlplus.records.jsonl import choice, get, items, optional, refuse_unknown
from coderlplus.records.problem import ProgramInput, TaggedValue, input_from_json
from coderlplus.records.run import VERDICTS, Verdict, VerdictName
from coderlplus.records.tagged import tagged

OUTPUT = "output"
"""The label of what the program prints or returns; a variable of that name is labelled with its scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One value that an alignment task asks for. `label` is its name in the prompt, `value` the true tagged value.
    `scope` is set for variables and `None` for everything else: the output, an exception and its line, a branch or
    loop.

    >>> Target(label="output", value=3).is_output, Target(label="y", value=3, scope="f").is_output
    (True, False)
    """

    label: str
    value: TaggedValue
    scope: str | None = None

    @property
    def is_output(self) -> bool:
        return self.label == OUTPUT and self.scope is None

    def to_json(self) -> dict[str, Any]:
        return {"label": self.label, "value": self.value, "scope": self.scope}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        refuse_unknown(data, ("label", "value", "scope"), "a target")
        if "value" not in data:
            raise DataError("a target needs 'value'")
        return cls(
            label=get(data, "label", str), value=tagged(data["value"], "value"), scope=optional(data, "scope", str)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentTask:
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
    problem_id: str
    rollout_id: str
    step: int = 0
    verdict: VerdictName = "wrong_answer"

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return data | {"input": self.input.to_json(), "targets": [target.to_json() for target in self.targets]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        refuse_unknown(data, [field.name for field in dataclasses.fields(cls)], "a task")
        return cls(
            task_id=get(data, "task_id", str),
            kind=get(data, "kind", str),
            prompt=get(data, "prompt", str),
            program=get(data, "program", str),
            input=input_from_json(get(data, "input", dict)),
            targets=_targets(data),
            setup_code=optional(data, "setup_code", str, ""),
            problem_id=get(data, "problem_id", str),
            rollout_id=get(data, "rollout_id", str),
            step=optional(data, "step", int, 0),
            verdict="wrong_answer" if data.get("verdict") is None else choice(data, "verdict", VERDICTS),
        )


def _targets(data: Mapping[str, Any]) -> tuple[Target, ...]:
    targets = tuple(map(Target.from_json, items(data, "targets")))
    if not targets:
        raise DataError("field 'targets' is empty; a task must ask for something")
    return targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
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

    def to_json(self) -> dict[str, Any]:
        verdict = None if self.verdict is None else self.verdict.to_json()
        return {
            "kind": self.kind,
            "value": self.value,
            "program": self.program,
            "verdict": verdict,
            "correct": dict(self.correct),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        verdict = optional(data, "verdict", dict)
        correct = optional(data, "correct", dict, {})
        return cls(
            kind=get(data, "kind", str),
            value=optional(data, "value", float),
            program=optional(data, "program", str),
            verdict=None if verdict is None else Verdict.from_json(verdict),
            correct={label: get(correct, label, bool) for label in correct},
        )
