"""What a trace says a program's variables are, they are: against CPython's own `locals()`, in programs made at
random."""

from __future__ import annotations

import ast
from textwrap import indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.records import StdioInput
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, nondeterminism, trace, trace_many

NOTHING = StdioInput("")
NAMES = ("a", "b", "c", "d")
PREAMBLE = """
class Manager:
    def __init__(self, value, fails): self.value, self.fails = value, fails
    def __enter__(self):
        if self.fails: raise OSError
        return self.value
    def __exit__(self, *error): return False
"""

names = st.sampled_from(NAMES)
numbers = st.integers(0, 9)
simple = st.one_of(names, st.sampled_from(["box[9]", "box[0]", "box.no", "none.no"]))


def joined(targets: list[str]) -> str:
    return "(" + ", ".join(targets) + ",)"


target = st.recursive(simple, lambda inner: st.lists(inner, min_size=1, max_size=3).map(joined), max_leaves=5)
value = st.recursive(numbers.map(str), lambda inner: st.lists(inner, min_size=1, max_size=3).map(joined), max_leaves=5)
pattern = st.recursive(
    st.one_of(names, numbers.map(str), st.just("_")),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda parts: "[" + ", ".join(parts) + "]"),
    max_leaves=4,
)


@st.composite
def statement(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["assign", "chain", "for", "with", "match", "walrus"]))
    if kind == "assign":
        return f"{draw(target)} = {draw(value)}"
    if kind == "chain":
        return f"{draw(target)} = {draw(target)} = {draw(target)} = {draw(value)}"
    if kind == "for":
        return f"for {draw(target)} in [{draw(value)}, {draw(value)}]: pass"
    if kind == "with":
        managers = [
            f"Manager({draw(value)}, {draw(st.booleans())}) as {draw(target)}" for _ in range(draw(st.integers(1, 3)))
        ]
        return f"with {', '.join(managers)}: pass"
    if kind == "match":
        cases = [f"    case {draw(pattern)} if {draw(numbers)} > 4: pass" for _ in range(draw(st.integers(1, 3)))]
        return f"match {draw(value)}:\n" + "\n".join(cases)
    return f"{draw(names)} = ({draw(names)} := {draw(numbers)}) // {draw(st.integers(0, 1))}"


def is_program(body: str) -> bool:
    try:
        compile(body, "", "exec")
    except SyntaxError:  # a pattern that binds a name twice, or one behind which no other can match
        return False
    return True


bodies = st.lists(statement().filter(is_program), min_size=1, max_size=4)


def function(body: list[str], last: str) -> str:
    """A function that goes on where a statement fails; `last` is what it does in the end."""
    text = "def f(box, none):\n"
    for each in body:
        text += f"    try:\n{indent(each, ' ' * 8)}\n    except Exception: pass\n"
    return text + f"    {last}\n"


def true_variables(program: str) -> dict[str, object]:
    """What the last call of the program without a tracer leaves in the local variables."""
    space: dict[str, object] = {}
    exec(PREAMBLE + program, space)
    shown = space["shown"]
    assert isinstance(shown, dict)
    return {name: shown[name] for name in NAMES if name in shown}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(bodies, bodies), min_size=4, max_size=4))
def test_a_name_is_noted_when_it_is_bound(sandbox: Sandbox, pairs: list[tuple[list[str], list[str]]]) -> None:
    """`f` runs to its end before, so that each name has a value of an earlier activation which must not be told for
    the later one's."""
    requests, truths = [], []
    for _, body in pairs:
        calls = "f([0], None)\n"
        shown = "global shown; shown = {**locals()}"
        truths.append(true_variables(function(body, shown) + calls))
        requests.append(TraceRequest(program=PREAMBLE + function(body, "pass") + calls, input=NOTHING))
        again = "def early():\n    " + " = ".join(NAMES) + " = 77\nearly()\n"
        requests.append(
            TraceRequest(program=PREAMBLE + again + function(body, "pass") + calls, input=NOTHING, semantics="binding")
        )
        truths.append(truths[-1])
    for request, truth, result in zip(requests, truths, trace_many(sandbox, requests), strict=True):
        got = {name: value for name, value in result.variables.get("f", {}).items() if name in NAMES}
        assert {name: decoded(value) for name, value in got.items()} == truth, request.program


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(bodies, bodies), min_size=4, max_size=4))
def test_the_last_activation_that_bound_a_name_is_told(
    sandbox: Sandbox, pairs: list[tuple[list[str], list[str]]]
) -> None:
    """Two activations of one function bind different names; of each the later value counts."""
    requests, truths = [], []
    for one, two in pairs:
        branches = [indent(function(body, "pass").split("\n", 1)[1], "    ") for body in (one, two)]
        head = "def f(box, none, first):\n    if first:\n"
        program = head + branches[0] + "    else:\n" + branches[1]
        truth: dict[str, object] = {}
        for body in (one, two):
            truth |= true_variables(function(body, "global shown; shown = {**locals()}") + "f([0], None)\n")
        truths.append(truth)
        requests.append(
            TraceRequest(program=PREAMBLE + program + "f([0], None, True)\nf([0], None, False)\n", input=NOTHING)
        )
    for request, truth, result in zip(requests, truths, trace_many(sandbox, requests), strict=True):
        got = {name: decoded(value) for name, value in result.variables.get("f", {}).items() if name in NAMES}
        assert got == truth, request.program


def decoded(value: object) -> object:
    from coderlplus.sandbox.values import decode

    return decode(value)


def test_bound_in_a_class_body(sandbox: Sandbox) -> None:
    program = (
        "class A:\n    try:\n        a, (b, c) = 1, (2,)\n    except ValueError: pass\n    match 3:\n        "
        "case d if d > 4: pass\n"
    )
    assert trace(sandbox, program, NOTHING).variables["A"] == {"a": 1, "d": 3}
    failing = "try:\n    class A:\n        a: missing = 1\nexcept NameError: pass"
    assert trace(sandbox, failing, NOTHING).variables["A"] == {"a": 1}


METACLASSES = {
    "hash of a list": "def __hash__(c): return hash(list)\n    def __eq__(c, o): return True",
    "no hash": "__hash__ = None",
    "raises": "def __hash__(c): raise SystemExit\n    __eq__ = __getattribute__ = __instancecheck__ = "
    "__subclasscheck__ = __hash__",
    "names": "__name__ = __mro__ = __dict__ = __flags__ = property(lambda c: 1 / 0)",
}
INSTANCES = {
    "plain": "",
    "container": "def __len__(s): return 1\n    def __iter__(s): return iter([31337])",
    "liar": "__class__ = property(lambda s: list)\n    def __getattribute__(s, n): raise SystemExit",
    "bool": "def __bool__(s): raise SystemExit\n    __str__ = __repr__ = __eq__ = __index__ = __bool__",
}


@pytest.mark.parametrize("meta", METACLASSES)
@pytest.mark.parametrize("own", INSTANCES)
@pytest.mark.parametrize("steps", [0, 50])
def test_no_method_of_the_program_runs_when_a_value_is_taken(
    meta: str, own: str, steps: int, sandbox: Sandbox
) -> None:
    program = (
        f"class M(type):\n    {METACLASSES[meta]}\nclass A(metaclass=M):\n    kept = 1\n    "
        f"{INSTANCES[own]}\nx = [A()]\ny = 1\n"
    )
    result = trace(sandbox, program, NOTHING, max_steps=steps)
    assert result.ending.kind == "finished"
    assert result.variables["<module>"] == {"x": [{"$object": "A", "fields": {}}], "y": 1}


def test_no_key_of_the_program_is_compared(sandbox: Sandbox) -> None:
    program = """
class K:
    asked = 0
    def __init__(self, text): self.text = text
    def __hash__(self): return hash(self.text)
    def __eq__(self, other):
        K.asked += 1
        return False
globals()[K("x")] = 1
globals()[K("asked")] = 1
T = type("T", (tuple,), {K("_fields"): ("a",), K("__module__"): 1})
x = T((1,))
x.__dict__[K("val")] = 3
def late():
    locals()[K("y")] = 1
    y = 2
late()
K.asked = 0
import atexit
kept = K
"""
    result = trace(sandbox, program + "class Seen:\n    def __del__(self): print(K.asked)\nz = Seen()\n", NOTHING)
    assert result.output == "0\n"
    assert result.variables["late"] == {"y": 2}


def test_the_end_of_a_run_prints(sandbox: Sandbox) -> None:
    programs = {
        "class A:\n    def __del__(self): print('bye')\na = A()\nprint('hi')": "hi\nbye\n",
        "class A:\n    def __del__(self): print('bye')\na = A()\na.me = a": "bye\n",
        "n = 3\nclass A:\n    def __del__(self): print('bye', n)\na = A()": "bye 3\n",
        "def g():\n    try: yield 1\n    finally: print('end')\nit = g()\nx = next(it)": "end\n",
        "out = open(1, 'w', closefd=False)\nout.write('42')": "42",
        "import atexit\natexit.register(print, 'last')\nprint('first')": "first\nlast\n",
        "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1 / 0": "hook ZeroDivisionError\n",
    }
    for (_, output), result in zip(
        programs.items(),
        trace_many(sandbox, [TraceRequest(program=each, input=NOTHING, max_steps=20) for each in programs]),
        strict=True,
    ):
        assert (result.output, result.deterministic) == (output, True)


LOOKS = [
    "eval('sorted(locals())')",
    "sorted(show())",
    "sorted(builtins.vars())",
    "[sorted(each()) for each in (show,)][0] and ['a']",
    "eval('dir()')",
]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("semantics", ["final", "binding"])
def test_local_variables_of_ours_do_not_show(look: str, semantics: str, sandbox: Sandbox) -> None:
    program = (
        f"import builtins\nshow = locals\ndef f(n):\n    a = n\n    if n: f(n - 1)\n    return {look}\nx = "
        "f(9)\nprint(x)"
    )
    result = trace(sandbox, program, NOTHING, semantics=semantics)  # type: ignore[arg-type]
    assert ast.literal_eval(result.output) in (["a"], ["a", "n"])
    assert result.variables["f"] == {"n": 0, "a": 0}


UNSEEN = [
    "int(repr(f).split('0x')[1][:-1], 16) // 16 % 1000",
    "list(sys.stdlib_module_names)[0]",
    "int(f'{f}'.split('0x')[1][:-1], 16) // 16 % 1000",
    "int('%s' % f == '' or str(f).split('0x')[1][:-1], 16) // 16 % 1000",
    "list(d.keys() - {'a'})[0]",
    "sys.getallocatedblocks() and id(f) // 16 % 1000",
]


@pytest.mark.parametrize("expression", UNSEEN)
def test_a_value_that_one_run_took_is_taken_again(expression: str, sandbox: Sandbox) -> None:
    setup = "import sys\nd = {c: 1 for c in 'abcdefgh'}\n"
    program = (
        setup + f"def f(i):\n    x = 0\n    if i == 9: x = {expression}\n    return 0\nfor i in range(10): f(i)\n"
    )
    result = trace(sandbox, program, NOTHING)
    assert not result.deterministic or "x" not in result.variables["f"]


BEYOND_THE_LISTS = [
    ("def g(id): return id", "id(f) // 16 % 1000"),
    ("class A: hash = 1", "hash(f) % 1000"),
    ("from statistics import random", "random.random()"),
    ("import statistics as s\ndef random(): pass", "s.random.random()"),
    ("import statistics\nclass A: random = 1\ns = statistics", "s.random.random()"),
    ("import sys\nclass A: getallocatedblocks = 1", "sys.getallocatedblocks()"),
    ("import operator", "operator.methodcaller('__hash__')(f) % 1000"),
    ("from operator import attrgetter as get", "get('__hash__')(f)() % 1000"),
    ("import operator", "operator.mod('%s', f)[-9:]"),
    ("import io", "io.open('/dev/urandom', 'rb').read(1)"),
    ("from io import FileIO", "FileIO('/dev/urandom').read(1)"),
    ("class A:\n def __hash__(self): return super().__hash__()\na = A()", "a.__hash__() % 1000"),
    ("from string import Template\ndef substitute(): pass", "Template('$a').substitute(a=f)[-9:]"),
    ("from collections import UserString", "UserString(f)[-9:-1] and int(UserString(f)[-9:-1], 16)"),
    ("t = '%s'", "(t % f)[-9:]"),
    ("t = '%s'\nt %= f", "t[-9:]"),
    ("t = chr(37) + 's'", "(t % f)[-9:]"),
    ("class A: format = 1", "'{}'.format(f)[-9:]"),
    ("import io\ns = io.StringIO()", "print(f, file=s) or s.getvalue()[-9:]"),
    ("import io, sys\ns = io.StringIO()\nout, sys.stdout = sys.stdout, s\nprint(len)", "s.getvalue()[-9:]"),
]


@pytest.mark.parametrize(("setup", "expression"), BEYOND_THE_LISTS)
def test_what_may_differ_is_found_under_any_name(setup: str, expression: str) -> None:
    assert nondeterminism.is_possible(f"def f(): pass\n{setup}\nx = {expression}")


PATCHES = [
    "ast.walk = lambda tree: []",
    "tree = ast.parse('')\nast.parse = lambda *text: tree",
    "ast.Call._fields = ()\nast.Name = ast.Attribute = int",
]


@pytest.mark.parametrize("patch", PATCHES)
def test_a_program_that_patches_the_parser_rules_nothing_out(patch: str, sandbox: Sandbox) -> None:
    last = "def f(i):\n    x = 0\n    if i == 9: x = id(f) // 16 % 1000\n    return 0\nfor i in range(10): f(i)\n"
    result = trace(sandbox, f"import ast\n{patch}\n{last}", NOTHING)
    assert not result.deterministic or "x" not in result.variables["f"]


SPOILERS = {
    "a handler that raises at every moment": """
import signal
def raises(*args): raise KeyError
signal.signal(signal.SIGALRM, raises)
many = [[i] * 900 for i in range(900)]
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.0001)
""",
    "a recursion limit of next to nothing": """
import sys
for n in range(1, 200):
    try: sys.setrecursionlimit(n)
    except RecursionError: continue
    break
""",
    "the same, and an exception": """
import sys
for n in range(1, 200):
    try: sys.setrecursionlimit(n)
    except RecursionError: continue
    break
1 / 0
""",
    "a thread that changes the names of the module and of a class": """
import sys, threading
class A: pass
kept = [A() for _ in range(100)]
def change():
    n = 0
    while True:
        n += 1
        for space in (globals(), kept[n % 100].__dict__):
            space[f"v{n % 50}"] = n
            space.pop(f"v{n * 7 % 50}", None)
        setattr(A, f"v{n}", n)
        delattr(A, f"v{n}")
sys.setswitchinterval(1e-6)
threading.Thread(target=change, daemon=True).start()
""",
    "a number that is a bool": "import os\nos._exit(True)",
}


@pytest.mark.parametrize("name", SPOILERS)
@pytest.mark.parametrize("steps", [0, 20])
def test_no_trace_is_lost(name: str, steps: int, sandbox: Sandbox) -> None:
    result = trace(sandbox, "x = [1]\n" + SPOILERS[name], NOTHING, max_steps=steps)
    assert result.variables["<module>"]["x"] == [1]


@pytest.mark.parametrize(
    "spoiler",
    [
        "import os; os.closerange(0, 100)",
        "import posix; posix._exit(0)",
        "import os\nfor n in range(3, 20):\n    try: os.dup2(0, n)\n    except OSError: pass",
    ],
)
def test_a_run_that_goes_past_the_recorder_is_no_task(spoiler: str, sandbox: Sandbox) -> None:
    result = trace(sandbox, f"x = 1\n{spoiler}", NOTHING)
    assert (result.variables, result.deterministic) == ({}, False)


def test_a_nested_value_is_taken_whole_at_a_small_recursion_limit(sandbox: Sandbox) -> None:
    program = "import sys\nz = 1\nfor _ in range(90): z = [z]\ndef f(a):\n    b = a\nsys.setrecursionlimit(40)\nf(z)"
    truth: object = 1
    for _ in range(90):
        truth = [truth]
    assert trace(sandbox, program, NOTHING).variables["f"] == {"a": truth, "b": truth}
