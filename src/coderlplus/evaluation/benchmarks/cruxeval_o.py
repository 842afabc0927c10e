"""CRUXEval-O (Gu et al. 2024): what does this function return on this input? 800 functions.

Prompt: the chain-of-thought prompt of the benchmark's repository, `facebookresearch/cruxeval` (MIT), or its direct one
(`cruxeval-o-direct`), as one user message; a base model goes on with the same text. It asks for a literal, and an
answer that is none is wrong here. Its scorer evaluates any expression beside the function, and refuses only one that
repeats the call letter by letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.benchmarks.expressions import (
    ANSWERED,
    asked_run,
    check_row,
    predicted_value,
    problem,
    right_side,
)
from coderlplus.evaluation.generate import Continued

PROMPT = """\
You are given a Python function and an assertion containing an input to the function. Complete the assertion with a \
literal (no unsimplified expressions, no function calls) containing the output when executing the provided code on \
the given input, even if the function is incorrect or incomplete. Do NOT output any extra information. Execute the \
program step by step before arriving at an answer, and provide the full assertion with the correct output in [ANSWER] \
and [/ANSWER] tags, following the examples.

[PYTHON]
def {name}(s):
    s = s + s
    return "b" + s + "a"
assert {name}({argument}"hi") == ??
[/PYTHON]
[THOUGHT]
Let's execute the code step by step:

1. The function {name} is defined, which takes a single argument s.
2. The function is called with the argument "hi", so within the function, s is initially "hi".
3. Inside the function, s is concatenated with itself, so s becomes "hihi".
4. The function then returns a new string that starts with "b", followed by the value of s (which is now "hihi"), and \
ends with "a".
5. The return value of the function is therefore "bhihia".
[/THOUGHT]
[ANSWER]
assert {name}({argument}"hi") == "bhihia"
[/ANSWER]

[PYTHON]
{code}
assert {call} == ??
[/PYTHON]
[THOUGHT]
"""
DIRECT = """\
You are given a Python function and an assertion containing an input to the function. Complete the assertion with a \
literal (no unsimplified expressions, no function calls) containing the output when executing the provided code on \
the given input, even if the function is incorrect or incomplete. Do NOT output any extra information. Provide the \
full assertion with the correct output in [ANSWER] and [/ANSWER] tags, following the examples.

[PYTHON]
def {first}:
    return {returned}
assert {first_call} == ??
[/PYTHON]
[ANSWER]
assert {first_call} == 17
[/ANSWER]

[PYTHON]
def {second}:
    return {text} + "a"
assert {second_call} == ??
[/PYTHON]
[ANSWER]
assert {second_call} == "x9ja"
[/ANSWER]

[PYTHON]
{code}
assert {call} == ??
[/PYTHON]
[ANSWER]
"""
NAMES = {"name": "f", "argument": ""}
EXAMPLES = {"first": "f(n)", "returned": "n", "first_call": "f(17)"} | {
    "second": "f(s)",
    "text": "s",
    "second_call": 'f("x9j")',
}


def read(row: Mapping[str, Any], prompt: str = PROMPT, examples: Mapping[str, str] = NAMES) -> BenchmarkQuestion:
    """The question of a row: `id`, `code`, `input`, `output`. Raises `DataError` for a row of another set."""
    check_row(row)
    call = f"f({row['input']})"
    text = prompt.format(code=row["code"], call=call, **examples)
    return BenchmarkQuestion(
        question_id=row["id"],
        messages=user(text),
        base=Continued(text, ANSWERED),
        problem=problem(row["id"], call, row["output"], source="cruxeval-o"),
        keys={"code": row["code"], "call": call},
        layout="code, input, output",
    )


BENCHMARK = Benchmark(
    name="cruxeval-o",
    metric="accuracy",
    hub="cruxeval-org/cruxeval",
    hub_files=("*test*.jsonl", "*cruxeval*.jsonl", "*test*.parquet"),
    files=("cruxeval.jsonl", "cruxeval.jsonl.gz"),
    read=read,
    size=800,
    answer=right_side,
    program=predicted_value,
    traced=asked_run,
)
DIRECTLY = replace(BENCHMARK, name="cruxeval-o-direct", read=partial(read, prompt=DIRECT, examples=EXAMPLES))
