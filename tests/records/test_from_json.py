"""`from_json` of every record takes any JSON and raises `DataError` or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.errors import DataError
from coderlplus.records import AlignmentTask, Problem, Reward, Rollout, Trace, Verdict
from coderlplus.records.jsonl import integer, loads
from coderlplus.records.run import Actual, Change, Ending, Failure, Step
from coderlplus.records.tagged import tagged
from coderlplus.records.task import Target
from coderlplus.sandbox.values import encode, equal, to_source

RECORDS: list[Any] = [
    Problem,
    Rollout,
    Verdict,
    Failure,
    Actual,
    Trace,
    Step,
    Change,
    Ending,
    AlignmentTask,
    Target,
    Reward,
]
NAMES = """
problem_id statement tests kind stdin stdout args kwargs expected entry_point checker limits code name
rollout_id program completion verdict tests_passed tests_total first_failure index detail input actual value
raised ending variables steps line scope activation depth output_chars changes task_id prompt targets label
correct isolation type message step $tuple $set $dict $float $int $object fields $cut $decimal cpu_s
""".split()  # noqa: SIM905
WORDS = st.sampled_from(
    [
        "stdio",
        "call",
        "check",
        "passed",
        "wrong_answer",
        "finished",
        "exception",
        "nan",
        "0xff",
        "def check(a, b, c): pass",
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=8)
    ),
    max_leaves=30,
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@given(data=st.dictionaries(st.sampled_from(NAMES), ANY_JSON, max_size=12))
@settings(max_examples=100, deadline=None)
def test_any_json_is_a_record_or_a_data_error(record: Any, data: dict[str, Any]) -> None:
    try:
        read = record.from_json(data)
    except DataError:
        return
    assert record.from_json(loads(json.dumps(read.to_json(), allow_nan=False))) == read


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@pytest.mark.parametrize("levels", [300, 390, 3_000, 100_000])
def test_deep_json_is_a_data_error_or_a_record(record: Any, levels: int) -> None:
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    for name in NAMES:
        try:
            read = record.from_json(dict.fromkeys(NAMES, "x") | {name: deep})
        except DataError:
            continue
        json.dumps(read.to_json())


@given(value=ANY_JSON)
@settings(max_examples=300, deadline=None)
def test_a_tagged_value_that_is_taken_can_be_written_and_compared(value: Any) -> None:
    try:
        taken = tagged(value, "value")
    except DataError:
        return
    assert tagged(loads(json.dumps(taken, allow_nan=False)), "value") == taken
    to_source(taken)
    equal(taken, taken)


@given(
    value=st.recursive(
        st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner),
    )
)
def test_what_is_encoded_is_taken_as_it_is(value: Any) -> None:
    once = encode(value)
    assert tagged(loads(json.dumps(once)), "value") == once


@given(number=st.integers(min_value=-(10**6000), max_value=10**6000))
@settings(max_examples=50, deadline=None)
def test_integers_of_any_length_are_read(number: int) -> None:
    hexadecimal = hex(number)
    digits, rest = [], abs(number)
    while rest:
        rest, digit = divmod(rest, 10**1000)
        digits.append(f"{digit:01000d}")
    text = ("-" if number < 0 else "") + ("".join(reversed(digits)).lstrip("0") or "0")
    assert hex(integer(text)) == hexadecimal
    assert loads(f'[{text}, "{text}"]')[0] == number


def test_integers_beyond_the_limit_are_refused_with_their_length() -> None:
    with pytest.raises(DataError, match="an integer has 100,001 digits; at most 100,000 are read"):
        loads("1" * 100_001)


def test_a_big_integer_goes_through_a_file_and_the_records(tmp_path: Any) -> None:
    row = (
        '{"problem_id": "p", "statement": "s", "entry_point": "f", "tests": [{"kind": "call", "args": [2], '
        '"expected": ' + "9" * 5000 + "}]}"
    )
    problem = Problem.from_json(loads(row))
    assert equal(problem.tests[0].expected, encode(10**5000 - 1))  # type: ignore[union-attr]
    assert Problem.from_json(loads(json.dumps(problem.to_json()))) == problem
