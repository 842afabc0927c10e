"""Answers: what is read from a completion, and what counts as right."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.alignment import AlignmentConfig, parse_answer, score_answer, write_answer
from coderlplus.alignment.visible import is_fit
from coderlplus.records import AlignmentTask, CallInput, StdioInput, Target
from coderlplus.sandbox.values import encode


def target(label: str, value: Any, scope: str | None = None) -> Target:
    return Target(label=label, value=value, scope=scope)


LABELS = ["a", "output"]


def task(*targets: Target, stdin: str | None = None) -> AlignmentTask:
    given_input = CallInput("f", (1,)) if stdin is None else StdioInput(stdin)
    return AlignmentTask(
        task_id="t",
        kind="final_values",
        prompt="",
        program="",
        input=given_input,
        targets=targets,
        problem_id="p",
        rollout_id="r",
    )


def values(completion: str, labels: list[str] = LABELS) -> Any:
    answer = parse_answer(completion, labels)
    return None if answer is None else dict(answer.values)


@pytest.mark.parametrize(
    "completion",
    [
        '{"a": [3, 1], "output": true}',
        "{'a': [3, 1], 'output': True}",
        '{"a": [3, 1], "output": True}',
        'The answer is\n```json\n{"a": [3, 1],\n "output": true}\n```\nas shown.',
        '```\n{"a": [3, 1], "output": true}\n```',
        '<think>{"a": 0, "output": 0}</think>{"a": [3, 1], "output": true}',
        'First {"a": 1, "output": 2}, no: {"a": [3, 1], "output": true}',
        'It\'s {not json}; {"answer": {"a": [3, 1], "output": true}}',
        '{"a": [3, 1], "output": true, "b": {"a": 5}}',
        '{"a": [3, 1], "output": true} and so {"x": 1}',
        "a = [3, 1]\noutput = True",
        "Reasoning.\na = 0\n\n- `a`: [3, 1]\n- `output`: True",
        "```\na = [3, 1]\noutput = True\n```",
    ],
)
def test_the_same_answer_in_many_forms(completion: str) -> None:
    assert values(completion) == {"a": [3, 1], "output": True}


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "I do not know.",
        "{}",
        '{"b": 1}',
        '{"a": [3, 1}',
        '["a", "output"]',
        "a: the first variable",
        '{"a": __import__("os").getcwd()}',
        '{"a": open("x")}',
        '{"a": [i for i in range(3)]}',
        '{"a": 10 ** 10 ** 10}',
        '{**{"b": 1}, "a": f()}',
        '{"a": {[]}}',
        "a = 1\nThat is all.",
    ],
)
def test_what_is_no_answer(completion: str) -> None:
    assert parse_answer(completion, LABELS) is None


def test_one_value_alone_may_be_answered_bare() -> None:
    assert values("So it is\n[1, 2]", ["output"]) == {"output": [1, 2]}
    assert values("So it is\n```\n'x'\n```", ["output"]) == {"output": "x"}
    assert values("42", ["output"]) == {"output": 42}
    assert values("So it is 42", ["output"]) is None


def test_an_integer_of_any_length_is_read_and_does_not_cost_the_other_values() -> None:
    long = '{"a": 1, "output": ' + "9" * 5_000 + "}"
    assert score_answer(task(target("a", 1, "f"), target("output", 2)), long) == (
        pytest.approx(0.55),
        {"a": True, "output": False},
    )


def test_a_lacking_label_is_no_answer_for_it_but_the_rest_counts() -> None:
    assert score_answer(task(target("a", 1, "f"), target("output", 2)), '{"output": 2}') == (
        pytest.approx(0.55),
        {"a": False, "output": True},
    )


HOSTILE = {
    "deep lists": '{"a": ' + "[" * 5_000 + "]" * 5_000 + "}",
    "deep dicts": '{"a":' * 5_000,
    "unary": '{"a": ' + "-" * 9_000 + "1}",
    "sum": '{"a": 1' + "+1j" * 3_000 + "}",
    "many braces": "{" * 10_000,
    "many objects": '{"b": 1}' * 100_000,
    "open strings": "{'" * 5_000,
    "quotes": "{" * 30 + "\"'" * 4_900,
    "huge": '{"a": ' + "9" * 3_000_000 + "}",
    "nul": '{"a": "\x00"\x00}',
    "surrogate": '{"a": "\ud800"',
    "a long range": '{"a": set(range(10**10))}',
    "many bytes": '{"a": bytearray(10**10)}',
    "a large fraction": '{"a": Fraction("1e9999999")}',
    "a division by zero": '{"a": Fraction(1, 0)}',
    "no decimal": '{"a": Decimal("one")}',
    "backslashes": '{"a": "' + "\\" * 9_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_are_bounded(name: str) -> None:
    assert score_answer(task(target("a", 1, "f"), target("output", 2)), HOSTILE[name])[0] == 0.0


pieces = st.sampled_from(['{"a": ', '"output": ', "```", "a = ", "set(", "true", "None", "1", *"{}[](),-'\"\\\n"])


@given(st.lists(pieces | st.text(max_size=3), max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_reader(text: str) -> None:
    reward, correct = score_answer(task(target("a", 1, "f"), target("output", 2)), text)
    assert (reward == 0.0) == (not correct)


@pytest.mark.parametrize(
    ("true", "answer", "right"),
    [
        (3, "3", True),
        (3, "3.0", True),
        (3.0, "3", True),
        (3, '"3"', False),
        (0.1 + 0.2, "0.3", True),
        (1 / 3, "0.33", False),
        (1e-12, "0", True),
        (True, "true", True),
        (True, "True", True),
        (True, '"true"', False),
        (True, "1", False),
        (1, "true", False),
        (0, "False", False),
        (None, "null", True),
        (None, "None", True),
        (None, '"None"', False),
        (None, "0", False),
        ([1, 2], "[1, 2]", True),
        ([1, 2], "[2, 1]", False),
        ([1, 2], "(1, 2)", False),
        ((1, 2), "(1, 2)", True),
        ((1, 2), "[1, 2]", True),  # JSON has no tuples
        ((1, (2, {3})), "[1, [2, [3]]]", True),
        ((1, 2), "[2, 1]", False),
        ([(1, 2)], "[(1, 2)]", True),
        ({1, 2}, "{2, 1}", True),
        ({1, 2}, "[2, 1]", True),
        ({1, 2}, "[1, 2, 2]", False),
        ({1, 2}, "{1, 3}", False),
        (set(), "set()", True),
        (frozenset({1}), "frozenset({1})", True),
        ({"x": 1}, "{'x': 1}", True),
        ({1: "a", 2: "b"}, '{2: "b", 1: "a"}', True),
        ({1: "a"}, '{"1": "a"}', True),
        ({1: "a"}, '{"2": "a"}', False),
        ({(1, 2): [3]}, '{"(1, 2)": [3]}', True),
        ({"$x": 1}, '{"$x": 1}', True),
        ("a\nb", '"a\\nb"', True),
        ("a", "'a'", True),
        ("a", '"A"', False),
        (b"ab", "b'ab'", True),
        (b"ab", '"ab"', False),
        (math.nan, "NaN", True),
        (math.nan, "float('nan')", True),
        (math.inf, "Infinity", True),
        (-math.inf, "-inf", True),
        (-math.inf, "inf", False),
        (2**100, str(2**100), True),
        (2**100, str(2**100 + 1), False),
        (1 + 2j, "(1+2j)", True),
        (deque([1, (2,)]), "deque([1, (2,)])", True),
        (deque([1, 2]), "[1, 2]", True),
        (deque([1, 2]), "deque([2, 1])", False),
        (range(3), "range(0, 3)", True),
        (range(3), "range(0, 4)", False),
    ],
)
def test_values_are_compared_not_text(true: object, answer: str, right: bool) -> None:
    _, correct = score_answer(task(target("a", encode(true), "f")), f'{{"a": {answer}}}')
    assert correct == {"a": right}


@pytest.mark.parametrize(
    ("printed", "answer", "right"),
    [
        ("3\n4\n", '"3\\n4"', True),
        ("3  \n4\n\n", '"3\\n4"', True),
        ("  3", '"3"', False),
        ("3", "3", True),
        ("3.0", "3", False),
        ("True", "true", False),
        ("True", '"True"', True),
        ("[1, 2]", '"[1, 2]"', True),
        ("3 4", '"3  4"', False),
    ],
)
def test_printed_output_is_compared_as_text(printed: str, answer: str, right: bool) -> None:
    assert score_answer(task(target("output", printed), stdin=""), f'{{"output": {answer}}}')[1] == {"output": right}


def test_a_printed_program_still_compares_its_variables_by_value() -> None:
    assert score_answer(task(target("a", "3", "f"), target("output", "3"), stdin=""), '{"a": 3, "output": 3}')[1] == {
        "a": False,
        "output": True,
    }


def test_the_reward_is_the_formula() -> None:
    three = task(target("a", 1, "f"), target("b", 2, "f"), target("output", 3))
    answers = ['{"a": 1, "b": 2, "output": 3}', '{"a": 1, "b": 2, "output": 0}', '{"a": 0, "b": 0, "output": 0}', "?"]
    assert [score_answer(three, answer)[0] for answer in answers] == [
        1.0,
        pytest.approx(0.1 + 0.9 * 2 / 3),
        pytest.approx(0.1),
        0.0,
    ]
    assert [score_answer(three, answer, format_weight=0)[0] for answer in answers] == [
        1.0,
        pytest.approx(2 / 3),
        0.0,
        0.0,
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
others = (
    st.complex_numbers()
    | st.decimals()
    | st.fractions()
    | st.builds(range, st.integers(), st.integers(), st.integers(1))
    | st.binary(max_size=4).map(bytearray)
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=4)
hashable = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
python_values = st.recursive(
    scalars | others,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(deque)
        | st.tuples(inner, inner)
        | st.sets(hashable, max_size=3)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.dictionaries(st.text("ab$", max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def deep(levels: int) -> object:
    return deque([deep(levels - 1)]) if levels else deque()


def test_the_largest_values_that_are_asked_for_can_be_answered() -> None:
    limit = AlignmentConfig().max_value_chars
    large = [
        [{}] * (limit // 4),
        {(): "\N{GRINNING FACE}" * (limit - 20)},
        deep(17),
        {number: {number: {}} for number in range(20)},
    ]
    assert all(is_fit(encode(value), limit) for value in large)
    targets = [target(f"v{index}", encode(value), "f") for index, value in enumerate(large)]
    assert score_answer(task(*targets), f"So:\n{write_answer(targets)}")[0] == 1.0


@given(st.lists(python_values, min_size=1, max_size=4), st.integers(0, 3), st.floats(0, 0.9))
@settings(max_examples=200, deadline=None)
def test_the_reference_answer_scores_one_and_a_wrong_one_less(items: list[object], wrong: int, weight: float) -> None:
    targets = [target(f"v{index}", encode(item), "f") for index, item in enumerate(items)]
    question = task(*targets)
    assert score_answer(question, f"Let me see.\n{write_answer(targets)}", format_weight=weight)[0] == 1.0
    index = wrong % len(targets)
    changed = [*targets]
    changed[index] = target(targets[index].label, [targets[index].value, "another value"], "f")
    assert score_answer(question, write_answer(changed), format_weight=weight)[0] < 1.0
