"""LiveCodeBench code execution (Jain et al. 2024): what does this solution return on this input? The paper's "code
reasoning".

Prompt: the benchmark's chain-of-thought prompt (`LiveCodeBench/LiveCodeBench`, MIT), or its direct one
(`lcb-execution-direct`), with its system message; they are CRUXEval's with other examples. A base model goes on with
the same text. Its scorer drops a sample that repeats the call and so scores the rest; here an answer
that is no literal is wrong. The published evaluation of CodeRL+ asks in other words, for an answer in \\boxed{}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.benchmarks.cruxeval_o import DIRECT, PROMPT
from coderlplus.evaluation.benchmarks.expressions import (
    ANSWERED,
    IMPORTS,
    asked_run,
    predicted_value,
    problem,
    right_side,
)
from coderlplus.evaluation.generate import Continued

SYSTEM = "You are an expert at Python programming, code execution, test case generation, and fuzzing."

NAMES = {"name": "performOperation", "argument": "s = "}
EXAMPLES = {
    "first": "repeatNumber(number : int) -> int",
    "returned": "number",
    "first_call": "repeatNumber(number = 17)",
    "second": "addCharacterA(string : str) -> str",
    "text": "string",
    "second_call": 'addCharacterA(string = "x9j")',
}


def read(row: Mapping[str, Any], prompt: str = PROMPT, examples: Mapping[str, str] = NAMES) -> BenchmarkQuestion:
    """The question of a row: `id`, `code`, `input` (a call), `output`, `function_name`, `contest_date`."""
    question_id, call = str(row["id"]), row["input"]
    text = prompt.format(code=row["code"], call=call, **examples)
    return BenchmarkQuestion(
        question_id=question_id,
        messages=user(text, SYSTEM),
        base=Continued(text, ANSWERED),
        problem=problem(question_id, call, row["output"], source="lcb-execution", setup_code=IMPORTS),
        date=str(row["contest_date"])[:10],
        layout="code, input, output",
        family=str(row.get("question_id", "")),
        keys={"id": question_id, "code": row["code"], "call": call, "function": row["function_name"]},
    )


BENCHMARK = Benchmark(
    name="lcb-execution",
    metric="accuracy",
    hub="livecodebench/execution-v2",
    hub_files=("*test*.jsonl", "*test*.parquet"),
    files=("lcb_execution.jsonl", "lcb_execution.jsonl.gz"),
    read=read,
    answer=right_side,
    program=predicted_value,
    traced=asked_run,
    dated=True,
    format="livecodebench",
)
DIRECTLY = replace(BENCHMARK, name="lcb-execution-direct", read=partial(read, prompt=DIRECT, examples=EXAMPLES))
