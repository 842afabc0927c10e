"""Asserts on calls and literals, run as calls, end as they would in one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.judge.asserts import read_asserts
from coderlplus.judge.expressions import Unclear, same_as_python, truth_of
from coderlplus.judge.replies import Returned
from coderlplus.records import CheckTest, Verdict
from coderlplus.sandbox import values

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([0.0, 1.0, 0.5, -1.0, 1j, "", "a", "1", b"", b"a"])
)
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.tuples(inner), max_leaves=4)
literals = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(hashable, max_size=3)
        | st.dictionaries(hashable, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    actual=literals
    | st.frozensets(hashable, max_size=3)
    | st.binary(max_size=2).map(bytearray)
    | st.decimals()
    | st.fractions(),
    expected=literals,
)
@settings(max_examples=1000)
def test_a_value_equals_a_literal_where_python_says_so(actual: Any, expected: Any) -> None:
    returned = Returned(values.encode(actual))
    if isinstance(actual, Decimal) and actual.is_snan():  # Python may raise an exception, which the examiner tells
        with pytest.raises(Unclear):
            same_as_python(returned, values.encode(expected))
    else:
        assert same_as_python(returned, values.encode(expected)) == bool(actual == expected)
    assert same_as_python(Returned(values.encode(expected)), values.encode(expected))
    assert truth_of(Returned(values.encode(expected))) == bool(expected)


TAGS = ["$set", "$dict", "$tuple", "$decimal", "$fraction", "$complex", "$int", "$object", "a"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$set", "$dict", "$tuple", "$decimal", "$fraction", "$complex", "$int", "$object", "a"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=8,
)


@given(claim=json_values, expected=literals)
@settings(max_examples=500)
def test_any_claim_of_a_value_is_compared(claim: Any, expected: Any) -> None:
    claim = json.loads(json.dumps(claim))
    assert same_as_python(Returned(claim), values.encode(expected)) in (True, False)
    assert truth_of(Returned(claim)) in (True, False)


@pytest.mark.parametrize(
    "code",
    [
        "assert f(3) == 6",
        "assert f(n=3) == {1: {2}, 'a': (1, [2])}, 'no'",
        "assert [1] == f('x')",
        "assert f(3) != 6, f(3)",
        "assert abs(f(3) - 2.0 / 3.0) < 1e-6 and f(3 * 19) == [3, (2 + 1) * 2]",
        "assert set(f(1)) == set([1]), 'no'\nassert f(2) not in (1, 2) and isinstance(f(3), int)",
        "assert math.isclose(f(1), 2.0, rel_tol=0.001) or len([1]) == 2",
        "assert f(1) is True\nassert not f(2)\nassert f(3)",
        "candidate = f\nassert candidate(1) == -1",
        "METADATA = {'a': 1}\n\ndef check(g):\n    assert True\n    assert g(1) == 1\n\ncheck(f)",
    ],
)
def test_what_is_run_as_calls(code: str) -> None:
    assert read_asserts(code, "f") is not None


@pytest.mark.parametrize(
    "code",
    [
        "assert f(f(3)) == 6",
        "assert f(3) == g(6)",
        "assert f(3) == 6 == 6",
        "assert f(1) == 1 or f(2) == 2",
        "assert f(1) is 2",
        "assert f(2 ** 3) == 6",
        "assert f(1).real == 1",
        "assert f(*[3]) == 6",
        "x = 3\nassert f(x) == 6",
        "def check(g):\n    assert g(3) == 6\nassert f(3) == 6",
        "def check(g):\n    pass",
        "import math\nassert f(3) == 6",
        "assert g.f(3) == 6",
        "check = f\nassert check(3) == 6",
        "for n in range(3):\n    assert f(n) == 6",
        "assert True",
        "assert f(3) ==",
    ],
)
def test_what_is_not(code: str) -> None:
    assert read_asserts(code, "f") is None


ASSERTS = [
    "assert f(1) == 1",
    "assert f(1) == [1]",
    "assert f(1) == {1}",
    "assert f(1)",
    "assert not f(1)",
    "assert f(1) is True",
]
PROGRAMS = [
    "def f(n): return n",
    "def f(n): return [n]",
    "def f(n): return (n,)",
    "def f(n): return {n: n}",
    "def f(n): return iter([n])",
    "def f(n): return {n: 1}.keys()",
    "def f(n): raise ValueError('no')",
    "def f(n): return True",
    "import re\ndef f(n): return re.match('a', 'a' * n)",
    "class E:\n    __eq__ = lambda s, o: True\n    __bool__ = lambda s: False\ndef f(n): return E()",
    "import collections\ndef f(n): return collections.Counter([n])",
    "import decimal\ndef f(n): return decimal.Decimal(n)",
    "import sys\ndef f(n): sys.exit()",
]


@pytest.mark.parametrize("code", ASSERTS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_verdict_is_that_of_the_examiner(verdict_on: Callable[..., Verdict], code: str, program: str) -> None:
    as_calls, examined = (
        verdict_on(program, CheckTest(code)),
        verdict_on(program, CheckTest(f"{code}\ntry:\n    pass\nfinally:\n    pass")),
    )
    assert as_calls.verdict == examined.verdict
    mine, its = as_calls.first_failure, examined.first_failure
    assert (mine and (mine.input, mine.detail)) == (its and (its.input, its.detail))
