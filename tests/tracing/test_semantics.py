"""Source text in, variables out: what each semantics reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coderlplus.records import StdioInput, Trace
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import Semantics, TraceRequest, trace, trace_many

from .table import CASES, Case, Variables


@pytest.fixture(scope="module")
def traces(sandbox: Sandbox) -> dict[tuple[str, Semantics], Trace]:
    keys: list[tuple[Case, Semantics]] = [(case, semantics) for case in CASES for semantics in ("final", "binding")]
    requests = [
        TraceRequest(program=case.source, input=StdioInput(case.stdin), semantics=semantics)
        for case, semantics in keys
    ]
    return {
        (case.name, semantics): trace
        for (case, semantics), trace in zip(keys, trace_many(sandbox, requests), strict=True)
    }


def assert_reports(trace: Trace, expected: Variables, absent: Any = ()) -> None:
    for scope, names in expected.items():
        reported = trace.variables.get(scope, {})
        assert {name: json.dumps(reported.get(name, "absent")) for name in names} == {
            name: json.dumps(value) for name, value in names.items()
        }
    for scope, name in absent:
        assert name not in trace.variables.get(scope, {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_final(case: Case, traces: dict[tuple[str, Semantics], Trace]) -> None:
    assert_reports(traces[case.name, "final"], case.final, case.absent)
    assert traces[case.name, "final"].deterministic


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_binding(case: Case, traces: dict[tuple[str, Semantics], Trace]) -> None:
    assert_reports(traces[case.name, "binding"], case.binding)
    assert traces[case.name, "binding"].deterministic


@pytest.mark.parametrize("semantics", ["final", "binding"])
def test_recorded_cases(semantics: Semantics, sandbox: Sandbox, shared: Path) -> None:
    path = shared / "tracing" / "cases.json"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    cases = json.loads(path.read_text())
    requests = [
        TraceRequest(program=case["source"], input=StdioInput(case.get("stdin", "")), semantics=semantics)
        for case in cases
    ]
    for case, result in zip(cases, trace_many(sandbox, requests), strict=True):
        assert_reports(result, case[semantics], case.get("final_absent", ()) if semantics == "final" else ())


def test_official_reports_the_module_at_its_end_and_nothing_of_a_program_that_does_not_reach_it(
    sandbox: Sandbox,
) -> None:
    program = "import sys\ndef f():\n    y = 1\nx = [1]\nf()\nx.append(2)\n"
    assert trace(sandbox, program, StdioInput(""), semantics="official").variables == {"<module>": {"x": [1, 2]}}
    assert trace(sandbox, program + "sys.exit()", StdioInput(""), semantics="official").variables == {}


def test_variables_come_in_the_order_of_the_source(sandbox: Sandbox) -> None:
    program = "def f(b, a):\n    d = 1\n    c = 2\n    def g():\n        e = 3\n    g()\nz = 1\ny = 2\nf(1, 2)"
    result = trace(sandbox, program, StdioInput(""))
    assert list(result.variables) == ["<module>", "f", "f.<locals>.g"]
    assert list(result.variables["<module>"]) == ["z", "y"]
    assert list(result.variables["f"]) == ["b", "a", "d", "c"]
