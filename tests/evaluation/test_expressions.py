"""Answers that are expressions: where they are found, and how they are judged."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.evaluation.benchmarks import BENCHMARKS, BenchmarkQuestion
from coderlplus.evaluation.benchmarks.expressions import left_side, returning, right_side
from coderlplus.evaluation.benchmarks.values import call_with_values, literal
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


def asked(name: str, row: Mapping[str, Any]) -> BenchmarkQuestion:
    question = BENCHMARKS[name].read(row)
    assert question is not None
    return question


QUESTION = asked("cruxeval-o", ROW)
COUNTED = ROW | {"output": "{'a': 2}"}
PREDICTIONS: dict[str, Mapping[str, Any]] = {"cruxeval-o": ROW, "lcb-execution": LCB_ROW, "lcb-testoutput": TEST_ROW}
RUNS = {
    "f([1, 2])",
    "globals()['f']([1, 2])", "eval('f')([1, 2])", "(lambda: f)()([1, 2])", "[g for g in [f]][0]([1, 2])",
    "__import__('__main__').f([1, 2])",
    "(x := f([1, 2]))", "f'{f([1, 2])}'", "[*f([1, 2])]", "{**vars()}", "f([1, 2]) if True else 0", "not f([1, 2])",
    "f([1, 2]) == [2, 3]", "[2] + [3]",
    "[x + 1 for x in [1, 2]]", "list(map(lambda x: x + 1, [1, 2]))", "sorted([3, 2])", "[2, 3][:]", "'ab'.upper()",
    "1 / 0", "prediction()",
    "type('E', (), {'__eq__': lambda a, b: True})()", "Counter([1, 1])", "set('ab')", "dict(**{'a': 1})", "float('1')",
    "str(1)", "count([1, 1, 2])",
    "Counter(f([1, 2]))", "defaultdict(f, {})", "deque(f([1, 2]))", "frozenset([f(1)])", "{1: f(1)}", "exec('1')",
    "...", "yield", "await f",
}  # fmt: skip
"""Answers that compute: none is a prediction, whatever it computes."""


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


@pytest.mark.parametrize(
    "completion", ["", "I do not know.", "[ANSWER]\n[/ANSWER]", "assert f([1, 2]) ==", "x = 3", "..."]
)
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
        ("cruxeval-o", ROW, "[ 2,\n 3e0, ]", "passed"),
        ("cruxeval-o", ROW, "assert f([1, 2]) == [2, 3]", "passed"),
        ("cruxeval-o", ROW, "(2, 3)", "wrong_answer"),
        ("cruxeval-o", ROW, "[2, 4]", "wrong_answer"),
        ("cruxeval-o", COUNTED, "Counter({'a': 2})", "passed"),
        ("cruxeval-o", COUNTED, "{'a': 2}", "passed"),
        ("cruxeval-o", COUNTED, "collections.Counter({'a': 3})", "wrong_answer"),
        ("cruxeval-o", ROW | {"output": "set()"}, "set()", "passed"),
        ("cruxeval-o", ROW | {"output": "float('inf')"}, "inf", "passed"),
        ("cruxeval-o", ROW | {"output": "1000"}, "1e3", "passed"),
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
def test_answers_are_judged_by_python_equality(
    judge: Judge, name: str, row: dict[str, object], answer: str, verdict: str
) -> None:
    question = asked(name, row)
    program = BENCHMARKS[name].program(question, answer)
    assert (
        judge.judge(
            question.problem, Rollout(rollout_id="r", problem_id=question.problem.problem_id, program=program)
        ).verdict
        == verdict
    )


@pytest.mark.parametrize("name", PREDICTIONS)
@pytest.mark.parametrize("answer", sorted(RUNS))
def test_an_answer_that_computes_is_no_prediction(name: str, answer: str) -> None:
    """Neither as an answer nor inside a completion, on its own, in an assertion, or deep in a literal."""
    benchmark, question = BENCHMARKS[name], asked(name, PREDICTIONS[name])
    for given_answer in (answer, f"[{answer}]", f"{{'k': ({answer},)}}", f"({answer})"):
        completions = [
            given_answer,
            f"[ANSWER]{given_answer}[/ANSWER]",
            f"```python\nassert f([1, 2]) == {given_answer}\n```",
        ]
        for found in [given_answer, *filter(None, (benchmark.answer(question, text) for text in completions))]:
            program = benchmark.program(question, found)
            assert program is None or (answer == "f([1, 2]) == [2, 3]" and "return [2, 3]\n" in program), (
                given_answer,
                program,
            )


LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(st.integers() | st.text(max_size=3), max_size=3)
        | st.frozensets(st.integers(), max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(LITERALS)
def test_every_value_of_plain_data_can_be_predicted_as_python_prints_it(value: Any) -> None:
    source = literal(repr(value))
    assert source is not None
    assert eval(source) == value
    assert literal(f"(\n{value!r}  # so\n)") == source


@given(LITERALS, st.sampled_from(sorted(RUNS)))
def test_no_literal_with_code_in_it_is_a_literal(value: Any, code: str) -> None:
    assert literal(f"[{value!r}, {code}]") is None
    assert literal(f"{{{code}: {value!r}}}") is None


def test_only_printed_forms_of_containers_are_literals() -> None:
    printed = [
        "Counter({'a': 1})",
        "OrderedDict([('a', 1)])",
        "OrderedDict({'a': 1})",
        "deque([1], maxlen=2)",
        "defaultdict(int, {'a': 1})",
        "range(0, 3)",
    ]
    printed += [
        "frozenset({1})",
        "bytearray(b'a')",
        "collections.deque([1])",
        "float('-inf')",
        "-inf",
        "(1+2j)",
        "-1.5-2j",
        "dict(a=1)",
        "dict()",
    ]
    assert [text for text in printed if literal(text) is None] == []
    assert [
        text
        for text in ("True + 1j", "-True", "~1", "1 + 1", "'a' 'b'%", "x", "math.pi", "os.deque([1])")
        if literal(text)
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "-" * 50_000 + "1",
        "(" * 150 + ")" * 150,
        "1" * 5000,
        "'\ud800'",
        "\0",
        "[" * 150 + "1" + "]" * 150,
        "1j" + "+1j" * 20_000,
    ],
)
def test_no_text_ends_the_reading_of_an_answer(text: str) -> None:
    for name, row in {**PREDICTIONS, "cruxeval-i": ROW}.items():
        question = asked(name, row)
        BENCHMARKS[name].program(question, BENCHMARKS[name].answer(question, text) or text)
        BENCHMARKS[name].program(question, f"f({text})")


@pytest.mark.parametrize(
    "answer",
    [
        "[1, 2]", "f", "f([1, 2]) or [2, 3]", "[f, [2, 3]][1]", "(lambda f: [2, 3])(f)", "f(f([0, 1]))",
        "f(*[[1, 2]])", "f(**{'xs': [1, 2]})",
        "f([x for x in [1, 2]])", "f(next(x for x in [[1, 2]] if f(x)))", "f(eval('[1, 2]'))", "f((lambda: [1, 2])())",
        "f(globals())", "g([1, 2])",
        "f(type('L', (list,), {})())", "f(lambda x: f(x))", "f(lambda x: x.__class__)", "f(lambda x=f: x)",
        "f(''.format.__self__)", "f(open('x'))", "",
    ],
)  # fmt: skip
def test_an_input_is_a_call_of_the_function_with_values(answer: str) -> None:
    assert BENCHMARKS["cruxeval-i"].program(asked("cruxeval-i", ROW), answer) is None


def test_inputs_may_be_written_as_the_set_writes_them() -> None:
    code = "some = [1, 2]\ndef f(xs): ..."
    for arguments in (
        "some[:], 3",
        "''.join(['A'] * 20)",
        "lambda x: x < 2",
        "(lambda x: x.reverse())",
        "dict(a = 1)",
        "range(3)",
        "k=-1",
        "'a-b'.split('-')",
    ):
        assert call_with_values(f"f({arguments})", "f", code) is not None
    assert call_with_values("f(other[:])", "f", code) is None


def test_every_reference_of_cruxeval_is_an_answer(shared: Path) -> None:
    for line in (shared / "data/cruxeval/cruxeval.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert BENCHMARKS["cruxeval-o"].program(asked("cruxeval-o", row), row["output"]) is not None
        program = BENCHMARKS["cruxeval-i"].program(asked("cruxeval-i", row), f"f({row['input']})")
        assert program is not None
        assert ast.unparse(ast.parse(f"f({row['input']})")) in program


def test_a_test_output_prompt_names_the_call() -> None:
    assert 'assert countBits("ab", 3) == # TODO' in asked("lcb-testoutput", TEST_ROW).messages[-1]["content"]


@pytest.mark.parametrize(
    ("name", "row"),
    [("cruxeval-o", ROW), ("cruxeval-i", ROW), ("lcb-execution", LCB_ROW)],
)
def test_a_question_has_a_chain_of_thought_form_and_a_direct_one_with_the_same_end(
    name: str, row: dict[str, Any]
) -> None:
    thinking, direct = (asked(form, row).messages[-1]["content"] for form in (name, f"{name}-direct"))
    end = thinking[thinking.rindex("[PYTHON]") :].removesuffix("[THOUGHT]\n")
    assert row["code"] in end
    assert direct.endswith(end + "[ANSWER]\n")
    assert "[THOUGHT]" not in direct
    examples = re.findall(r"\[PYTHON\]\n(.*?)assert .*?\[ANSWER\]\n(.*?)\n\[/ANSWER\]", direct, re.DOTALL)
    assert len(examples) == 2
    for program, answer in examples:
        exec(program + answer, {})  # the answers are true
