"""HumanEval (Chen et al. 2021): 164 functions to write from signature and docstring.

Prompt: evalplus's chat prompt (Apache-2.0) as one user message, without its beginning of the answer, which not every
endpoint can continue; for base models the release's prompt, with evalplus's stop strings. Tests: the ones of the
release. What the prompt defines before the function (imports, helpers) runs before the program; evalplus would fail a
program that counts on it, so the samples file written for it has it in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.benchmarks.plus import asserts_in, inputs_in
from coderlplus.evaluation.generate import Continued, Message
from coderlplus.problems import humaneval
from coderlplus.records import CheckTest

STOP = ("\ndef ", "\nclass ", "\nprint(", "\nif __name__", "\nassert ", "\nimport ", "\nfrom ")


def messages(prompt: str) -> tuple[Message, ...]:
    """evalplus's way to ask for a program."""
    asked = "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
    return user(f"{asked}\n```python\n{prompt.strip()}\n```")


def continued(prompt: str, stop: tuple[str, ...] = STOP) -> Continued:
    """evalplus's way to have a base model go on with a prompt."""
    return Continued(prompt.strip() + "\n", stop)


def check_id(task_id: Any) -> None:
    """Raises `DataError` for the id of a problem of another set."""
    if not str(task_id).lower().startswith("humaneval/"):
        raise DataError(
            f"{task_id!r} is not a problem of HumanEval; evaluate a file of other problems by its path: --benchmarks "
            "FILE"
        )


def read(row: Mapping[str, Any]) -> BenchmarkQuestion:
    """The question of a row of the release or of the hub's `openai/openai_humaneval`. Raises `DataError` for a row of
    another set."""
    check_id(row["task_id"])
    if inputs_in(row["test"]) is not None:
        raise DataError("the tests of the row are those of HumanEval+, not HumanEval's own; use humanevalplus")
    problem = humaneval.problem(row)
    cases = max(
        len(problem.tests), sum(asserts_in(test.code) for test in problem.tests if isinstance(test, CheckTest))
    )
    return BenchmarkQuestion(
        question_id=problem.problem_id,
        messages=messages(row["prompt"]),
        base=continued(row["prompt"]),
        problem=problem,
        cases=cases,
        layout="HumanEval's test",
    )


BENCHMARK = Benchmark(
    name="humaneval",
    metric="pass@1",
    hub="openai/openai_humaneval",
    hub_files=("*test*.parquet", "*test*.jsonl"),
    files=("HumanEval.jsonl.gz", "HumanEval.jsonl"),
    read=read,
    size=164,
    format="evalplus",
)
