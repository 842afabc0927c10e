"""Test code that expects exceptions, or is a unittest class, is planned and judged as the examiner judges it."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderlplus.judge import Judge
from coderlplus.judge.expressions import is_raised
from coderlplus.judge.plans import Plan, plans
from coderlplus.judge.replies import Raised
from coderlplus.judge.stand_ins import exception_of
from coderlplus.records import CheckTest, Limits, Problem, Rollout, Verdict

LIMITS = Limits(cpu_s=5, wall_s=30, memory_mb=512)
EXAMINED = "\ntry:\n    pass\nfinally:\n    pass"
"""Behind test code it changes nothing, but that it is not planned for."""


def problem(code: str) -> Problem:
    return Problem(problem_id="p", statement="", entry_point="f", tests=(CheckTest(code),), limits=LIMITS)


@pytest.fixture
def plan_of(judge: Judge) -> Callable[[str], Plan | None]:
    def plan_of(code: str) -> Plan | None:
        found = judge.sandbox.call(plans, problem(code), [0]).result()
        return None if found is None else found[0]

    return plan_of


UNITTEST = "import unittest\nclass T(unittest.TestCase):\n"
FORMS = [
    "try:\n    f({g})\n    assert False, 'expected'\nexcept {e}:\n    pass",
    "try:\n    r = f({g})\nexcept {e}:\n    pass\nelse:\n    raise AssertionError(f'no {{r}}')",
    "try:\n    f({g})\nexcept {e} as e:\n    assert str(e) == 'no', 'text ' + str(e)\nassert f(1) == 1",
    "try:\n    f({g})\n    raise AssertionError\nexcept {e} as e:\n    assert 'n' in str(e)\n    print('ok', e)",
    "try:\n    f({g})\nexcept {e}:\n    pass\nexcept TypeError as e:\n    assert False, f'got {{e}}'\n"
    "else:\n    assert 0",
    "import pytest\nwith pytest.raises({e}):\n    f({g})",
    "import pytest\nwith pytest.raises({e}, match='n.'):\n    f({g})",
    "import pytest\nwith pytest.raises({e}) as info:\n    r = f({g})\nassert str(info.value) == 'no'",
    "from pytest import raises\ndef test_a():\n    with raises({e}):\n        f({g})\ndef test_b():\n"
    "    raises({e}, f, 1)",
    "import pytest\ntry:\n    f({g})\n    pytest.fail('nothing')\nexcept {e}:\n    pass",
    f"{UNITTEST}    def test_a(self):\n        self.assertRaises({{e}}, f, {{g}})",
    f"{UNITTEST}    def test_a(self):\n        with self.assertRaises({{e}}) as cm:\n            f({{g}})\n"
    "        self.assertIn('n', str(cm.exception))",
    "from unittest import TestCase\nclass T(TestCase):\n    def test_a(self):\n        self.assertRaises({e}, lambda: "
    "f({g}))\n    def test_b(self):\n        for x in [{g}]:\n            with self.subTest(x=x):\n"
    "                with self.assertRaisesRegex({e}, 'no'):\n                    f(x)",
    f"{UNITTEST}    def test_a(self):\n        try:\n            f({{g}})\n            self.fail('nothing')\n"
    "        except {e}:\n            pass\nif __name__ == '__main__':\n    unittest.main()",
]
KINDS = ["ValueError", "(ValueError, TypeError)", "KeyError", "LookupError", "SystemExit", "ArithmeticError"]
CATCHING_ALL = ["Exception", "BaseException"]
HOSTILE = """
n = 0
class Own(ValueError): pass
class Base(BaseException): pass
Fake = type("ValueError", (Exception,), {})
class M(type):
    def __instancecheck__(c, o): return True
    def __subclasscheck__(c, o): return True
    def __eq__(c, o): return True
    __hash__ = type.__hash__
class Meta(Exception, metaclass=M):
    __class__ = ValueError
    def __eq__(self, o): return True
class Silent(ValueError):
    def __str__(self): raise KeyError('in str')
class E:
    def __eq__(self, other): return True
"""
BODIES = [
    "raise ValueError('no')",
    "raise ValueError",
    "raise KeyError('no')",
    "raise ZeroDivisionError('no')",
    "raise SystemExit(0)",
    "raise KeyboardInterrupt",
    "raise Own('no')",
    "raise Base('no')",
    "raise Fake('no')",
    "raise Meta('no')",
    "raise Silent()",
    "raise ExceptionGroup('no', [ValueError()])",
    "raise UnicodeDecodeError('utf-8', b'a', 0, 1, 'no')",
    "raise StopIteration('no')",
    "raise AssertionError('no')",
    "raise MemoryError",
    "raise __import__('json').JSONDecodeError('no', '', 0)",
    "return f(x)",
    "1 / 0",
    "yield 1",
    "if True: raise ValueError('no')\n    yield 1",
    "return (i for i in [1 / 0])",
    "return (1 / i for i in [0])",
    "return ValueError('no')",
    "x.append(1); raise ValueError('no')",
    "global n; n += 1\n    if n % 2: raise ValueError('no')\n    return 1",
    "global ValueError; ValueError = Own; raise ValueError('no')",
    "__import__('builtins').ValueError = Fake; raise Fake('no')",
    "return 1",
    "return E()",
    "return None",
]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_planned(plan_of: Callable[[str], Plan | None], form: str) -> None:
    for kind in KINDS:
        code = form.format(g="-1", e=kind)
        assert plan_of(code) is not None
        assert plan_of(code + EXAMINED) is None


EXAMINED_CODES = {
    "an assert that is caught": "try:\n    f(1)\n    assert False\nexcept Exception:\n    raise SystemError",
    "what is bound": "ok = False\ntry:\n    f(1)\nexcept ValueError:\n    ok = True\nassert ok",
    "an effect": "seen = []\ntry:\n    f(1)\nexcept ValueError:\n    seen.append(1)\nassert f(2) == 1",
    "another call": "try:\n    f(1)\nexcept ValueError:\n    assert f(2) == 1",
    "two calls": "import pytest\nwith pytest.raises(ValueError):\n    f(1)\n    f(2)",
    "what comes behind the call": "import pytest\nwith pytest.raises(ValueError):\n    len(f(1))",
    "an exception of its own": "class E(Exception): pass\ntry:\n    f(1)\n    assert 0\nexcept E:\n    pass",
    "a pattern that repeats": "import pytest\nwith pytest.raises(ValueError, match='(a+)+b'):\n    f(1)",
    "set-up": f"{UNITTEST}    def setUp(self):\n        self.x = 1\n    def test(self):\n"
    "        self.assertEqual(f(1), 1)",
    "an attribute": f"{UNITTEST}    x = 1\n    def test(self):\n        self.assertEqual(f(self.x), 1)",
    "mocks": "from unittest import mock\nassert f(mock.Mock) == 1",
    "another base": "import unittest\nclass A: pass\nclass T(A, unittest.TestCase):\n    def test(self):\n"
    "        self.assertEqual(f(1), 1)",
    "an exception that is raised again": "try:\n    f(1)\nexcept ValueError as e:\n    raise\nassert f(1) == 1",
    "its arguments": "try:\n    f(1)\n    assert 0\nexcept ValueError as e:\n    assert e.args == ('no',)",
    "a name that is gone": "e = ''\ntry:\n    f(1)\nexcept ValueError as e:\n    pass\nassert str(e) == ''",
    "another meaning": "def AssertionError(x): return ValueError(x)\ntry:\n    f(1)\n    raise AssertionError('x')\n"
    "except ValueError:\n    pass\nassert f(1) == 1",
}


@pytest.mark.parametrize("reason", EXAMINED_CODES)
def test_what_is_not(plan_of: Callable[[str], Plan | None], reason: str) -> None:
    assert plan_of(EXAMINED_CODES[reason]) is None


def test_the_program_never_sees_what_is_expected(sandbox_payloads: list[object], judge: Judge) -> None:
    found = problem(FORMS[0].format(g="-1", e="ZeroDivisionError"))
    program = "def f(x): raise ZeroDivisionError"
    assert judge.judge(found, Rollout(rollout_id="r", problem_id="p", program=program)).passed
    given = str(sandbox_payloads[-1])
    assert "caught" not in given
    assert "Zero" not in given.replace(program, "")


@pytest.fixture
def sandbox_payloads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What jobs that are run from now on are given."""
    from coderlplus.sandbox.forkserver import ForkServer

    payloads: list[object] = []
    run = ForkServer.run

    def noted(server: ForkServer, job, *others):  # type: ignore[no-untyped-def]
        payloads.append(job.payload)
        return run(server, job, *others)

    monkeypatch.setattr(ForkServer, "run", noted)
    return payloads


# As the examiner


def told(verdict: Verdict) -> object:
    failure = verdict.first_failure
    if failure is None:
        return verdict.verdict, verdict.tests_passed
    detail = re.sub("0x[0-9a-f]+", "0x", failure.detail)
    return verdict.verdict, verdict.tests_passed, failure.index, detail, failure.input


def both(judge: Judge, code: str, program: str) -> tuple[object, object]:
    planned, examined = (
        judge.judge(problem(text), Rollout(rollout_id="r", problem_id="p", program=program))
        for text in (code, code + EXAMINED)
    )
    return told(planned), told(examined)


SEARCH = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(
    form=st.sampled_from(FORMS),
    argument=st.sampled_from(["-1", "'a'", "[2, 1]"]),
    kind=st.sampled_from(KINDS + CATCHING_ALL),
    body=st.sampled_from(BODIES),
)
@SEARCH
def test_expected_exceptions_end_as_the_examiner_says(
    judge: Judge, form: str, argument: str, kind: str, body: str
) -> None:
    planned, examined = both(judge, form.format(g=argument, e=kind), f"{HOSTILE}\ndef f(x):\n    {body}\n")
    assert planned == examined


METHODS = [
    "assertEqual({r}, {e})",
    "assertEqual({e}, {r}, 'why')",
    "assertNotEqual({r}, {e})",
    "assertTrue({r})",
    "assertTrue({r} == {e}, msg='m')",
    "assertFalse({r})",
    "assertIs({r}, True)",
    "assertIsNot({r}, None)",
    "assertIsNone({r})",
    "assertIsNotNone({r}, 'm')",
    "assertIn({r}, [{e}, 1])",
    "assertNotIn({e}, {r})",
    "assertGreater({r}, 1)",
    "assertLessEqual({r}, 2, 'm')",
    "assertLess(0, {r})",
    "assertAlmostEqual({r}, 1)",
    "assertAlmostEqual({r}, 1.0, places=3)",
    "assertAlmostEqual({r}, 1, delta=0.5, msg='m')",
    "assertListEqual({r}, {e})",
    "assertTupleEqual({r}, (1, 2))",
    "assertDictEqual({r}, {{1: 2}})",
    "assertMultiLineEqual({r}, '1')",
    "assertCountEqual({r}, [2, 1])",
    "assertIsInstance({r}, (list, tuple), 'm')",
    "assertNotIsInstance({r}, str)",
    "assertEqual(len({r}), 2)",
    "assertEqual(sorted({r}), [1, 2])",
]
RESULTS = ["x", "[1, 2]", "(1, 2)", "{1: 2}", "{1, 2}", "'1'", "1.0000001", "True", "None", "0", "E()", "iter([1])"]
VALUES = ["0", "1", "[]", "[2, 1]", "(1, 2)", "'ab'", "None", "{1, 2}", "True", "1.5"]
CLASSES = [
    f"{UNITTEST}    def test_a(self):\n        e = {{e}}\n        self.{{m}}\n",
    f"{UNITTEST}    def same(self, r, e):\n        self.{{m}}\n    def test_a(self):\n        for x in [{{g}}]:\n"
    "            with self.subTest(x):\n                self.same(f(x),\n                    {e})\n",
]


@given(
    layout=st.sampled_from(CLASSES),
    method=st.sampled_from(METHODS),
    argument=st.sampled_from(VALUES),
    expected=st.sampled_from(VALUES),
    result=st.sampled_from(RESULTS),
)
@SEARCH
def test_unittest_classes_end_as_the_examiner_says(
    judge: Judge, layout: str, method: str, argument: str, expected: str, result: str
) -> None:
    shown = method.format(r="r" if "same" in layout else f"f({argument})", e="e")
    code = layout.format(g=argument, e=expected, m=shown)
    planned, examined = both(judge, code, f"{HOSTILE}\ndef f(x): return {result}\n")
    assert planned == examined


APPROXIMATE = "import pytest\nclass TestF:\n    def test(self):\n        assert f({g}) {o} pytest.approx({e}, {t})"


@given(
    argument=st.sampled_from(VALUES),
    operator=st.sampled_from(["==", "!="]),
    expected=st.sampled_from(["1", "0.3", "-2"]),
    tolerance=st.sampled_from(["abs=0.5", "rel=0.1", ""]),
    result=st.sampled_from(RESULTS),
)
@settings(SEARCH, max_examples=30)
def test_approximate_numbers_compare_as_the_examiner_says(
    judge: Judge, argument: str, operator: str, expected: str, tolerance: str, result: str
) -> None:
    code = APPROXIMATE.format(g=argument, o=operator, e=expected, t=tolerance)
    planned, examined = both(judge, code, f"{HOSTILE}\ndef f(x): return {result}\n")
    assert planned == examined


@given(
    computed=st.sampled_from(["r[0]", "r + 1", "len(r)", "1 / r", "sorted(r)", "r['a']", "r < 2"]),
    kind=st.sampled_from(["TypeError", "IndexError", "LookupError", "(KeyError, ZeroDivisionError)"]),
    result=st.sampled_from(["[]", "0", "1", "None", "{}", "[1]", "'ab'"]),
    rest=st.sampled_from(["", "else:\n    assert r != 1"]),
)
@SEARCH
def test_an_exception_of_an_assert_may_be_caught(
    judge: Judge, computed: str, kind: str, result: str, rest: str
) -> None:
    code = f"try:\n    r = f(1)\n    assert {computed} == 1\nexcept {kind}:\n    pass\n{rest}"
    planned, examined = both(judge, code, f"def f(x): return {result}")
    assert planned == examined


def test_what_comes_behind_a_failure_does_not_count(judge: Judge) -> None:
    """The examiner makes no call behind it, and so finds no limit."""
    code = "assert f(1) == 2\nassert f(2) == 3"
    program = "def f(x):\n    while x == 2: pass\n    return x"
    planned, examined = both(judge, code, program)
    assert planned == examined


def test_an_exception_keeps_its_base_and_its_text(judge: Judge) -> None:
    program = "class Negative(ValueError): pass\ndef f(x):\n    if x: raise Negative('no')\n    raise KeyError('k')"
    for code in (
        "try:\n    f(1)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'no'",
        "try:\n    f(0)\n    assert False\nexcept KeyError as e:\n    assert str(e) == repr('k')",
    ):
        assert both(judge, code, program) == (("passed", 1), ("passed", 1))


BASES = [name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)]


@pytest.mark.parametrize("base", [*BASES, "int", "no such", ""])
def test_which_classes_an_exception_is_of_does_not_depend_on_its_message(base: str) -> None:
    for name in (base, "Mine", "KeyError", "nul\0", ""):
        for message in ("", "x", "'x'", "\0", "\ud800", "1" * 300):
            error = exception_of(name, message, base)
            for caught in BASES:
                kind = getattr(builtins, caught)
                assert is_raised(Raised(name, message, None, base=base), [caught]) == isinstance(error, kind)
