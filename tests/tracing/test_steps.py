"""Full trajectories on request: each step's line and scope, and what it changed."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import dedent
from typing import Any

import pytest

from coderlplus.records import CallInput, Limits, StdioInput, Step, Trace
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, trace, trace_many

from .table import CASES

NOTHING = StdioInput("")


def traced(sandbox: Sandbox, program: str, max_steps: int = 1000, **limits: Any) -> Trace:
    return trace(sandbox, dedent(program).lstrip("\n"), NOTHING, max_steps=max_steps, limits=Limits(**limits))


def changes(steps: Iterable[Step]) -> list[tuple[int, dict[str, Any]]]:
    """(line, name → new value) of each step; a deleted name is `"gone"`."""
    return [
        (step.line, {change.name: "gone" if change.deleted else change.value for change in step.changes})
        for step in steps
    ]


PROGRAMS = {
    "assignments": ("a = 1\nb = a\na += b", [(1, {"a": 1}), (2, {"b": 1}), (3, {"a": 2})]),
    "in place": (
        "a = [0, [1]]\na[0] = 5\na[1].append(2)\na.sort(key=str)\nb = a\nb += [3]",
        [
            (1, {"a": [0, [1]]}),
            (2, {"a": [5, [1]]}),
            (3, {"a": [5, [1, 2]]}),
            (4, {}),
            (5, {"b": [5, [1, 2]]}),
            (6, {"a": [5, [1, 2], 3], "b": [5, [1, 2], 3]}),
        ],
    ),
    "an equal value bound again is no change": (
        "a = [1]\na = [1]\na = [1.0]",
        [(1, {"a": [1]}), (2, {}), (3, {"a": [1.0]})],
    ),
    "a loop": (
        "for i in range(2):\n    x = i\nelse:\n    y = 3",
        [(1, {"i": 0}), (2, {"x": 0}), (1, {"i": 1}), (2, {"x": 1}), (4, {"y": 3})],
    ),
    "a loop on one line": (
        "for i in 'ab': x = i",
        [(1, {"i": "a"}), (1, {"x": "a"}), (1, {"i": "b"}), (1, {"x": "b"})],
    ),
    "a loop over nothing": ("for i in []:\n    pass\nx = 1", [(1, {}), (3, {"x": 1})]),
    "continue": (
        "for i in range(2):\n    if i == 0:\n        continue\n    x = i",
        [(1, {"i": 0}), (2, {}), (3, {}), (1, {"i": 1}), (2, {}), (4, {"x": 1})],
    ),
    "a while and its tests": (
        "n = 2\nwhile n:\n    n -= 1",
        [(1, {"n": 2}), (2, {}), (3, {"n": 1}), (2, {}), (3, {"n": 0}), (2, {})],
    ),
    "branches": (
        "a = 5\nif a < 3:\n    b = 1\nelif a > 4:\n    b = 2\nelse:\n    b = 3",
        [(1, {"a": 5}), (2, {}), (4, {}), (5, {"b": 2})],
    ),
    "a call": (
        "def f(a, b=2):\n    c = a + b\n    return c\nx = f(1)",
        [(1, {}), (4, {}), (1, {"a": 1, "b": 2}), (2, {"c": 3}), (3, {}), (4, {"x": 3})],
    ),
    "a caller's list": (
        "def f(a):\n    a.append(1)\nx = []\nf(x)",
        [(1, {}), (3, {"x": []}), (4, {}), (1, {"a": []}), (2, {"x": [1], "a": [1]})],
    ),
    "deletion": ("a = 1\ndel a\na = 2", [(1, {"a": 1}), (2, {"a": "gone"}), (3, {"a": 2})]),
    "a handled exception": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    m = str(e)\nfinally:\n    z = 1",
        [
            (2, {}),
            (3, {"e": {"$object": "ZeroDivisionError", "fields": {"args": {"$tuple": ["division by zero"]}}}}),
            (4, {"e": "gone", "m": "division by zero"}),
            (6, {"z": 1}),
        ],
    ),
    "the failing line is the last step": ("x = 1\nx = x / 0\ny = 1", [(1, {"x": 1}), (2, {})]),
    "walrus, with, match": (
        "import io\nif (n := 3) > 2:\n    pass\nwith io.StringIO('a') as h:\n    s = h.read()\nmatch [1, 2]:\n    "
        "case [p, *q]:\n        pass",
        [
            (1, {}),
            (2, {"n": 3}),
            (3, {}),
            (4, {"h": {"$object": "StringIO", "fields": {}}}),
            (5, {"s": "a"}),
            (6, {"p": 1, "q": [2]}),
            (8, {}),
        ],
    ),
    "globals": (
        "def f():\n    global g\n    g = [1]\nf()\ng.append(2)",
        [(1, {}), (4, {}), (1, {}), (3, {"g": [1]}), (5, {"g": [1, 2]})],
    ),
    "an object": (
        "class P:\n    def __init__(self):\n        self.x = 1\np = P()\np.x = 2",
        [
            (1, {}),
            (1, {}),
            (2, {}),
            (4, {}),
            (2, {"self": {"$object": "P", "fields": {}}}),
            (3, {"self": {"$object": "P", "fields": {"x": 1}}}),
            (4, {"p": {"$object": "P", "fields": {"x": 1}}}),
            (5, {"p": {"$object": "P", "fields": {"x": 2}}}),
        ],
    ),
}


def test_each_step_says_what_it_changed(sandbox: Sandbox) -> None:
    requests = [TraceRequest(program=program, input=NOTHING, max_steps=100) for program, _ in PROGRAMS.values()]
    for name, result in zip(PROGRAMS, trace_many(sandbox, requests), strict=True):
        assert changes(result.steps or ()) == PROGRAMS[name][1], name
        assert result.steps_cut is None


def test_activations_and_depths_tell_calls_apart(sandbox: Sandbox) -> None:
    result = traced(sandbox, "def f(n):\n    if n:\n        f(n - 1)\n    m = n\nf(1)")
    assert [(step.line, step.scope, step.activation, step.depth) for step in result.steps or ()] == [
        (1, "<module>", 0, 0),
        (5, "<module>", 0, 0),
        (1, "f", 1, 1),
        (2, "f", 1, 1),
        (3, "f", 1, 1),
        (1, "f", 2, 2),
        (2, "f", 2, 2),
        (4, "f", 2, 2),
        (4, "f", 1, 1),
    ]
    assert {(change.activation,
    change.name): change.value for step in result.steps or () for change in step.changes} == {
        (1, "n"): 1, (1, "m"): 1, (2, "n"): 0, (2, "m"): 0,
    }  # fmt: skip


def test_a_change_belongs_to_the_owner_of_the_variable(sandbox: Sandbox) -> None:
    program = (
        "def f():\n    t, n = [], 0\n    def g(x):\n        nonlocal n\n        n = x\n        t.append(x)\n  "
        "  return g\na, b = f(), f()\na(1)\nb(2)"
    )
    found = [
        (c.scope, c.activation, c.name, c.value) for step in traced(sandbox, program).steps or () for c in step.changes
    ]
    assert found == [
        ("f", 1, "t", []), ("f", 1, "n", 0), ("f", 2, "t", []), ("f", 2, "n", 0),
        ("f.<locals>.g", 3, "x", 1), ("f", 1, "n", 1), ("f", 1, "t", [1]),
        ("f.<locals>.g", 4, "x", 2), ("f", 2, "n", 2), ("f", 2, "t", [2]),
    ]  # fmt: skip


def test_output_grows_with_the_steps(sandbox: Sandbox) -> None:
    result = traced(
        sandbox,
        "import os\nprint('é')\nx = 1\nprint('a' * 9000)\nprint('b', flush=True)\nos.write(1, b'c')\nprint('d', "
        "end='')",
    )
    lengths = [0, 2, 2, 9003, 9005, 9006, 9007]
    assert [step.output_chars for step in result.steps or ()] == lengths
    assert len(result.output) == 9007
    assert result.deterministic


def test_steps_leave_the_order_of_text_and_bytes_as_it_is(sandbox: Sandbox) -> None:
    result = traced(sandbox, "import sys\nprint('text')\nsys.stdout.buffer.write(b'bytes\\n')")
    assert (result.output, result.deterministic) == ("bytes\ntext\n", True)


def test_the_steps_add_up_to_the_final_values(sandbox: Sandbox) -> None:
    """Of the module: its activation ends with the program."""
    cases = [case for case in CASES if "thread" not in case.name]
    requests = [TraceRequest(program=case.source, input=StdioInput(case.stdin), max_steps=2_000) for case in cases]
    for case, result in zip(cases, trace_many(sandbox, requests), strict=True):
        state: dict[str, Any] = {}
        for step in result.steps or ():
            for change in step.changes:
                if change.activation == 0:
                    state.pop(change.name, None)
                    state |= {} if change.deleted else {change.name: change.value}
        assert state == result.variables.get("<module>", {}), case.name
        assert result.deterministic, case.name


def test_a_call_is_followed(sandbox: Sandbox) -> None:
    result = trace(sandbox, "k = 2\ndef f(a):\n    return a * k", CallInput("f", (3,)), max_steps=9)
    assert [(step.line, step.scope, step.depth) for step in result.steps or ()] == [
        (1, "<module>", 0),
        (2, "<module>", 0),
        (2, "f", 1),
        (3, "f", 1),
    ]


LOOP = "x = 0\nwhile True:\n    x += 1"


def test_steps_are_bounded_in_number(sandbox: Sandbox) -> None:
    result = traced(sandbox, "x = 0\nfor i in range(100_000):\n    x += i\nprint(x)", max_steps=5_000)
    assert (len(result.steps or ()), result.steps_cut) == (5_000, "steps")
    assert result.variables == {"<module>": {"x": 4999950000, "i": 99999}}
    assert result.output == "4999950000\n"


def test_steps_are_bounded_in_bytes(sandbox: Sandbox) -> None:
    result = traced(
        sandbox,
        "x = []\nfor i in range(3_000):\n    x = ['y' * 900 + str(i)] * 1\n    z = x + x",
        max_steps=1_000_000,
        memory_mb=1024,
    )
    assert result.steps_cut in ("bytes", None)
    assert sum(len(str(change.value)) for step in result.steps or () for change in step.changes) < 9_000_000


def test_steps_of_a_program_that_does_not_end(sandbox: Sandbox) -> None:
    result = traced(sandbox, LOOP, max_steps=300, cpu_s=0.2)
    assert (result.ending.kind, len(result.steps or ()), result.steps_cut) == ("time_limit", 300, "steps")


def test_steps_of_a_large_value_are_cut_like_any_other(sandbox: Sandbox) -> None:
    result = traced(sandbox, "a = [[0] * 1000 for _ in range(1000)]\na[0][0] = 1\nb = 1")
    assert changes(result.steps or ())[2] == (3, {"b": 1})


@pytest.mark.parametrize("program", ["x = = 1", "def f(:"])
def test_a_program_that_is_none_has_no_steps(program: str, sandbox: Sandbox) -> None:
    assert traced(sandbox, program).steps == ()


def test_a_trace_with_steps_survives_its_json(sandbox: Sandbox) -> None:
    result = traced(sandbox, "a = {1}\ndel a\nprint(1)")
    assert Trace.from_json(result.to_json()) == result
    assert "steps" not in trace(sandbox, "a = 1", NOTHING).to_json()
