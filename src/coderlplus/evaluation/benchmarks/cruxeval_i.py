"""CRUXEval-I (Gu et al. 2024): with which input does this function return this? 800 functions; any input that does is
right.

Prompt: the chain-of-thought prompt of the benchmark's repository, `facebookresearch/cruxeval` (MIT), or its direct one
(`cruxeval-i-direct`), as one user message; a base model goes on with the same text. As in its scorer, an answer that
does not call `f` is wrong; here the call must be all of it, and its arguments values (see `values`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.benchmarks.expressions import ANSWERED, check_row, left_side, predicted_call, problem
from coderlplus.evaluation.generate import Continued

PROMPT = """\
You will be given a function f and an output in the form f(??) == output. Your task is to find any input such that \
executing f on the input leads to the given output. There may be multiple answers, but only output one. First, think \
step by step. You MUST surround the answer with [ANSWER] and [/ANSWER] tags. Express your answer as a passing \
assertion containing the input and the given output.

[PYTHON]
def f(x):
    return x + 1
assert f(??) == 17
[/PYTHON]
[THOUGHT]
To find an input such that executing f on the input leads to the given output, we can work backwards from the given \
assertion. We know that f(??) == 17.\x20

Since the function f(x) returns x + 1, for f(??) to be equal to 17, the value of ?? should be 16.\x20
[/THOUGHT]
[ANSWER]
assert f(16) == 17
[/ANSWER]

[PYTHON]
{code}
assert f(??) == {output}
[/PYTHON]
[THOUGHT]
"""
DIRECT = """\
You will be given a function f and an output in the form f(??) == output. Find any input such that executing f on \
the input leads to the given output. There may be multiple answers, but you should only output one. In [ANSWER] and \
[/ANSWER] tags, complete the assertion with one such input that will produce the output when executing the function.

[PYTHON]
def f(my_list):
    count = 0
    for i in my_list:
        if len(i) % 2 == 0:
            count += 1
    return count
assert f(??) == 3
[/PYTHON]
[ANSWER]
assert f(["mq", "px", "zy"]) == 3
[/ANSWER]

[PYTHON]
def f(s1, s2):
    return s1 + s2
assert f(??) == "banana"
[/PYTHON]
[ANSWER]
assert f("ba", "nana") == "banana"
[/ANSWER]

[PYTHON]
{code}
assert f(??) == {output}
[/PYTHON]
[ANSWER]
"""


def read(row: Mapping[str, Any], prompt: str = PROMPT) -> BenchmarkQuestion:
    """The question of a row: `id`, `code`, `input`, `output`. Raises `DataError` for a row of another set."""
    check_row(row)
    text = prompt.format(code=row["code"], output=row["output"])
    return BenchmarkQuestion(
        question_id=row["id"],
        messages=user(text),
        base=Continued(text, ANSWERED),
        problem=problem(row["id"], f"f(??) == {row['output']}", row["output"], source="cruxeval-i"),
        keys={"code": row["code"]},
        layout="code, input, output",
    )


def program(question: BenchmarkQuestion, answer: str) -> str | None:
    return predicted_call(question, answer, question.keys["code"], "f")


BENCHMARK = Benchmark(
    name="cruxeval-i",
    metric="accuracy",
    hub="cruxeval-org/cruxeval",
    hub_files=("*test*.jsonl", "*cruxeval*.jsonl", "*test*.parquet"),
    files=("cruxeval.jsonl", "cruxeval.jsonl.gz"),
    read=read,
    size=800,
    answer=left_side,
    program=program,
)
DIRECTLY = replace(BENCHMARK, name="cruxeval-i-direct", read=partial(read, prompt=DIRECT))
