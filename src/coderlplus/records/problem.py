"""What a program is asked to do: inputs, tests, limits, problems."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from coderlplus.errors import DataError
from coderlplus.records.jsonl import get

TaggedValue = Any
"""Plain JSON or a tagged object; see `coderlplus.sandbox.values`."""


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
        return StdioInput(get(data, "stdin", str))
    if kind == "call":
        return CallInput(get(data, "entry_point", str), tuple(data.get("args", ())), dict(data.get("kwargs", {})))
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
        return StdioTest(get(data, "stdin", str), get(data, "stdout", str))
    if kind == "call":
        if "expected" not in data:
            raise DataError("a call test needs 'expected'")
        return CallTest(tuple(get(data, "args", list)), data["expected"], dict(data.get("kwargs", {})))
    if kind == "check":
        return CheckTest(get(data, "code", str))
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
            problem_id=get(data, "problem_id", str),
            statement=get(data, "statement", str),
            tests=tuple(test_from_json(test) for test in get(data, "tests", list)),
            source=data.get("source") or "",
            starter_code=data.get("starter_code") or "",
            entry_point=data.get("entry_point"),
            reference=data.get("reference"),
            setup_code=data.get("setup_code") or "",
            checker=data.get("checker"),
            limits=Limits.from_json(data.get("limits") or {}),
        )
