"""Hostile programs under the tracer: nothing forged, nothing hurt."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderlplus.programs import syntax_error
from coderlplus.records import CallInput, Limits, StdioInput
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import Semantics, TraceRequest, trace, trace_many

LIMITS = Limits(cpu_s=0.5, wall_s=2, memory_mb=256, output_kb=256)
SIMPLE = TraceRequest(program="x = int(input()) * 2\nprint(x)", input=StdioInput("3\n"))


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "c.txt").write_text("alive")
    (tmp_path / "secret").write_text("SECRET-12345")
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.txt", "secret"]
    assert (tmp_path / "c.txt").read_text() == "alive"


def test_attacks(sandbox: Sandbox, shared: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("H_SECRET", "SECRET-12345")
    attacks = sorted((shared / "attacks").glob("*.py"))
    if not attacks:
        pytest.skip("there are no recorded attacks")
    requests = []
    for path in attacks:
        program = path.read_text().replace("@CANARY@", str(canary))
        given = CallInput("Solution().f", (3,)) if "# mode: call" in program else StdioInput("3\n")
        requests.append(TraceRequest(program=program, input=given, limits=LIMITS))
    with socket.create_server(("127.0.0.1", 45999)) as listener, Sandbox(workers=2) as own:
        listener.settimeout(0.0)
        results = trace_many(own, requests)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert trace_many(own, [SIMPLE])[0].variables == {"<module>": {"x": 6}}
    for path, result in zip(attacks, results, strict=True):
        text = repr(result.variables) + repr(result.value) + result.output
        assert "SECRET-12345" not in text, path.name
        assert "31337" not in repr(result.variables), path.name


FORGERIES = {
    "printed": "import json, sys\nx = 1\nfor f in (sys.stdout, sys.stderr):\n    print(json.dumps({'variables': {'<module>': {'x': 2}}}), file=f)",
    "written to every descriptor": """
import json, os
x = 1
line = json.dumps({"token": "", "ending": {"kind": "finished"}, "value": None, "variables": {"<module>": {"x": 2}}}) + "\\n"
for fd in range(3, 64):
    try: os.write(fd, line.encode())
    except OSError: pass
os.kill(os.getpid(), 9)
""",
    "patched builtins": """
import builtins
builtins.type = builtins.issubclass = builtins.isinstance = lambda *a: 2
builtins.sorted = builtins.dict = None
x = 1
""",
    "patched json": "import json\njson.dumps = json.JSONEncoder.encode = json.encoder.c_make_encoder = lambda *a: '{}'\nx = 1",
    "a value that lies": """
class L(int):
    def __repr__(self): return '2'
    def __int__(self): return 2
    __index__ = __eq__ = __hash__ = __int__
x = 1
y = L(5)
""",
    "a value that raises": """
class E:
    def __getattribute__(self, n): raise SystemExit
    __repr__ = __eq__ = __hash__ = __getattribute__
x = 1
y = E()
""",
    "an exception that raises": "class E(Exception):\n    def __str__(self): raise KeyboardInterrupt\n    __repr__ = __str__\nx = 1\nraise E",
    "trace functions": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\nx = 1",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')\nx = 1",
}


MAY_LOSE_ITS_TRACE = ("written to every descriptor", "patched builtins", "patched json")


@pytest.mark.parametrize("name", FORGERIES)
def test_no_value_is_forged(name: str, sandbox: Sandbox) -> None:
    """A program may break its own trace; then it has none."""
    result = trace(sandbox, FORGERIES[name], StdioInput(""), limits=LIMITS)
    assert result.variables.get("<module>", {}).get("x", "none") in ((1, "none") if name in MAY_LOSE_ITS_TRACE else (1,))


def test_mutated_programs_break_only_themselves(sandbox: Sandbox) -> None:
    """Random edits of a program that uses most of the syntax; those that still parse are traced under both semantics."""
    generator = random.Random(0)
    parts = PROGRAM.split(" ")
    mutants = []
    while len(mutants) < 30:
        edited = parts[:]
        for _ in range(generator.randint(1, 3)):
            i, j = generator.randrange(len(edited)), generator.randrange(len(edited))
            edited[i], edited[j] = edited[j], edited[i]
        if syntax_error(" ".join(edited)) is None:
            mutants.append(" ".join(edited))
    semantics: tuple[Semantics, Semantics, Semantics] = ("official", "final", "binding")
    runs = [trace_many(sandbox, [TraceRequest(program=m, input=StdioInput("3\n"), limits=LIMITS, semantics=s) for m in mutants]) for s in semantics]
    for original, final, binding in zip(*runs, strict=True):
        if original.deterministic:
            assert (final.output, final.ending) == (original.output, original.ending), original.program
            assert (binding.output, binding.ending) == (original.output, original.ending), original.program


PROGRAM = """
import sys , math
n = int ( input ( ) )
def f ( a , * b , c = 2 , ** d ) :
    global n
    x , ( y , * z ) = a , [ 1 , 2 , 3 ]
    for i in range ( a ) :
        x += i if i % c else - i
    while ( x := x - 1 ) > 3 : y += x
    else : z = [ q * q for q in z if q > 1 ]
    try :
        n = n // ( a - 1 )
    except ZeroDivisionError as e :
        n = len ( e . args )
    finally : w = { 'a' : n , 'b' : z }
    def g ( k ) :
        nonlocal y
        y = k if k < 1 else g ( k - 1 )
        return y
    with open ( '/dev/null' ) as h : v = h . read ( )
    match w :
        case { 'a' : m , ** r } : del m
        case _ : pass
    return g ( 2 ) + x
class A :
    size = 3
    def m ( self , t ) : self . t = t ; u = f ( t ) ; return u
print ( f ( n ) , A ( ) . m ( 1 ) , n )
"""
