"""Small programs and the variables that a trace of each must report: scope → name → tagged value.

`final` is the default semantics; `binding` is given where it differs. `absent` lists (scope, name) pairs that must not be reported under `final`.
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
    name: str, source: str, final: Variables, *, binding: Variables | None = None, absent: tuple[tuple[str, str], ...] = (), stdin: str = ""
) -> Case:
    return Case(name, dedent(source).lstrip("\n"), final, final if binding is None else binding, absent, stdin)


CASES = [
    case("chained assignment", "a = b = [1]\nb.append(2)", {M: {"a": [1, 2], "b": [1, 2]}}, binding={M: {"a": [1], "b": [1]}}),
    case("nested unpacking", "(a, [b, *c]), d = (1, [2, 3, 4]), 5", {M: {"a": 1, "b": 2, "c": [3, 4], "d": 5}}),
    case("swap", "a, b = 1, 2\na, b = b, a", {M: {"a": 2, "b": 1}}),
    case("subscript and attribute targets bind nothing", "d = {}\nd['k'] = 1", {M: {"d": {"k": 1}}}, binding={M: {"d": {}}}),
    case("target order", "i = 0\na = [0, 0]\ni, a[i] = 1, 7", {M: {"i": 1, "a": [0, 7]}}, binding={M: {"i": 1}}),
    case("augmented assignment of a list", "a = b = [1]\na += [2]", {M: {"a": [1, 2], "b": [1, 2]}}, binding={M: {"a": [1, 2], "b": [1]}}),
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
    case("nested unpacking in a loop", "for k, (a, b) in [(1, (2, 3)), (4, (5, 6))]: pass", {M: {"k": 4, "a": 5, "b": 6}}),
    case("loop target changed in the body", "for i in range(3):\n    i *= 10", {M: {"i": 20}}),
    case("comprehension variables", "s = [i * j for i in range(2) for j in range(2)]", {M: {"s": [0, 0, 0, 1]}}, absent=((M, "i"), (M, "j"))),
    case("walrus in a comprehension", "s = [last := i for i in range(4)]", {M: {"s": [0, 1, 2, 3], "last": 3}}, absent=((M, "i"),)),
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
    case("walrus in a while test", "data = [3, 2, 1]\nwhile (x := data.pop()) < 3: pass", {M: {"data": [], "x": 3}}, binding={M: {"x": 3}}),
    case("walrus not reached", "if False and (x := 1): pass\ny = 2", {M: {"y": 2}}, absent=((M, "x"),)),
    case("walrus in a lambda is the lambda's", "g = lambda: (t := 5)\nu = g()", {M: {"u": 5}}, absent=((M, "t"), (M, "g"))),
    case("with two targets", "import io\nwith io.StringIO('a') as a, io.StringIO('b') as b:\n    s = a.read() + b.read()", {M: {"s": "ab"}}),
    case("with unpacking", "import contextlib\nwith contextlib.nullcontext((1, 2)) as (a, b): pass", {M: {"a": 1, "b": 2}}),
    case("exception name is gone", "try: 1 / 0\nexcept ZeroDivisionError as e: text = str(e)", {M: {"text": "division by zero"}}, absent=((M, "e"),)),
    case("exception group", "try: raise ExceptionGroup('g', [ValueError(1)])\nexcept* ValueError as e: n = len(e.exceptions)", {M: {"n": 1}}),
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
    case("parameter changed in place", "def f(a):\n    a.append(1)\nf([])", {"f": {"a": [1]}}, binding={"f": {"a": []}}),
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
    case("deleted parameter", "def f(a, b):\n    del a\nf(1, 2)", {"f": {"b": 2}}, binding={"f": {"a": 1, "b": 2}}, absent=(("f", "a"),)),
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
    case("stdin", "n = int(input())\na = list(map(int, input().split()))", {M: {"n": 2, "a": [3, 4]}}, stdin="2\n3 4\n"),
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
    case("semicolons and one-liners", "def f(): x = 1; y = x + 1; return y\nr = f(); r += 1", {"f": {"x": 1, "y": 2}, M: {"r": 3}}),
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
]
