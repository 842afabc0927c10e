"""What a program is asked to do: inputs, tests, limits, problems."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from coderlplus import syntax
from coderlplus.errors import DataError, NoTestsError
from coderlplus.records.fields import (
    JsonRecord,
    Kinded,
    TaggedValue,
    described,
    fields_in,
    get,
    of_kind,
    optional,
    present,
    short,
)
from coderlplus.records.tagged import tagged
from coderlplus.records.test_code_in_process import needs_program


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(JsonRecord):
    """Limits of one run of a program. Time limits are in CPU time; the wall limit is a generous multiple, for programs
    that sleep.

    >>> Limits(cpu_s=2.0).memory_mb
    512
    """

    cpu_s: float = 5.0
    wall_s: float = 20.0
    memory_mb: int = 512
    output_kb: int = 1024

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        names = {f.name for f in dataclasses.fields(cls)}
        for name, value in data.items():
            if name not in names:
                raise DataError(f"unknown limit {name!r}; the limits are {', '.join(sorted(names))}")
            whole = name in ("memory_mb", "output_kb")
            if (
                isinstance(value, bool)
                or not isinstance(value, int if whole else int | float)
                or not 0 < value < 2**53
            ):
                wanted = f"a {'whole ' if whole else ''}number above 0"
                raise DataError(f"limit {name} must be {wanted}, not {described(value)}")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class StdioInput(Kinded):
    """A run with `stdin` as standard input; its result is the output.

    >>> StdioInput("3\\n").to_json()
    {'kind': 'stdio', 'stdin': '3\\n'}
    """

    stdin: str
    kind: ClassVar[str] = "stdio"
    called: ClassVar[str] = "an input of the kind 'stdio'"


@dataclass(frozen=True, slots=True)
class CallInput(Kinded):
    """A run that calls the entry point (`"name"` or `"Solution().name"`) with tagged arguments; its result is the
    returned value.

    >>> CallInput("f", ([3, 1],)).to_json()
    {'kind': 'call', 'entry_point': 'f', 'args': [[3, 1]], 'kwargs': {}}
    """

    entry_point: str
    args: tuple[TaggedValue, ...] = ()
    kwargs: Mapping[str, TaggedValue] = field(default_factory=dict)
    kind: ClassVar[str] = "call"
    called: ClassVar[str] = "an input of the kind 'call'"


ProgramInput = StdioInput | CallInput


def input_from_json(data: Mapping[str, Any]) -> ProgramInput:
    """Read a `ProgramInput` from its JSON form."""
    found: ProgramInput = of_kind(data, (StdioInput, CallInput))
    return found


@dataclass(frozen=True, slots=True)
class StdioTest(Kinded):
    """Feed `stdin` and compare the output with `stdout`.

    >>> Problem(problem_id="p", statement="Double.", tests=(StdioTest("2\\n", "4\\n"),)).tests[0].stdout
    '4\\n'
    """

    stdin: str
    stdout: str
    kind: ClassVar[str] = "stdio"
    called: ClassVar[str] = "a test of the kind 'stdio'"


@dataclass(frozen=True, slots=True)
class CallTest(Kinded):
    """Call the entry point with tagged arguments and compare the returned value with `expected`.

    >>> tests = (CallTest(args=([3, 1],), expected=[1, 3]),)
    >>> Problem(problem_id="p", statement="Sort.", entry_point="f", tests=tests).tests[0].expected
    [1, 3]
    """

    args: tuple[TaggedValue, ...]
    expected: TaggedValue
    kwargs: Mapping[str, TaggedValue] = field(default_factory=dict)
    kind: ClassVar[str] = "call"
    called: ClassVar[str] = "a test of the kind 'call'"

    def __post_init__(self) -> None:
        """Raises `DataError` for a value that is not tagged, which no answer would equal."""
        object.__setattr__(self, "args", tuple(tagged(list(self.args), "args")))
        object.__setattr__(self, "expected", tagged(self.expected, "expected"))
        if self.kwargs:
            kwargs = {name: tagged(value, "kwargs") for name, value in self.kwargs.items()}
            object.__setattr__(self, "kwargs", kwargs)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Its values are checked once, as it is made."""
        args, kwargs = tuple(optional(data, "args", list, [])), optional(data, "kwargs", dict, {})
        return cls(**fields_in(cls, data, args=args, kwargs=kwargs, expected=present(data, "expected")))


@dataclass(frozen=True, slots=True)
class CheckTest(Kinded):
    """Test code that defines `check(candidate)`, or asserts on the entry point by name.

    It runs in another process than the program. With `in_process` it runs in the same process, where the program could
    forge the result: for test code that needs more of the program than its entry point and plain data
    (`test_code.needs_program`).

    >>> tests = (CheckTest("assert f(2) == 4\\nassert f(0) == 0"),)
    >>> Problem(problem_id="p", statement="Double.", entry_point="f", tests=tests).tests[0].in_process
    False
    """

    code: str
    in_process: bool = False
    kind: ClassVar[str] = "check"
    called: ClassVar[str] = "a test of the kind 'check'"


Test = StdioTest | CallTest | CheckTest


def test_from_json(data: Mapping[str, Any]) -> Test:
    """Read a `Test` from its JSON form; an unknown `kind` is a `DataError`."""
    if not isinstance(data, dict):
        raise DataError(f"a test must be an object, not {short(data)!r}")
    found: Test = of_kind(data, (StdioTest, CallTest, CheckTest))
    return found


test_from_json.__test__ = False  # type: ignore[attr-defined]  # its name makes pytest take it for a test


@dataclass(frozen=True, slots=True)
class CheckerProgram(JsonRecord):
    """A program that decides whether an answer is correct, for problems with several correct answers.

    It defines `check(given, answer, expected)`, which returns True, False or a text with the reason for refusing; see
    `coderlplus.judge.checkers`.

    >>> CheckerProgram("any", "def check(given, answer, expected):\\n    return answer in expected").name
    'any'
    """

    name: str
    code: str
    called: ClassVar[str] = "a checker"

    def __post_init__(self) -> None:
        try:
            body = syntax.parse(self.code).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise DataError(f"the checker {self.name!r} does not parse: {error}") from error
        if not any(
            isinstance(node, ast.FunctionDef) and node.name == "check" and len(node.args.args) == 3 for node in body
        ):
            raise DataError(f"the checker {self.name!r} does not define check(given, answer, expected)")


def checker_from_json(data: Any) -> str | CheckerProgram | None:
    """Read the `checker` of a problem: nothing, the name of a comparator, or `{"name", "code"}`."""
    if data is None or isinstance(data, str):
        return data
    if isinstance(data, dict):
        return CheckerProgram.from_json(data)
    raise DataError(f"'checker' must be a name or an object with 'name' and 'code', not {described(data)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(JsonRecord):
    """A programming problem with tests.

    `entry_point` is `None` (a stdin program), `"name"` or `"Solution().name"`. `setup_code` is code that the statement
    assumes (imports, helpers) and runs before the program; `checker` names a comparator (see
    `coderlplus.judge.compare`), or is a `CheckerProgram`.

    >>> Problem(problem_id="p", statement="Print 1.", tests=(StdioTest("", "1"),)).limits.cpu_s
    5.0
    >>> Problem(problem_id="p", statement="Print 1.", tests=())
    Traceback (most recent call last):
    coderlplus.errors.NoTestsError: problem 'p' has no tests: any program would pass; remove it or give it tests
    """

    problem_id: str
    statement: str
    tests: tuple[Test, ...]
    source: str = ""
    starter_code: str = ""
    entry_point: str | None = None
    reference: str | None = None
    setup_code: str = ""
    checker: str | CheckerProgram | None = None
    limits: Limits = Limits()
    family: str = ""
    """Which problems are alike: made from one pattern, or about one program. Intervals draw whole families."""
    called: ClassVar[str] = "a problem"

    def __post_init__(self) -> None:
        for name in ("entry_point", "reference"):  # an empty one is none
            object.__setattr__(self, name, getattr(self, name) or None)
        if not self.tests:
            raise NoTestsError(
                f"problem {self.problem_id!r} has no tests: any program would pass; remove it or give it tests"
            )
        owner, dot, name = (self.entry_point or "").partition(".")
        if dot and owner.isidentifier() and name.isidentifier():
            raise DataError(
                f"the entry point of problem {self.problem_id!r} is {self.entry_point!r}; write {owner}().{name} for "
                "a method"
            )
        if self.entry_point is None and any(test.kind != "stdio" for test in self.tests):
            raise DataError(f"problem {self.problem_id!r} has call or check tests but no entry_point")

    def to_json(self) -> dict[str, Any]:
        """Without a family that is none."""
        data = JsonRecord.to_json(self)
        return data if self.family else {name: value for name, value in data.items() if name != "family"}

    def marked(self, places: Collection[int] | None = None) -> Self:
        """The problem with `CheckTest.in_process` decided for its check tests (those at `places`), from their code and
        the reference or, without one, the starter code and the statement."""
        tests = range(len(self.tests)) if places is None else places
        if self.entry_point is None:
            return self
        program = self.reference or self.starter_code
        found = list(self.tests)
        for index in tests:
            test = found[index]
            if isinstance(test, CheckTest) and needs_program(
                test.code, self.entry_point, self.setup_code, program, "" if self.reference else self.statement
            ):
                found[index] = CheckTest(test.code, in_process=True)
        return self if tuple(found) == self.tests else dataclasses.replace(self, tests=tuple(found))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """For check tests that do not say whether they run in the process of the program, it is decided here."""
        found = fields_in(cls, data, tests=(), checker=None)
        tests, checker = tuple(map(test_from_json, get(data, "tests", list))), checker_from_json(data.get("checker"))
        problem = cls(**found | {"tests": tests, "checker": checker})
        return problem.marked([index for index, test in enumerate(data["tests"]) if test.get("in_process") is None])
