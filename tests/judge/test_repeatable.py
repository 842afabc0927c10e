"""Code that may do something else in another process is neither planned nor remembered."""

from __future__ import annotations

import pytest

from coderlplus.judge.instrument import instrumented
from coderlplus.judge.repeatable import PURE, is_repeatable

OF_CHANCE = [
    "import time\nx = time.time()",
    "from secrets import *\nx = token_hex()",
    "import os\nx = os.getpid()",
    "import random\nrandom.seed()\nx = random.random()",
    "import random\nrandom.seed(None)\nx = random.random()",
    "import random\nno = []\nrandom.seed(*no)\nx = random.random()",
    "import random\nagain = random.seed\nagain()\nx = random.random()",
    "from random import seed as again\nagain()",
    "from random import *\nseed()",
    "from random import Random\nx = Random().random()",
    "from random import Random as R\nx = R().random()",
    "import random\nx = list(map(random.Random, [None]))[0].random()",
    "from random import SystemRandom as R\nx = R().random()",
    "import random\nx = random.SystemRandom().random()",
    "from random import _os\nx = _os.getpid()",
    "import random as r\nx = r._os.getpid()",
    "import random\nx = (lambda module: module._urandom(8))(random)",
    "import random\nmine = random\nx = mine._os.getpid()",
    "import typing\nx = typing.sys.modules['time'].time()",
    "from typing import sys\nx = sys.modules['time'].time()",
    "import typing\ndef g(a: '__import__(1)'): pass\ntyping.get_type_hints(g)",
    "import operator, random\nx = operator.attrgetter('_os.getpid')(random)()",
    "import string, random\nx = string.Formatter().get_field('0._os', [random], {})",
    "import unittest.case\nx = unittest.case.time.time()",
    "from unittest import mock\nx = mock.patch('time.time').get_original()",
    "from unittest.mock import patch\nx = patch('time.time')",
    "import pytest\nx = pytest.importorskip('time').time()",
    "import json\nx = json.codecs.open('/proc/uptime')",
    "import types\nx = types.CodeType()",
    "import numpy as n\nx = n.random.rand()",
    "import numpy as n\nx = n.empty(3)",
    "import numpy as n\nx = n.ndarray(3)",
    "import numpy as n\nx = n.fromfile('/dev/urandom', count=1)",
    "import numpy.random as r\nx = r.rand()",
    "from numpy import random\nx = random.rand()",
    "from numpy import *\nx = random.rand()",
    "import time\ndef g(time): return time\nx = time.perf_counter()",
    "import os\nfor os in [1] if f(1) else []: pass\nx = os.getpid()",
    "from uuid import uuid4\ndef g(uuid4): return uuid4\nx = uuid4()",
    "from random import seed\ndef g(seed): return seed\nseed()",
    "from random import Random\ndef g(Random): return Random\nx = Random().random()",
    "import statistics\nx = statistics.kde_random([1.0], 1.0)()",
    "x = open('/proc/uptime').read()",
    "x = eval('1')",
    "x = __import__('os')",
    "x = getattr(__builtins__, 'op' + 'en')('/proc/uptime')",
    "x = __builtins__.open('/proc/uptime')",
    "x = vars()",
    "x = id(f)",
    "x = hash(f)",
    "x = (g for g in []).gi_frame.f_back",
    "x = f.__call__.__globals__",
    "x = ().__class__.__base__.__subclasses__()",
]
OF_NONE = [
    "import random\nrandom.seed(7)\nx = random.random()",
    "from random import Random\nx = Random(7).random()",
    "import re, string\nx = re.match('a', string.ascii_letters)",
    "import collections.abc\nx = isinstance([], collections.abc.Sized)",
    "from typing import List, Optional\nfrom collections import *\nx: List[int] = [*Counter([1])]",
    "import time, os  # and does not use them",
    "import string\ndef g(string): return string\nx = g('a')",
]
REPEATABLE = [
    "from __future__ import annotations",
    "import re\nx = re.compile('a')",
    "import operator, copy\nx = operator.eq(copy.copy([1]), [1])",
    "import numpy as np\nx = np.linalg.norm(np.array([1.0]))\nassert isinstance(x, np.ndarray)",
    "import unittest, json\nclass A(unittest.TestCase):\n    def setUp(self): self._x = self.time = json.loads('1')",
    "import pytest\n@pytest.mark.parametrize('x', [1])\ndef test_it(x):\n    with pytest.raises(ValueError): f(x)",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n    def name(self): return self.__class__",
    "from enum import Enum\nx = Enum",
]


def is_plannable(code: str, setup_code: str, modules: tuple[str, ...] = ()) -> bool:
    try:
        instrumented(code, setup_code, modules)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("code", OF_CHANCE)
def test_what_differs_from_process_to_process(code: str) -> None:
    """In test code, in set-up code, and in code that test code runs."""
    test = "\nassert f(1) == 1"
    assert not is_repeatable(code + test)
    assert not is_repeatable(test, code)
    assert not is_plannable(code + test, "")
    assert not is_plannable(test, code)
    assert not is_plannable(f"names = {{}}\nexec({code!r}, names){test}", "")


@pytest.mark.parametrize("code", [*OF_NONE, *REPEATABLE])
def test_what_does_not(code: str) -> None:
    test = "\nassert f(1) == 1"
    assert is_repeatable(code + test)
    assert is_repeatable(test, code)
    assert is_plannable(code + test, "") or code in REPEATABLE


def test_modules_that_are_used_without_an_import() -> None:
    code = "assert f({}) == 1"
    for module, use in {"time": "time.time()", "os": "os.getpid()", "random": "random.seed()"}.items():
        assert not is_repeatable(code.format(use), "", (module,))
        assert not is_plannable(code.format(use), "", (module,))
    assert is_repeatable(code.format("math.sqrt(4)"), "", ("math",))


def test_no_pure_module_hands_out_another() -> None:
    """Such as `typing.sys`."""
    import importlib
    import types

    for module in PURE:
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, types.ModuleType):
                allowed = is_repeatable(f"import {module}\nx = {module}.{name}.x")
                assert not allowed or value.__name__ in PURE or value.__name__ == "collections.abc", name
