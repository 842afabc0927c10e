"""MBPP (Austin et al. 2021): the 500 test problems (ids 11 to 510) of the full set.

Prompt: the task in words and its first test as a docstring, asked for as evalplus asks (see `humaneval`); a base model
goes on after the docstring. evalplus's own MBPP is the part of the sanitized set that it kept, 378 problems, and is
`mbppplus` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.benchmarks.humaneval import continued, messages
from coderlplus.problems import mbpp

TEST_SPLIT = range(11, 511)
STOP = ('\n"""', "\nassert", "\nprint(", "\nif __name__", "\ndef main(")


def read(row: Mapping[str, Any]) -> BenchmarkQuestion | None:
    """The question of a row of the full set; `None` for a row of another split. Raises `DataError` for a row of the
    sanitized set."""
    if int(row["task_id"]) not in TEST_SPLIT:
        return None
    if "text" not in row:
        raise DataError(
            "the row is not of MBPP's full set: it has no 'text'; evaluate the sanitized file by its path: "
            "--benchmarks FILE"
        )
    if not row["test_list"]:
        raise DataError("the row has no tests in 'test_list'")
    problem = mbpp.problem(row)
    prompt = f'"""\n{row["text"].strip()}\n{row["test_list"][0]}\n"""'
    return BenchmarkQuestion(
        question_id=problem.problem_id,
        messages=messages(prompt),
        base=continued(prompt, STOP),
        problem=problem,
        layout="test_list",
    )


BENCHMARK = Benchmark(
    name="mbpp",
    metric="pass@1",
    hub="google-research-datasets/mbpp",
    hub_files=("full/*test*.parquet", "*mbpp.jsonl"),
    files=("mbpp.jsonl", "mbpp.jsonl.gz"),
    read=read,
    size=500,
    format="evalplus",
)
