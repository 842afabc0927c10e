"""Small programs and the variables that a trace of each must report: scope → name → tagged value.

`final` is the default semantics; `binding` is given where it differs. `absent` lists (scope, name) pairs that must not
be reported under `final`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

Variables = dict[str, dict[str, Any]]
M = "<module>"


@dataclass(frozen=True)
class Case:
    name: str
    source: str
    final: Variables
    binding: Variables = field(default_factory=dict)
    absent: tuple[tuple[str, str], ...] = ()
    stdin: str = ""


def case(
    name: str,
    source: str,
    final: Variables,
    *,
    binding: Variables | None = None,
    absent: tuple[tuple[str, str], ...] = (),
    stdin: str = "",
) -> Case:
    return Case(name, dedent(source).lstrip("\n"), final, final if binding is None else binding, absent, stdin)


CASES = [
    case(
        "chained assignment",
        "a = b = [1]\nb.append(2)",
        {M: {"a": [1, 2], "b": [1, 2]}},
        binding={M: {"a": [1], "b": [1]}},
    ),
    case("nested unpacking", "(a, [b, *c]), d = (1, [2, 3, 4]), 5", {M: {"a": 1, "b": 2, "c": [3, 4], "d": 5}}),
    case("swap", "a, b = 1, 2\na, b = b, a", {M: {"a": 2, "b": 1}}),
    case(
        "subscript and attribute targets bind nothing",
        "d = {}\nd['k'] = 1",
        {M: {"d": {"k": 1}}},
        binding={M: {"d": {}}},
    ),
    case("target order", "i = 0\na = [0, 0]\ni, a[i] = 1, 7", {M: {"i": 1, "a": [0, 7]}}, binding={M: {"i": 1}}),
    case(
        "augmented assignment of a list",
        "a = b = [1]\na += [2]",
        {M: {"a": [1, 2], "b": [1, 2]}},
        binding={M: {"a": [1, 2], "b": [1]}},
    ),
    case("annotated assignment", "x: int = 3\ny: str", {M: {"x": 3}}, absent=((M, "y"),)),
    case(
        "loop target after break",
        """
        for i in range(9):
            if i == 4: break
        else:
            done = 1
        """,
        {M: {"i": 4}},
        absent=((M, "done"),),
    ),
    case("loop over nothing", "for i in []:\n    x = i\ny = 1", {M: {"y": 1}}, absent=((M, "i"), (M, "x"))),
    case(
        "nested unpacking in a loop",
        "for k, (a, b) in [(1, (2, 3)), (4, (5, 6))]: pass",
        {M: {"k": 4, "a": 5, "b": 6}},
    ),
    case("loop target changed in the body", "for i in range(3):\n    i *= 10", {M: {"i": 20}}),
    case(
        "comprehension variables",
        "s = [i * j for i in range(2) for j in range(2)]",
        {M: {"s": [0, 0, 0, 1]}},
        absent=((M, "i"), (M, "j")),
    ),
    case(
        "walrus in a comprehension",
        "s = [last := i for i in range(4)]",
        {M: {"s": [0, 1, 2, 3], "last": 3}},
        absent=((M, "i"),),
    ),
    case(
        "walrus in a comprehension of a recursive function",
        """
        def f(n):
            if n: f(n - 1)
            return any((hit := i) == n for i in range(3))
        f(2)
        """,
        {"f": {"n": 0, "hit": 2}},
    ),
    case(
        "walrus in a while test",
        "data = [3, 2, 1]\nwhile (x := data.pop()) < 3: pass",
        {M: {"data": [], "x": 3}},
        binding={M: {"x": 3}},
    ),
    case("walrus not reached", "if False and (x := 1): pass\ny = 2", {M: {"y": 2}}, absent=((M, "x"),)),
    case(
        "walrus in a lambda is the lambda's",
        "g = lambda: (t := 5)\nu = g()",
        {M: {"u": 5}},
        absent=((M, "t"), (M, "g")),
    ),
    case(
        "with two targets",
        "import io\nwith io.StringIO('a') as a, io.StringIO('b') as b:\n    s = a.read() + b.read()",
        {M: {"s": "ab"}},
    ),
    case(
        "with unpacking",
        "import contextlib\nwith contextlib.nullcontext((1, 2)) as (a, b): pass",
        {M: {"a": 1, "b": 2}},
    ),
    case(
        "exception name is gone",
        "try: 1 / 0\nexcept ZeroDivisionError as e: text = str(e)",
        {M: {"text": "division by zero"}},
        absent=((M, "e"),),
    ),
    case(
        "exception group",
        "try: raise ExceptionGroup('g', [ValueError(1)])\nexcept* ValueError as e: n = len(e.exceptions)",
        {M: {"n": 1}},
    ),
    case(
        "finally",
        """
        def f():
            try:
                x = 1
                return x
            finally:
                x = 2
        y = f()
        """,
        {"f": {"x": 2}, M: {"y": 1}},
    ),
    case(
        "match captures",
        """
        def f(v):
            match v:
                case [a, *rest]: pass
                case {"k": b, **more}: pass
                case str() as c if c: pass
                case _: d = 0
        f([1, 2, 3]); f({"k": 5, "z": 6}); f("s"); f(None)
        """,
        {"f": {"v": None, "a": 1, "rest": [2, 3], "b": 5, "more": {"z": 6}, "c": "s", "d": 0}},
    ),
    case(
        "all kinds of parameters",
        """
        def f(a, /, b, *c, d=4, **e): pass
        f(1, 2, 3, x=5)
        """,
        {"f": {"a": 1, "b": 2, "c": {"$tuple": [3]}, "d": 4, "e": {"x": 5}}},
    ),
    case(
        "parameter changed in place", "def f(a):\n    a.append(1)\nf([])", {"f": {"a": [1]}}, binding={"f": {"a": []}}
    ),
    case(
        "in-place change after the activation",
        """
        def f():
            a = []
            return a
        b = f()
        b.append(1)
        """,
        {"f": {"a": []}, M: {"b": [1]}},
        binding={"f": {"a": []}},
    ),
    case(
        "deleted parameter",
        "def f(a, b):\n    del a\nf(1, 2)",
        {"f": {"b": 2}},
        binding={"f": {"a": 1, "b": 2}},
        absent=(("f", "a"),),
    ),
    case("deleted and bound again", "x = 1\ndel x\nx = 2", {M: {"x": 2}}),
    case(
        "only some activations bind",
        """
        def f(i):
            if i == 1: once = i
            return i
        for i in range(3): f(i)
        """,
        {"f": {"i": 2, "once": 1}},
    ),
    case(
        "deleted in the last activation that bound it",
        """
        def f(i):
            x = i
            if i: del x
        f(0); f(1)
        """,
        {"f": {"i": 1}},
        binding={"f": {"i": 1, "x": 1}},
        absent=(("f", "x"),),
    ),
    case(
        "recursion: the last binding counts, not the last return",
        """
        def f(n):
            if n == 0: return 0
            r = f(n - 1) + n
            return r
        x = f(6)
        """,
        {"f": {"n": 0, "r": 21}, M: {"x": 21}},
    ),
    case(
        "recursion: changed in place by a later activation",
        """
        def f(n, seen):
            seen.append(n)
            if n: f(n - 1, seen)
            seen.append(-n)
        f(7, [])
        """,
        {"f": {"n": 0, "seen": [7, 6, 5, 4, 3, 2, 1, 0, 0]}},
        binding={"f": {"n": 0, "seen": [7, 6, 5, 4, 3, 2, 1]}},
    ),
    case(
        "mutual recursion",
        """
        def even(n):
            return True if n == 0 else odd(n - 1)
        def odd(m):
            return False if m == 0 else even(m - 1)
        r = even(9)
        """,
        {"even": {"n": 1}, "odd": {"m": 0}, M: {"r": False}},
    ),
    case(
        "many calls",
        """
        def f(i):
            x = [i]
            x.append(i)
        for i in range(100): f(i)
        """,
        {"f": {"i": 99, "x": [99, 99]}},
        binding={"f": {"i": 99, "x": [99]}},
    ),
    case(
        "closure: the owner's variable",
        """
        def f():
            total = []
            def g(x): total.append(x)
            g(1); g(2)
            return total
        f()
        """,
        {"f": {"total": [1, 2]}, "f.<locals>.g": {"x": 2}},
        binding={"f": {"total": []}, "f.<locals>.g": {"x": 2}},
        absent=(("f.<locals>.g", "total"),),
    ),
    case(
        "nonlocal after the owner's activation",
        """
        def counter():
            n = 0
            def step():
                nonlocal n
                n += 1
                return n
            return step
        s = counter()
        for _ in range(7): s()
        """,
        {"counter": {"n": 7}, M: {"_": 6}},
        absent=(("counter.<locals>.step", "n"), (M, "s")),
    ),
    case(
        "nonlocal then changed in place by the owner",
        """
        def f():
            a = 0
            def g():
                nonlocal a
                a = [1]
            g()
            a.append(2)
        f()
        """,
        {"f": {"a": [1, 2]}},
        binding={"f": {"a": [1]}},
    ),
    case(
        "nonlocal of a parameter, two levels up",
        """
        def f(p):
            def g():
                def h():
                    nonlocal p
                    p = p * 2
                h()
            g()
            return p
        f(4)
        """,
        {"f": {"p": 8}},
    ),
    case(
        "global from a function",
        """
        def f():
            global g
            g = [1]
        f()
        g.append(2)
        """,
        {M: {"g": [1, 2]}},
        binding={M: {"g": [1]}},
        absent=(("f", "g"),),
    ),
    case(
        "global from a nested function",
        """
        def f():
            x = 1
            def g():
                global x
                x = 2
            g()
        f()
        """,
        {"f": {"x": 1}, M: {"x": 2}},
    ),
    case(
        "global loop target",
        """
        def f():
            global i
            for i in range(3): pass
        f()
        """,
        {M: {"i": 2}},
    ),
    case(
        "methods",
        """
        class P:
            def __init__(self, x):
                self.x = x
            def double(self):
                y = self.x * 2
                return y
        p = P(3)
        d = p.double()
        """,
        {"P.double": {"y": 6}, "P.__init__": {"x": 3}, M: {"d": 6, "p": {"$object": "P", "fields": {"x": 3}}}},
        absent=((M, "P"),),
    ),
    case(
        "static and class methods",
        """
        class A:
            @staticmethod
            def s(x): pass
            @classmethod
            def c(cls, y): pass
        A.s(1); A.c(2)
        """,
        {"A.s": {"x": 1}, "A.c": {"y": 2}},
    ),
    case(
        "class body",
        """
        class A:
            n = 1
            for i in range(3): n += i
            def m(self): pass
        """,
        {"A": {"n": 4, "i": 2}},
        absent=(("A", "m"),),
    ),
    case(
        "enumeration",
        """
        import enum
        class C(enum.Enum):
            RED = 1
            BLUE = 2
        c = C.RED.value
        """,
        {"C": {"RED": 1, "BLUE": 2}, M: {"c": 1}},
    ),
    case(
        "dataclass",
        """
        from dataclasses import dataclass
        @dataclass
        class P:
            x: int
            y: int = 2
        p = P(1)
        """,
        {M: {"p": {"$object": "P", "fields": {"x": 1, "y": 2}}}},
    ),
    case(
        "private names",
        """
        class A:
            def f(self):
                __x = 3
                return __x
        y = A().f()
        """,
        {"A.f": {"__x": 3}, M: {"y": 3}},
    ),
    case(
        "slots",
        """
        class A:
            __slots__ = ('v',)
            def __init__(self, v): self.v = v
        a = A(5)
        """,
        {M: {"a": {"$object": "A", "fields": {"v": 5}}}},
    ),
    case(
        "nested classes and functions",
        """
        def f():
            class A:
                def m(self):
                    z = 1
            A().m()
        f()
        """,
        {"f.<locals>.A.m": {"z": 1}},
    ),
    case(
        "generator run to its end",
        """
        def g(n):
            for k in range(n):
                yield k
        r = list(g(3))
        """,
        {"g": {"n": 3, "k": 2}, M: {"r": [0, 1, 2]}},
    ),
    case(
        "generator left open",
        """
        def g():
            a = []
            for k in range(9):
                a.append(k)
                yield k
        it = g()
        x = next(it), next(it)
        """,
        {"g": {"k": 1, "a": [0, 1]}},
        binding={"g": {"k": 1, "a": []}},
    ),
    case(
        "interleaved generators",
        """
        def g(n):
            while n:
                n -= 1
                yield n
        a, b = g(5), g(9)
        r = [next(a), next(b), next(a)]
        b.close()
        a.close()
        """,
        {"g": {"n": 3}, M: {"r": [4, 8, 3]}},
    ),
    case(
        "generator with send",
        """
        def g():
            got = None
            while True:
                got = yield got
        it = g()
        next(it)
        it.send(4)
        it.send(5)
        """,
        {"g": {"got": 5}},
    ),
    case(
        "yield from",
        """
        def a():
            x = yield 1
            return 7
        def b():
            r = yield from a()
        list(b())
        """,
        {"a": {"x": None}, "b": {"r": 7}},
    ),
    case(
        "coroutines that take turns",
        """
        class Turn:
            def __await__(self): yield
        async def work(n):
            r = n
            await Turn()
            r = n * 2
            return r
        a, b = work(1), work(2)
        a.send(None)
        b.send(None)
        try: b.send(None)
        except StopIteration as e: second = e.value
        try: a.send(None)
        except StopIteration as e: first = e.value
        """,
        {"work": {"n": 2, "r": 2}, M: {"first": 2, "second": 4}},
    ),
    case(
        "async loop and with",
        """
        import contextlib
        @contextlib.asynccontextmanager
        async def opened():
            yield 5
        async def items():
            for i in range(3): yield i
        async def main():
            async with opened() as o:
                async for x in items():
                    t = o + x
        try: main().send(None)
        except StopIteration: done = True
        """,
        {"main": {"o": 5, "x": 2, "t": 7}, "items": {"i": 2}, M: {"done": True}},
    ),
    case(
        "decorated function",
        """
        import functools
        @functools.lru_cache(None)
        def f(n):
            return n if n < 2 else f(n - 1) + f(n - 2)
        r = f(20)
        """,
        {"f": {"n": 0}, M: {"r": 6765}},
    ),
    case(
        "default arguments",
        """
        def f(a=[]):
            a.append(len(a))
            return a
        f(); f()
        """,
        {"f": {"a": [0, 1]}},
        binding={"f": {"a": [0]}},
    ),
    case(
        "functions and classes are no variables",
        """
        import math
        def f(): pass
        class A: pass
        g = f
        h = len
        k = lambda: 0
        B = A
        m = math
        x = 1
        """,
        {M: {"x": 1}},
        absent=((M, "math"), (M, "f"), (M, "A"), (M, "g"), (M, "h"), (M, "k"), (M, "B"), (M, "m")),
    ),
    case(
        "uncaught exception",
        """
        def f(a):
            b = a + [2]
            b[5] = 1
        x = 1
        f([1])
        y = 2
        """,
        {"f": {"a": [1], "b": [1, 2]}, M: {"x": 1}},
        absent=((M, "y"),),
    ),
    case(
        "exit",
        """
        import sys
        def main():
            t = [1]
            sys.exit(0)
        main()
        """,
        {"main": {"t": [1]}},
    ),
    case(
        "conditional definition",
        """
        if True:
            def f():
                x = 1
        else:
            def f():
                x = 2
        f()
        """,
        {"f": {"x": 1}},
    ),
    case(
        "function defined twice",
        """
        def f():
            x = 1
        f()
        def f():
            x = 2
        f()
        """,
        {"f": {"x": 2}},
    ),
    case(
        "stdin", "n = int(input())\na = list(map(int, input().split()))", {M: {"n": 2, "a": [3, 4]}}, stdin="2\n3 4\n"
    ),
    case(
        "collections",
        """
        from collections import Counter, deque, defaultdict
        c = Counter('aab')
        d = defaultdict(list)
        d[1].append(2)
        """,
        {M: {"c": {"a": 2, "b": 1}, "d": {"$dict": [[1, [2]]]}}},
        binding={M: {"c": {"a": 2, "b": 1}, "d": {}}},
    ),
    case(
        "tuple keys and sets in a list",
        """
        d = {(1, 2): 3}
        s = [{3, 1, 2}]
        """,
        {M: {"d": {"$dict": [[{"$tuple": [1, 2]}, 3]]}, "s": [{"$set": [1, 2, 3]}]}},
    ),
    case("a list that holds itself", "a = [1]\na.append(a)", {M: {"a": [1, {"$cycle": 0}]}}, binding={M: {"a": [1]}}),
    case(
        "semicolons and one-liners",
        "def f(): x = 1; y = x + 1; return y\nr = f(); r += 1",
        {"f": {"x": 1, "y": 2}, M: {"r": 3}},
    ),
    case(
        "names like the recorder's",
        """
        CALLS = LAST = close = record = [0]
        def f(close): return close
        CALLS[0] = f(2)
        """,
        {M: {"CALLS": [2], "close": [2]}, "f": {"close": 2}},
        binding={M: {"CALLS": [0]}, "f": {"close": 2}},
    ),
    case(
        "a future import",
        '''
        """Doc."""
        from __future__ import annotations
        def f(x: Unknown):
            "doc"
            d = f.__doc__
        f(1)
        ''',
        {"f": {"x": 1, "d": "doc"}},
    ),
    case(
        "threads",
        """
        import threading
        out = []
        def work(i):
            sq = i * i
            out.append(sq)
        for i in range(3):
            t = threading.Thread(target=work, args=(i,))
            t.start()
            t.join()
        """,
        {"work": {"i": 2, "sq": 4}, M: {"out": [0, 1, 4]}},
        binding={"work": {"i": 2, "sq": 4}},
    ),
    case(
        "a thread that nobody joins",
        """
        import threading
        def main():
            x = sum(range(10))
            print(x)
        threading.Thread(target=main).start()
        """,
        {"main": {"x": 45}},
    ),
    case(
        "targets that are no names",
        "class A: pass\na = A()\nd = {}\nfor d['k'] in range(3): pass\nfor a.x in 'ab': pass",
        {M: {"d": {"k": 2}}},
        binding={M: {"d": {}}},
    ),
    case("starred loop target", "for a, *b in [(1, 2, 3), (4, 5, 6)]: pass", {M: {"a": 4, "b": [5, 6]}}),
    case(
        "a builtin's name",
        "list = [1]\nsum = len(list)\nlist.append(sum)",
        {M: {"list": [1, 1], "sum": 1}},
        binding={M: {"list": [1]}},
    ),
    case(
        "an exception's name was a variable",
        "e = 5\ntry: 1 / 0\nexcept ZeroDivisionError as e: pass",
        {M: {}},
        absent=((M, "e"),),
    ),
    case("star import", "from math import *\nx = floor(2.5)", {M: {"x": 2}}, absent=((M, "pi"), (M, "floor"))),
    case(
        "a function, then a number",
        "f = len\ng = 1\nf = f('abc')\ng = print",
        {M: {"f": 3}},
        absent=((M, "g"),),
        binding={M: {"f": 3}},
    ),
    case(
        "walrus in defaults, decorators, arguments of a class",
        """
        def d(v): return lambda f: f
        @d(p := 1)
        def f(x=(q := 2), *, y=(r := 3)): pass
        class A(metaclass=(s := type)): pass
        g = lambda z=(t := 4): z
        f()
        """,
        {M: {"p": 1, "q": 2, "r": 3, "t": 4}, "f": {"x": 2, "y": 3}},
        absent=((M, "s"),),
    ),
    case(
        "walrus in a guard, a subject, an item of with, a text",
        """
        import contextlib
        match (m := 3):
            case k if (n := k + 1) > 3: pass
        with contextlib.nullcontext(u := 5) as v: pass
        w = f"{(z := 7)}"
        """,
        {M: {"m": 3, "k": 3, "n": 4, "u": 5, "v": 5, "w": "7", "z": 7}},
    ),
    case("walrus twice in one expression", "b = (a := 1) + (a := a + 1)", {M: {"a": 2, "b": 3}}),
    case(
        "patterns",
        """
        class P:
            __match_args__ = ('x', 'y')
            def __init__(self, x, y): self.x, self.y = x, y
        def f(v):
            match v:
                case P(a, y=b): pass
                case 1 | 2 as c: pass
                case [_, *_, d]: pass
                case {'k': [e]}: pass
        for v in (P(1, 2), 2, [1, 2, 3], {'k': [4]}): f(v)
        """,
        {"f": {"a": 1, "b": 2, "c": 2, "d": 3, "e": 4}},
        absent=(("f", "_"),),
    ),
    case(
        "property with a setter",
        """
        class A:
            @property
            def v(self):
                got = self._v
                return got
            @v.setter
            def v(self, new):
                self._v = new
        a = A()
        a.v = 3
        x = a.v
        """,
        {"A.v": {"got": 3, "new": 3}, M: {"x": 3}},
    ),
    case(
        "global in a class body",
        """
        class A:
            global z
            z = [1]
            w = 2
        z.append(3)
        """,
        {M: {"z": [1, 3]}, "A": {"w": 2}},
        binding={M: {"z": [1]}, "A": {"w": 2}},
        absent=(("A", "z"),),
    ),
    case(
        "an inner name hides an outer one",
        """
        def f(x):
            def g(x):
                x += 1
                return x
            y = g(x * 10)
            return x
        f(1)
        """,
        {"f": {"x": 1, "y": 11}, "f.<locals>.g": {"x": 11}},
    ),
    case(
        "changed after return",
        """
        def f():
            a = [1]
            try: return a
            finally: a.append(2)
        b = f()
        """,
        {"f": {"a": [1, 2]}, M: {"b": [1, 2]}},
        binding={"f": {"a": [1]}, M: {"b": [1, 2]}},
    ),
    case(
        "return in finally",
        """
        def f():
            try: x = 1 / 0
            finally:
                y = 2
                return y
        z = f()
        """,
        {"f": {"y": 2}, M: {"z": 2}},
        absent=(("f", "x"),),
    ),
    case(
        "augmented attribute and item",
        """
        class C: n = 0
        c = C()
        c.n += 2
        d = [1]
        d[0] += 5
        C.n += 9
        """,
        {M: {"c": {"$object": "C", "fields": {"n": 2}}, "d": [6]}, "C": {"n": 0}},
        binding={M: {"c": {"$object": "C", "fields": {}}, "d": [1]}, "C": {"n": 0}},
    ),
    case(
        "nested classes",
        """
        class A:
            class B:
                k = 1
                def m(self):
                    v = self.k + 1
                    return v
        r = A.B().m()
        """,
        {"A.B": {"k": 1}, "A.B.m": {"v": 2}, M: {"r": 2}},
    ),
    case(
        "wrapper of a decorator",
        """
        def d(f):
            count = 0
            def w(*a, **k):
                nonlocal count
                count += 1
                return f(*a, **k)
            return w
        @d
        def f(x): return x
        f(1); f(x=2)
        """,
        {"d": {"count": 2}, "d.<locals>.w": {"a": {"$tuple": []}, "k": {"x": 2}}, "f": {"x": 2}},
    ),
    case(
        "generator ended by an exception",
        """
        def g():
            k = 0
            try:
                while True:
                    k += 1
                    yield k
            except ValueError as e:
                seen = k
        it = g()
        next(it)
        next(it)
        try: it.throw(ValueError)
        except StopIteration: pass
        """,
        {"g": {"k": 2, "seen": 2}},
        absent=(("g", "e"),),
    ),
    case(
        "async comprehension",
        """
        import asyncio
        async def items(n):
            for i in range(n):
                await asyncio.sleep(0)
                yield i
        async def main():
            got = [j async for j in items(3) if j]
            return sum(got)
        total = asyncio.run(main())
        """,
        {"items": {"n": 3, "i": 2}, "main": {"got": [1, 2]}, M: {"total": 3}},
        absent=(("main", "j"),),
    ),
    case(
        "sorted with a key function",
        """
        def key(w):
            n = -len(w)
            return n
        words = sorted(['a', 'ccc', 'bb'], key=key)
        """,
        {"key": {"w": "bb", "n": -2}, M: {"words": ["ccc", "bb", "a"]}},
    ),
    case(
        "a name in a branch not taken",
        """
        def f(x):
            if x: y = 1
            else: z = 2
        f(True)
        """,
        {"f": {"x": True, "y": 1}},
        absent=(("f", "z"),),
    ),
    case(
        "deleted in a loop",
        "for i in range(3):\n    t = i\n    del t",
        {M: {"i": 2}},
        absent=((M, "t"),),
        binding={M: {"i": 2, "t": 2}},
    ),
    case("a name that Python normalizes", "\ufb01 = 1\nx = fi", {M: {"fi": 1, "x": 1}}),
    case(
        "annotations alone",
        "class A:\n    x: int\n    y: list = []\nz: dict",
        {"A": {"y": []}},
        absent=(("A", "x"), (M, "z"), (M, "__annotations__")),
    ),
    case(
        "recursion over a tree of closures",
        """
        def walk(tree):
            found = []
            def visit(node, depth):
                for child in node:
                    visit(child, depth + 1)
                found.append(depth)
            visit(tree, 0)
            return found
        r = walk([[], [[]]])
        """,
        {
            "walk": {"tree": [[], [[]]], "found": [1, 2, 1, 0]},
            "walk.<locals>.visit": {"node": [], "depth": 2, "child": []},
            M: {"r": [1, 2, 1, 0]},
        },
        binding={"walk": {"found": []}, "walk.<locals>.visit": {"depth": 2}},
    ),
    case("while and else", "n = 0\nwhile n < 3: n += 1\nelse: done = n", {M: {"n": 3, "done": 3}}),
    case(
        "too deeply nested to be rewritten",
        "def f():\n"
        + "".join("    " * (depth + 1) + f"for i{depth} in (1,):\n" for depth in range(19))
        + "    " * 20
        + "x = 1\nf()\ny = 2",
        {M: {"y": 2}},
    ),
    case(
        "a global of a function too deeply nested to be rewritten, changed after it was bound",
        "def f():\n    global x\n"
        + "".join("    " * (depth + 1) + f"for i{depth} in (1, 2):\n" for depth in range(3))
        + "".join("    " * (depth + 4) + f"for j{depth} in (1,):\n" for depth in range(17))
        + "    " * 21
        + "x = [i0]\n    x.append(3)\nf()",
        {M: {"x": [2, 3]}},
        binding={M: {"x": [2]}, "f": {"i0": 2, "j16": 1}},
    ),
]
