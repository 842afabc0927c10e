"""Recorded programs: rows in HumanEval's form with the program that a model wrote (`solution`) and the verdict of its recorder (`is_solved`).

Recorders' verdicts are kept for comparison only; some are wrong, because the recorder's process had modules imported that the program had not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coderlplus.problems import humaneval
from coderlplus.records import Problem, Rollout


@dataclass(frozen=True, slots=True)
class RecordedProgram:
    """A program, the problem that it answers, and whether its recorder found it right (`None`: not recorded)."""

    problem: Problem
    rollout: Rollout
    is_solved: bool | None


def recorded(row: Mapping[str, Any], rollout_id: str) -> RecordedProgram:
    """Read one row; the caller names the rollout."""
    problem = humaneval.problem(row)
    rollout = Rollout(rollout_id=rollout_id, problem_id=problem.problem_id, program=row["solution"])
    return RecordedProgram(problem, rollout, row.get("is_solved"))
