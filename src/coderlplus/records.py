"""The records that flow through the house, and their JSONL form.

    Problem → Rollout → Verdict → Trace → AlignmentTask → Reward

All records are frozen. Every record has `to_json()` (a dict of plain JSON) and `from_json()`; `read_jsonl` and `write_jsonl` move them to and from
files, one object a line. Python values inside records (arguments, expected values, variables) are *tagged values*: plain JSON where JSON says the
same, a tagged object otherwise (`{"$tuple": [...]}`), made and read by `coderlplus.sandbox.values`. Records hold them as they are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

from coderlplus.errors import DataError

TaggedValue = Any
"""Plain JSON or a tagged object; see `coderlplus.sandbox.values`."""

VERDICTS = (
    "passed",
    "wrong_answer",
    "runtime_error",
    "time_limit",
    "memory_limit",
    "output_limit",
    "syntax_error",
    "no_program",
    "sandbox_fault",
)
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


class Record(Protocol):
    """What `read_jsonl` and `write_jsonl` need of a record."""

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self: ...


RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run of a program may use. Time limits are decided on CPU time; wall time is a generous multiple for programs that sleep."""

    cpu_s: float = 5.0
    wall_s: float = 20.0
    memory_mb: int = 512
    output_kb: int = 1024

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        names = {f.name for f in dataclasses.fields(cls)}
        for name, value in data.items():
            if name not in names:
                raise DataError(f"unknown limit {name!r}; the limits are {', '.join(sorted(names))}")
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise DataError(f"limit {name} must be a number above 0, not {value!r}")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class StdioInput:
    """A run with `stdin` as its standard input; its result is what it prints."""

    stdin: str
    kind: ClassVar[str] = "stdio"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "stdin": self.stdin}


@dataclass(frozen=True, slots=True)
class CallInput:
    """A run that calls the entry point (`"name"` or `"Solution().name"`) with tagged arguments; its result is the returned value."""

    entry_point: str
    args: tuple[TaggedValue, ...] = ()
    kwargs: Mapping[str, TaggedValue] = field(default_factory=dict)
    kind: ClassVar[str] = "call"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "entry_point": self.entry_point, "args": list(self.args), "kwargs": dict(self.kwargs)}


ProgramInput = StdioInput | CallInput


def input_from_json(data: Mapping[str, Any]) -> ProgramInput:
    """Read a `ProgramInput` from its JSON form."""
    kind = data.get("kind")
    if kind == "stdio":
        return StdioInput(_get(data, "stdin", str))
    if kind == "call":
        return CallInput(_get(data, "entry_point", str), tuple(data.get("args", ())), dict(data.get("kwargs", {})))
    raise DataError(f"unknown input kind {kind!r}; use 'stdio' or 'call'")


@dataclass(frozen=True, slots=True)
class StdioTest:
    """Feed `stdin`, compare what is printed with `stdout`."""

    stdin: str
    stdout: str
    kind: ClassVar[str] = "stdio"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "stdin": self.stdin, "stdout": self.stdout}


@dataclass(frozen=True, slots=True)
class CallTest:
    """Call the entry point with tagged arguments, compare the returned value with `expected`."""

    args: tuple[TaggedValue, ...]
    expected: TaggedValue
    kwargs: Mapping[str, TaggedValue] = field(default_factory=dict)
    kind: ClassVar[str] = "call"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "args": list(self.args), "kwargs": dict(self.kwargs), "expected": self.expected}


@dataclass(frozen=True, slots=True)
class CheckTest:
    """Test code: it defines `check(candidate)`, or is a list of asserts on the entry point by name. It runs in the examiner."""

    code: str
    kind: ClassVar[str] = "check"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "code": self.code}


Test = StdioTest | CallTest | CheckTest


def test_from_json(data: Mapping[str, Any]) -> Test:
    """Read a `Test` from its JSON form; an unknown `kind` is a `DataError`."""
    kind = data.get("kind")
    if kind == "stdio":
        return StdioTest(_get(data, "stdin", str), _get(data, "stdout", str))
    if kind == "call":
        if "expected" not in data:
            raise DataError("a call test needs 'expected'")
        return CallTest(tuple(_get(data, "args", list)), data["expected"], dict(data.get("kwargs", {})))
    if kind == "check":
        return CheckTest(_get(data, "code", str))
    raise DataError(f"unknown test kind {kind!r}; use 'stdio', 'call' or 'check'")


test_from_json.__test__ = False  # type: ignore[attr-defined]  # its name makes pytest take it for a test


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A programming problem with tests.

    `entry_point` is `None` (a stdin program), `"name"` or `"Solution().name"`. `setup_code` is code that the statement takes for granted (imports,
    helpers) and runs before the program; `checker` names a special checker for problems with several right answers.
    """

    problem_id: str
    statement: str
    tests: tuple[Test, ...]
    source: str = ""
    starter_code: str = ""
    entry_point: str | None = None
    reference: str | None = None
    setup_code: str = ""
    checker: str | None = None
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not self.tests:
            raise DataError(f"problem {self.problem_id!r} has no tests: any program would pass; remove it or give it tests")
        if self.entry_point is None and any(test.kind != "stdio" for test in self.tests):
            raise DataError(f"problem {self.problem_id!r} has call or check tests but no entry_point")

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return data | {"tests": [test.to_json() for test in self.tests], "limits": self.limits.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            problem_id=_get(data, "problem_id", str),
            statement=_get(data, "statement", str),
            tests=tuple(test_from_json(test) for test in _get(data, "tests", list)),
            source=data.get("source") or "",
            starter_code=data.get("starter_code") or "",
            entry_point=data.get("entry_point"),
            reference=data.get("reference"),
            setup_code=data.get("setup_code") or "",
            checker=data.get("checker"),
            limits=Limits.from_json(data.get("limits") or {}),
        )


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
            rollout_id=_get(data, "rollout_id", str),
            problem_id=_get(data, "problem_id", str),
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
            index=_get(data, "index", int),
            verdict=_get(data, "verdict", str),
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
            rollout_id=_get(data, "rollout_id", str),
            problem_id=_get(data, "problem_id", str),
            verdict=_get(data, "verdict", str),
            tests_passed=_get(data, "tests_passed", int),
            tests_total=_get(data, "tests_total", int),
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
            program=_get(data, "program", str),
            input=input_from_json(_get(data, "input", dict)),
            ending=Ending.from_json(_get(data, "ending", dict)),
            output=data.get("output", ""),
            value=data.get("value"),
            deterministic=data.get("deterministic", True),
            variables=data.get("variables", {}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing that an alignment task asks for: `label` is its name in the prompt, `value` the true tagged value; `scope` is `None` for output."""

    label: str
    value: TaggedValue
    scope: str | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        if "value" not in data:
            raise DataError("a target needs 'value'")
        return cls(label=_get(data, "label", str), value=data["value"], scope=data.get("scope"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentTask:
    """A question about an execution whose answer is known, with its lineage: the rollout that it was made from, at which `step`, and its verdict."""

    task_id: str
    kind: str
    prompt: str
    program: str
    input: ProgramInput
    targets: tuple[Target, ...]
    problem_id: str
    rollout_id: str
    step: int = 0
    verdict: VerdictName = "wrong_answer"

    def to_json(self) -> dict[str, Any]:
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return data | {"input": self.input.to_json(), "targets": [target.to_json() for target in self.targets]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            task_id=_get(data, "task_id", str),
            kind=_get(data, "kind", str),
            prompt=_get(data, "prompt", str),
            program=_get(data, "program", str),
            input=input_from_json(_get(data, "input", dict)),
            targets=tuple(Target.from_json(target) for target in _get(data, "targets", list)),
            problem_id=_get(data, "problem_id", str),
            rollout_id=_get(data, "rollout_id", str),
            step=data.get("step", 0),
            verdict=data.get("verdict", "wrong_answer"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """The reward of one completion: R_gen or R_sem (paper, section 3).

    `value` is `None` when our own sandbox failed: the completion is left out of its group and never counts as 0. `kind` is `"generation"` or the
    kind of the alignment task. `program` and `verdict` (generation) or `correct` (alignment: target label → right or not; empty when the answer had
    no usable form) say how it came about.
    """

    kind: str
    value: float | None
    program: str | None = None
    verdict: Verdict | None = None
    correct: Mapping[str, bool] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        verdict = None if self.verdict is None else self.verdict.to_json()
        return {"kind": self.kind, "value": self.value, "program": self.program, "verdict": verdict, "correct": dict(self.correct)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        verdict = data.get("verdict")
        return cls(
            kind=_get(data, "kind", str),
            value=data.get("value"),
            program=data.get("program"),
            verdict=None if verdict is None else Verdict.from_json(verdict),
            correct=data.get("correct", {}),
        )


def read_jsonl(path: str | Path, record: type[RecordT]) -> Iterator[RecordT]:
    """Yield the records of a JSONL file, one a line; empty lines are skipped. Raises `DataError` naming file and line."""
    path = Path(path)
    try:
        file = path.open(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    with file:
        try:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    data = json.loads(line)
                    if not isinstance(data, dict):
                        raise DataError("expected a JSON object")
                    yield record.from_json(data)
                except json.JSONDecodeError as error:
                    raise DataError(f"{path}:{number}: not valid JSON ({error.msg} at column {error.colno}); fix or remove the line") from error
                except (DataError, TypeError) as error:
                    raise DataError(f"{path}:{number}: {error}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); is it compressed?") from error


def write_jsonl(path: str | Path, records: Iterable[Record]) -> int:
    """Write records one a line and return how many; the file appears only when it is complete."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    count = 0
    try:
        with partial.open("w", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps(record.to_json()) + "\n")
                count += 1
        partial.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return count


def _get(data: Mapping[str, Any], name: str, kind: type) -> Any:
    """The field `name`, which must be there and of type `kind`."""
    if name not in data:
        raise DataError(f"field {name!r} is missing")
    value = data[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DataError(f"field {name!r} must be {kind.__name__}, not {type(value).__name__} {str(value)[:60]!r}")
    return value
