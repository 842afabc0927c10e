"""What a policy wrote and what became of it: rollouts, verdicts, traces."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from coderlplus.errors import DataError
from coderlplus.records.jsonl import get
from coderlplus.records.problem import ProgramInput, TaggedValue, input_from_json

VerdictName = Literal[
    "passed",
    "wrong_answer",
    "runtime_error",
    "time_limit",
    "memory_limit",
    "output_limit",
    "syntax_error",
    "no_program",
    "sandbox_fault",
]
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One sample of a policy on a problem: a `program` (source text), or a `completion` to extract it from."""

    rollout_id: str
    problem_id: str
    program: str | None = None
    completion: str | None = None

    def __post_init__(self) -> None:
        if (self.program is None) == (self.completion is None):
            raise DataError(f"rollout {self.rollout_id!r} needs either 'program' or 'completion', not both and not neither")

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            rollout_id=get(data, "rollout_id", str),
            problem_id=get(data, "problem_id", str),
            program=data.get("program"),
            completion=data.get("completion"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first test that a program failed. `input` is what the program was given, where it is known: it is what an alignment task will ask about."""

    index: int
    verdict: VerdictName
    detail: str = ""
    input: ProgramInput | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "verdict": self.verdict,
            "detail": self.detail,
            "input": None if self.input is None else self.input.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        given = data.get("input")
        return cls(
            index=get(data, "index", int),
            verdict=get(data, "verdict", str),
            detail=data.get("detail", ""),
            input=None if given is None else input_from_json(given),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the judge says of a program: `cpu_s`, `wall_s` are sums over its runs, `peak_mb` the largest; `isolation` the layers in force."""

    rollout_id: str
    problem_id: str
    verdict: VerdictName
    tests_passed: int
    tests_total: int
    first_failure: Failure | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0
    isolation: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict == "passed"

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        failure = None if self.first_failure is None else self.first_failure.to_json()
        return data | {"passed": self.passed, "first_failure": failure, "isolation": list(self.isolation)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        failure = data.get("first_failure")
        return cls(
            rollout_id=get(data, "rollout_id", str),
            problem_id=get(data, "problem_id", str),
            verdict=get(data, "verdict", str),
            tests_passed=get(data, "tests_passed", int),
            tests_total=get(data, "tests_total", int),
            first_failure=None if failure is None else Failure.from_json(failure),
            cpu_s=data.get("cpu_s", 0.0),
            wall_s=data.get("wall_s", 0.0),
            peak_mb=data.get("peak_mb", 0.0),
            isolation=tuple(data.get("isolation", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended: `finished`, `exception` (with `type`, `message` and the `line` in the program), `exit`, or at a limit."""

    kind: Literal["finished", "exception", "exit", "time_limit", "memory_limit", "output_limit", "syntax_error"]
    type: str | None = None
    message: str | None = None
    line: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a program did on one input.

    `output` is what it printed; `value` the tagged value that a `CallInput` returned (`None` also when it returned `None`: see `ending`).
    `variables` maps a scope (`<module>` or a function's `__qualname__`) to the tagged final values of its variables, both in order of definition.
    """

    program: str
    input: ProgramInput
    ending: Ending
    output: str = ""
    value: TaggedValue = None
    deterministic: bool = True
    variables: Mapping[str, Mapping[str, TaggedValue]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        variables = {scope: dict(names) for scope, names in self.variables.items()}
        return data | {"input": self.input.to_json(), "ending": self.ending.to_json(), "variables": variables}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            program=get(data, "program", str),
            input=input_from_json(get(data, "input", dict)),
            ending=Ending.from_json(get(data, "ending", dict)),
            output=data.get("output", ""),
            value=data.get("value"),
            deterministic=data.get("deterministic", True),
            variables=data.get("variables", {}),
        )
