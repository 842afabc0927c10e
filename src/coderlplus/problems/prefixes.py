"""What the sets' own scorers put before a program: imports, the depth of recursion, and
the longest whole number that is written. It is the set-up code of their problems.

| scorer | imports | recursion limit |
|---|---|---|
| LiveCodeBench (`testing_util.py`) | everything of 18 modules | 50,000 |
| PRIME, in verl (`prime_code`) | the same | 600,000 |
| APPS, TACO (`testing_util.py`) | some names of 9 modules, and numpy | Python's |

The builtin functions that `math` and `operator` shadow (`pow`, `abs`) are put back, as the order of LiveCodeBench's
imports does. numpy is left out.
"""

from __future__ import annotations

_MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools",
    "functools", "operator", "io", "sys", "json",
)  # fmt: skip
IMPORTS = "\n".join(
    [*(f"from {name} import *" for name in (*_MODULES, "builtins", "typing")), f"import {', '.join(_MODULES)}"]
)
_DIGITS = "sys.set_int_max_str_digits(50000)"
LIVECODEBENCH = f"{IMPORTS}\nsys.setrecursionlimit(50000)\n{_DIGITS}"
PRIME = f"{IMPORTS}\nsys.setrecursionlimit(600000)\n{_DIGITS}"
APPS = f"""\
import sys, time, itertools, collections, math, fractions, random, heapq
from itertools import accumulate, product, permutations, combinations
from collections import Counter, OrderedDict, deque, defaultdict, ChainMap
from functools import lru_cache
from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2
from typing import List, Tuple
from heapq import *
{_DIGITS}"""
