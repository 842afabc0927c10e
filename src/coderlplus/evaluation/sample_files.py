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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError, counted, nearest
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.records import Judged, Sample
from coderlplus.problems.sample_forms import Given, given_in, livecodebench_order, names_of, plain_name
from coderlplus.records.files import atomic_write

_DEFINED = re.compile(
    r"^(?:async[ \t]+def|def|class)[ \t]+(\w+)|^[ \t]+def[ \t]+(\w+)[ \t]*\([ \t]*self\b", re.MULTILINE
)


def read_samples(
    path: Path,
    benchmarks: Mapping[str, Sequence[BenchmarkQuestion]],
    *,
    whole: Mapping[str, Sequence[str]] | None = None,
    left_out: list[DataError] | None = None,
) -> dict[str, list[Sample]]:
    """The samples of a file for each of these benchmarks (name → its questions); a row counts for every benchmark that
    has its id.

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
    found: dict[str, list[Sample]] = {name: [] for name in benchmarks}
    counts: Counter[tuple[str, str]] = Counter()
    known: set[str] = set()
    numbered: dict[str, list[tuple[BenchmarkQuestion, str]]] = {name: [] for name in benchmarks}
    bad: list[DataError] = []
    orders = {name: _orders(questions, whole[name]) for name, questions in benchmarks.items()}
    for given in given_in(path, orders, None if left_out is None else bad):
        key = plain_name(given.name)
        homes = [(name, ids[key]) for name, ids in names.items() if key in ids]
        if len({plain_name(question_id) for _, question_id in homes}) != 1:
            error = DataError(_ambiguous(given, homes) if homes else _stranger(given, names))
            if left_out is None:
                raise error
            bad.append(error)
            continue
        for name, question_id in homes:
            known.add(name)
            if question_id not in asked[name]:
                continue
            answer, completion = (given.text, None) if given.is_answer else (None, given.text)
            found[name].append(
                Sample(question_id=question_id, sample=counts[name, question_id], answer=answer, completion=completion)
            )
            counts[name, question_id] += 1
            if key != plain_name(question_id) or " list " in given.place:
                numbered[name].append((asked[name][question_id], given.text))
    for name, samples in found.items():
        if not samples:
            raise DataError(_none_of(path, name, names[name], [*map(str, bad)], is_of_other_part=name in known))
        _check_order(path, name, numbered[name])
    if left_out is not None:
        left_out += bad
    return found


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
                digest.update(
                    file.read_bytes() if file == path else f"{file.relative_to(path)}\0".encode() + file.read_bytes()
                )
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()[:16]


def _stranger(given: Given, names: Mapping[str, Mapping[str, str]]) -> str:
    known = {key: question_id for ids in names.values() for key, question_id in ids.items()}
    near = nearest(plain_name(given.name), known) if len(known) <= 20_000 else None
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


def _check_order(path: Path, name: str, numbered: Sequence[tuple[BenchmarkQuestion, str]]) -> None:
    """Refuse samples without whole ids whose programs define the functions of other questions: their order is not the
    data set's."""
    wanted = {_function(question): question.question_id for question, _ in numbered}
    right = wrong = 0
    example = ""
    for question, text in numbered:
        defined = {first or method for first, method in _DEFINED.findall(text)}
        function = _function(question)
        if function is None or not defined:
            continue
        if function in defined or function in text:
            right += 1
        else:
            wrong += 1
            other = next((wanted[one] for one in defined if one in wanted), None)
            example = example or f"the sample for {question.question_id!r} does not define {function}" + (
                f", but that of {other!r}" if other else ""
            )
    if wrong > max(1, right):
        raise DataError(
            f"{path}: {wrong} of {wrong + right} programs are of other questions of {name} or of another set "
            f"({example}); add the ids"
        )


def _function(question: BenchmarkQuestion) -> str | None:
    """The function or method that a program must define, where the question names one."""
    entry = question.problem.entry_point
    return None if entry is None else entry.rpartition(".")[2].partition("(")[0]


def write_samples(
    folder: Path, benchmark: Benchmark, questions: Sequence[BenchmarkQuestion], judged: Iterable[Judged]
) -> Path | None:
    """Write the answers as the benchmark's own tool reads them and return the file; `None` where it has none."""
    answers: dict[str, list[str]] = {question.question_id: [] for question in questions}
    for line in judged:
        answers[line.question_id].append(line.answer or "")
    if benchmark.format == "evalplus":
        rows = (
            {"task_id": question.question_id.replace("MBPP/", "Mbpp/"), "solution": _with_setup(question, answer)}
            for question in questions
            for answer in answers[question.question_id]
        )
        text = "".join(json.dumps(row) + "\n" for row in rows)
        return _write(folder / "samples.jsonl", text)
    if benchmark.format == "livecodebench":
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
        return _write(folder / "custom_output.json", json.dumps(data))
    return None


def _with_setup(question: BenchmarkQuestion, answer: str) -> str:
    """A program that runs by itself: what the prompt defines goes before it."""
    setup = question.problem.setup_code.strip()
    return f"{setup}\n\n\n{answer}" if setup and answer else answer


def _write(path: Path, text: str) -> Path:
    try:
        atomic_write(path, text)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return path
