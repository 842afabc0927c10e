"""LiveCodeBench code generation (Jain et al. 2024): problems of LeetCode, AtCoder and Codeforces by contest date.

Prompt: the benchmark's generic chat prompt (`LiveCodeBench/LiveCodeBench`, MIT), system message and user message.
Tests: public and private ones of `code_generation_lite`. `release_v4`, the default, is the paper's; it is the first
four files of the hub. Our comparator forgives what it says in docs/judge.md (floats within 1e-6, lists in any order
and words in any case where the statement allows it), and a stdin program runs as a script; the benchmark's own scorer
compares numbers exactly and runs a stdin program inside a function with its imports before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.problems.livecodebench import problem as as_problem
from coderlplus.records import Limits

LIMITS = Limits(cpu_s=6.0, wall_s=54.0, memory_mb=2048)
"""The benchmark's own scorer allows 6 s a test and 4 GB."""

SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests."
)
WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code within "
    "delimiters."
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the "
    "inputs, runs the algorithm and writes output to STDOUT."
)


def read(row: Mapping[str, Any]) -> BenchmarkQuestion:
    """The question of a row of a release file. A row without private tests, as in files with `public_tests`, lacks
    what the benchmark scores."""
    problem = dataclasses.replace(as_problem(row), limits=LIMITS)
    code = row["starter_code"] or "# YOUR CODE HERE"
    text = (
        f"### Question:\n{row['question_content']}\n\n### Format: "
        f"{WITH_STARTER if row['starter_code'] else WITHOUT_STARTER}\n"
        f"```python\n{code}\n```\n\n### Answer: (use the provided format with backticks)\n\n"
    )
    question_id = str(row["question_id"])
    return BenchmarkQuestion(
        question_id=question_id,
        messages=user(text, SYSTEM),
        problem=problem,
        date=str(row["contest_date"])[:10],
        keys={"question_id": question_id},
        layout="public and private tests",
        lacks=None
        if row.get("private_test_cases") not in (None, "", "[]", [])
        else "private tests ('private_test_cases')",
    )


BENCHMARK = Benchmark(
    name="livecodebench",
    metric="pass@1",
    hub="livecodebench/code_generation_lite",
    hub_files=("{releases}",),
    files=("livecodebench.jsonl", "livecodebench.jsonl.gz", "lcb_dev.jsonl.gz"),
    read=read,
    dated=True,
    format="livecodebench",
)
