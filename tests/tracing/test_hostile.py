"""Hostile programs under the tracer: nothing forged, nothing hurt."""

from __future__ import annotations

import gzip
import json
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderlplus.programs import syntax_error
from coderlplus.records import CallInput, Limits, StdioInput, Trace
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
    "printed": "import json, sys\nx = 1\nfor f in (sys.stdout, sys.stderr):\n    print(json.dumps({'variables': "
    "{'<module>': {'x': 2}}}), file=f)",
    "written to every descriptor": """
import json, os
x = 1
answer = {"token": "", "ending": {"kind": "finished"}, "value": None, "variables": {"<module>": {"x": 2}}}
line = json.dumps(answer) + "\\n"
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
    "patched json": "import json\njson.dumps = json.JSONEncoder.encode = json.encoder.c_make_encoder = lambda *a: "
    "'{}'\nx = 1",
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
    "an exception that raises": "class E(Exception):\n    def __str__(self): raise KeyboardInterrupt\n    __repr__ "
    "= __str__\nx = 1\nraise E",
    "trace functions": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\nx = 1",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')\nx = 1",
}


# From any object of the tracer to its values: follows what can be reached, and falsifies what it finds.
POISON = """
def poison(*roots):
    todo, seen = list(roots), set()
    while todo and len(seen) < 4_000:
        item = todo.pop()
        if id(item) in seen: continue
        seen.add(id(item))
        if isinstance(item, dict):
            if "VALUE_BUDGET" in item or "BUDGET" in item or "EARLY" in item:
                for name in ("encode", "_fields", "_encoder", "is_variable", "look_up"):
                    if name in item: item[name] = lambda *a, **k: 31337
            if isinstance(item.get("captured"), dict):
                taken = item["captured"].items()
                item["captured"].update({key: (mark, order, 31337) for key, (mark, order, _) in taken})
            todo += item.values()
        elif isinstance(item, (list, tuple, set)):
            todo += item
        elif isinstance(item, type):
            if item.__module__.startswith("coderlplus") or hasattr(item, "captured"):
                for name in ("encode", "_capture", "variables", "reply"):
                    if hasattr(item, name): setattr(item, name, lambda *a, **k: 31337)
            todo += [vars(item).get(name) for name in vars(item)]
        for name in ("__self__", "__func__", "__closure__", "cell_contents", "__globals__", "__dict__", "__wrapped__",
                     "func", "args", "keywords", "f_locals", "f_globals", "f_back", "__defaults__"):
            try: todo.append(getattr(item, name))
            except Exception: pass
"""

SEARCHES = {
    "its own frame": "import sys\npoison(sys._getframe())",
    "its own frame, in a thread": "import sys, threading\nt = threading.Thread(target=lambda: "
    "poison(sys._getframe()))\nt.start(); t.join()",
    "frames of threads": "import sys\npoison(*sys._current_frames().values())",
    "a traceback": "try: 1 / 0\nexcept Exception as e: poison(e.__traceback__.tb_frame)",
    "a generator": "def g(): yield\ng = g()\nnext(g)\npoison(g.gi_frame)",
    "constants": "def f():\n    y = 1\npoison(f.__code__.co_consts)",
    "constants, by a descriptor": "def f():\n    y = 1\npoison(type(f).__dict__['__code__'].__get__(f).co_consts)",
    "the collector": "import gc\npoison(*gc.get_objects())",
    "the collector, thawed": "import gc\ngc.unfreeze()\npoison(*gc.get_objects())",
    "all classes": "poison(*object.__subclasses__(), *[k for c in object.__subclasses__() for k in "
    "type.__subclasses__(c)])",
    "classes of the fork server": """
for kind in object.__subclasses__():
    for member in vars(kind).values():
        space = getattr(member, "__globals__", {})
        if "FUNCTIONS" in space or "VALUE_BUDGET" in space or "_json_chunks" in space:
            poison(space, *space.get("FUNCTIONS", {}).values())
""",
    "garbage": """
import gc
gc.set_debug(gc.DEBUG_SAVEALL)
gc.collect()
poison(*gc.garbage)
import _imp, importlib.machinery
again = _imp.create_builtin(importlib.machinery.ModuleSpec("gc", importlib.machinery.BuiltinImporter))
again.set_debug(gc.DEBUG_SAVEALL)
gc.collect()
poison(*gc.garbage, *again.garbage)
""",
    "the interpreter's tests": "import _testcapi\ndef f():\n    y = "
    "1\npoison(_testcapi.function_get_code(f).co_consts)",
    "a handler like the default one": """
import os, signal
signal.default_int_handler = handler = lambda n, f: poison(f)
signal.signal(10, handler)
os.kill(os.getpid(), 10)
for _ in range(99): pass
""",
    "os._exit": "import os\npoison(os._exit, os._exit.__dict__)",
    "handlers of signals": "import signal\npoison(*[signal.getsignal(n) for n in range(1, 32)], signal.signal, "
    "signal.signal.__wrapped__)",
    "the frame of a signal": "import os, signal\nsignal.signal(10, lambda n, f: poison(f))\nos.kill(os.getpid(), "
    "10)\nfor _ in range(99): pass",
    "another signal module": """
import _imp, importlib.machinery, os
spec = importlib.machinery.ModuleSpec("_signal", importlib.machinery.BuiltinImporter)
_imp.create_builtin(spec).signal(10, lambda n, f: poison(f))
os.kill(os.getpid(), 10)
for _ in range(99): pass
""",
    "an iterator inside the standard library": """
import collections, sys
collections.namedtuple("N", map(lambda f: poison(f) or "a", map(sys._getframe, [0])))
""",
    "a trace function": "import sys\nsys.settrace(lambda f, *a: poison(f))\nlen('')\n(lambda: 0)()",
    "a profile function": "import sys\nsys.setprofile(lambda f, *a: poison(f))\nlen('')",
    "a profiler": "import _lsprof\np = _lsprof.Profiler()\np.enable()\n(lambda: 0)()\np.disable()\n"
    "poison(*[e.code.co_consts for e in p.getstats() if type(e.code) is not str])",
    "an audit hook": "import sys\nsys.addaudithook(lambda *a: poison(a))\ndef f():\n    y = 1\nf()",
    "an unraisable exception": "import sys\nsys.unraisablehook = lambda u: poison(u.exc_traceback.tb_frame)\n"
    "class D:\n    def __del__(self): 1 / 0\nD()",
    "the main module": "import sys\npoison(*[vars(m) for m in list(sys.modules.values())])",
    "inspect": "import inspect\npoison(inspect.currentframe(), inspect.stack())",
}
PATCHES = {
    "the JSON encoder": """
import json
real = json.JSONEncoder.iterencode
def forge(self, o, *a, **k):
    text = "".join(real(self, o, *a, **k))
    return [text.replace('"x":1', '"x":31337')]
json.JSONEncoder.iterencode = json.JSONEncoder.encode = forge
json.dumps = lambda o, **k: forge(json.JSONEncoder(), o)[0]
json.encoder.c_make_encoder = None
""",
    "frames": "import sys\nclass F: f_locals = {'x': 31337, 'y': 31337}; f_back = None\nsys._getframe = lambda n=0: F",
    "what makes methods": "import types\ntypes.MethodType = lambda f, s: (lambda *a: 31337)",
    "attributes of modules": "import math, types, hashlib, gc\nmath.isfinite = lambda v: False\n"
    "types.MemberDescriptorType = int\nhashlib.sha256 = None\ngc.get_objects = lambda: []",
    "classes of the standard library": "import contextlib, types\n"
    "contextlib.suppress.__exit__ = lambda *a: exec('x = 31337', globals())\ntypes.SimpleNamespace = dict",
    "a stream that rewrites the reply": """
import os, sys
class Stream:
    def write(self, text): return len(text)
    def flush(self):
        for fd in range(3, 64):
            try:
                data = os.pread(fd, 1 << 20, 0)
                os.pwrite(fd, data.replace(b'x\\\\":1', b'x\\\\":31337').replace(b'"x":1', b'"x":31337'), 0)
            except OSError: pass
sys.stdout = sys.stderr = Stream()
""",
}
SEARCHES |= {f"patched: {name}": source for name, source in PATCHES.items()}


@pytest.fixture(scope="module")
def searched(sandbox: Sandbox) -> dict[str, Trace]:
    programs = [f"x = 1\n{POISON}\n{source}\ndef late():\n    y = 1\nlate()" for source in SEARCHES.values()]
    requests = [TraceRequest(program=program, input=StdioInput(""), limits=Limits(cpu_s=2)) for program in programs]
    return dict(zip(SEARCHES, trace_many(sandbox, requests), strict=True))


@pytest.mark.parametrize("name", SEARCHES)
def test_who_searches_the_interpreter_finds_no_recorder(name: str, searched: dict[str, Trace]) -> None:
    variables = searched[name].variables
    assert variables.get("<module>", {}).get("x", "none") in (1, "none")
    assert variables.get("late", {}) in ({"y": 1}, {})


def test_values_are_withheld_only_from_those_who_reach_for_frames_or_code(sandbox: Sandbox) -> None:
    """And then the program runs as it would."""
    reaching = trace(sandbox, "import sys\nx = sys._getframe().f_lineno\nprint(x)", StdioInput(""))
    assert (reaching.withheld, reaching.variables, reaching.output) == ("sys._getframe", {}, "2\n")
    honest = [
        "from collections import namedtuple\nP = namedtuple('P', 'a b')\nx = P(1, 2).a",
        "from typing import NamedTuple, TypeVar\nT = TypeVar('T')\nclass P(NamedTuple):\n    a: int\nx = P(1).a",
        "import enum\nC = enum.Enum('C', 'A B')\nx = C.A.value",
        "from dataclasses import dataclass, make_dataclass\n@dataclass\nclass P:\n    a: int = 1\nx = "
        "make_dataclass('Q', ['b'])(P().a).b",
        "import inspect\ndef f(a): pass\nx = len(inspect.signature(f).parameters)",
        "import traceback\ntry: 1 / 0\nexcept Exception: traceback.print_exc()\nx = len(traceback.format_exc()) // "
        "1000 + 1",
        "import functools\n@functools.singledispatch\ndef f(a): return 1\n@f.register\ndef _(a: int): return 1\nx = "
        "f(2)",
        "import asyncio\nasync def f(): return 1\nx = asyncio.run(f())",
        "import fractions, decimal, statistics, string, heapq, bisect, uuid, logging, argparse\nx = 1",
    ]
    for program, result in zip(
        honest, trace_many(sandbox, [TraceRequest(program=p, input=StdioInput("")) for p in honest]), strict=True
    ):
        assert (result.withheld, result.variables.get("<module>", {}).get("x")) == (None, 1), program


MAY_LOSE_ITS_TRACE = ("written to every descriptor", "trace functions")


@pytest.mark.parametrize("name", FORGERIES)
def test_no_value_is_forged(name: str, sandbox: Sandbox) -> None:
    """A program may break its own trace; then it has none."""
    result = trace(sandbox, FORGERIES[name], StdioInput(""), limits=LIMITS)
    assert result.variables.get("<module>", {}).get("x", "none") in (
        (1, "none") if name in MAY_LOSE_ITS_TRACE else (1,)
    )


def test_mutated_programs_break_only_themselves(sandbox: Sandbox) -> None:
    """Random edits of a program that uses most of the syntax; those that still parse are traced under both
    semantics."""
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
    runs = [
        trace_many(
            sandbox, [TraceRequest(program=m, input=StdioInput("3\n"), limits=LIMITS, semantics=s) for m in mutants]
        )
        for s in semantics
    ]
    for original, final, binding in zip(*runs, strict=True):
        if original.deterministic:
            assert (final.output, final.ending) == (original.output, original.ending), original.program
            assert (binding.output, binding.ending) == (original.output, original.ending), original.program


def test_mutations_of_recorded_programs_break_only_themselves(sandbox: Sandbox, shared: Path) -> None:
    """Lines deleted, doubled, exchanged or put elsewhere, tokens exchanged; `CODERLPLUS_FUZZ` is how many programs
    (default 24)."""
    count = int(os.environ.get("CODERLPLUS_FUZZ", "24"))
    generator = random.Random(count)
    programs = recorded_programs(shared)
    mutants = [mutated(generator.choice(programs), generator) for _ in range(count)]
    for semantics in ("final", "binding"):
        requests = [
            TraceRequest(program=m, input=StdioInput("3\n1 2 3\n"), limits=LIMITS, semantics=semantics, max_steps=50)
            for m in mutants
        ]
        for result in trace_many(sandbox, requests):
            broken = result.ending.kind == "exit" and result.ending.message == "1" and not result.variables
            assert not broken, result.program
    assert trace(sandbox, SIMPLE.program, SIMPLE.input).variables == {"<module>": {"x": 6}}


def recorded_programs(shared: Path) -> list[str]:
    found = [
        json.loads(line)["code"] for line in (shared / "data" / "cruxeval" / "cruxeval.jsonl").read_text().splitlines()
    ]
    for name in ("llm_runs/seed_mbpp_starcoder", "llm_runs/seed_humaneval_starcoder"):
        rows = gzip.decompress((shared / "data" / f"{name}.jsonl.gz").read_bytes()).decode().splitlines()
        found += [f"{row['solution']}\n{row['test']}\ncheck({row['entry_point']})" for row in map(json.loads, rows)]
    for line in gzip.decompress((shared / "data" / "lcb" / "lcb_dev.jsonl.gz").read_bytes()).decode().splitlines():
        found += [solution["code"] for solution in json.loads(line)["model_solutions"]]
    return found


def mutated(program: str, generator: random.Random) -> str:
    """A mutant that is still a program, after at most 50 tries."""
    for _ in range(50):
        lines = program.split("\n")
        for _ in range(generator.randint(1, 3)):
            i, j = generator.randrange(len(lines)), generator.randrange(len(lines))
            match generator.randrange(5):
                case 0:
                    lines[i], lines[j] = lines[j], lines[i]
                case 1:
                    lines.insert(j, lines[i])
                case 2:
                    lines[i] = (
                        "pass" if len(lines) == 1 else lines[i][: len(lines[i]) - len(lines[i].lstrip())] + "pass"
                    )
                case 3:
                    words = lines[i].split(" ")
                    generator.shuffle(words)
                    lines[i] = " ".join(words)
                case 4:
                    lines[i] = lines[i].replace(generator.choice("=+-<>(,"), generator.choice("=+-<>(,:"), 1)
        if syntax_error("\n".join(lines)) is None:
            return "\n".join(lines)
    return program


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
