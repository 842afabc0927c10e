"""Recorded programs: what models and people wrote, with the verdict of whoever recorded it.

Rows in HumanEval's form with the program (`solution`) and the verdict (`is_solved`), or rows of LiveCodeBench with
programs. Recorders' verdicts are kept for comparison only; some are wrong, because the recorder's process had modules
imported that the program had not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coderlplus.problems import humaneval, livecodebench
from coderlplus.problems.parsing import text_of
from coderlplus.records import Problem, Rollout


@dataclass(frozen=True, slots=True)
class RecordedProgram:
    """A program, the problem that it answers, and whether its recorder found it right (`None`: not recorded)."""

    problem: Problem
    rollout: Rollout
    is_solved: bool | None


def recorded(row: Mapping[str, Any], file: str) -> list[RecordedProgram]:
    """The programs of one row. Rollouts are named `<file>/<task>`, of LiveCodeBench `<file>/<question>/<author>`."""
    if "question_id" in row:
        problem = livecodebench.problem(row)
        found = [
            (f"{file}/{row['question_id']}/{name}", program, is_right)
            for name, program, is_right in livecodebench.programs(row)
        ]
    else:
        problem = humaneval.problem(row)
        found = [(f"{file}/{problem.problem_id}", text_of(row, "solution"), row.get("is_solved"))]
    return [
        RecordedProgram(
            problem, Rollout(rollout_id=rollout_id, problem_id=problem.problem_id, program=program), is_solved
        )
        for rollout_id, program, is_solved in found
    ]
