"""An instrumented program behaves as the original does. `official` does not rewrite, so it stands for the original."""

from __future__ import annotations

import ast
import gzip
import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from coderlplus.records import CallInput, Limits, StdioInput, Trace
from coderlplus.sandbox import Sandbox, values
from coderlplus.tracing import Semantics, TraceRequest, trace, trace_many

NOTHING = StdioInput("")
SEMANTICS: tuple[Semantics, Semantics] = ("official", "final")

PROGRAMS = {
    "traceback": """
        import traceback
        def f(x):
            y = x
            try:
                g(y)
            finally:
                z = 1
        def g(x):
            '''doc'''
            w = [x]
            return (w[0] /
                    0)
        try:
            f(1)
        except ZeroDivisionError:
            print(traceback.format_exc())
        """,
    "line numbers": """
        import sys
        def f(a):

            b = a
            return sys._getframe().f_lineno
        print(f(1))
        print(sys._getframe().f_lineno)
        """,
    "local variables": """
        def f(a):
            b = 1
            print(locals(), sorted(vars()), dir())
            c = locals()
            print(list(c))
            return locals()
        print(f(2), f(3))
        """,
    "global variables": """
        x = 1
        print(sorted(globals()), dir())
        def f(): return sorted(globals())
        print(f())
        """,
    "class namespace": """
        class A:
            'doc'
            x = 1
            y: int = 2
            def m(self): z = 1
        print(sorted(vars(A)), A.__doc__, A.__annotations__)
        """,
    "docstrings": """
        '''module'''
        def f():
            'doc'
        def g():
            x = 1
            'no doc'
        print(__doc__, f.__doc__, g.__doc__)
        """,
    "signature": """
        import inspect
        def f(a, *b, c=1, **d): e = 1
        print(inspect.signature(f), f.__qualname__, f.__code__.co_argcount, f.__defaults__, f.__kwdefaults__)
        """,
    "exec and eval": """
        def f(a):
            b = 2
            exec('print(a + b)')
            return eval('a * b')
        print(f(3))
        exec('q = 7')
        print(q)
        """,
    "super and class cell": """
        class A:
            def f(self): return 1
        class B(A):
            def f(self):
                r = super().f() + 1
                return r
        print(B().f())
        """,
    "slots": """
        class A:
            __slots__ = ('a',)
            def __init__(self): self.a = 1
        print(A.__slots__, hasattr(A(), '__dict__'))
        """,
    "enumeration": """
        import enum
        class C(enum.Enum):
            A = enum.auto()
            B = enum.auto()
        print(list(C))
        """,
    "named tuple": """
        from typing import NamedTuple
        class P(NamedTuple):
            x: int
            y: int = 1
        print(P(1), P._fields)
        """,
    "dataclass": """
        from dataclasses import dataclass, field
        @dataclass(order=True)
        class P:
            x: int
            y: list = field(default_factory=list)
        print(P(1), P(1) < P(2))
        """,
    "generator protocol": """
        def g():
            try:
                x = yield 1
                print('got', x)
                yield from [2, 3]
                return 4
            finally:
                print('closed')
        it = g()
        print(next(it), it.send(5), next(it))
        try: next(it)
        except StopIteration as e: print(e.value)
        g2 = g(); next(g2); del g2
        """,
    "finalizers run at the same time": """
        class A:
            def __init__(self, n): self.n = n
            def __del__(self): print('del', self.n)
        def f():
            a = A(1)
            print('in')
        f()
        print('out')
        b = A(2)
        b = A(3)
        print('end')
        """,
    "finally and return": """
        def f():
            for i in range(3):
                try:
                    if i == 1: return i
                finally:
                    if i == 1: continue
            return 9
        print(f())
        """,
    "exception chain": """
        def f():
            try: 1 / 0
            except ZeroDivisionError as e: raise ValueError('v') from e
        try: f()
        except ValueError as e: print(repr(e.__cause__), repr(e.__context__), e.__traceback__.tb_next.tb_lineno)
        """,
    "recursion limit": """
        import sys
        sys.setrecursionlimit(5000)
        def f(n): return 0 if n == 0 else 1 + f(n - 1)
        print(f(4000), sys.getrecursionlimit())
        """,
    "caught recursion": """
        def f(n):
            x = n
            return f(n + 1)
        try: f(0)
        except RecursionError: print('deep')
        """,
    "global before use": """
        def f():
            global a, b
            a = b = 1
            def g():
                global c
                c = a
            g()
        f()
        print(a, b, c)
        """,
    "lambda and comprehension scopes": """
        x = [lambda i=i: (j := i) for i in range(3)]
        print([f() for f in x], [y := k for k in range(3)], y)
        """,
    "decorators": """
        def d(f):
            def w(*a):
                r = f(*a)
                return r + 1
            return w
        @d
        @d
        def f(x): return x
        print(f(1))
        """,
    "not a number": """
        def f(x):
            y = 1e999 - 1e999
            return (x, y, float('nan'))
        print(f(1))
        """,
    "main module": "import sys\nprint(__name__, sys.modules['__main__'].__dict__ is globals())",
    "custom namespace": """
        class N(dict):
            def __setitem__(self, k, v):
                print('set', k)
                super().__setitem__(k, v)
        class M(type):
            @classmethod
            def __prepare__(*a): return N()
        class A(metaclass=M):
            x = 1
            y = x
        """,
}


@pytest.mark.parametrize("semantics", ["final", "binding"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_instrumented_program_does_the_same(name: str, semantics: Any, sandbox: Sandbox) -> None:
    program = dedent(PROGRAMS[name]).lstrip("\n")
    original = trace(sandbox, program, NOTHING, semantics="official")
    instrumented = trace(sandbox, program, NOTHING, semantics=semantics)
    assert original.ending.kind == "finished", original.ending
    assert (instrumented.output, instrumented.ending, instrumented.value) == (
        original.output,
        original.ending,
        original.value,
    )
    assert original.output


def behaviour(result: Trace) -> tuple[Any, ...]:
    return result.output, result.ending, result.value


def read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_cruxeval_outputs_are_the_recorded_ones(sandbox: Sandbox, shared: Path) -> None:
    rows = read(shared / "data" / "cruxeval" / "cruxeval.jsonl")
    requests = [
        TraceRequest(program=f"{row['code']}\ndef call(): return f({row['input']})", input=CallInput("call"))
        for row in rows
    ]
    traces = trace_many(sandbox, requests)
    wrong = [
        row["id"]
        for row, result in zip(rows, traces, strict=True)
        if not values.equal(result.value, values.encode(eval(row["output"])))
    ]
    assert wrong == []
    empty = [
        row["id"]
        for row, result in zip(rows, traces, strict=True)
        if has_variables(row["code"]) and not result.variables.get("f")
    ]
    assert empty == []


def has_variables(code: str) -> bool:
    function = ast.parse(code).body[-1]
    return isinstance(function, ast.FunctionDef) and bool(
        function.args.args or any(isinstance(node, ast.Assign) for node in function.body)
    )


def test_recorded_functions_behave_the_same(sandbox: Sandbox, shared: Path) -> None:
    rows = [
        row
        for path in ("seed_mbpp_codellama", "seed_humaneval_starcoder")
        for row in read(shared / "data" / "llm_runs" / f"{path}.jsonl.gz")[::5]
    ]
    programs = [f"{row['solution']}\n{row['test']}\ncheck({row['entry_point']})\nprint('passed')" for row in rows]
    assert_same_behaviour(sandbox, programs, [""] * len(programs), at_least=0.9)


def test_recorded_stdin_programs_behave_the_same(sandbox: Sandbox, shared: Path) -> None:
    programs, stdins = [], []
    for row in read(shared / "data" / "lcb" / "lcb_dev.jsonl.gz")[::6]:
        tests = [test for test in row["public_tests"] if test["testtype"] == "stdin"]
        recorded = (
            [solution["code"] for solution in row["model_solutions"][:1]]
            + [pair["accepted"] for pair in row["human"][:1]]
            if tests
            else []
        )
        programs += recorded
        stdins += [tests[0]["input"] for _ in recorded]
    assert_same_behaviour(sandbox, programs, stdins, at_least=0.9)


def assert_same_behaviour(sandbox: Sandbox, programs: list[str], stdins: list[str], at_least: float) -> None:
    """Equal behaviour of every program that behaves the same twice, which most must do."""
    limits = Limits(cpu_s=1)
    given = list(zip(programs, map(StdioInput, stdins), strict=True))
    runs = [
        trace_many(
            sandbox,
            [
                TraceRequest(program=program, input=stdin, limits=limits, semantics=semantics)
                for program, stdin in given
            ],
        )
        for semantics in SEMANTICS
    ]
    steady = [(original, instrumented) for original, instrumented in zip(*runs, strict=True) if original.deterministic]
    assert len(steady) >= at_least * len(programs) > 0
    different = [
        original.program for original, instrumented in steady if behaviour(original) != behaviour(instrumented)
    ]
    assert different == []
