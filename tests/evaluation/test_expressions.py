"""Answers that are expressions: where they are found, and how they are judged."""

from __future__ import annotations

import pytest

from coderlplus.evaluation.benchmarks import BENCHMARKS, Question
from coderlplus.evaluation.benchmarks.expressions import left_side, returning, right_side
from coderlplus.judge import Judge
from coderlplus.records import Rollout

ROW = {"id": "sample_0", "code": "def f(xs):\n    return [x + 1 for x in xs]", "input": "[1, 2]", "output": "[2, 3]"}
LCB_ROW = {
    "id": "sample_7",
    "code": "class Solution: ...\ndef count(nums: List[int]) -> int:\n    return len(Counter(nums))",
    "input": "count(nums = [1, 1, 2])",
    "output": "2",
    "function_name": "count",
    "contest_date": "2023-06-01T00:00:00",
}
TEST_ROW = {
    "question_id": "2777",
    "test_id": 1,
    "question_content": "Count.",
    "starter_code": "class Solution:\n    def countBits(self, s: str, n: int) -> List[bool]:\n        ",
    "test": '[{"input": "\\"ab\\"\\n3", "output": "[true, null]", "testtype": "functional"}]',
    "contest_date": "2023-07-01T00:00:00",
}


def asked(name: str, row: dict[str, object]) -> Question:
    question = BENCHMARKS[name].read(row)
    assert question is not None
    return question


QUESTION = asked("cruxeval-o", ROW)


@pytest.mark.parametrize(
    "completion",
    [
        "[2, 3]",
        "assert f([1, 2]) == [2, 3]",
        "It adds one.\n[/THOUGHT]\n[ANSWER]\nassert f([1, 2]) == [2, 3]\n[/ANSWER]",
        "[ANSWER] assert f([1, 2]) == [2, 3] [/ANSWER] and so on",
        "first [ANSWER]f([1, 2]) == [9][/ANSWER], no: [ANSWER][2, 3][/ANSWER]",
        "<think>x == 3, [ANSWER]7[/ANSWER]</think>\n[ANSWER]\n[2, 3]",
        "So:\n```python\nassert f([1, 2]) == [2, 3]\n```",
        "The answer is\nassert f([1, 2]) == [2, 3]",
        "[ANSWER]\nf([1, 2]) == [2, 3]",
        "[ANSWER]\n```python\nassert f([1, 2]) == [2, 3]\n```\n[/ANSWER]",
    ],
)
def test_the_claimed_output_is_found(completion: str) -> None:
    assert right_side(QUESTION, completion) == "[2, 3]"


@pytest.mark.parametrize("completion", ["", "I do not know.", "[ANSWER]\n[/ANSWER]", "assert f([1, 2]) ==", "x = 3", "..."])
def test_no_answer_is_found_where_there_is_none(completion: str) -> None:
    assert right_side(QUESTION, completion) is None


def test_an_equals_sign_in_a_string_is_no_comparison() -> None:
    assert right_side(QUESTION, "[ANSWER]\nassert f('a == b') == 'c == d'\n[/ANSWER]") == "'c == d'"


def test_the_claimed_input_is_the_left_side() -> None:
    assert left_side(QUESTION, "[ANSWER]\nassert f([1, 2], k=3) == [2, 3]\n[/ANSWER]") == "f([1, 2], k=3)"


def test_an_answer_that_is_no_expression_makes_no_program() -> None:
    assert returning("x = 1", "import os") is None
    assert returning("x = 1", "(") is None


@pytest.mark.parametrize(
    ("name", "row", "answer", "verdict"),
    [
        ("cruxeval-o", ROW, "[2, 3]", "passed"),
        ("cruxeval-o", ROW, "[2] + [3]", "passed"),
        ("cruxeval-o", ROW, "(2, 3)", "wrong_answer"),
        ("cruxeval-o", ROW, "[2, 4]", "wrong_answer"),
        ("cruxeval-o", ROW, "type('E', (), {'__eq__': lambda a, b: True})()", "wrong_answer"),
        ("cruxeval-o", ROW, "1 / 0", "runtime_error"),
        ("cruxeval-i", ROW, "f([1, 2])", "passed"),
        ("cruxeval-i", ROW, "f(range(1, 3))", "passed"),
        ("cruxeval-i", ROW, "f([2, 3])", "wrong_answer"),
        ("lcb-execution", LCB_ROW, "2", "passed"),
        ("lcb-execution", LCB_ROW, "3", "wrong_answer"),
        ("lcb-testoutput", TEST_ROW, "[True, None]", "passed"),
        ("lcb-testoutput", TEST_ROW, "[1, None]", "passed"),
        ("lcb-testoutput", TEST_ROW, "[False, None]", "wrong_answer"),
    ],
)
def test_answers_are_judged_by_python_equality(judge: Judge, name: str, row: dict[str, object], answer: str, verdict: str) -> None:
    question = asked(name, row)
    program = BENCHMARKS[name].program(question, answer)
    assert judge.judge(question.problem, Rollout(rollout_id="r", problem_id=question.problem.problem_id, program=program)).verdict == verdict


@pytest.mark.parametrize(
    ("name", "row", "answer"), [("cruxeval-o", ROW, "f([1, 2])"), ("cruxeval-i", ROW, "[2, 3]"), ("lcb-execution", LCB_ROW, "count([1, 1, 2])")]
)
def test_running_the_program_is_no_prediction_and_an_input_needs_a_call(name: str, row: dict[str, object], answer: str) -> None:
    assert BENCHMARKS[name].program(asked(name, row), answer) is None


def test_a_test_output_prompt_names_the_call() -> None:
    assert 'assert countBits("ab", 3) == # TODO' in asked("lcb-testoutput", TEST_ROW).messages[-1]["content"]
