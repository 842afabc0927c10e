"""What a policy wrote and what became of it: rollouts, verdicts, traces."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from coderlplus.errors import DataError
from coderlplus.records.jsonl import choice, get, items, optional, refuse_unknown
from coderlplus.records.problem import ProgramInput, TaggedValue, input_from_json
from coderlplus.records.tagged import tagged

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
EndingName = Literal["finished", "exception", "exit", "time_limit", "memory_limit", "output_limit", "syntax_error"]
StepsCut = Literal["steps", "bytes", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One sample of a policy for a problem: a `program` (source text), or a `completion` to extract it from.

    >>> Rollout(rollout_id="r", problem_id="p", program="print(1)").to_json()
    {'rollout_id': 'r', 'problem_id': 'p', 'program': 'print(1)'}
    """

    rollout_id: str
    problem_id: str
    program: str | None = None
    completion: str | None = None

    def __post_init__(self) -> None:
        for text in (self.program, self.completion):
            if text is not None and not isinstance(text, str):
                raise DataError(f"the program of rollout {self.rollout_id!r} must be text, not {type(text).__name__}")
        if (self.program is None) == (self.completion is None):
            raise DataError(
                f"rollout {self.rollout_id!r} needs either 'program' or 'completion', not both and not neither"
            )

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        refuse_unknown(data, ("rollout_id", "problem_id", "program", "completion"), "a program")
        return cls(
            rollout_id=get(data, "rollout_id", str),
            problem_id=get(data, "problem_id", str),
            program=data.get("program"),
            completion=data.get("completion"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What a program gave on one input: the text that it printed, the tagged value that it returned, or the class of
    the exception that ended it."""

    value: TaggedValue = None
    raised: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value} if self.raised is None else {"raised": self.raised}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(value=tagged(data.get("value"), "value"), raised=optional(data, "raised", str))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first test that a program failed. `input` is the program's input and `actual` its result, if known (and
    `actual` is short). An alignment task asks about that input, and its trace is compared with that result.

    >>> Failure(index=2, verdict="wrong_answer", detail="returned 3, expected 4").detail
    'returned 3, expected 4'
    """

    index: int
    verdict: VerdictName
    detail: str = ""
    input: ProgramInput | None = None
    actual: Actual | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "verdict": self.verdict,
            "detail": self.detail,
            "input": None if self.input is None else self.input.to_json(),
            "actual": None if self.actual is None else self.actual.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        given, actual = optional(data, "input", dict), optional(data, "actual", dict)
        index = get(data, "index", int)
        if index < 0:
            raise DataError(f"field 'index' must be 0 or more, not {index}")
        return cls(
            index=index,
            verdict=choice(data, "verdict", VERDICTS),
            detail=optional(data, "detail", str, ""),
            input=None if given is None else input_from_json(given),
            actual=None if actual is None else Actual.from_json(actual),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judge's result for a program. `cpu_s` and `wall_s` are sums over its runs, `peak_mb` is the maximum;
    `isolation` has the layers in force.

    >>> Verdict(rollout_id="r", problem_id="p", verdict="passed", tests_passed=2, tests_total=2).passed
    True
    """

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
        failure = optional(data, "first_failure", dict)
        isolation = optional(data, "isolation", list, [])
        if not all(isinstance(layer, str) for layer in isolation):
            raise DataError("field 'isolation' must hold the names of layers")
        return cls(
            rollout_id=get(data, "rollout_id", str),
            problem_id=get(data, "problem_id", str),
            verdict=choice(data, "verdict", VERDICTS),
            tests_passed=get(data, "tests_passed", int),
            tests_total=get(data, "tests_total", int),
            first_failure=None if failure is None else Failure.from_json(failure),
            cpu_s=optional(data, "cpu_s", float, 0.0),
            wall_s=optional(data, "wall_s", float, 0.0),
            peak_mb=optional(data, "peak_mb", float, 0.0),
            isolation=tuple(isolation),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended: `finished`, `exception` (with `type`, `message` and the `line` in the program), `exit`, or at a
    limit."""

    kind: EndingName
    type: str | None = None
    message: str | None = None
    line: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        unknown = data.keys() - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise DataError(f"an ending has no field {min(unknown)[:60]!r}")
        return cls(
            kind=choice(data, "kind", get_args(EndingName)),
            type=optional(data, "type", str),
            message=optional(data, "message", str),
            line=optional(data, "line", int),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One variable that a step changed: `value` is its new tagged value, `None` with `deleted` where the name is gone.

    `scope` and `activation` are those of the variable's owner, which need not be the step's: a function may change a
    global or its caller's list.
    """

    name: str
    value: TaggedValue
    scope: str
    activation: int
    deleted: bool = False

    def to_json(self) -> dict[str, Any]:
        data = {"name": self.name, "value": self.value, "scope": self.scope, "activation": self.activation}
        return data | {"deleted": True} if self.deleted else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            name=get(data, "name", str),
            value=tagged(data.get("value"), "value"),
            scope=get(data, "scope", str),
            activation=get(data, "activation", int),
            deleted=optional(data, "deleted", bool, False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement run, the test of a loop, one turn of a `for`, or the entry of a function, which binds its
    parameters (its line is that of `def`).

    `line` is the first line of the statement in the source. `activation` numbers the calls of functions and executions
    of class bodies in order of their beginning, the module is 0; `depth` is how many of them are open around it.
    `changes` and `output_chars`, how much of `Trace.output` is printed, are as the step leaves them. A statement that
    calls functions of the program comes a second time, after their steps, if it changed something then.
    """

    line: int
    scope: str
    activation: int
    depth: int
    output_chars: int
    changes: tuple[Change, ...] = ()

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return data | {"changes": [change.to_json() for change in self.changes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            line=get(data, "line", int),
            scope=get(data, "scope", str),
            activation=get(data, "activation", int),
            depth=get(data, "depth", int),
            output_chars=get(data, "output_chars", int),
            changes=tuple(map(Change.from_json, items(data, "changes") if data.get("changes") is not None else ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a program did on one input.

    `output` is the printed text; `value` the tagged value that a `CallInput` returned (also `None` if the call
    returned `None`: see `ending`). `variables` maps a scope (`<module>` or a function's `__qualname__`) to the tagged
    final values of its variables, both in order of definition. `steps`, on request, are its steps in order;
    `steps_cut` names the budget that ended them before the program ended. `withheld` names what the program accessed
    (a frame, a code object, …) that would have let it falsify its variables and steps; the trace then has neither.

    >>> from coderlplus import CallInput, open_sandbox, trace
    >>> with open_sandbox(workers=1) as sandbox:
    ...     seen = trace(sandbox, "def f(x):\\n    y = x + 1\\n    return 2 * y", CallInput("f", (3,)))
    >>> seen.value, seen.variables
    (8, {'f': {'x': 3, 'y': 4}})
    """

    program: str
    input: ProgramInput
    ending: Ending
    output: str = ""
    value: TaggedValue = None
    deterministic: bool = True
    variables: Mapping[str, Mapping[str, TaggedValue]] = field(default_factory=dict)
    withheld: str | None = None
    steps: tuple[Step, ...] | None = None
    steps_cut: StepsCut | None = None

    def to_json(self) -> dict[str, Any]:
        """`steps` and `steps_cut` are included only if steps were requested."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not f.name.startswith("steps")}
        data |= {"input": self.input.to_json(), "ending": self.ending.to_json()}
        data["variables"] = {scope: dict(names) for scope, names in self.variables.items()}
        return (
            data
            if self.steps is None
            else data | {"steps": [step.to_json() for step in self.steps], "steps_cut": self.steps_cut}
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        variables = optional(data, "variables", dict, {})
        return cls(
            program=get(data, "program", str),
            input=input_from_json(get(data, "input", dict)),
            ending=Ending.from_json(get(data, "ending", dict)),
            output=optional(data, "output", str, ""),
            value=tagged(data.get("value"), "value"),
            deterministic=optional(data, "deterministic", bool, True),
            variables={
                scope: {name: tagged(value, name) for name, value in get(variables, scope, dict).items()}
                for scope in variables
            },
            withheld=optional(data, "withheld", str),
            steps=tuple(map(Step.from_json, items(data, "steps"))) if data.get("steps") is not None else None,
            steps_cut=None if data.get("steps_cut") is None else choice(data, "steps_cut", get_args(StepsCut)),
        )
