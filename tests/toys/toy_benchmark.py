"""A benchmark: write a function that multiplies by the number of the row. Rows are `{"factor": 3}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coderlplus.evaluation.benchmarks import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.benchmarks.base import user
from coderlplus.records import CallTest, Problem


def read(row: Mapping[str, Any]) -> BenchmarkQuestion:
    factor = row["factor"]
    statement = f"Write f(x), which returns {factor} times x."
    tests = tuple(CallTest((x,), factor * x) for x in (0, 1, 5))
    problem = Problem(problem_id=f"times-{factor}", statement=statement, entry_point="f", tests=tests)
    return BenchmarkQuestion(question_id=problem.problem_id, messages=user(statement), problem=problem)


BENCHMARK = Benchmark(name="times", metric="pass@1", read=read, files=("times.jsonl",))
