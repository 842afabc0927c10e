"""Facts that can be read off a program: how variables are bound, which values stand there."""

from __future__ import annotations

import pytest

from coderlplus.alignment.facts import Bindings, canonical, input_values, literals, variable_bindings
from coderlplus.programs import parse
from coderlplus.records import CallInput, StdioInput

COMPUTED = Bindings(computed=True)


@pytest.mark.parametrize(
    ("program", "scope", "name", "expected"),
    [
        ("x = 1", "<module>", "x", Bindings(constants=["1"])),
        ("x = -1\nx = 2", "<module>", "x", Bindings(constants=["-1", "2"])),
        ("x: int = 1", "<module>", "x", Bindings(constants=["1"])),
        ("a, b = 1, [2]", "<module>", "b", Bindings(constants=["[2]"])),
        ("a, b = f()", "<module>", "b", COMPUTED),
        ("a, *b = f()", "<module>", "b", COMPUTED),
        ("x = 1\nx += 1", "<module>", "x", Bindings(constants=["1"], computed=True)),
        ("for i in range(3): pass", "<module>", "i", COMPUTED),
        ("with open('x') as x: pass", "<module>", "x", COMPUTED),
        ("(x := 1)", "<module>", "x", Bindings(constants=["1"])),
        ("x = int(input())", "<module>", "x", Bindings(reads=True)),
        ("a, b = map(int, sys.stdin.readline().split())", "<module>", "b", Bindings(reads=True)),
        ("def f(a, *b, c=1, **d): a = a + 1", "f", "a", Bindings(parameter=True, computed=True)),
        ("def f(a, *b, c=1, **d): pass", "f", "d", Bindings(parameter=True)),
        ("def f():\n def g():\n  x = 1", "f.<locals>.g", "x", Bindings(constants=["1"])),
        ("class A:\n y = 2\n def m(self):\n  x = 1", "A.m", "x", Bindings(constants=["1"])),
        ("class A:\n y = 2\n def m(self):\n  x = 1", "A", "y", Bindings(constants=["2"])),
        ("def f():\n global x\n x = 1", "<module>", "x", Bindings(constants=["1"])),
        (
            "def f():\n x = 0\n def g():\n  nonlocal x\n  x = len('a')",
            "f",
            "x",
            Bindings(constants=["0"], computed=True),
        ),
        ("x = 1\ny = [x for x in 'ab']", "<module>", "x", Bindings(constants=["1"])),
        ("if 1:\n try:\n  x = 1\n finally:\n  x = 2", "<module>", "x", Bindings(constants=["1", "2"])),
    ],
)
def test_bindings(program: str, scope: str, name: str, expected: Bindings) -> None:
    assert variable_bindings(parse(program))[scope, name] == expected


def test_a_function_scope_does_not_leak_into_the_module() -> None:
    assert set(variable_bindings(parse("def f():\n    x = 1\nlambda y: y"))) == {("f", "x")}


def test_literals_are_found_inside_literals() -> None:
    assert {canonical(value) for value in ([1, [2]], [2], 1, 2, "a", -3)} <= literals(
        parse("x = f([1, [2]], 'a') - -3")
    )


def test_the_values_that_an_input_shows() -> None:
    assert {canonical(value) for value in ([1, [2]], [2], 2, "k")} <= input_values(
        CallInput("f", ([1, [2]],), {"key": "k"})
    )
    assert {canonical(value) for value in (2, "2", [1, 2], "1 2", ["1", "2"], 3.5)} <= input_values(
        StdioInput("1 2\n3.5\n")
    )
