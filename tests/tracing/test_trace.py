"""How a traced program gets its input, how it can end, and what a trace says of it."""

from __future__ import annotations

import json
import re
import sys

import pytest

from coderlplus.records import CallInput, Ending, Limits, StdioInput, Trace
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, trace, trace_many

NOTHING = StdioInput("")


def test_call_of_a_function(sandbox: Sandbox) -> None:
    call = CallInput("f", ([1, 2], {"$tuple": [3]}), {"c": {"$set": [4]}})
    result = trace(sandbox, "def f(a, b, *, c):\n    print(len(a))\n    return {b: c}", call)
    assert result.value == {"$dict": [[{"$tuple": [3]}, {"$set": [4]}]]}
    assert result.output == "2\n"
    assert result.ending == Ending(kind="finished")
    assert result.variables == {"f": {"a": [1, 2], "b": {"$tuple": [3]}, "c": {"$set": [4]}}}


def test_call_of_a_method(sandbox: Sandbox) -> None:
    result = trace(
        sandbox,
        "class Solution:\n    def f(self, n):\n        r = n * 2\n        return r",
        CallInput("Solution().f", (3,)),
    )
    assert result.value == 6
    assert result.variables["Solution.f"]["r"] == 6


def test_call_of_what_is_not_there(sandbox: Sandbox) -> None:
    result = trace(sandbox, "x = 1", CallInput("f", ()))
    assert (result.ending.kind, result.ending.type, result.ending.line) == ("exception", "NameError", None)
    assert result.variables == {"<module>": {"x": 1}}


def test_setup_code_runs_first_and_is_not_traced(sandbox: Sandbox) -> None:
    result = trace(
        sandbox,
        "x = math.floor(half(5))",
        NOTHING,
        setup_code="import math\ndef half(v):\n    h = v / 2\n    return h\ny = 1",
    )
    assert result.variables == {"<module>": {"x": 2}}


ENDINGS = {
    "x = 1": Ending(kind="finished"),
    "x = 1\nraise SystemExit": Ending(kind="exit"),
    "x = 1\nimport sys; sys.exit(3)": Ending(kind="exit", message="3"),
    "x = 1\nexit()": Ending(kind="exit"),
    "x = 0\nimport os\ntry: os._exit('4')\nexcept TypeError: x = 1": Ending(kind="finished"),
    "x = 1\nimport os; os._exit(4)": Ending(kind="exit", message="4"),
    "x = 1\nassert x == 2, 'no'": Ending(kind="exception", type="AssertionError", message="no", line=2),
    "x = 1\n\ndef f():\n    return {}['k']\nf()": Ending(kind="exception", type="KeyError", message="k", line=4),
    "x = 1\nclass E(Exception):\n    def __str__(self): return 'mine'\nraise E(5)": Ending(
        kind="exception", type="E", line=4
    ),
    "x = 1\nimport json\njson.loads('{')": Ending(kind="exception", type="JSONDecodeError", message=None, line=3),
    "x = 1\ndef f(n):\n    return f(n + 1)\nf(0)": Ending(
        kind="exception", type="RecursionError", message="maximum recursion depth exceeded", line=3
    ),
    "x = 1\nwhile True: pass": Ending(kind="time_limit"),
    "x = 1\na = [0]\nwhile True: a = a + a": Ending(kind="memory_limit", type="MemoryError", line=3),
}


@pytest.mark.parametrize("program", ENDINGS)
def test_every_ending_keeps_the_values_until_then(program: str, sandbox: Sandbox) -> None:
    expected = ENDINGS[program]
    result = trace(
        sandbox, program, NOTHING, limits=Limits(cpu_s=0.5 if expected.kind == "time_limit" else 5.0, memory_mb=256)
    )
    if expected.type == "JSONDecodeError":
        assert (result.ending.type, result.ending.line) == ("JSONDecodeError", 3)
    else:
        assert result.ending.kind == expected.kind
        assert result.ending in (expected, Ending(kind=expected.kind))
    assert result.variables["<module>"]["x"] == 1


@pytest.mark.parametrize("program", ["x = = 1", "return 1", "x = '\0'", "(" * 300, "def f():\n  nonlocal y"])
def test_a_syntax_error_is_an_ending(program: str, sandbox: Sandbox) -> None:
    result = trace(sandbox, program, NOTHING)
    assert result.ending.kind == "syntax_error"
    assert result.variables == {}


def test_open_activations_at_the_time_limit_are_reported(sandbox: Sandbox) -> None:
    result = trace(
        sandbox, "def main():\n    a = [1]\n    while True:\n        b = 2\nmain()", NOTHING, limits=Limits(cpu_s=0.3)
    )
    assert result.variables["main"] == {"a": [1], "b": 2}
    assert not result.deterministic


def test_a_flood_of_output_is_cut(sandbox: Sandbox) -> None:
    result = trace(sandbox, "x = 1\nwhile True: print('y' * 100)", NOTHING, limits=Limits(output_kb=16))
    assert result.ending.kind == "output_limit"
    assert len(result.output) <= 16 * 1024


CHANCE = {
    "order of a set": "x = list({'a', 'b', 'c', 'd', 'e'})",
    "hash": "x = hash('a')",
    "identity": "x = id(object())",
    "random": "import random\nx = random.random()",
    "time": "import time\nx = time.time_ns()",
    "date": "import datetime\nx = str(datetime.datetime.now())",
    "entropy": "import os\nx = os.urandom(4)",
    "identity in a value of its own": "class A: pass\nx = id(A) % 99_991 + id(A()) // 16 % 99_991",
    "order by hash": "x = sorted('abcdefgh', key=hash)",
    "default hash of objects": "class A: pass\nx = [hash(A()) for _ in range(3)]",
    "set order in a dict": "x = {k: 1 for k in {'a', 'b', 'c', 'd', 'e', 'f'}}",
    "address in a text": "class A: pass\nx = str(A())",
    "printed only": "print(*{'a', 'b', 'c', 'd', 'e'})",
    "how often a function is called": "def f(): pass\nfor _ in range(hash('a') % 1000): f()",
    "in a late activation only": "def f(i):\n    x = list({'a', 'b', 'c', 'd', str(i)}) if i == 49 else 0\nfor i in "
    "range(50): f(i)",
}


@pytest.mark.parametrize("name", CHANCE)
def test_chance_is_noticed(name: str, sandbox: Sandbox) -> None:
    assert not trace(sandbox, CHANCE[name], NOTHING).deterministic


NO_CHANCE = [
    "x = {'a', 'b', 'c'}",
    "x = sorted({'a', 'b'})",
    "x = len({'a': 1}.keys() & {'a'})",
    "def f(i):\n    x = {str(i)}\nfor i in range(50): f(i)",
]


@pytest.mark.parametrize("program", NO_CHANCE)
def test_a_set_alone_is_no_chance(program: str, sandbox: Sandbox) -> None:
    assert trace(sandbox, program, NOTHING).deterministic


def test_values_hold_no_address(sandbox: Sandbox) -> None:
    program = """
class A: pass
a = A()
b = [str(a), repr(a.__init__), print, a.__init__, iter([]), (i for i in [])]
def f(): return lambda: 0
c = str(f())
d = {id(a): hex(id(a)), str(a): id(f)}
e = f"{id(a):x}"[:0] + repr(a).split()[-1]
g = [f.__repr__(), str(type(a).__init__), str(b), compile("1", "", "eval").__repr__()]
print(a)
raise ValueError(repr(a))
"""
    result = trace(sandbox, program, NOTHING, max_steps=100)
    text = json.dumps(result.to_json() | {"program": ""})
    assert not re.search(r"0x[0-9a-f]{4}|\b1[34]\d{13}\b|\b9[345]\d{12}\b", text)
    assert not result.deterministic


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters came with Python 3.12")
def test_type_parameters_are_scopes_that_nobody_sees(sandbox: Sandbox) -> None:
    program = """
type Pair[T] = tuple[T, T]
def first[T](x: Pair[T]) -> T:
    y = x[0]
    return y
class Box[T]:
    def __init__(self, v: T): self.v = v
    def get[U](self, u: U) -> T:
        r = self.v
        return r
def f(n):
    d = first((Box(n).get(3), 2))
    return d
"""
    traced = trace(sandbox, program, CallInput("f", (5,)))
    assert traced.value == 5
    assert {scope: sorted(names) for scope, names in traced.variables.items()} == {
        "first": ["x", "y"],
        "Box.__init__": ["self", "v"],
        "Box.get": ["r", "self", "u"],
        "f": ["d", "n"],
    }


def test_a_value_beyond_the_budget_is_cut(sandbox: Sandbox) -> None:
    result = trace(sandbox, "x = list(range(10**6))\ny = 'a' * 10**6\nz = 10**5000", NOTHING)
    assert [list(value) for value in result.variables["<module>"].values()] == [["$cut"], ["$cut"], ["$cut"]]


def test_results_come_in_order(sandbox: Sandbox) -> None:
    requests = [
        TraceRequest(
            program=f"x = {i}" if i % 5 else f"x = {i}\nwhile True: pass", input=NOTHING, limits=Limits(cpu_s=0.1)
        )
        for i in range(20)
    ]
    assert [result.variables["<module>"]["x"] for result in trace_many(sandbox, requests)] == list(range(20))


def test_a_trace_survives_its_json(sandbox: Sandbox) -> None:
    result = trace(sandbox, "def f(a):\n    return (a, {1: 2})", CallInput("f", ([float(1)],)))
    assert Trace.from_json(json.loads(json.dumps(result.to_json()))) == result
