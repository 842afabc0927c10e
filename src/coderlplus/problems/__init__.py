"""Readers for problems and programs: coderlplus's own JSONL and the public formats, told apart by what is in the file,
gzipped or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from coderlplus.errors import ConfigError, DataError
from coderlplus.problems.files import leaving_out, read_rows, stream_rows
from coderlplus.problems.formats import Format, format_of
from coderlplus.problems.recorded import RecordedProgram, recorded
from coderlplus.problems.sample_forms import (
    given_in,
    is_group,
    is_list_of_samples,
    is_sample,
    livecodebench_order,
    names_of,
    plain_name,
)
from coderlplus.records import AlignmentTask, Problem, Rollout
from coderlplus.records.forms import misplaced

__all__ = [
    "RecordedProgram",
    "read_answers",
    "read_format",
    "read_pairs",
    "read_problems",
    "read_recorded",
    "read_rollouts",
    "read_tasks",
]

_RECORDED = (
    {"task_id", "prompt", "entry_point", "test", "solution"},
    {"question_id", "question_content", "starter_code"},
)
_ROLLOUT = {"rollout_id", "problem_id"}


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
    return [rollout for rollout, _ in _rollouts(path, None, left_out)]


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


def read_pairs(
    problems: str | Path, programs: str | Path, left_out: list[DataError] | None = None
) -> list[tuple[Problem, Rollout]]:
    """The programs of one file, each with its problem from another (or the same). Raises `DataError`, and leaves out,
    as `read_problems` does, also for a program whose problem is not there."""
    by_id = {problem.problem_id: problem for problem in read_problems(problems, left_out)}
    pairs = []
    for rollout, place in _rollouts(programs, list(by_id), left_out):
        with leaving_out(left_out):
            if rollout.problem_id not in by_id:
                raise DataError(
                    f"{place}: rollout {rollout.rollout_id!r} is of problem {rollout.problem_id!r}, which "
                    f"{problems} does not have"
                )
            pairs.append((by_id[rollout.problem_id], rollout))
    if not pairs:
        raise left_out[0] if left_out else DataError(f"{programs} holds no programs")
    return pairs


def _nothing(left_out: list[DataError] | None, otherwise: str, place: int = 0) -> DataError:
    """Why no row is left: the error at a place of those of this file, where there are any."""
    return left_out[place] if left_out and place < len(left_out) else DataError(otherwise)


def _rollouts(
    path: str | Path, problem_ids: Sequence[str] | None, left_out: list[DataError] | None
) -> list[tuple[Rollout, str]]:
    """Rollouts and their places. With the ids of the problems, samples files of any form of `sample_forms` too."""
    if problem_ids is not None and not _is_of_rollouts(Path(path)):
        return _sampled(Path(path), problem_ids, left_out)
    rows = read_rows(path, left_out)
    if any(rows[0].data.keys() >= fields for fields in _RECORDED):
        return [(item.rollout, place) for item, place in _recorded(path, left_out)]
    if not any(row.data.keys() & _ROLLOUT for row in (rows if left_out is not None else rows[:1])):
        sentence = misplaced(rows[0].data, "a program") or (
            "neither a coderlplus program (rollout_id, problem_id, program or completion) nor a recorded one"
        )
        raise DataError(f"{rows[0].place}: {sentence}")
    rollouts: dict[str, tuple[Rollout, str]] = {}
    for row in rows:
        with leaving_out(left_out):
            rollout = row.read(Rollout.from_json)
            if rollout.rollout_id in rollouts:
                raise DataError(f"{row.place}: a second rollout has the id {rollout.rollout_id!r}; ids must be unique")
            rollouts[rollout.rollout_id] = rollout, row.place
    if left_out and not rollouts:
        raise left_out[-1]
    return list(rollouts.values())


def _is_of_rollouts(path: Path) -> bool:
    """Whether a file holds coderlplus programs or recorded ones, which its rows say; a file that cannot be read counts
    as one, so that the reader says why."""
    if path.is_dir():
        return False
    has_samples = False
    try:
        for row in stream_rows(path, []):
            if "rollout_id" in row.data or any(row.data.keys() >= fields for fields in _RECORDED):
                return True
            has_samples |= is_sample(row.data)
    except (DataError, ConfigError):
        pass
    return not (has_samples or is_list_of_samples(path))


def _sampled(path: Path, problem_ids: Sequence[str], left_out: list[DataError] | None) -> list[tuple[Rollout, str]]:
    """The samples of a file as rollouts, named `<problem>#<number>` where they have no name of their own."""
    ids = names_of(problem_ids)
    orders = {"the problems": [list(problem_ids), sorted(problem_ids, key=livecodebench_order)]}
    counts: Counter[str] = Counter()
    rollouts: dict[str, tuple[Rollout, str]] = {}
    for given in given_in(path, orders, left_out):
        problem_id = ids.get(plain_name(given.name), given.name)
        if given.rollout_id is not None and problem_id not in problem_ids and given.is_of_task:
            continue
        name = given.rollout_id or f"{problem_id}#{counts[problem_id]}"
        counts[problem_id] += 1
        text = {"program": given.text} if given.is_answer else {"completion": given.text}
        rollouts[name] = Rollout(rollout_id=name, problem_id=problem_id, **text), given.place
    if not rollouts:
        raise _nothing(left_out, f"{path} holds no programs", -1)
    return list(rollouts.values())


def read_recorded(path: str | Path) -> list[RecordedProgram]:
    """Recorded programs with their problems and recorded verdicts. The second program of one name gets `/2` at its
    end, and so on."""
    return [item for item, _ in _recorded(path, None)]


def _recorded(path: str | Path, left_out: list[DataError] | None) -> list[tuple[RecordedProgram, str]]:
    stem = Path(path).name.partition(".")[0]
    seen: Counter[str] = Counter()
    programs: list[tuple[RecordedProgram, str]] = []
    for row in read_rows(path):
        found: Sequence[RecordedProgram] = ()
        with leaving_out(left_out):
            found = row.read(lambda data: list(recorded(data, stem)))
        for item in found:
            name = item.rollout.rollout_id
            seen[name] += 1
            if seen[name] > 1:
                item = replace(item, rollout=replace(item.rollout, rollout_id=f"{name}/{seen[name]}"))
            programs.append((item, row.place))
    return programs
