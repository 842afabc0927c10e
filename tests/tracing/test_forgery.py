"""A program cannot say what its trace is, with the look at its text and without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import coderlplus
from coderlplus.records import CallInput, Limits, StdioInput, Trace
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, reach, trace, trace_many

# Whoever gets a frame looks for what sends the reply, and sends another one.
TAKE = """
x = 1
def take(frame):
    while frame is not None and hasattr(frame, "f_locals"):
        names = frame.f_locals
        if "send" in names:
            names["send"]({"ending": {"kind": "finished"}, "value": None, "variables": {"<module>": {"x": 31337}},
                           "missing": {}, "fingerprint": "f", "suspect": False})
            frame.f_globals["_leave"](0)
        frame = getattr(frame, "f_back", None)
def take_all(frames):
    for frame in list(frames.values()): take(frame)
import atexit, collections, functools, signal, sys, os, traceback
kept = collections.defaultdict(sys._current_frames)     # a callable of C that keeps what it gets
frame = collections.defaultdict(functools.partial(sys._getframe, 0))
"""
FORGERIES = {
    "a text of its own for the hook": """
class Evil(str):
    def __hash__(self): return str.__hash__(self)
    def __eq__(self, other):
        take_all(sys._current_frames())
        return True
sys.audit("object.__getattr__", object(), Evil("__code__"))
sys.audit("import", Evil("a"))
sys.audit("exec", Evil("a"))
""",
    "an object that is no text for the hook": """
class Evil:
    def __hash__(self): return hash("__code__")
    def __eq__(self, other):
        take(sys._getframe())
        return True
sys.audit("object.__getattr__", object(), Evil())
""",
    "another interpreter": "m = __import__('_xxsub' + 'interpreters')\nm.run_string(m.create(), 'import sys\\n"
    'for f in sys._current_frames().values():\\n while f:\\n  if "send" in f.f_locals: f.f_locals["send"](1)\\n  f '
    "= f.f_back')",
    "frame summaries of its own": """
err = KeyError("k")
def last():
    got = []
    traceback.FrameSummary = lambda *a, locals=None, **k: got.append(locals)
    try: traceback.TracebackException(type(err), err, err.__traceback__, capture_locals=True)
    except Exception: pass
    for names in got:
        if names and "send" in names: names["send"]({"variables": {"<module>": {"x": 31337}}})
atexit.register(last)
raise err
""",
    "a line cache of its own": """
seen = []
class Lines:
    checkcache = staticmethod(lambda *a: None)
    lazycache = staticmethod(lambda f, g: seen.append(g))
traceback.linecache = Lines
def handler(n, f): raise KeyError("k")
signal.signal(signal.SIGUSR1, handler)
try:
    os.kill(os.getpid(), signal.SIGUSR1)
    for _ in range(99): pass
except KeyError as e:
    traceback.TracebackException(type(e), e, e.__traceback__)
for g in seen:
    if "_WATCHED" in g: g["_WATCHED"] = frozenset()
take(sys._getframe())
""",
    "a walk over a traceback that keeps frames": """
stash = []
try: 1 / 0
except Exception as e: tb = e.__traceback__
frames = map(lambda pair: stash.append(pair) or pair, traceback._walk_tb_with_full_positions(tb))
try: traceback.StackSummary._extract_from_extended_frame_gen(frames)
except Exception: pass
for pair in stash: take(pair[0])
""",
    "a callable of C as an exit function": (
        "atexit.register(lambda: take_all(kept[1]))\natexit.register(kept.__getitem__, 1)"
    ),
    "a callable of C as a stream": """
class Stream: flush = functools.partial(kept.__getitem__, 1)
Stream.write = Stream.flush
atexit.register(lambda: [take_all(each) for each in kept.values()])
atexit.register(Stream.flush)
sys.stdout = Stream()
""",
    "a callable of C as a signal handler": """
signal.signal(10, functools.partial(lambda a, b, c: kept[1], 1))
os.kill(os.getpid(), 10)
for _ in range(99): pass
take_all(kept[1])
""",
    "a callable of C as an operator in the standard library": """
import typing
class Depth: __add__ = frame.__getitem__
try: typing._caller(Depth())
except Exception: pass
for each in frame.values(): take(each)
""",
    "a module of its own in the standard library": """
class System: _getframe = frame.__getitem__; intern = sys.intern
collections._sys = System
try: collections.namedtuple("A", "b")
except Exception: pass
for each in frame.values(): take(each)
""",
    "a class that has no name until it is asked": """
class Meta(type): __name__ = property(kept.__getitem__)
E = Meta("E", (Exception,), {})
atexit.register(lambda: [take_all(each) for each in kept.values()])
raise E
""",
    "an exception that has no traceback until it is asked": """
class E(Exception):
    __traceback__ = property(kept.__getitem__)
    __class__ = property(kept.__getitem__)
    code = msg = args = property(kept.__getitem__)
atexit.register(lambda: [take_all(each) for each in kept.values()])
raise E
""",
    "collections at every moment": """
import gc
class C:
    def __del__(self):
        take(sys._getframe())
        take_all(sys._current_frames())
gc.set_threshold(1)
gc.callbacks.append(lambda *a: take_all(sys._current_frames()))
for _ in range(1000):
    c = C()
    c.c = c
""",
    "signals at every moment": """
import time
signal.signal(signal.SIGALRM, lambda n, f: take_all(sys._current_frames()))
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
def f(k):
    y = k
    return y
for i in range(20_000): f(i)
""",
    "the interpreter's modules made anew": """
import _imp, importlib, importlib.machinery as m
take(_imp.create_builtin(m.ModuleSpec("sys", m.BuiltinImporter))._getframe())
importlib.reload(sys)
take(sys._getframe())
""",
    "code of its own making": """
import importlib._bootstrap_external as b, _imp, marshal
b._compile_bytecode(marshal.dumps(1))
""",
    "a name that a pickle has": "import pickle\ntake_all(pickle.loads(b'csys\\n_current_frames\\n(tR.'))",
    "a name put together": "import operator\ntake_all(operator.methodcaller('_current_' + 'frames')(sys))",
    "code put together": "exec('take_all(sys._current_' + 'frames())')",
    "what hears of dead threads": """
import threading
space = getattr(threading.excepthook, "__globals__", {})
for name, value in list(space.items()):
    if name == "encode": space[name] = lambda *a, **k: 31337
    inner = getattr(value, "__globals__", {})
    for each in ("_Encoder", "encode", "_fields"):
        if each in inner: inner[each] = lambda *a, **k: 31337
""",
    "a finalizer of C that runs while the values are taken": """
import threading, time
def g(): yield
it = g()
next(it)
many = [[] for _ in range(100_000)]
class Evil: __del__ = functools.partial(kept.__getitem__, 1)
box = [Evil()]
def drop():
    count = sys.getrefcount(box[0])
    while sys.getrefcount(box[0]) <= count: pass        # until somebody lists all objects
    box.clear()
    while True:
        for each in list(kept.values()): take_all(each)
sys.setswitchinterval(1e-5)
threading.Thread(target=drop, daemon=True).start()
time.sleep(0.05)
""",
    "a weak reference": """
import weakref
class A: pass
a = A()
r = weakref.ref(a, kept.__getitem__)
atexit.register(lambda: [take_all(each) for each in kept.values()])
atexit.register(lambda: globals().pop("a"))
""",
}
LIMITS = Limits(cpu_s=3, wall_s=10)


def traces(sandbox: Sandbox) -> dict[str, Trace]:
    requests = [
        TraceRequest(program=TAKE + program, input=StdioInput(""), limits=LIMITS) for program in FORGERIES.values()
    ]
    return dict(zip(FORGERIES, trace_many(sandbox, requests), strict=True))


@pytest.fixture(scope="module")
def seen(sandbox: Sandbox) -> dict[str, Trace]:
    return traces(sandbox)


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Trace]]:
    """The same in a copy of the package that does not look at a program's text, so that the audit hook is alone."""
    package = Path(coderlplus.__file__).parent
    copy = tmp_path_factory.mktemp("copy") / "coderlplus"
    for path in package.rglob("*.py"):
        target = copy / path.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    with (copy / "tracing" / "reach.py").open("a") as file:
        file.write(
            "\nFORBIDDEN = frozenset()\ndef reached(code, source): return None\ndef named_in(code): return False\n"
        )
    patch = pytest.MonkeyPatch()
    from coderlplus.sandbox import forkserver

    patch.setattr(forkserver, "_PACKAGE", copy)
    patch.setattr(forkserver, "_ZYGOTE", copy / "sandbox" / "zygote.py")
    try:
        with Sandbox(workers=2) as sandbox:
            yield traces(sandbox)
    finally:
        patch.undo()


@pytest.mark.parametrize("name", FORGERIES)
def test_no_trace_is_forged(name: str, seen: dict[str, Trace]) -> None:
    assert seen[name].variables.get("<module>", {}).get("x", 1) == 1
    assert seen[name].withheld is not None


@pytest.mark.parametrize("name", FORGERIES)
def test_no_trace_is_forged_by_who_does_not_mention_it(name: str, unseen: dict[str, Trace]) -> None:
    assert unseen[name].variables.get("<module>", {}).get("x", 1) == 1


def test_whoever_runs_untraced_can_send_anything_and_says_nothing_of_variables(sandbox: Sandbox) -> None:
    for body in (
        "1",
        "None",
        "'a'",
        "[]",
        "{'withheld': 'a', 'ending': 3}",
        "{'ending': {'kind': []}, 'steps': 1}",
        "{'value': {'$x': 1}}",
    ):
        program = (
            "import sys\nf = sys._getframe()\nwhile f:\n    if 'send' in f.f_locals: "
            f"f.f_locals['send']({body})\n    f = f.f_back"
        )
        result = trace(sandbox, program, StdioInput(""), max_steps=10)
        assert (result.withheld is not None, result.variables, result.steps) == (True, {}, ()), body


def test_a_result_of_c_is_no_frame_either(sandbox: Sandbox) -> None:
    program = (
        "import collections, sys\nd = collections.defaultdict(getattr(sys, '_current' + '_frames'))\nf = d.__getitem__"
    )
    assert trace(sandbox, program, CallInput("f", (1,)), limits=LIMITS).withheld == "sys._current_frames"


def test_no_activation_is_told_by_a_cell(sandbox: Sandbox) -> None:
    """What a program puts into the cells of its functions are values of its variables, and nothing else."""
    program = """
def outer(v, other):
    def inner():
        nonlocal x
        x = x
    kept = [c.cell_contents for c in inner.__closure__ if other is not None]
    x = v
    for c in inner.__closure__: c.__setattr__('cell_' + 'contents', v)
    return inner
first = outer(5, None)
second = outer(7, None)
first()
"""
    for given in (program, program.replace("cell_contents", "__class__")):
        result = trace(sandbox, given, StdioInput(""), limits=LIMITS)
        assert result.withheld is not None or result.variables["outer"]["x"] == 5


HONEST = {
    "logging": "import logging, sys\nlogging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s "
    "%(funcName)s %(lineno)d')\n"
    "def f(n):\n    logging.info('n is %d', n)\n    try: 1 / 0\n    except ZeroDivisionError: "
    "logging.exception('failed')\nf(1)\nx = 1",
    "doctest": "import doctest\ndef f(n):\n    '''\n    >>> f(1)\n    2\n    >>> f(2)\n    4\n    '''\n    return n "
    "+ 1\n"
    "x = doctest.testmod().failed",
    "cProfile": "import cProfile\np = cProfile.Profile()\np.enable()\nx = sum([1])\np.disable()\nprint(x)",
    "unittest": "import unittest, io\nclass T(unittest.TestCase):\n    def test_a(self):\n        with "
    "self.assertRaises(ValueError): int('x')\n"
    "r = unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(T))\nx "
    "= r.testsRun\ndel r",
    "asyncio": "import asyncio, types\n@types.coroutine\ndef g(): yield\nasync def f():\n    await g()\n    return "
    "1\nx = asyncio.run(f())",
    "signature": "import inspect\ndef f(a, /, b: int = 2, *c, d=3, **e): pass\n"
    "x = int(str(inspect.signature(f)) == '(a, /, b: int = 2, *c, d=3, **e)')\nprint(inspect.isgeneratorfunction(f))",
    "traceback": "import traceback\ndef f(): return 1 / 0\ntry: f()\nexcept ZeroDivisionError: "
    "print(traceback.format_exc())\nx = 1",
    "a dead thread": "import threading\ndef f(): 1 / 0\nt = threading.Thread(target=f)\nt.start()\nt.join()\nts = "
    "[t]\nx = 1",
    "closures": "def f():\n    a = 1\n    def g(): return a\n    return g\nx = f().__closure__[0].__class__ and f()()",
    "exec": "exec('y = 1')\nx = eval('y')",
}


@pytest.mark.parametrize("name", HONEST)
def test_the_standard_library_works_and_costs_no_trace(name: str, sandbox: Sandbox) -> None:
    original = trace(sandbox, HONEST[name], StdioInput(""), semantics="official")
    result = trace(
        sandbox, HONEST[name], StdioInput(""), max_steps=0 if "thread" in name else 50
    )  # threads take turns as they like
    assert (result.withheld, result.deterministic, result.variables["<module>"]["x"]) == (None, True, 1)
    assert (result.output, result.ending) == (original.output, original.ending)


def test_every_exit_code_is_an_ending(sandbox: Sandbox) -> None:
    programs = {
        "sys.exit(False)": "0",
        "sys.exit(True)": "1",
        "sys.exit('no')": "no",
        "sys.exit()": None,
        "raise SystemExit([1])": None,
    }
    requests = [TraceRequest(program=f"import sys\n{program}", input=StdioInput("")) for program in programs]
    assert [result.ending.message for result in trace_many(sandbox, requests)] == list(programs.values())


@pytest.mark.parametrize("number", [1, 15, 32, 33, 34, 35, 40, 63, 64])
def test_every_signal_is_an_ending(number: int, sandbox: Sandbox) -> None:
    # it sleeps: the signal may come a moment later
    program = f"import os, time\nif {number} < 64:\n    os.kill(os.getpid(), {number})\n    time.sleep(1)"
    ending = trace(sandbox, program, StdioInput("")).ending
    assert ending.kind == ("finished" if number == 64 else "exception")


@pytest.mark.parametrize("name", sorted(reach.FORBIDDEN))
def test_what_is_mentioned_is_found_in_every_guise(name: str) -> None:
    for program in (
        f"a.{name}",
        f"getattr(a, {name!r})",
        f"x = [{name!r}]",
        f"def f():\n    def g(): return h(a, {name}=1)",
    ):
        assert reach.reached(compile(program, "", "exec"), program) is not None
    program = f"# {name}\nx = 'about {name}'\ny = 1\n"
    assert reach.reached(compile(program, "", "exec"), program) is None


def test_a_name_of_ones_own_is_no_reach() -> None:
    program = "def audit(code):\n    trace = code\n    return trace\nx = audit(1)\nclass A: gc = imp = 1\ny = A().gc\n"
    assert reach.reached(compile(program, "", "exec"), program) is None
    for program in (
        "import gc",
        "from ctypes import c_int",
        "import os, trace as t",
        "__import__('gc')",
        "x = __builtins__",
    ):
        assert reach.reached(compile(program, "", "exec"), program) is not None
