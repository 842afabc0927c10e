"""Your own data format: turn its rows into problems, then use everything else unchanged.

    python examples/own_format.py rows.jsonl --output problems.jsonl

Here a row is `{"name": …, "task": …, "examples": [[stdin, stdout], …], "solution": …}`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import coderlplus as crl


def to_problem(row: dict[str, Any]) -> crl.Problem:
    return crl.Problem(
        problem_id=row["name"],
        statement=row["task"],
        tests=tuple(crl.StdioTest(stdin, stdout) for stdin, stdout in row["examples"]),
        reference=row["solution"],
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Read your own format and keep the problems whose solution passes.")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--output", default="problems.jsonl")
    options = parser.parse_args(arguments)
    problems = []
    for number, line in enumerate(options.rows.read_text(encoding="utf-8").splitlines(), 1):
        try:
            problems.append(to_problem(json.loads(line)))
        except crl.NoTestsError as error:
            print(f"{options.rows}:{number}: {error}")
    pairs = [
        (one, crl.Rollout(rollout_id="ref", problem_id=one.problem_id, program=one.reference)) for one in problems
    ]
    with crl.open_sandbox() as sandbox:
        verdicts = crl.Judge(sandbox).judge_many(pairs)
    good = [problem for problem, verdict in zip(problems, verdicts, strict=True) if verdict.passed]
    print(f"{crl.write_jsonl(options.output, good)} of {len(problems)} problems are passed by their own solution")


if __name__ == "__main__":
    main()
