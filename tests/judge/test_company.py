"""Scripts are judged as if each ran in a fresh process, and no program has two answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coderlplus.judge.company import cannot_tell
from coderlplus.records import StdioTest, Verdict


@pytest.mark.parametrize(
    "program",
    [
        "n = int(input())\nprint(n * 2)",
        "import sys\ninput = sys.stdin.readline\nsys.setrecursionlimit(10**6)\nprint(f'{int(input()):5d}')",
        "from collections import *\nfrom functools import lru_cache\n@lru_cache(None)\ndef f(n): return n and f(n - "
        "1)\nprint(f(3), Counter('aab'))",
        "class Tree:\n    def __init__(self, n): self.size = n\n    def grow(self): self.size += 1\nt = "
        "Tree(3)\nt.grow()\nprint(t.size)",
        "import heapq, math\nh = []\nheapq.heappush(h, -math.inf)\nif __name__ == '__main__': print(h)",
        "print('{:.2f} {} {x!r:>3} {{}}'.format(1, 2, x=3))",
        "from __future__ import annotations\nprint(1)",
        "from typing import Dict, List\nclass N: pass\ndef f(x: Dict[int, List[N]], y: 'N' = None): return x",
        "from typing import List\ndef f(xs: List[int]) -> List[int]: return sorted(xs, key=lambda x: "
        "-x)\nprint(*f([1, 2]))",
    ],
)
def test_most_programs_cannot_tell(program: str) -> None:
    assert cannot_tell(program)


@pytest.mark.parametrize(
    "program",
    [
        "import builtins\nbuiltins.seen = 1",
        "import math\nmath.seen = 1",
        "import math\nm = math\nm.seen = 1",
        "import math\ndef f(self): self.seen = 1\nf(math)",
        "from functools import lru_cache as c\ndef f(self): self.seen = 1\nf(c)",
        "import heapq\nheapq.merge.seen = 1",
        "from heapq import *\nx = merge\nx.seen = 1",
        "from collections import *\nUserDict.seen = 1",
        "import sys\nprint(sys.stdout.tell())",
        "import sys\nsys.modules['x'] = 1",
        "import sys\nsys.stdout = None",
        "exit.seen = 1",
        "x = exit\nx.seen = 1",
        "print.__self__.seen = 1",
        "print('{0.__self__}'.format(print))",
        "getattr(print, '__se' + 'lf__').seen = 1",
        "__builtins__.seen = 1",
        "exec('1')",
        "import os, time, random, threading, gc",
        "from sys import *",
        "print(id([]))",
        "class A:\n    def __del__(self): print(1)",
        "class A(type(input)): pass",
        "async def f(): pass",
        "open(0)",
        "print(",
        "def gi_frame(): pass\ng = (g for _ in [1])\ng.gi_frame.f_back",
        "def tell(): pass\nimport sys\nprint(sys.stdout.tell())",
        "def g(): yield TEXT.format(G)\nTEXT = '{0.gi' + chr(95) + 'frame}'\nG = g()",
        "print('{0.real}'.format(1))",
        "print('{[0]}'.format([1]))",
        "print(str.format('{0.real}', 1))",
        "match 1:\n    case A(): pass",
        "import __future__\n__future__.division.seen = 1",
        "from __future__ import division\ndivision.seen = 1",
        "from __future__ import annotations\nannotations.seen = 1",
        "from collections import Counter\nCounter[str].update.seen = 1",
        "from typing import Iterator\nI = Iterator[int]\nI.seen = 1",
        "from typing import Iterator\ndef f(x: (y := Iterator[int])): pass\ny.seen = 1",
        "from typing import List\nk = K()\ndef f(x: List[k]): pass",
        "from typing import List\n@K\ndef k(): pass\ndef f(x: List[k]): pass",
        "class L:\n    def __class_getitem__(cls, x): x.seen = 1\ndef f(x: L[Counter[int]]): pass",
        "import math\nobj = seen = 1\ntry: math.nothing\nexcept AttributeError as e: e.obj.seen = 1",
        "import sys\ndef truncate(): pass\nprint(sys.stdout.truncate())",
        "class A:\n    match f:\n        case __del__: pass",
        "class A:\n    from math import floor as __del__",
    ],
)
def test_what_may_tell_is_found(program: str) -> None:
    assert not cannot_tell(program)


ALONE = """
import sys
frame = sys._getframe()
while "stdins" not in frame.f_locals: frame = frame.f_back
alone = len(frame.f_locals["stdins"]) == 1
"""
MARK = "import builtins\nalone = not hasattr(builtins, 'seen')\nbuiltins.seen = True\n"


@pytest.mark.parametrize("tell", [ALONE, MARK])
@pytest.mark.parametrize(
    ("in_company", "by_itself", "passes"), [("6", "6", True), ("6", "7", False), ("7", "6", True), ("7", "7", False)]
)
def test_of_a_program_that_tells_the_run_by_itself_counts(
    verdict_on: Callable[..., Verdict], tell: str, in_company: str, by_itself: str, passes: bool
) -> None:
    program = f"{tell}print({by_itself!r} if alone else {in_company!r})"
    first_in_company = tell == ALONE and in_company == "7"
    verdict = verdict_on(program, *(StdioTest(f"{n}", "6") for n in range(4)), entry_point=None)
    assert verdict.passed == (passes and not first_in_company)


@pytest.mark.parametrize("all_tests", [False, True])
def test_a_wrong_answer_in_company_has_no_second_chance(verdict_on: Callable[..., Verdict], all_tests: bool) -> None:
    tests = [StdioTest(f"{n}", str(n // 3)) for n in range(12)]
    for program in ("print(0)", f"{MARK}print(0 if alone else 1)", f"{ALONE}print(1 if alone else 0)"):
        assert verdict_on(program, *tests, entry_point=None, all_tests=all_tests).verdict == "wrong_answer"
    verdict = verdict_on(
        "n = int(input())\nprint(n // 3 if n != 5 else 9)", *tests, entry_point=None, all_tests=all_tests
    )
    assert (verdict.verdict, verdict.tests_passed) == ("wrong_answer", 11 if all_tests else 5)


@pytest.mark.parametrize(
    "program",
    [
        "import os\nprint(6, flush=True)\nos._exit(0)",
        "import builtins\nfirst = not hasattr(builtins, 'seen')\nbuiltins.seen = 1\nprint(6 if first else 7)",
        "import threading\nthreading.Thread(target=print, args=(6,)).start()",
        "import sys\nprint(6)\nsys.stdout.close()\nsys.stdin.close()",
        "import decimal\ndecimal.getcontext().prec -= 20\nprint(decimal.Decimal(6) + 0)",
    ],
)
def test_a_script_that_leaves_something_behind_is_right_as_often_as_by_itself(
    verdict_on: Callable[..., Verdict], program: str
) -> None:
    assert verdict_on(program, *(StdioTest("", "6") for _ in range(11)), entry_point=None).passed


def test_the_first_answer_is_not_changed_by_a_later_run(verdict_on: Callable[..., Verdict]) -> None:
    program = """
import builtins, os
n = int(input())
if hasattr(builtins, "seen"): os.pwrite(1, b"6", 0)
builtins.seen = True
print(6 if n else 7)
"""
    tests = [StdioTest(str(n), "6") for n in range(5)]
    assert verdict_on(program, *tests, entry_point=None).verdict == "wrong_answer"
