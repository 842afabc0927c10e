"""Readers for problems and programs: coderlplus's own JSONL and the public formats, told apart by what is in the file,
gzipped or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coderlplus.errors import DataError
from coderlplus.problems.files import leaving_out, stream_rows
from coderlplus.problems.formats import Format, format_of
from coderlplus.problems.pairs import Pairs, Programs, recorded_in
from coderlplus.problems.recorded import RecordedProgram
from coderlplus.problems.sample_forms import given_in, is_group, names_of, plain_name
from coderlplus.records import AlignmentTask, Problem, Rollout

__all__ = [
    "Pairs",
    "RecordedProgram",
    "read_answers",
    "read_format",
    "read_pairs",
    "read_problems",
    "read_recorded",
    "read_rollouts",
    "read_tasks",
]


def read_problems(path: str | Path, left_out: list[DataError] | None = None) -> list[Problem]:
    """The problems of a file of any of `formats.FORMATS`, or of recorded programs, which bring their problems along.
    Rows that are no programming problems (of Eurus) are passed over.

    Raises `DataError` naming file and line where a row cannot be used, where the format is none of these, and where
    two rows give one `problem_id` to different problems; rows that repeat a problem count once. With `left_out`, the
    errors of rows that cannot be used are added to it, and the first is raised only where no row is left.
    """
    return read_format(path, left_out)[1]


def read_format(path: str | Path, left_out: list[DataError] | None = None) -> tuple[Format, list[Problem]]:
    """The format of a file, which its first row that has a known one decides, and its problems, as `read_problems`
    reads them."""
    problems: dict[str, Problem] = {}
    found: Format | None = None
    before = len(left_out or ())
    for row in stream_rows(path, left_out):
        with leaving_out(left_out):
            found = found or format_of(row)
            problem = row.read(found.read)
            if problem is not None and problems.setdefault(problem.problem_id, problem) != problem:
                raise DataError(f"{row.place}: another problem has the id {problem.problem_id!r}; ids must be unique")
    if found is None or not problems:
        what = f"{path} holds no rows" if found is None else f"no row of {path} is a programming problem"
        raise _nothing(left_out, what, before)
    return found, list(problems.values())


def read_rollouts(path: str | Path, left_out: list[DataError] | None = None) -> list[Rollout]:
    """The programs of a file: coderlplus JSONL, or recorded programs. Raises `DataError`, and leaves out, as
    `read_problems` does."""
    return list(Programs(path, None, left_out))


def read_tasks(path: str | Path, left_out: list[DataError] | None = None) -> list[AlignmentTask]:
    """The alignment tasks of a file: JSON Lines of `coderlplus tasks`, or `samples.jsonl` of a training run, whose
    tasks count once. Raises `DataError`, and leaves out, as `read_problems` does."""
    tasks: list[AlignmentTask] = []
    of_groups: set[str] = set()
    before = len(left_out or ())
    for row in stream_rows(path, left_out):
        with leaving_out(left_out):
            if not is_group(row.data):
                tasks.append(row.read(AlignmentTask.from_json))
            elif row.data.get("task"):
                task = row.read(lambda data: AlignmentTask.from_json(data["task"]))
                tasks += [] if task.task_id in of_groups else [task]
                of_groups.add(task.task_id)
    if not tasks:
        raise _nothing(left_out, f"{path} holds no alignment tasks", before)
    return tasks


def read_answers(
    path: str | Path, task_ids: Sequence[str], tasks: str | Path, left_out: list[DataError] | None = None
) -> list[tuple[str, str]]:
    """What models said to the tasks of a file, as (task, text): rows `{"task_id", "answer"}`, or any form of
    `sample_forms`. Raises `DataError`, and leaves out, as `read_problems` does, also for an answer whose task is not
    there."""
    ids = names_of(task_ids)
    answers = []
    for given in given_in(Path(path), {"the tasks": [list(task_ids)]}, left_out):
        with leaving_out(left_out):
            task_id = given.name if given.name in ids.values() else ids.get(plain_name(given.name))
            if task_id is None:
                if given.rollout_id is not None:  # a program of a training run
                    continue
                raise DataError(f"{given.place}: task {given.name[:200]!r} is not in {tasks}")
            answers.append((task_id, given.text))
    if not answers:
        raise _nothing(left_out, f"{path} holds no answers to these tasks")
    return answers


def read_pairs(problems: str | Path, programs: str | Path, left_out: list[DataError] | None = None) -> Pairs:
    """The programs of one file, each with its problem from another (or the same). They are read again each time they
    are gone through. Raises `DataError`, and leaves out, as `read_problems` does, also for a program whose problem is
    not there."""
    by_id = {problem.problem_id: problem for problem in read_problems(problems, left_out)}
    return Pairs(by_id, Programs(programs, by_id, left_out, str(problems)))


def _nothing(left_out: list[DataError] | None, otherwise: str, place: int = 0) -> DataError:
    """Why no row is left: the error at a place of those of this file, where there are any."""
    return left_out[place] if left_out and place < len(left_out) else DataError(otherwise)


def read_recorded(path: str | Path) -> list[RecordedProgram]:
    """Recorded programs with their problems and recorded verdicts. The second program of one name gets `/2` at its
    end, and so on."""
    return [item for item, _ in recorded_in(Path(path), None)]
