"""Programs with their problems, for files of any length: a first pass finds what cannot be used, and every later pass
reads the file again, so that memory holds no program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from coderlplus.errors import ConfigError, DataError
from coderlplus.problems.files import FileRow, leaving_out, stream_rows
from coderlplus.problems.recorded import RecordedProgram, recorded
from coderlplus.problems.sample_forms import (
    given_in,
    is_list_of_samples,
    is_sample,
    livecodebench_order,
    names_of,
    plain_name,
)
from coderlplus.records import Problem, Rollout
from coderlplus.records.forms import misplaced
from coderlplus.records.places import Places

_RECORDED = (
    {"task_id", "prompt", "entry_point", "test", "solution"},
    {"question_id", "question_content", "starter_code"},
)
_ROLLOUT = {"rollout_id", "problem_id"}


class Programs:
    """The programs of a file, each time they are gone through: coderlplus JSONL or recorded programs and, with the ids
    of the problems, samples of any form of `sample_forms`. While they are read for the first time, memory holds up to
    72 bytes a program; later nothing.

    Raises `DataError` naming the place of a row that cannot be used, of a second program with one id, and where no
    program is left; with `left_out`, errors of rows are added to it instead. Of samples with one name, the last
    counts.
    """

    def __init__(
        self,
        path: str | Path,
        problems: Mapping[str, Problem] | None,
        left_out: list[DataError] | None,
        what: str = "",
    ) -> None:
        """`what` names the `problems` in messages: a program of none of them is a row that cannot be used."""
        self._path = Path(path)
        self._problem_ids = None if problems is None else list(problems)
        self._is_sampled = problems is not None and not _is_of_rollouts(self._path)
        self._skipped: set[int] = set()
        self._read, ids = 0, Places()
        for number, (rollout, place) in enumerate(self._all(left_out)):
            self._read = number + 1
            before = ids.get(rollout.rollout_id)
            if before is not None and not self._is_sampled:
                told = f"a second rollout has the id {rollout.rollout_id!r}; ids must be unique"
            elif problems is not None and rollout.problem_id not in problems:
                told = (
                    f"rollout {rollout.rollout_id!r} is of problem {rollout.problem_id!r}, which {what} does not have"
                )
            else:
                told = ""
            if told:
                self._skipped.add(number)
                with leaving_out(left_out):
                    raise DataError(f"{place}: {told}")
            elif before is not None:
                self._skipped.add(before)
            ids[rollout.rollout_id] = number if before is None or self._is_sampled else before
        if not self._read:
            raise left_out[-1] if left_out else DataError(f"{path} holds no programs")
        if not len(self):
            raise left_out[0] if left_out else DataError(f"{path} holds no programs")

    def __len__(self) -> int:
        return self._read - len(self._skipped)

    def __iter__(self) -> Iterator[Rollout]:
        bad: list[DataError] = []
        number = -1
        for number, (rollout, _) in zip(range(self._read), self._all(bad), strict=False):
            bad.clear()
            if number not in self._skipped:
                yield rollout
        if number + 1 < self._read:
            raise DataError(f"{self._path} has changed while it was read; rerun the command")

    def _all(self, left_out: list[DataError] | None) -> Iterator[tuple[Rollout, str]]:
        """All programs whose rows can be read, with their places."""
        if self._is_sampled:
            return _sampled(self._path, self._problem_ids or (), left_out)
        first = next(stream_rows(self._path, []), None)
        if first is not None and _is_recorded(first):
            return ((item.rollout, place) for item, place in recorded_in(self._path, left_out))
        return _of_rollouts(self._path, left_out)


class Pairs:
    """Programs, each with its problem, read from the file each time they are gone through."""

    def __init__(self, problems: Mapping[str, Problem], programs: Programs) -> None:
        self._problems, self._programs = problems, programs

    def __len__(self) -> int:
        return len(self._programs)

    def __iter__(self) -> Iterator[tuple[Problem, Rollout]]:
        return ((self._problems[rollout.problem_id], rollout) for rollout in self._programs)


def recorded_in(path: Path, left_out: list[DataError] | None) -> Iterator[tuple[RecordedProgram, str]]:
    """Recorded programs and their places. The second program of one name gets `/2` at its end, and so on."""
    stem = path.name.partition(".")[0]
    seen = Places()
    row = None
    for row in stream_rows(path, left_out):
        found: Sequence[RecordedProgram] = ()
        with leaving_out(left_out):
            found = row.read(lambda data: list(recorded(data, stem)))
        for item in found:
            name = item.rollout.rollout_id
            count = (seen.get(name) or 0) + 1
            seen[name] = count
            if count > 1:
                item = replace(item, rollout=replace(item.rollout, rollout_id=f"{name}/{count}"))
            yield item, row.place
    if row is None:
        raise left_out[-1] if left_out else DataError(f"{path} holds no rows")


def _of_rollouts(path: Path, left_out: list[DataError] | None) -> Iterator[tuple[Rollout, str]]:
    first: FileRow | None = None
    is_known = False
    for row in stream_rows(path, left_out):
        first = first or row
        is_known = is_known or not _ROLLOUT.isdisjoint(row.data)
        if not is_known and left_out is None:
            break
        rollout = None
        with leaving_out(left_out):
            rollout = row.read(Rollout.from_json)
        if rollout is not None:
            yield rollout, row.place
    if first is None:
        raise left_out[-1] if left_out else DataError(f"{path} holds no rows")
    if not is_known:
        sentence = misplaced(first.data, "a program") or (
            "neither a coderlplus program (rollout_id, problem_id, program or completion) nor a recorded one"
        )
        raise DataError(f"{first.place}: {sentence}")


def _is_of_rollouts(path: Path) -> bool:
    """Whether a file holds coderlplus programs or recorded ones, which its rows say; a file that cannot be read counts
    as one, so that the reader says why."""
    if path.is_dir():
        return False
    has_samples = False
    bad: list[DataError] = []
    try:
        for row in stream_rows(path, bad):
            bad.clear()
            if "rollout_id" in row.data or _is_recorded(row):
                return True
            has_samples = has_samples or is_sample(row.data)
    except (DataError, ConfigError):
        pass
    return not (has_samples or is_list_of_samples(path))


def _is_recorded(row: FileRow) -> bool:
    return any(row.data.keys() >= fields for fields in _RECORDED)


def _sampled(
    path: Path, problem_ids: Sequence[str], left_out: list[DataError] | None
) -> Iterator[tuple[Rollout, str]]:
    """The samples of a file as rollouts, named `<problem>#<number>` where they have no name of their own."""
    ids = names_of(problem_ids)
    known = frozenset(problem_ids)
    orders = {"the problems": [list(problem_ids), sorted(problem_ids, key=livecodebench_order)]}
    counts: Counter[str] = Counter()
    for given in given_in(path, orders, left_out):
        problem_id = ids.get(plain_name(given.name), given.name)
        if given.rollout_id is not None and problem_id not in known and given.is_of_task:
            continue
        name = given.rollout_id or f"{problem_id}#{counts[problem_id]}"
        counts[problem_id] += 1
        text = {"program": given.text} if given.is_answer else {"completion": given.text}
        yield Rollout(rollout_id=name, problem_id=problem_id, **text), given.place
