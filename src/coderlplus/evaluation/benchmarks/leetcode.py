"""LeetCodeDataset's test problems (Xia et al. 2025), v0.3.1: 228 problems of LeetCode from July 2024 on.

Prompt: the one that each row brings (`query`), as one user message. Tests: the row's, compared as LeetCode compares
(see `problems.leetcode`); its own scorer compares with `==` in the program's process and stops after 3 s. The
published evaluation of CodeRL+ uses another set of LeetCode, 180 problems of DeepSeek-Coder's repository, which is not
this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.problems.leetcode import problem as as_problem
from coderlplus.records import Limits

LIMITS = Limits(cpu_s=10.0, wall_s=90.0, memory_mb=1024)


def read(row: Mapping[str, Any]) -> BenchmarkQuestion:
    """The question of a row."""
    problem = dataclasses.replace(as_problem(row), limits=LIMITS)
    layout = "rows of v0.3" if "problem_description" in row else "rows before v0.3"
    return BenchmarkQuestion(
        question_id=str(row["task_id"]), messages=user(row["query"]), problem=problem, layout=layout
    )


BENCHMARK = Benchmark(
    name="leetcode",
    metric="pass@1",
    hub="newfacade/LeetCodeDataset",
    hub_files=("*test*.jsonl", "*test*.jsonl.gz", "*test*.parquet"),
    files=(
        "LeetCodeDataset-v0.3.1-test.jsonl.gz",
        "LeetCodeDataset-v0.3.1-test.jsonl",
        "LeetCodeDataset-*test.jsonl*",
    ),
    read=read,
    size=228,
)
