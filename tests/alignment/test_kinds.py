"""Kinds of tasks about crashes and about the middle of a run: what they ask is what happens, as Python itself sees
it."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import pytest

from coderlplus.alignment import AlignmentConfig, Lineage, make_task, reference_answer, score_answer, write_answer
from coderlplus.alignment.kinds import KINDS
from coderlplus.alignment.kinds.exception import statement_line
from coderlplus.programs import parse
from coderlplus.records import AlignmentTask, CallInput, ProgramInput, StdioInput, Trace
from coderlplus.sandbox import Sandbox
from coderlplus.sandbox.values import decode
from coderlplus.tracing import TraceRequest, trace_many

LINEAGE = Lineage(problem_id="p", rollout_id="r")
CALL = CallInput("f", ([3, 1, 2],))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def traced(sandbox: Sandbox, kind: str, program: str, given: ProgramInput) -> Trace:
    of_kind = KINDS[kind]
    request = TraceRequest(program=program, input=given, semantics=of_kind.semantics, max_steps=of_kind.max_steps)
    return trace_many(sandbox, [request])[0]


def made(
    sandbox: Sandbox, kind: str, program: str, given: ProgramInput = CALL, **settings: Any
) -> AlignmentTask | str:
    return make_task(traced(sandbox, kind, program, given), LINEAGE, settings=AlignmentConfig(**settings), kind=kind)


def truth(task: AlignmentTask | str) -> Any:
    if isinstance(task, str):
        return task
    assert score_answer(task, reference_answer(task))[0] == 1.0
    return {target.label: decode(target.value) for target in task.targets}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def f(a):\n    return a[7]", {"exception": "IndexError", "line": 2}),
        (
            "def f(a):\n    b = [x * 7 for x in a]\n    return b[a[0]]",
            {"b": [21, 7, 14], "exception": "IndexError", "line": 3},
        ),
        (
            "def g(n):\n    m = n * 7\n    return m / 0\ndef f(a):\n    s = sum(a)\n    return g(s)",
            {"m": 42, "exception": "ZeroDivisionError", "line": 3},
        ),
        (
            "def f(a):\n    return int(\n        'x' *\n        len(a))",
            {"exception": "ValueError", "line": 2},
        ),  # the line of the statement
        (
            "def f(a):\n    return sorted(\n        a, key=lambda x:\n        x.y)",
            {"exception": "AttributeError", "line": 2},
        ),
        (
            "def f(a):\n    try:\n        a[9]\n    except KeyError:\n        pass",
            {"exception": "IndexError", "line": 3},
        ),
        (
            "def f(a):\n    try:\n        a[9]\n    except IndexError:\n        raise",
            {"exception": "IndexError", "line": 3},
        ),
        (
            "def f(a):\n    try:\n        a[9]\n    except IndexError as e:\n        raise Bad from e\nclass "
            "Bad(Exception): pass",
            {"exception": "Bad", "line": 5},
        ),
        (
            "class A:\n    def m(self):\n        return self.x + 1\ndef f(a):\n    return A().m()",
            {"exception": "AttributeError", "line": 3},
        ),
        (
            "def f(a):\n    line = a[0] * 50\n    return line / 0",
            {"f.line": 150, "exception": "ZeroDivisionError", "line": 3},
        ),
        ("x = 1 / 0\ndef f(a):\n    return a", {"exception": "ZeroDivisionError", "line": 1}),
        ("def f(a):\n    assert sum(a) > 7\n    return a", {"exception": "AssertionError", "line": 2}),
        ("def f(a, b):\n    return a + b", "no_line"),  # called with too few arguments
        ("def g(a):\n    return a + 1", "no_line"),  # there is no f
        ("def f(a):\n    return f(a)", "recursion_limit"),
        ("def f(a):\n    raise NotImplementedError", "trivial"),
        ("def f(a):\n    return a", "no_exception"),
        ("import random\ndef f(a):\n    x = random.random()\n    raise ValueError(a[0] + 1)", "nondeterministic"),
    ],
)
def test_exceptions_are_asked_for_with_their_line(sandbox: Sandbox, program: str, expected: Any) -> None:
    found = truth(made(sandbox, "exception", program))
    if isinstance(expected, dict):
        assert {label: found[label] for label in expected} == expected
    else:
        assert found == expected


def test_the_line_of_an_exception_is_that_of_the_program_as_shown(sandbox: Sandbox) -> None:
    task = made(sandbox, "exception", "n = int(input())\nprint(10 // n)", StdioInput("0\n"))
    assert isinstance(task, AlignmentTask)
    assert "2  print(10 // n)" in task.prompt
    assert write_answer(task.targets) == '{"exception": "ZeroDivisionError", "line": 2}'
    assert score_answer(task, '{"exception": "ZeroDivisionError", "line": 1}')[0] == pytest.approx(0.55)
    assert score_answer(task, "exception: ZeroDivisionError\nline: 2")[0] == pytest.approx(
        0.55
    )  # a name is no literal
    assert score_answer(task, "exception: 'ZeroDivisionError'\nline: 2")[0] == 1.0


@pytest.mark.parametrize(
    ("program", "line", "expected"),
    [
        ("x = f(1,\n  2)", 2, 1),
        ("for i in (1,\n          2):\n    x = (i +\n         1)", 2, 1),
        ("for i in (1,\n          2):\n    x = (i +\n         1)", 4, 3),
        ("try:\n    x\nexcept (A,\n        B):\n    y", 4, 3),
        ("match x:\n    case 1 if y:\n        z", 2, 2),
        ("@a\n@b\ndef f(x=1):\n    pass", 3, 3),
        ("x", 9, None),
    ],
)
def test_the_line_of_a_statement(program: str, line: int, expected: int | None) -> None:
    assert statement_line(parse(program), line) == expected


PROGRAMS = {
    "loops": (
        """
def f(a):
    total = 0
    for x in a:
        if x % 2:
            total += x * 7
        else:
            total -= x
    while total > 5:
        total = total // 3
    return total
""",
        CallInput("f", ([3, 1, 2, 8, 11],)),
    ),
    "recursion": (
        """
def g(n, seen):
    if n < 2:
        return n
    left = g(n - 1, seen)
    seen.append(left * 11)
    right = g(n - 2, seen)
    return left + right
def f(n):
    seen = []
    result = g(n, seen)
    return result, len(seen)
""",
        CallInput("f", (6,)),
    ),
    "stdin": (
        """
n = int(input())
rows = []
for i in range(n):
    row = [i * j + 13 for j in range(n)]
    for value in row:
        if value % 3 == 0:
            continue
        rows.append(value)
print(sum(rows))
""",
        StdioInput("4\n"),
    ),
    "calls in one statement": (
        """
def double(x):
    y = x * 2
    return y
def f(n):
    total = 100
    while total < 300:
        total = double(total) + double(n)
        n = double(n)
    return total
""",
        CallInput("f", (7,)),
    ),
    "generator": (
        """
def gen(n):
    k = n * 5
    while k > 3:
        yield k
        k = k // 2
def f(n):
    out = []
    for x in gen(n):
        out.append(x + 1)
    return out
""",
        CallInput("f", (9,)),
    ),
    "a crash": (
        """
def f(a):
    total = 50
    for x in a:
        total = total + 100 // x
        if total > 70:
            total -= 9
    return total
""",
        CallInput("f", ([5, 4, 7, 0, 3],)),
    ),
    "try and with": (
        """
import contextlib
def f(a):
    bad = 0
    for x in a:
        try:
            y = 60 // x
        except ZeroDivisionError:
            bad += 40
        with contextlib.suppress(ValueError):
            bad += int(str(x) + 'z' * (x % 2))
    return bad
""",
        CallInput("f", ([0, 5, 4, 0, 3],)),
    ),
    "scopes": (
        """
count = 100
class Counter:
    def __init__(self, start):
        self.values = [start * 3]
    def add(self, n):
        global count
        count += n
        last = self.values[-1] + n
        self.values.append(last)
        return last
def f(n):
    c = Counter(n)
    for i in range(n):
        c.add(i * 10)
    return c.values
""",
        CallInput("f", (5,)),
    ),
}


def executed(program: str, given: ProgramInput) -> list[tuple[int, Mapping[str, Any]]]:
    """What `sys.settrace` sees: for each line that begins to run its number and the variables just before."""
    import copy
    import io

    seen: list[tuple[int, Mapping[str, Any]]] = []

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != "<program>" or (
            frame.f_code.co_name.startswith("<") and frame.f_code.co_name != "<module>"
        ):
            return None
        if event == "line":
            kinds = (int, float, bool, str, list, tuple, set, dict, type(None))
            plain = {name: value for name, value in frame.f_locals.items() if type(value) in kinds}
            seen.append((frame.f_lineno, copy.deepcopy(plain)))
        return watch

    names: dict[str, Any] = {"__name__": "program"}
    stdin, stdout = sys.stdin, sys.stdout
    if isinstance(given, StdioInput):
        sys.stdin, sys.stdout = io.StringIO(given.stdin), io.StringIO()
    try:
        sys.settrace(watch)
        exec(compile(program, "<program>", "exec"), names)
        if isinstance(given, CallInput):
            names[given.entry_point](*map(decode, given.args))
    except ArithmeticError:
        pass
    finally:
        sys.settrace(None)
        sys.stdin, sys.stdout = stdin, stdout
    return seen


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_state_is_what_the_variables_hold_at_that_moment(sandbox: Sandbox, name: str) -> None:
    program, given = PROGRAMS[name][0].strip("\n"), PROGRAMS[name][1]
    lines = executed(program, given)
    trace = traced(sandbox, "state_at", program, given)
    asked = set()
    for seed in range(30):
        task = make_task(trace, LINEAGE, settings=AlignmentConfig(), kind="state_at", seed=seed)
        assert isinstance(task, AlignmentTask), task
        moment = re.search(r"just before line (\d+) runs for the (\d+)", task.prompt)
        assert moment is not None
        line, time = int(moment[1]), int(moment[2])
        state = [variables for number, variables in lines if number == line][time - 1]
        found = truth(task)
        assert found == {label: state[label] for label in found}
        asked.add((line, time))
    assert len(asked) >= 3


@pytest.mark.parametrize("name", PROGRAMS)
def test_turns_and_conditions_are_counted_as_they_run(sandbox: Sandbox, name: str) -> None:
    program, given = PROGRAMS[name][0].strip("\n"), PROGRAMS[name][1]
    times = Counter(line for line, _ in executed(program, given))
    first_in_body = {number: number + 1 for number in range(1, len(program.split("\n")))}
    trace = traced(sandbox, "branch", program, given)
    task = make_task(trace, LINEAGE, settings=AlignmentConfig(max_variables=9), kind="branch")
    if task == "no_branch":
        assert name in ("generator", "calls in one statement", "recursion", "scopes", "try and with")
        return
    assert isinstance(task, AlignmentTask)
    for label, count in truth(task).items():
        line = int(label.removeprefix("line "))
        assert count == times[first_in_body[line]], label


def test_a_loop_that_runs_too_long_makes_no_question_about_branches_but_one_about_a_state(sandbox: Sandbox) -> None:
    program = "def f(n):\n    s = 0\n    for i in range(n):\n        s += i * 3\n    return s"
    assert made(sandbox, "branch", program, CallInput("f", (5000,))) == "too_many_steps"
    assert isinstance(made(sandbox, "state_at", program, CallInput("f", (5000,))), AlignmentTask)


@pytest.mark.parametrize(
    ("kind", "program", "reason"),
    [
        ("branch", "def f(a):\n    return sorted(a)", "no_branch"),
        ("state_at", "def f(a):\n    return sorted(a)", "no_state"),
        (
            "branch",
            "def f(a):\n    for x in a: a = x\n    return a",
            "no_branch",
        ),  # nobody could tell the line of the loop from that of its body
        (
            "state_at",
            "import random\ndef f(a):\n    b = random.random()\n    c = b + 1\n    return c",
            "nondeterministic",
        ),
    ],
)
def test_reasons(sandbox: Sandbox, kind: str, program: str, reason: str) -> None:
    assert made(sandbox, kind, program) == reason
