"""HumanEval+ (Liu et al. 2023): HumanEval's problems with about eighty times the tests.

Prompt as for `humaneval`; tests and comparison: `plus`. The releases without extreme inputs and with few inputs
(`NoExtreme`, `Mini`) are read too: the results name the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.benchmarks.humaneval import check_id, continued, messages
from coderlplus.evaluation.benchmarks.plus import LIMITS, checks
from coderlplus.problems import humaneval

POLYNOMIAL = (
    "value = 0.0\n        for factor in reversed(arguments[0]):\n            value = value * actual + factor\n"
    '        assert abs(value) <= 1e-4, f"{actual!r} is no zero"'
)
SPECIAL = {"find_zero": POLYNOMIAL}
"""Any zero is right, within the tolerance of the task."""


def read(row: Mapping[str, Any]) -> BenchmarkQuestion:
    """The question of a row of a release or of the hub's `evalplus/humanevalplus`. Raises `DataError` for a row
    without HumanEval+'s tests."""
    check_id(row["task_id"])
    found, cases, layout = checks(row, special=SPECIAL.get(row["entry_point"], ""))
    problem = humaneval.problem({**row, "test": found[0].code})
    problem = dataclasses.replace(
        problem, source="humanevalplus", entry_point=row["entry_point"], tests=found, limits=LIMITS
    )
    return BenchmarkQuestion(
        question_id=problem.problem_id,
        messages=messages(row["prompt"]),
        base=continued(row["prompt"]),
        problem=problem,
        cases=cases,
        layout=layout,
    )


BENCHMARK = Benchmark(
    name="humanevalplus",
    metric="pass@1",
    hub="evalplus/humanevalplus",
    hub_files=("*test*.parquet", "*test*.jsonl"),
    files=tuple(
        f"HumanEvalPlus{kind}.jsonl{end}" for kind in ("", "-v*", "-NoExtreme*", "-Mini*") for end in (".gz", "")
    ),
    read=read,
    size=164,
    format="evalplus",
)
