"""Readers for problems and programs: coderlplus's own JSONL and the public formats, told apart by what is in the file, gzipped or not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems import humaneval, mbpp
from coderlplus.problems.files import Row, read_rows
from coderlplus.problems.recorded import RecordedProgram, recorded
from coderlplus.records import Problem, Rollout

__all__ = ["RecordedProgram", "read_problems", "read_recorded", "read_rollouts"]

_PROBLEM_FORMATS = {
    "coderlplus problems": ({"problem_id", "statement", "tests"}, Problem.from_json),
    "MBPP": ({"task_id", "code", "test_list"}, mbpp.problem),
    "HumanEval": ({"task_id", "prompt", "entry_point", "test"}, humaneval.problem),
}
_RECORDED = {"task_id", "prompt", "entry_point", "test", "solution"}
_ROLLOUT = {"rollout_id", "problem_id"}


def read_problems(path: str | Path) -> list[Problem]:
    """The problems of a file: coderlplus JSONL, MBPP (sanitized or full), HumanEval, or recorded programs, which bring their problems along.

    Raises `DataError` naming file and line where a row cannot be used, where the format is none of these, and where two rows give one `problem_id`
    to different problems; rows that repeat a problem count once.
    """
    problems: dict[str, Problem] = {}
    rows = read_rows(path)
    convert = _problem_format(rows[0])
    for row in rows:
        problem = row.read(convert)
        if problems.setdefault(problem.problem_id, problem) != problem:
            raise DataError(f"{row.place}: another problem has the id {problem.problem_id!r}; ids must be unique")
    return list(problems.values())


def read_rollouts(path: str | Path) -> list[Rollout]:
    """The programs of a file: coderlplus JSONL, or recorded programs. Raises `DataError` as `read_problems` does."""
    rows = read_rows(path)
    if rows[0].data.keys() >= _RECORDED:
        return [item.rollout for item in read_recorded(path)]
    if not rows[0].data.keys() & _ROLLOUT:
        raise DataError(f"{rows[0].place}: neither a coderlplus program (rollout_id, problem_id, program or completion) nor a recorded one")
    rollouts: dict[str, Rollout] = {}
    for row in rows:
        rollout = row.read(Rollout.from_json)
        if rollout.rollout_id in rollouts:
            raise DataError(f"{row.place}: a second rollout has the id {rollout.rollout_id!r}; ids must be unique")
        rollouts[rollout.rollout_id] = rollout
    return list(rollouts.values())


def read_recorded(path: str | Path) -> list[RecordedProgram]:
    """Recorded programs with their problems and recorded verdicts. Rollouts are named `<file>/<task>`, and `<file>/<task>/<n>` from the second on."""
    stem = Path(path).name.partition(".")[0]
    seen: Counter[str] = Counter()
    programs: list[RecordedProgram] = []
    for row in read_rows(path):
        task = str(row.data.get("task_id"))
        seen[task] += 1
        rollout_id = f"{stem}/{task}" if seen[task] == 1 else f"{stem}/{task}/{seen[task]}"
        programs.append(row.read(lambda data, rollout_id=rollout_id: recorded(data, rollout_id)))  # type: ignore[misc]
    return programs


def _problem_format(first: Row) -> Any:
    for fields, convert in _PROBLEM_FORMATS.values():
        if first.data.keys() >= fields:
            return convert
    if first.data.keys() & {"problem_id", "statement"}:
        return Problem.from_json
    found = ", ".join(list(first.data)[:8]) or "nothing"
    known = ", ".join(_PROBLEM_FORMATS)
    raise DataError(f"{first.place}: the fields ({found}) are those of no known format; known are {known} and recorded programs")
