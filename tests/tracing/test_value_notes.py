"""Steps are the same as if all values were encoded at every step.

They are not: a value is encoded only where a note of it says that it differs, and after a calm statement only what it
binds is looked at. Both run here without a sandbox, on programs made of statements that change values in ways that can
be seen and in ways that cannot.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import random
import re
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.sandbox import values
from coderlplus.tracing import instrument, instrumented, steps, texts
from coderlplus.tracing.monitor import encode_json
from coderlplus.tracing.recorder import VALUE_BUDGET

PRELUDE = """
from collections import deque, Counter
import heapq
import math
log, grid, words, total, other = [], [[0, 1], [2, 3]], {"a": 1}, 0, None
pairs = [(1, 2), (3, 4)]
class Box:
    def __init__(self, inside=None):
        self.inside = inside
        self.items = []
    def put(self, item):
        self.items.append(item)
        return self
    def __add__(self, more):
        log.append(more)
        return self
    def __iadd__(self, more):
        self.items += [more]
        return self
    def __len__(self):
        log.append("len")
        return len(self.items)
    def __iter__(self):
        for item in self.items:
            log.append(item)
            yield item
    def __repr__(self):
        log.append("shown")
        return "Box"
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.items.append("left")
    @property
    def size(self):
        self.items.append("asked")
        return 1
box = Box()
def add(to, item=1):
    to.append(item)
    return item
def count(n):
    while n:
        n -= 1
        log.append(n)
        yield n
def outer():
    kept, n = [], 0
    def inner(x):
        nonlocal n
        n = x
        kept.append(x)
        return len(kept)
    return inner
inner = outer()
def deep(n):
    grid[0][0] = n
    return deep(n - 1) + 1 if n else 0
"""
STATEMENTS = [
    "x = 1", "x = total", "x = grid", "x = [grid, log]", "x, y = log, 2", "total += 1", "log += [total]",
    "other = log",
    "other += pairs", "grid[0][1] = total", "grid.append([total])", "grid[0], grid[1] = grid[1], grid[0]", "del x",
    "x = grid[0][0] if total else words", "words['b'] = log", "words = {k: v for k, v in words.items()}",
    "for i in range(2):\n    total += i", "for row in grid:\n    row.append(1)",
    "for item in box:\n    total += 1", "for item in box:\n    other = item", "for n in count(2):\n    x = n",
    "x = sum(count(2))", "x = [n for n in count(2)]", "x = 1 in box", "x = box + 1", "box += 2", "x = len(box)",
    "x = box.size", "x = box.put(total)", "box.inside = grid", "box.inside = box", "x = Box(grid)", "x = add(log)",
    "x = add(grid[0], total) + add(log)", "total += add(log)", "x = inner(total)", "x = deep(2)", "x = deep(add(log))",
    "with box as b:\n    other = [1]", "with box:\n    log += [1]", "with box:\n    total += 1",
    "try:\n    x = 1 / 0\nexcept ZeroDivisionError as error:\n    ...",
    "try:\n    log[99] = 1\nexcept IndexError as e: x = e",
    "try:\n    x = add(log) / 0\nfinally:\n    y = 1", "while total < 3:\n    total += 1\nelse:\n    x = log",
    "print(total)", "print(box)", "x = print", "heapq.heappush(log, total)", "x = math.floor(2.5)", "x = (y := log)",
    "log.sort(key=str)", "x = sorted(log, key=lambda v: add(pairs) and str(v))", "x = deque(log)",
    "x = Counter('aab')",
    "x = {total, 7}", "x = (log, total)", "x = 'text' * total", "x = str(log)", "x = f'{box} {log}'", "x = not log",
    "assert log, add(log)", "x = 10 ** 30", "x = float('inf')", "pairs += (total,)", "x = words.get('a', add(log))",
]  # fmt: skip
ODD = [
    "for k, grid[0][0] in pairs:\n    y = 1",
    "Box.__mul__ = lambda box, item: log.append(item)\nx = box * 2\ny = 1",
    "class C:\n    __getitem__ = lambda self, item: log.append(item)\nx = C()[1]\ny = 1",
    "class C:\n    size = property(lambda self: log.append(1))\nx = C().size\ny = 1",
    "g = (log.append(n) for n in [1, 2])\nfor x in g:\n    y = 1",
    "for x in map(log.append, [1, 2]):\n    y = 1",
    "x = 1 in map(log.append, [1, 2])\ny = 1",
    "from collections import defaultdict\nd = defaultdict(list)\nx = d[1]\ny = 1",
    "for x in iter(lambda: add(log) * len(log), 3):\n    y = 1",
    "setattr(Box, '__mul__', lambda box, item: log.append(item))\nx = box * 2\ny = 1",
    "exec('Box.__mul__ = lambda box, item: log.append(item)')\nx = box * 2\ny = 1",
    "C = type('C', (), {'__neg__': lambda self: log.append(1)})\nx = -C()\ny = 1",
    "class C(metaclass=type):\n    pass\nx = C()\nlen = lambda v: log.append(v)\nx = len(log)\ny = 1",
    "def add(to):\n    return 2\nadd = log.append\nx = add(3)\ny = 1",
    "box.put = log.append\nx = box.put(1)\ny = 1",
    "def gen():\n    x = yield log.append(1)\n    log.append((yield 2))\nfor y in gen():\n    z = 1",
]


def encoded(value: object) -> str:
    return encode_json(values.encode(value, VALUE_BUDGET))


def steps_of(program: str) -> list[Any]:
    made = instrument.instrument(program, "steps")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    out = io.StringIO()

    def cut(reason: str) -> None:
        raise AssertionError(reason)

    notes = steps.StepRecorder(made, namespace, encoded, max_steps=5_000, max_bytes=1 << 30, written=out.tell, cut=cut)
    methods = (notes.step, notes.turn, notes.over, notes.enter, notes.leave)
    slots = (instrumented.STEP, instrumented.TURN, instrumented.OVER, instrumented.ENTER, instrumented.LEAVE)
    gc.disable()  # a collection comes sooner or later by what the recorder allocates
    with contextlib.redirect_stdout(out), contextlib.suppress(Exception):
        exec(instrumented.filled(made, dict(zip(slots, methods, strict=True))), namespace)
    notes.finish()
    gc.enable()
    rows: list[Any] = json.loads(re.sub(r"0x[0-9a-f]+", "0x", json.dumps(notes.steps)))  # addresses that were printed
    return rows


def steps_without_notes(program: str) -> list[Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(
            steps, "text_of", lambda _memory, value, _kind: encoded(value) if texts.is_variable(value) else None
        )
        monkeypatch.setattr(steps.StepRecorder, "_expect", lambda *_: None)
        return steps_of(program)


def guarded(statement: str) -> str:
    return "try:\n" + "\n".join("    " + line for line in statement.splitlines()) + "\nexcept Exception: pass\n"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(STATEMENTS), min_size=3, max_size=14), st.booleans())
def test_steps_of_made_up_programs(statements: list[str], in_function: bool) -> None:
    body = "".join(map(guarded, statements))
    if in_function:
        names = "global total, log, grid, words, other, pairs, box\n"
        body = "def main():\n" + "".join(f"    {line}\n" for line in (names + body).splitlines()) + "main()\n"
    program = PRELUDE + body
    assert steps_of(program) == steps_without_notes(program)


@pytest.mark.parametrize("odd", ODD)
def test_what_changes_values_unasked(odd: str) -> None:
    program = PRELUDE + odd
    assert steps_of(program) == steps_without_notes(program)


# A callable of C or a lambda, reached through a name that elsewhere means something harmless

DECOY = """
import copy, heapq, sys, typing
class Decoy:
    def {name}(self, *given):
        return 1
Decoy().{name}(2)
"""
CALLABLES = ["log.append", "(lambda *given: log.append(given))", "print", "pairs.remove", "grid.pop"]
NAMES = ["put", "get", "count", "join", "keys", "write", "seed", "items", "add_note", "send"]
OWNERS = [
    "class C:\n    {name} = {what}\nh = C()",
    "class C: pass\nh = C()\nh.{name} = {what}",
    "class C: pass\nh = C()\nsetattr(h, '{name}', {what})",
    "class C: pass\nh = C()\nvars(h)['{name}'] = {what}",
    "class C: pass\nh = C()\ngetattr(h, '__set' + 'attr__')('{name}', {what})",
    "class C:\n    for {name} in [{what}]: pass\nh = C()",
    "class C:\n    with copy.copy(box) as {name}: pass\nh = C()",
    "class C:\n    from heapq import heappush as {name}\nh = C",
    "class C:\n    @property\n    def {name}(self): return {what}\nh = C()",
    "class C:\n    def __getattr__(self, name): return {what}\nh = C()",
    "class C:\n    def __getattribute__(self, name): return {what}\nh = C()",
    "class D:\n    def __get__(self, *given): return {what}\nclass C: {name} = D()\nh = C()",
    "def by(f): return {what}\nclass C:\n    @by\n    def {name}(self): ...\nh = C()",
    "class C:\n    def __init_subclass__(cls): cls.{name} = {what}\nclass E(C): pass\nh = E",
    "from collections import namedtuple\nh = namedtuple('C', '{name} rest')({what}, 1)",
    "h = typing.NamedTuple('C', [('{name}', int)])({what})",
    "def h(): ...\nh.{name} = {what}",
    "h = sys.stdout",
    "h = ValueError(1)",
]
USES = [
    "x = h.{name}(1)", "for x in [h.{name}(1)]:\n    y = 2", "x = [h.{name}(v) for v in (1, 2)]",
    "x = 1\nx += h.{name}(2)",
    "x = dict(h)", "x = {{**h}}", "if h.{name}(2): y = 1", "x = (h.{name}(1), 2)", "add(grid, h.{name}(3))",
    "assert h.{name}(1), h.{name}(2)", "x = f'{{h.{name}(4)}}'", "print(h.{name}(5))",
]  # fmt: skip
REBOUND = ["len", "list", "print", "inner", "add", "cache", "map", "str"]
NAMED = [
    "{name} = {what}\nx = {name}(1)\ny = 2", "for {name} in [{what}]:\n    x = {name}(1)\n    y = 2",
    "def f({name}):\n    x = {name}(1)\n    y = 2\nf({what})", "x = [{name}(1) for {name} in [{what}]]\ny = 2",
    "class C:\n    {name} = {what}\n    x = {name}(1)\n    y = 2",
    "from heapq import heapify as {name}\nx = {name}(log)\ny = 2",
    "{name} = lambda f: {what}\n@{name}\ndef g(v): ...\nx = g(1)\ny = 2",
    "def f():\n    global {name}\n    {name} = {what}\nf()\nx = {name}(1)\ny = 2",
]  # fmt: skip
LAZY = [
    "g = map({what}, [1, 2, 3])", "g = filter({what}, [1, 2, 3])", "g = ({what}(v) for v in (1, 2, 3))",
    "g = heapq.merge([1, 3], [2], key=lambda v: {what}(v) or v)",
    "def join(g): return g\ng = join({what}(v) for v in [1, 2])",
    "class C:\n    def join(self, g): return g\ng = C().join({what}(v) for v in [1, 2])",
    "class C:\n    def __gt__(self, g): self.g = g\nc = C()\nmax(({what}(v) for v in (1, 2)), c)\ng = c.g",
    "def g():\n    x = yield {what}(1)\n    yield {what}(2)\ng = g()",
    "from collections import defaultdict\nd = defaultdict(list)\ng = (d[v] for v in (1, 2))",
]  # fmt: skip
TAKES = [
    "for x in g:\n    y = 1", "x = list(g)", "x = 1 in g", "a, *b = g", "x = dict(zip('abc', g))", "x = [*g]",
    "x = any(g)",
    "for i, x in enumerate(g):\n    y = i", "x = [v for v in g]",
]  # fmt: skip
SMUGGLED = st.one_of(
    st.builds("{}\n{}\ny = 1\nz = 2\n".format, st.sampled_from(OWNERS), st.sampled_from(USES)),
    st.sampled_from(NAMED),
    st.builds("{}\n{}\ny = 1\nz = 2\n".format, st.sampled_from(LAZY), st.sampled_from(TAKES)),
)


@settings(max_examples=400, deadline=None)
@given(
    SMUGGLED, st.sampled_from(NAMES), st.sampled_from(REBOUND), st.sampled_from(CALLABLES), st.booleans(), st.data()
)
def test_what_is_called_by_a_name_that_looks_harmless(
    smuggled: str, name: str, rebound: str, what: str, in_function: bool, data: st.DataObject
) -> None:
    body = smuggled.format(name=rebound if smuggled in NAMED else name, what=what) + "\n"
    body += "".join(map(guarded, data.draw(st.lists(st.sampled_from(STATEMENTS), max_size=3))))
    if in_function:
        body = "def main(log, grid, pairs, total, words, other, box):\n" + "".join(
            f"    {line}\n" for line in body.splitlines()
        )
        body += "main(log, grid, pairs, total, words, other, box)\n"
    program = PRELUDE + DECOY.format(name=name) + body
    assert steps_of(program) == steps_without_notes(program)


# Statements that are calm, and what may run unasked between them: at the end of a `with`, of a handler, of a loop,
# when a value is dropped, when a name is not what it seems

CALM = [
    "n = 1", "n = n + k", "k += n", "n, k = k, n", "m = 'ab'[n % 2]", "if n < k: m = 'c'", "pass", "n = m = k",
    "while k < 3:\n    k += 1", "n = -k if m else 2", "t = not n == k", "k = 0", "total = total + 1", "n *= 2",
    "m = m * 2", "...", "global unused",
]  # fmt: skip
NOT_CALM = [
    "n = Odd()", "m = log", "k += Odd()", "n = log[-1] if log else 0", "m += [1]", "del n", "n = Odd() + 1",
    "k = n < Odd()", "m = Drop()", "n = [Drop()]", "t = -Odd()", "n = grid", "m = n", "n[0] = k", "t = n[0]",
    "k = 7 and Odd()", "log += [k]", "def n(): ...", "import math as k", "total = Odd()", "t = lambda: log",
    "n = gen(log)", "m, k = gen(log)", "n, *k = m", "n = [total for total in (1, 2)]", "global_change()",
    "n = f'{Odd()}'", "raise ValueError(n)", "assert n",
]  # fmt: skip
HEADS = [
    "if True:", "for i in range(2):", "for i in 'ab':", "for n in (1, 2):", "for n, k in ((1, 2), (3, 4)):",
    "for i in log:", "for i in gen(log):", "for i in Turns():", "for n in [1, Odd()]:", "for i in (Drop(), 1):",
    "for grid[0][0] in range(2):", "for n in (log, grid):", "for i in map(log.append, (1, 2)):", "with Held():",
    "with Held() as n:", "for i in reversed(range(2)):", "for m, n in gen([(1, 2)]):", "for i in range(3, 0, -1):",
    "for _ in [Drop()]:",
]  # fmt: skip
UNASKED = """
log, grid, total = [], [[0, 1], [2, 3]], 0
class Odd:
    __add__ = __radd__ = __lt__ = __gt__ = __neg__ = __getitem__ = lambda *given: log.append(len(given)) or 1
    __bool__ = lambda self: log.append('bool') or True
    __format__ = lambda *given: log.append('text') or 'odd'
class Drop:
    __del__ = lambda self: log.append('gone')
class Held:
    __enter__ = lambda self: 1
    __exit__ = lambda *error: log.append('left')
class Turns:
    __iter__ = lambda self: self
    __next__ = lambda self: log.append('turn') or (1 if len(log) % 3 else next(iter(())))
def gen(given):
    yield from (log.append(v) for v in given[:2])
def global_change():
    global total
    total = log[:1] if type(total) is int else 0
"""


BLOCKS = [
    "{head}\n{body}", "try:\n{body}except Exception:\n{other}", "try:\n{body}except (log.append('e'), E)[1]:\n{other}",
    "try:\n{body}except E as e:\n{other}finally:\n{body}", "for i in range(2):\n{body}    break\nelse:\n{other}",
    "for i in range(2):\n{body}    continue\nelse:\n{other}", "def f(n=1, k=2):\n    m = 'x'\n{body}f()",
    "def f(n, k):\n    m = ''\n{body}    return k + 1\nk = f(1, 2)", "class C:\n{body}",
]  # fmt: skip


def block(choose: random.Random, depth: int) -> list[str]:
    """Lines of a statement, or of some in another."""
    if not depth or choose.random() < 0.3:
        return choose.choice(CALM if choose.random() < 0.7 else NOT_CALM).splitlines()
    parts = {
        name: "".join(f"    {line}\n" for _ in range(choose.randint(1, 3)) for line in block(choose, depth - 1))
        for name in ("body", "other")
    }
    return choose.choice([BLOCKS[0], *BLOCKS]).format(head=choose.choice(HEADS), **parts).splitlines()


@pytest.mark.parametrize("seed", range(400))
def test_what_runs_unasked_after_a_calm_statement(seed: int) -> None:
    choose = random.Random(seed)
    body = "".join(guarded("\n".join(block(choose, 3))) for _ in range(choose.randint(1, 4)))
    lines = ["E, n, k, m, t = Exception, 1, 2, 'm', None", *body.splitlines()]
    if seed % 2:
        lines = ["def main():", *(f"    {line}" for line in ["global total", *lines]), "main()"]
    program = UNASKED + "\n".join(lines) + "\n"
    assert steps_of(program) == steps_without_notes(program)


def test_a_class_that_is_given_another_name() -> None:
    program = "class C: pass\nc = C()\nc.x = [1]\nall = [c, {1: c}]\nC.__name__ = 'D'\ny = 1\nC.__name__ = 'C'\n"
    changed = [{name for name, *_ in row[5]} for row in steps_of(program)]
    assert changed[-3:] == [{"c", "all"}, {"y"}, {"c", "all"}]


class Plain:
    pass


ATOMS = st.one_of(
    st.integers(-3, 300), st.integers(), st.sampled_from([2**63, -(2**63), 10**30]), st.floats(), st.none(),
    st.booleans(), st.text(max_size=9), st.sampled_from(["$x", "y" * 400, b"b", 1j, range(3), len, ValueError(2)]),
)  # fmt: skip
KEYS = st.one_of(st.integers(0, 5), st.text(max_size=3), st.sampled_from(["$k", "long" * 60, (1, 2)]))
KINDS = (list, tuple, deque, dict, OrderedDict, Counter, lambda given: defaultdict(int, given), set, frozenset)


def held(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.one_of(
        st.lists(inside, max_size=6), st.builds(lambda item, n: [item] * n, inside, st.integers(30, 400))
    )
    mappings = st.dictionaries(KEYS, inside, max_size=6)
    hashed = st.lists(st.one_of(st.integers(0, 50), st.tuples(st.integers(0, 9), st.integers(0, 20))), max_size=30)
    return st.one_of(
        lists, lists.map(tuple), lists.map(deque), hashed.map(set), hashed.map(frozenset), mappings,
        *(mappings.map(kind) for kind in KINDS[4:7]), mappings.map(plain),
    )  # fmt: skip


def plain(fields: dict[Any, Any]) -> Plain:
    made = Plain()
    for name, value in fields.items():
        setattr(made, f"f{name}", value)
    return made


VALUES = st.recursive(ATOMS, held, max_leaves=12)


def change(value: Any, item: Any, choice: int) -> None:
    """Change something in a value, or in something in it, if that is possible."""
    inside = (
        list(value.values()) if isinstance(value, dict)
        else list(vars(value).values()) if isinstance(value, Plain)
        else list(value) if isinstance(value, list | tuple | deque) else []
    )  # fmt: skip
    if inside and choice % 2:
        change(inside[choice % len(inside)], item, choice // 2)
    elif isinstance(value, list | deque):
        if choice % 3 or not value:
            value.append(item)
        else:
            value[choice % len(value)] = item
    elif isinstance(value, dict):
        value[choice % 4 or "key"] = item
    elif isinstance(value, Plain):
        value.changed = item
    elif type(value) is set:
        value.add(choice)


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3), st.lists(st.tuples(VALUES, st.integers(0, 99)), max_size=6))
def test_texts_of_values_that_change_are_those_of_the_encoder(
    looked_at: list[Any], changes: list[tuple[Any, int]]
) -> None:
    memory = texts.memory_of(encoded)
    for item, choice in [*changes, (None, 0)]:
        texts.forget(memory)
        for value in looked_at:
            kind = type(value)
            if texts.is_atomic(kind):
                assert texts.text_of_atom(memory, value, kind) == encoded(value)
            else:
                assert texts.text_of(memory, value, kind) in (encoded(value), None)
        change(looked_at[choice % len(looked_at)], item, choice)
