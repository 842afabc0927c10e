"""What a policy wrote and what became of it: rollouts, verdicts, traces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

from coderlplus.errors import DataError
from coderlplus.records.fields import JsonRecord, TaggedValue, described, fields_in, without_none
from coderlplus.records.problem import ProgramInput

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
class Rollout(JsonRecord):
    """One sample of a policy for a problem: a `program` (source text), or a `completion` to extract it from.

    >>> Rollout(rollout_id="r", problem_id="p", program="print(1)").to_json()
    {'rollout_id': 'r', 'problem_id': 'p', 'program': 'print(1)'}
    """

    rollout_id: str
    problem_id: str
    program: str | None = None
    completion: str | None = None
    called: ClassVar[str] = "a program"

    def __post_init__(self) -> None:
        for text in (self.program, self.completion):
            if text is not None and not isinstance(text, str):
                raise DataError(f"the program of rollout {self.rollout_id!r} must be text, not {described(text)}")
        if (self.program is None) == (self.completion is None):
            raise DataError(
                f"rollout {self.rollout_id!r} needs either 'program' or 'completion', not both and not neither"
            )

    def to_json(self) -> dict[str, Any]:
        return without_none(JsonRecord.to_json(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Its texts are checked as it is made."""
        return cls(**fields_in(cls, data, **{name: data.get(name) for name in ("program", "completion")}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual(JsonRecord):
    """What a program gave on one input: the text that it printed, the tagged value that it returned, or the class of
    the exception that ended it."""

    value: TaggedValue = None
    raised: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value} if self.raised is None else {"raised": self.raised}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(JsonRecord):
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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        found = fields_in(cls, data)
        if found["index"] < 0:
            raise DataError(f"field 'index' must be 0 or more, not {found['index']}")
        return cls(**found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(JsonRecord):
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
        return JsonRecord.to_json(self) | {"passed": self.passed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending(JsonRecord):
    """How a run ended: `finished`, `exception` (with `type`, `message` and the `line` in the program), `exit`, or at a
    limit."""

    kind: EndingName
    type: str | None = None
    message: str | None = None
    line: int | None = None
    called: ClassVar[str] = "an ending"

    def to_json(self) -> dict[str, Any]:
        return without_none(JsonRecord.to_json(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(JsonRecord):
    """One variable that a step changed: `value` is its new tagged value, `None` with `deleted` where the name is gone.

    `scope` and `activation` are those of the variable's owner, which need not be the step's: a function may change a
    global or its caller's list.
    """

    name: str
    value: TaggedValue = None
    scope: str
    activation: int
    deleted: bool = False

    def to_json(self) -> dict[str, Any]:
        data = JsonRecord.to_json(self)
        if not self.deleted:
            del data["deleted"]
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(JsonRecord):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(JsonRecord):
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
        data = JsonRecord.to_json(self)
        if self.steps is None:
            del data["steps"], data["steps_cut"]
        return data
