"""Test code that was run without a program is judged as the examiner judges it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderlplus.judge import Judge
from coderlplus.judge.asserts import read_asserts
from coderlplus.judge.instrument import instrumented
from coderlplus.judge.kept import Kept
from coderlplus.judge.plans import Plan, plans
from coderlplus.records import CheckTest, Limits, Problem, Rollout, Verdict
from coderlplus.sandbox import Sandbox

LIMITS = Limits(cpu_s=5, wall_s=30, memory_mb=512)
EXAMINED = "\ntry:\n    pass\nfinally:\n    pass"
"""Behind test code it changes nothing, but that it is not planned for."""


def problem(*codes: str, setup_code: str = "") -> Problem:
    return Problem(
        problem_id="p",
        statement="",
        entry_point="f",
        tests=tuple(map(CheckTest, codes)),
        limits=LIMITS,
        setup_code=setup_code,
    )


@pytest.fixture
def plan_of(judge: Judge) -> Callable[..., Plan | None]:
    """`plan_of(code)`"""

    def plan_of(code: str, setup_code: str = "") -> Plan | None:
        found = judge.sandbox.call(plans, problem(code, setup_code=setup_code), [0]).result()
        return None if found is None else found[0]

    return plan_of


PLANNED = [
    "def check(c):\n    for x in [1, 2]:\n        assert c(x) == 2 * x\ncheck(f)",
    "def check(candidate):\n    assert candidate(3 * 19) == [3, 19]",
    "cases = [([3, 1], [1, 3]), ([], [])]\nfor given, expected in cases:\n    assert f(given) == expected",
    "for x, y in {1: 2}.items():\n    r = f(x)\n    assert r == y, f'expected {y}, got {r!r}'",
    "import math\nassert abs(f(1) - 0.5) < 1e-6 and math.isclose(f(2), 3, rel_tol=0.001)",
    "assert set(f(1)) == set([1])\nassert tuple(f(1)) == (1,)\nassert sorted(f(1), reverse=True) == [1]",
    "assert isinstance(f(1), (int, float)) and f(2) is not None and f(3) in (1, 2) and not f(4)",
    "import random\nfor _ in range(9):\n    x = random.randint(0, 9)\n    assert f(x) == x, 'no'",
    "def test_one():\n    assert f(1) == 1\ndef test_two():\n    assert f(2) != 1",
    "def same(a, b):\n    assert f(a) == b, (a, b)\nsame(1, 2)\nsame(a=3, b=4)",
    "r = f([1, 2])\nassert len(r) == 2\nassert r[0] == 1 or r[1] == 1",
    "assert f(1) == f(2), 'not the same: ' + str(f(3))",
    "import copy\ndata = [[1], [2]]\nfor x in data:\n    assert f(copy.deepcopy(x)) == x",
    "import time\nassert f(1) == 1, 'unused imports do no harm'",
    "names = {}\nexec('def g(x):\\n    return x + 1', names)\nfor x in [1, 2]:\n    assert f(x) == names['g'](x)",
    "for x in [1, 2]:\n    r = f(x)\n    if r != x or r is None:\n        raise AssertionError(f'no {x}')",
    "assert type(f(1)) is int and type(f(2)) == list and type(f(3)) is type(f(4))",
    "for x, near in [(1, 0), (2, 0)]:\n    r = f(x)\n    if r != x and near != 0:\n        assert abs(r - x) < near\n"
    "    else:\n        assert r == x, f'out: {r}, exp: {x}'",
]
EXAMINED_CODES = {
    "a call depends on an answer": "assert f(f(1)) == 2",
    "so does whether there is one": "if f(1):\n    assert f(2) == 2",
    "or how many": "for x in f(1):\n    assert f(x) == 2",
    "a call that is made if another answer is wrong": "assert f(1) == 1 or f(2) == 2",
    "arguments are asked for later": "x = [2, 1]\nassert f(x) == sorted(x)",
    "they are what is asked of": "x = [2, 1]\nf(x)\nassert len(x) == 2",
    "the same argument again": "x = [1]\nassert f(x) == [1]\nassert f(x) == [1]",
    "they are changed": "x = [1]\nr = f(x)\nx.append(2)\nassert r == [1]",
    "an inner list is changed": "x = [1]\nr = f([x])\nx.append(2)\nassert r == [[1]]",
    "identity": "x = (1, 2)\nassert f(x) is x",
    "another class": "class Any:\n    def __eq__(self, other):\n        return True\nassert f(1) == Any()",
    "a function of the test is given": "def g(x):\n    return x\nassert f(g) == 1",
    "the function itself is handed on": "import functools\ng = functools.partial(f, 1)\nassert g() == 1",
    "time": "import time\nassert f(time.time()) == 1",
    "chance without a seed": "import random\nrandom.seed()\nassert f(random.random()) == 1",
    "addresses": "assert f(id(f)) == 1",
    "files": "assert f(open('/dev/null').read()) == ''",
    "names that are not written": "exec('x = 1')\nassert f(x) == 1",
    "written code asks the time": "n = {}\nexec('import time\\nx = time.time()', n)\nassert f(n['x']) == 1",
    "no seed": "n = {}\nexec('import random as r\\nr.seed()\\nx = r.random()', n)\nassert f(n['x'])",
    "written code of chance": "n = {}\nexec('import numpy as m\\nx = m.random.rand()', n)\nassert f(n['x']) == 1",
    "written code sees the answer": "names = {}\nexec('def g(x): return x is None', names)\nassert names['g'](f(1))",
    "nan": "assert f(1) != float('nan')",
    "a value in a list": "assert [f(1), f(2)] == [1, 2]",
    "a call in a chain": "assert 0 < f(1) < f(2)",
    "an attribute": "assert f(1).bit_length() == 1",
    "a function of the test under a known name": "def all(x):\n    assert f(5) != x\nassert f(1) or all(2)",
    "with an effect": "seen = []\ndef len(x):\n    seen.append(x)\nr = f(1)\nassert r or len(2)\nassert seen == []",
    "another print": "from math import ceil as print\ntry:\n    f(1)\n    print(2)\nexcept ValueError:\n    assert 1",
    "a cause": "r = f(1)\nif r != 1:\n    raise AssertionError('no') from f(2)",
    "an assertion error of names": "r = f(1)\nif r != 1:\n    raise AssertionError(message='no')",
    "an effect that an answer decides about": "seen = []\nassert f(1) == 1 or seen.append(1)",
    "it fails without a program": "assert f(1) == 1\nassert 1 == 2",
    "no end": "assert f(1) == 1\nwhile True:\n    pass",
    "a sum of many": "assert sum(map(f, [1] * 10)) == 1.0",
    "a function of Python sees the answer": "import operator\nr = list(map(operator.is_, map(f, [1]), [1]))\n"
    "assert r == [False]\nassert f(1) == 1",
}


@pytest.mark.parametrize("code", PLANNED)
def test_what_is_planned(plan_of: Callable[..., Plan | None], code: str) -> None:
    assert plan_of(code) is not None
    assert plan_of(code + EXAMINED) is None


def test_a_comparison_by_numpy_is_planned_where_it_is_not_needed(plan_of: Callable[..., Plan | None]) -> None:
    """The shape of test code that evalplus publishes: for floats alone it hands the answer to numpy."""
    pytest.importorskip("numpy")
    code = (
        "import numpy as np\ndef near(x):\n    return isinstance(x, (float, np.ndarray))\n"
        "def same(out, exp, atol):\n    exact = out == exp\n    if atol == 0 and near(exp):\n        atol = 1e-6\n"
        "    if not exact and atol != 0:\n        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n"
        "    else:\n        assert exact\ndef check(candidate):\n    inputs, results = [[1], [[2]]], [2, {expected}]\n"
        "    for i, (x, expected) in enumerate(zip(inputs, results)):\n        same(candidate(*x), expected, 0)"
    )
    assert plan_of(code.replace("{expected}", "[3]")) is not None
    assert plan_of(code.replace("{expected}", "3.5")) is None
    assert plan_of("import numpy as np\nassert f(np.random.rand()) == 1") is None


@pytest.mark.parametrize("reason", EXAMINED_CODES)
def test_what_is_not(plan_of: Callable[..., Plan | None], reason: str) -> None:
    assert plan_of(EXAMINED_CODES[reason]) is None


def test_set_up_code_may_give_names_another_meaning(plan_of: Callable[..., Plan | None]) -> None:
    code = "assert len(f(1)) == 1"
    assert read_asserts(code, "f", "import math\ndef g(): return len") is not None
    for setup_code in ("def len(x): return 1", "from a import *", "len = 1", "import a as len"):
        assert read_asserts(code, "f", setup_code) is None
    assert plan_of(code, "def len(x): return 1") is None


@pytest.mark.parametrize("given", ["lambda: f(1)", "(f(x) for x in [1])", "map(f, [1])"])
def test_set_up_code_comes_by_no_answer(plan_of: Callable[..., Plan | None], given: str) -> None:
    """Of what it asks there, such as `is None`, nothing is noted."""
    setup_code = "def no(x):\n    for r in [x()] if callable(x) else x:\n        if r is None: return 1\n    return 0"
    assert plan_of(f"assert no({given}) == 0\nassert f(2) == 2", setup_code) is None
    assert plan_of("assert no([1]) == 0\nassert f(2) == 2", setup_code) is not None
    equal = "class No:\n    def __eq__(self, other): return not isinstance(other, int)"
    assert plan_of("assert No() == f(1)\nassert f(2) == 2", equal) is None


LOOKS = "def look(): return kept[0] is None"
KEEPS = {
    "a list": ("", f"kept = []\n{LOOKS}"),
    "a list of a list": ("kept = kept_in[0]", f"kept_in = [[]]\n{LOOKS.replace('kept', 'kept_in[0]')}"),
    "a closure": ("kept, look = made()", f"def made():\n    kept = []\n    {LOOKS}\n    return kept, look"),
    "a default": ("", f"kept = []\n{LOOKS.replace('()', '(kept=kept)')}"),
    "an object": ("o = O()\nkept, look = o.k, o.look", "class O:\n    def __init__(self): self.k = []\n    "
    "def look(self): return self.k[0] is None"),
    "a class": ("kept, look = O.k, O().look", "class O:\n    k = []\n    def look(self): return self.k[0] is None"),
    "another function": ("", f"kept = []\n{LOOKS.replace('look', 'inner')}\ndef look(): return inner()"),
    "code that is run": (f"n = {{'kept': []}}\nexec({LOOKS!r}, n)\nkept, look = n['kept'], n['look']", ""),
    "code that runs": ("kept = []\nn = {'kept': kept}\nlook = lambda: exec('x = kept[0] is None', n) or n['x']", ""),
}  # fmt: skip


@pytest.mark.parametrize("place", KEEPS)
@pytest.mark.parametrize("store", ["kept.append({})", "kept[:] = [{}]", "kept += [{}]", "kept.extend(iter([{}]))"])
def test_what_code_that_is_not_of_the_test_may_find_is_no_answer(
    plan_of: Callable[..., Plan | None], place: str, store: str
) -> None:
    before, setup_code = KEEPS[place]
    for value, is_planned in {"f(1)": False, "2": True}.items():
        code = f"{before}\n{store.format(value)}\nassert not look()\nassert f(2) == 4"
        assert (plan_of(code, setup_code) is not None) == is_planned


def test_set_up_code_may_be_used_but_not_on_answers(plan_of: Callable[..., Plan | None]) -> None:
    setup_code = "def double(x):\n    return 2 * x"
    assert plan_of("for x in [1]:\n    assert f(double(x)) == 2", setup_code) is not None
    assert plan_of("for x in [1]:\n    assert double(f(x)) == 2", setup_code) is None
    assert plan_of("for x in [1]:\n    assert f(x) == double(x)", "import time\ndouble = time.sleep") is None


def test_the_program_never_sees_what_is_expected(plan_of: Callable[..., Plan | None]) -> None:
    plan = plan_of("for x, y in [(1, 977231)]:\n    assert f(x) == y")
    assert plan is not None
    assert "977231" not in str(plan.calls)


# As the examiner

GIVEN = ["0", "1", "2.5", "'ab'", "[]", "[2, 1]", "(1, 2)", "{1: [2]}", "{1, 2}", "None", "[[1], []]", "True"]
BODIES = [
    "return x",
    "return [x]",
    "return (x,)",
    "return {1, 2}",
    "return [True, 2]",
    "return {'a': x}",
    "return {1: 2}.keys()",
    "return {1: [2]}",
    "return iter([1, 2])",
    "return (i for i in [1])",
    "return range(1, 3)",
    "return None",
    "return 1.0000001",
    "return float('nan')",
    "return [float('nan')]",
    "return -float('inf')",
    "return 10 ** 30",
    "return '1'",
    "return b'a'",
    "return x == 1",
    "raise ValueError('no')",
    "raise StopIteration",
    "import sys; sys.exit(3)",
    "return E()",
    "return I(1)",
    "return S('ab')",
    "return L([1, 2])",
    "return [I(2), E()]",
    "return f",
    "x.append(9); return x",
    "x.clear(); return 1",
    "x.sort(); return x",
    "import collections; return collections.Counter([1, 1])",
    "import decimal; return decimal.Decimal('1')",
    "import decimal; return decimal.Decimal('sNaN')",
    "import decimal; return [decimal.Decimal('sNaN')]",
    "import fractions; return fractions.Fraction(1, 2)",
    "import re; return re.match('a', 'ab')",
    "return list(range(5000))",
    "return '[1]'",
    "global n; n += 1; return n",
]
CLASSES = """
n = 0
class E:
    def __eq__(self, other): return True
    def __bool__(self): return False
    __hash__ = None
class I(int):
    def __eq__(self, other): return True
    __hash__ = None
class S(str):
    def __eq__(self, other): return False
    __hash__ = str.__hash__
class L(list):
    def __eq__(self, other): return True
    def __len__(self): return 7
"""
CONDITIONS = [
    "{r} == {e}",
    "{e} == {r}",
    "{r} != {e}",
    "not {r} == {e}",
    "{r}",
    "not {r}",
    "{r} is None",
    "{r} is not True",
    "{r} in ({e}, 1)",
    "{e} in {r}",
    "{r} < 2",
    "0 < {r} <= 2.5",
    "1 == {r} != {e}",
    "abs({r} - 1) < 1e-6",
    "math.isclose({r}, 1, rel_tol=0.001)",
    "round({r}, 1) == {e}",
    "len({r}) == 2",
    "sorted({r}) == [1, 2]",
    "set({r}) == {{1, 2}}",
    "tuple({r}) == (1, 2)",
    "list({r}) == {e}",
    "sum({r}) == 3",
    "max({r}) <= 2",
    "str({r}) == '1'",
    "isinstance({r}, int)",
    "isinstance({r}, (list, tuple))",
    "{r}[0] == {e}",
    "{r} and {e}",
    "{r} == 1 or {r} == {e}",
    "{r} == {e} and {r} is not None",
    "any({r})",
    "{r} == {r}",
    "{r} + 1 == 2",
    "type({r}) is int",
    "type({r}) == type({e})",
    "type({r}) is not list or {r} == {e}",
    "({r} == {e} and False) or {r} is not None",
    "{r} == {e} or True",
]
MESSAGES = [
    "",
    ", 'no'",
    ", f'got {r} for {e!r}'",
    ", 'got ' + str(r)",
    ", (r, 1)",
    ", str(f(x))",
    ", '%s' % r",
    ", f'{type(r)}, no {type(e)}'",
    ", (isinstance(r, int), isinstance(r, list), len(r))",
    ", str(sorted(r)) + repr(max(r))",
    ", 7",
]
LAYOUTS = [
    "import math, random\nfor x in random.sample([{g}, 1, 2, 3], 3):\n    r = f(x)\n    e = {e}\n    assert {c}{m}",
    "import math\nfor x in [{g}]:\n    r = f(x)\n    e = {e}\n    assert {c}{m}",
    "import math\ndef check(candidate):\n    x, e = {g}, {e}\n    r = candidate(x)\n    assert {c}{m}",
    "import math\nfor x, e in [({g}, {e})]:\n    r = f(x)\n    held = {c}\n    assert r == e or held{m}",
    "import math\nfor x, e in [({g}, {e})]:\n    r = f(x)\n    held = {c}\n    assert r is not None and held{m}",
    "import math\nfor x, e in [({g}, {e})]:\n    r = f(x)\n    if {c}:\n        raise AssertionError",
    "import math\nx, e = {g}, {e}\nr = f(x)\nif not ({c}): raise AssertionError(f'{{e}}, not {{r!r}}')",
    "import math\ndef test(x, e):\n    r = f(x)\n    assert {c}{m}\nfor _ in range(2):\n    test({g}, {e})",
]


@st.composite
def sources(draw: st.DrawFn) -> str:
    given, expected = draw(st.sampled_from(GIVEN)), draw(st.sampled_from(GIVEN))
    condition, message = draw(st.sampled_from(CONDITIONS)), draw(st.sampled_from(MESSAGES))
    if draw(st.booleans()):  # read from its text
        said = draw(st.sampled_from(["", ", 'no'", f", str(f({given}))"]))
        return f"assert {condition.format(r=f'f({given})', e=expected)}{said}"
    layout: str = draw(st.sampled_from(LAYOUTS))
    return layout.format(g=given, e=expected, c=condition.format(r="r", e="e"), m=message)


def told(verdict: Verdict) -> object:
    failure = verdict.first_failure
    if failure is None:
        return verdict.verdict, verdict.tests_passed
    detail = re.sub("0x[0-9a-f]+", "0x", failure.detail)
    return verdict.verdict, verdict.tests_passed, failure.index, detail, failure.input


@given(codes=st.lists(sources(), min_size=1, max_size=2), body=st.sampled_from(BODIES))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_verdict_detail_and_input_are_those_of_the_examiner(judge: Judge, codes: list[str], body: str) -> None:
    program = f"{CLASSES}\ndef f(x):\n    {body}\n"
    planned, examined = (
        judge.judge(found, Rollout(rollout_id="r", problem_id="p", program=program))
        for found in (
            problem(*codes, setup_code="import math"),
            problem(*(code + EXAMINED for code in codes), setup_code="import math"),
        )
    )
    assert told(planned) == told(examined)


def both(judge: Judge, code: str, program: str, entry_point: str = "f") -> tuple[object, object]:
    planned, examined = (
        judge.judge(
            Problem(problem_id="p", statement="", entry_point=entry_point, tests=(CheckTest(text),), limits=LIMITS),
            Rollout(rollout_id="r", problem_id="p", program=program),
        )
        for text in (code, code + EXAMINED)
    )
    return told(planned), told(examined)


@pytest.mark.parametrize("place", ["{c}\nassert f(2) == 2", "assert f(2) == 2\nx = {c}", "assert f(2)\n{c}\nf(3)"])
@pytest.mark.parametrize("computation", ["f(1)[0]", "len(f(1))", "f(1) < 3", "2 in f(1)", "sorted(f(1))"])
@pytest.mark.parametrize("answer", ["[]", "3", "[[2], 2]"])
def test_what_is_computed_and_not_asserted_may_fail(judge: Judge, place: str, computation: str, answer: str) -> None:
    planned, examined = both(judge, place.format(c=computation), f"def f(x): return {answer} if x == 1 else 2")
    assert planned == examined


@pytest.mark.parametrize(
    "condition", ["r == [] or x", "r is not None and x", "r == [] or (r == 3 and x)", "not (r and x)"]
)
@pytest.mark.parametrize("computation", ["r[5]", "len(r)", "r < 3", "1 in r", "abs(r[0])"])
@pytest.mark.parametrize("answer", ["[]", "3", "None", "[2]"])
def test_what_is_computed_before_may_fail_where_it_is_not_needed(
    judge: Judge, condition: str, computation: str, answer: str
) -> None:
    planned, examined = both(judge, f"r = f(1)\nx = {computation}\nassert {condition}", f"def f(x): return {answer}")
    assert planned == examined


@pytest.mark.parametrize(
    "condition", ["r == {1}", "r != {1}", "r", "len(r) == 1", "1 in r", "r is not None", "list(r)"]
)
@pytest.mark.parametrize("view", ["{f: 1}.keys()", "{1: f}.values()", "{1: f}.items()", "{1: iter([])}.values()"])
def test_views_whose_items_cannot_travel(judge: Judge, condition: str, view: str) -> None:
    code = f"for x in [1, 2]:\n    r = f(x)\n    assert {condition}"
    planned, examined = both(judge, code, f"def f(x): return {view}")
    assert planned == examined


@pytest.mark.parametrize("change", ["s += [1]", "s *= 2", "s -= {1}", "s += 'a'", "s += 1", "s += (1,)"])
@pytest.mark.parametrize("answer", ["[]", "[1]", "[1, 1]", "{1}", "1", "'a'", "(1,)"])
def test_what_is_changed_in_place_may_have_another_name(judge: Judge, change: str, answer: str) -> None:
    code = f"r = f(1)\ns = r\n{change}\nassert r in [[1], set(), 1, 'a'] or s == 3"
    planned, examined = both(judge, code, f"def f(x): return {answer}")
    assert planned == examined


@pytest.mark.parametrize("name", ["abs", "isinstance", "len", "math", "sorted", "sum"])
def test_names_mean_what_test_code_says(judge: Judge, name: str) -> None:
    """The entry point has the name of a builtin function, or test code calls it so."""
    check = "def check(candidate):\n    assert candidate([1]) == {name}([1])"
    program = "def {name}(*given): return 5"
    planned, examined = both(judge, check.format(name=name), program.format(name=name), name)
    assert planned == examined == ("passed", 1)
    planned, examined = both(judge, f"{name} = f\n{check.format(name=name)}", program.format(name="f"))
    assert planned == examined == ("passed", 1)


def test_defaults_are_computed(judge: Judge) -> None:
    program = "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n"
    planned, examined = both(judge, "def check(c=f(2)):\n    assert c(1) == 2", program)
    assert planned == examined == ("passed", 1)


def test_answers_do_not_take_each_others_place_in_a_message(judge: Judge) -> None:
    code = "r = f(1)\ns = f(2)\nassert r == s, f'{r} {s}'"
    for text in (r"\0001\000", r"\0000\000", r"\000", r"\000x\000"):
        planned, examined = both(judge, code, f"def f(x): return '{text}' * x")
        assert planned == examined
    planned, examined = both(judge, "r = f(1)\nassert r == 2, f'\\0{r}'", "def f(x): return 1")
    assert planned == examined


def test_no_answer_makes_the_host_compute_for_long(judge: Judge) -> None:
    found = problem("assert round(1234, f(1)) == 0")
    program = "def f(x): return -10 ** 9"
    limits = Limits(cpu_s=0.5, wall_s=5, memory_mb=512)
    verdict = judge.judge(replace(found, limits=limits), Rollout(rollout_id="r", problem_id="p", program=program))
    assert not verdict.passed


def test_what_the_host_cannot_tell_the_examiner_tells(verdict_on: Callable[..., Verdict]) -> None:
    test = CheckTest("for x in [1]:\n    assert sorted(f(x)) == [1, 2], 'no'")
    assert verdict_on("def f(x): return iter([2, 1])", test).passed
    failure = verdict_on("def f(x): return None", test).first_failure
    assert failure is not None
    assert failure.detail.startswith("the test could not use the result")


def test_answers_that_are_together_too_long_travel_one_by_one(verdict_on: Callable[..., Verdict]) -> None:
    test = CheckTest("for n in [900_000] * 6:\n    assert f(n)")
    assert verdict_on("def f(n): return 'x' * n", test).passed


def test_a_wrong_answer_is_final(verdict_on: Callable[..., Verdict]) -> None:
    """Also where the examiner must be asked for the message."""
    program = "import os\ndef f(x):\n    try: return bool(os.fstat(7))\n    except OSError: return False"
    code = "for x in [1]:\n    assert f(x) is True, str(f(2))"
    assert verdict_on(program, CheckTest(code + EXAMINED)).passed  # there is a socket to the examiner
    assert verdict_on(program, CheckTest(code)).verdict == "wrong_answer"


def test_plans_are_kept_in_bounded_memory(monkeypatch: pytest.MonkeyPatch, judge: Judge) -> None:
    kept = Kept(max_bytes=1024)
    monkeypatch.setattr("coderlplus.judge.plans._kept", kept)
    for number in range(20):
        code = f"x = {number}\nfor _ in range(9):\n    assert f(x) == x\n    x += 1"
        assert judge.sandbox.call(plans, problem(code), [0]).result() is not None
    assert 0 < kept.size <= 1024


def test_one_dry_run_serves_all_programs(sandbox_jobs: list[str], judge: Judge) -> None:
    found = problem("for x in [1, 2]:\n    assert f(x) == x  # once")
    for serial in range(3):
        program = f"def f(x): return x\nserial = {serial}"
        assert judge.judge(found, Rollout(rollout_id="r", problem_id="p", program=program)).passed
    assert [guest.partition(":")[2] for guest in sandbox_jobs] == ["dry_run", *["run_calls"] * 3]


@pytest.fixture
def sandbox_jobs(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The guests of the jobs that are run from now on."""
    assert isinstance(judge.sandbox, Sandbox)
    guests: list[str] = []
    from coderlplus.sandbox.forkserver import ForkServer

    run = ForkServer.run

    def noted(server: ForkServer, job, *others):  # type: ignore[no-untyped-def]
        guests.append(job.guest)
        return run(server, job, *others)

    monkeypatch.setattr(ForkServer, "run", noted)
    return guests


@pytest.mark.parametrize("code", [*PLANNED, "assert f'{f(1)}' == '1'", "assert not (1 if f(1) is None else 2) in [3]"])
def test_instrumented_code_is_code(code: str) -> None:
    compile(instrumented(code, ""), "<test>", "exec")
