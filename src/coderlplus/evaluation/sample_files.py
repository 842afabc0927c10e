"""Files of completions: those of coderlplus, evalplus, bigcode's harness, LiveCodeBench and CRUXEval (see
`problems.sample_forms`), read and written.

Written next to the results: evalplus's `samples.jsonl` for the benchmarks that it scores, LiveCodeBench's custom
output for LiveCodeBench's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError, counted, nearest
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.records import Judged, Sample
from coderlplus.problems.files import leaving_out
from coderlplus.problems.sample_forms import Given, given_in, livecodebench_order, names_of, plain_name
from coderlplus.records.files import whole_file

GUESSES = 20
"""For so many rows the question that was probably meant is looked for, which takes a look at every id."""
_DIGESTED = 2**20
_DEFINED = re.compile(
    r"^(?:async[ \t]+def|def|class)[ \t]+(\w+)|^[ \t]+def[ \t]+(\w+)[ \t]*\([ \t]*self\b", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of a benchmark, read from their file each time they are gone through."""

    count: int
    read: Callable[[], Iterator[Sample]]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Sample]:
        return self.read()


def read_samples(
    path: Path,
    benchmarks: Mapping[str, Sequence[BenchmarkQuestion]],
    *,
    whole: Mapping[str, Sequence[str]] | None = None,
    left_out: list[DataError] | None = None,
) -> dict[str, Samples]:
    """The samples of a file for each of these benchmarks (name → its questions); a row counts for every benchmark that
    has its id. Memory holds none of them.

    `whole` gives the ids of all questions of a benchmark's data, in its order, where the questions are a part of them:
    samples of the others are passed over. The error of a row that cannot be used, or whose id no benchmark has, is
    added to `left_out`; without it, it is raised.

    Raises `DataError` naming the place for a file that cannot be read, for a benchmark of which the file has no
    sample, and for samples named by their place or number alone that seem to be of other questions.
    """
    whole = {
        name: (whole or {}).get(name) or [question.question_id for question in questions]
        for name, questions in benchmarks.items()
    }
    names = {name: names_of(ids) for name, ids in whole.items()}
    asked = {
        name: {question.question_id: question for question in questions} for name, questions in benchmarks.items()
    }
    orders = {name: _orders(questions, whole[name]) for name, questions in benchmarks.items()}

    def homes_of(given: Given) -> list[tuple[str, str]]:
        """The benchmarks that have its question, each with the id there."""
        key = plain_name(given.name)
        return [(name, ids[key]) for name, ids in names.items() if key in ids]

    def read(only: str) -> Iterator[Sample]:
        counts: Counter[str] = Counter()
        passed_over: list[DataError] = []
        for given in given_in(path, orders, passed_over):
            passed_over.clear()
            homes = homes_of(given)
            question_id = dict(homes).get(only)
            if question_id in asked[only] and _is_one(homes):
                answer, completion = (given.text, None) if given.is_answer else (None, given.text)
                number = counts[question_id]
                counts[question_id] += 1
                yield Sample(question_id=question_id, sample=number, answer=answer, completion=completion)

    counts: Counter[str] = Counter()
    known: set[str] = set()
    numbered = {name: _Order() for name in benchmarks}
    bad: list[DataError] = []
    for given in given_in(path, orders, None if left_out is None else bad):
        homes = homes_of(given)
        with leaving_out(None if left_out is None else bad):
            if not _is_one(homes):
                raise DataError(
                    _ambiguous(given, homes) if homes else _stranger(given, names, guess=len(bad) < GUESSES)
                )
            for name, question_id in homes:
                known.add(name)
                if question_id in asked[name]:
                    counts[name] += 1
                    if plain_name(given.name) != plain_name(question_id) or " list " in given.place:
                        numbered[name].add(asked[name][question_id], given.text)
    for name in benchmarks:
        if not counts[name]:
            raise DataError(_none_of(path, name, names[name], [*map(str, bad)], is_of_other_part=name in known))
        numbered[name].check(path, name)
    if left_out is not None:
        left_out += bad
    return {name: Samples(counts[name], partial(read, name)) for name in benchmarks}


def _is_one(homes: Sequence[tuple[str, str]]) -> bool:
    """Whether all these ids are one."""
    return len({plain_name(question_id) for _, question_id in homes}) == 1


def _orders(questions: Sequence[BenchmarkQuestion], whole: Sequence[str]) -> list[list[str]]:
    """What lists without ids may be for: all questions of the data, or those that are asked; LiveCodeBench's in its
    own order."""
    orders = [list(whole), [question.question_id for question in questions]]
    if all("question_id" in question.keys or "id" in question.keys for question in questions):
        return [sorted(ids, key=livecodebench_order) for ids in orders]
    return orders


def digest_of(path: Path) -> str:
    """A short digest of a samples file, or of the files of a folder. Raises `DataError` if it cannot be read."""
    digest = hashlib.sha256()
    try:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(b"" if file == path else f"{file.relative_to(path)}\0".encode())
                with file.open("rb") as data:
                    while part := data.read(_DIGESTED):
                        digest.update(part)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()[:16]


def _stranger(given: Given, names: Mapping[str, Mapping[str, str]], *, guess: bool) -> str:
    known = {key: question_id for ids in names.values() for key, question_id in ids.items()}
    near = nearest(plain_name(given.name), known) if guess and len(known) <= 20_000 else None
    meant = f"; the nearest is {known[near]!r}" if near else ""
    return f"{given.place}: no question of {', '.join(names)} has the id {given.name[:200]!r}{meant}"


def _ambiguous(given: Given, homes: Sequence[tuple[str, str]]) -> str:
    questions = " or ".join(f"{question_id!r} of {name}" for name, question_id in homes)
    return f"{given.place}: the id {given.name!r} may be {questions}; write whole ids, or name one benchmark"


def _none_of(path: Path, name: str, ids: Mapping[str, str], bad: Sequence[str], *, is_of_other_part: bool) -> str:
    if is_of_other_part:
        return (
            f"{path} has samples of {name}, but of no question that is asked; check --limit, "
            "--start-date and --end-date"
        )
    unread = [sentence for sentence in bad if ": no question of " not in sentence]
    if len(unread) == len(bad) > 0:
        return unread[0] + (f" (and {counted(len(bad) - 1, 'more row')} like it)" if len(bad) > 1 else "")
    first = f" ({bad[0]})" if bad else ""
    return (
        f"no sample of {path} is of {name}, whose ids are like {next(iter(ids.values()), '')!r}{first}; name the "
        "benchmark that the samples are of"
    )


@dataclass(slots=True)
class _Order:
    """Whether samples without whole ids define the functions of their questions."""

    right: int = 0
    wrong: int = 0
    wanted: dict[str | None, str] = field(default_factory=dict)
    """Function → question."""
    first: tuple[str, str, set[str]] | None = None
    """Of the first wrong one: its question, the function, and what it defines instead."""

    def add(self, question: BenchmarkQuestion, text: str) -> None:
        function = _function(question)
        self.wanted[function] = question.question_id
        defined = {first or method for first, method in _DEFINED.findall(text)}
        if function is None or not defined:
            return
        if function in defined or function in text:
            self.right += 1
        else:
            self.wrong += 1
            self.first = self.first or (question.question_id, function, defined)

    def check(self, path: Path, name: str) -> None:
        """Refuse samples whose programs define the functions of other questions: their order is not the data
        set's."""
        if self.first is None or self.wrong <= max(1, self.right):
            return
        question_id, function, defined = self.first
        other = next((self.wanted[one] for one in defined if one in self.wanted), None)
        example = f"the sample for {question_id!r} does not define {function}"
        example += f", but that of {other!r}" if other else ""
        raise DataError(
            f"{path}: {self.wrong} of {self.wrong + self.right} programs are of other questions of {name} or of "
            f"another set ({example}); add the ids"
        )


def _function(question: BenchmarkQuestion) -> str | None:
    """The function or method that a program must define, where the question names one."""
    entry = question.problem.entry_point
    return None if entry is None else entry.rpartition(".")[2].partition("(")[0]


def write_samples(
    folder: Path, benchmark: Benchmark, questions: Sequence[BenchmarkQuestion], judged: Iterable[Judged]
) -> Path | None:
    """Write the answers as the benchmark's own tool reads them and return the file; `None` where it has none. `judged`
    are in the order of the questions."""
    if benchmark.format == "evalplus":
        by_id = {question.question_id: question for question in questions}
        rows = (
            {
                "task_id": line.question_id.replace("MBPP/", "Mbpp/"),
                "solution": _with_setup(by_id[line.question_id], line.answer or ""),
            }
            for line in judged
        )
        return _write(folder / "samples.jsonl", (json.dumps(row) + "\n" for row in rows))
    if benchmark.format == "livecodebench":
        answers: dict[str, list[str]] = {question.question_id: [] for question in questions}
        for line in judged:
            answers[line.question_id].append(line.answer or "")
        ordered = sorted(questions, key=lambda question: livecodebench_order(question.question_id))
        # its reader of the form with ids fails for execution, the form without them works
        if all("id" in question.keys for question in ordered):
            data: list[Any] = [answers[question.question_id] for question in ordered]
        else:
            data = [
                {name: question.keys[name] for name in ("question_id", "test_id") if name in question.keys}
                | {"pred_list" if "test_id" in question.keys else "code_list": answers[question.question_id]}
                for question in ordered
            ]
        return _write(folder / "custom_output.json", [json.dumps(data)])
    return None


def _with_setup(question: BenchmarkQuestion, answer: str) -> str:
    """A program that runs by itself: what the prompt defines goes before it."""
    setup = question.problem.setup_code.strip()
    return f"{setup}\n\n\n{answer}" if setup and answer else answer


def _write(path: Path, texts: Iterable[str]) -> Path:
    try:
        with whole_file(path) as file:
            file.writelines(texts)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return path
