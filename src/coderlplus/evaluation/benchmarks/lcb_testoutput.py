"""LiveCodeBench test output prediction (Jain et al. 2024): what should a right program return on this input? The
paper's "test output generation".

Prompt: the benchmark's own (`LiveCodeBench/LiveCodeBench`, MIT), system message and user message. Its scorer evaluates
the right side of the assertion in its own process and compares with the JSON value; here it must be a literal.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.benchmarks.expressions import predicted_value, problem, right_side
from coderlplus.programs import parse
from coderlplus.records import ProgramInput

SYSTEM = (
    "You are a helpful programming assistant and an expert Python programmer. You are helping a user to write a test "
    "case to help to check the correctness of the function. The user has written a input for the testcase. You will "
    "calculate the output of the testcase and write the whole assertion statement in the markdown code block with the "
    "correct output."
)


def read(row: Mapping[str, Any]) -> BenchmarkQuestion:
    """The question of a row: `question_id`, `test_id`, `question_content`, `starter_code`, `test` (JSON text),
    `contest_date`."""
    tests = json.loads(row["test"]) if isinstance(row["test"], str) else row["test"]
    if not tests:
        raise DataError("the row has no test")
    question_id = f"{row['question_id']}/{row['test_id']}"
    call = f"{function_name(row['starter_code'])}({', '.join(tests[0]['input'].split(chr(10)))})"
    text = (
        f"Problem:\n{row['question_content']}Function:\n```\n{row['starter_code']}\n```\n"
        f"Please complete the following test case:\n\n```\nassert {call} == # TODO\n```\n"
    )
    return BenchmarkQuestion(
        question_id=question_id,
        messages=user(text, SYSTEM),
        problem=problem(
            question_id,
            f"{row['question_content']}\n\n{call}",
            repr(json.loads(tests[0]["output"])),
            source="lcb-testoutput",
        ),
        date=str(row["contest_date"])[:10],
        layout="one test a row",
        family=str(row["question_id"]),
        keys={"question_id": row["question_id"], "test_id": row["test_id"]},
    )


def function_name(starter_code: str) -> str:
    """The function that starter code begins.

    >>> function_name("class Solution:\\n    def add(self, a: int) -> int:\\n        ")
    'add'
    """
    tree = parse(starter_code.rstrip() + " ...")
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if len(names) != 1:
        raise DataError(f"the starter code begins {len(names)} functions, not one: {starter_code[:80]!r}")
    return names[0]


def traced(question: BenchmarkQuestion, program: str, given: ProgramInput | None) -> None:
    """There is no program to trace: the question shows a statement only."""


BENCHMARK = Benchmark(
    name="lcb-testoutput",
    metric="accuracy",
    hub="livecodebench/test_generation",
    hub_files=("*test*.jsonl", "*test*.parquet"),
    files=("lcb_testoutput.jsonl", "lcb_testoutput.jsonl.gz"),
    read=read,
    answer=right_side,
    program=predicted_value,
    traced=traced,
    dated=True,
    format="livecodebench",
)
