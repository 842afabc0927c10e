"""Files of completions: ours, and those of evalplus, LiveCodeBench and CRUXEval, read and written.

Read, told apart by what is in the file, gzipped or not:

- JSON lines or a list of objects with an id (`question_id`, `task_id`, `problem_id` or `id`) and a text: `completion` is what a model said (in
  evalplus's and HumanEval's files it may go on where the prompt ends), `solution`, `program` or `answer` is the answer itself. Rows with one id are
  its samples in order. evalplus's `samples.jsonl` and the files of recorded programs are of this form.
- LiveCodeBench's custom output: a list of objects with `question_id` (and `test_id`) or `id`, and `code_list` or `pred_list`; or a list of lists of
  answers, one for each question in the order of the question ids.
- CRUXEval's generations: an object that maps ids to lists of answers; the files with its scores hold them as `raw_generations`.

Written next to the results: evalplus's `samples.jsonl` for the benchmarks that it scores, LiveCodeBench's custom output for LiveCodeBench's.
"""

from __future__ import annotations

import difflib
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.base import Benchmark, Question
from coderlplus.evaluation.records import Judged, Sample
from coderlplus.problems.files import read_rows

_IDS = ("question_id", "task_id", "problem_id", "id")
_ANSWERS = ("solution", "program", "answer")
_LISTS = ("code_list", "pred_list")


@dataclass(frozen=True, slots=True)
class Given:
    """A text of a samples file for the question named `name`; `is_answer`: nothing needs to be taken from it. `place` is for messages."""

    name: str
    text: str
    is_answer: bool
    place: str


def read_samples(path: Path, benchmarks: Mapping[str, Sequence[Question]], left_out: list[DataError] | None = None) -> dict[str, list[Sample]]:
    """The samples of a file for each of these benchmarks (name → its questions); a row counts for every benchmark that has its id.

    Raises `DataError` naming the place for a row that cannot be used and for an id that no benchmark has; with
    `left_out`, these errors are added to it, and raised only where no sample is left.
    """
    names = {name: _names(questions) for name, questions in benchmarks.items()}
    found: dict[str, list[Sample]] = {name: [] for name in benchmarks}
    counts: Counter[tuple[str, str]] = Counter()
    for given in _given(path, benchmarks, left_out):
        homes = [(name, ids[given.name.casefold()]) for name, ids in names.items() if given.name.casefold() in ids]
        if not homes:
            known = {key: original for ids in names.values() for key, original in ids.items()}
            near = difflib.get_close_matches(given.name.casefold(), known, n=1)
            meant = f"; the nearest is {known[near[0]]!r}" if near else ""
            error = DataError(f"{given.place}: no question of {', '.join(benchmarks)} has the id {given.name!r}{meant}")
            if left_out is None:
                raise error
            left_out.append(error)
        for name, question_id in homes:
            answer, completion = (given.text, None) if given.is_answer else (None, given.text)
            found[name].append(Sample(question_id=question_id, sample=counts[name, question_id], answer=answer, completion=completion))
            counts[name, question_id] += 1
    if left_out and not any(found.values()):
        raise left_out[0]
    return found


def _names(questions: Sequence[Question]) -> dict[str, str]:
    """All ways to name a question → its id: the id, and what stands behind its `Name/`, in any case."""
    names = {question.question_id.rpartition("/")[2].casefold(): question.question_id for question in questions if _is_numbered(question)}
    return names | {question.question_id.casefold(): question.question_id for question in questions}


def _is_numbered(question: Question) -> bool:
    return "test_id" not in question.keys


def _given(path: Path, benchmarks: Mapping[str, Sequence[Question]], left_out: list[DataError] | None) -> Iterator[Given]:
    data = _whole(path)
    if isinstance(data, dict):
        generations = data.get("raw_generations", data)
        if not isinstance(generations, dict) or not all(isinstance(texts, list) for texts in generations.values()):
            yield from _of_row(data, f"{path}:1")  # a file of one line
            return
        for name, texts in generations.items():
            yield from (Given(str(name), _text(text, f"{path}: {name}"), True, f"{path}: {name}") for text in texts)
    elif isinstance(data, list) and data and isinstance(data[0], list):
        yield from _in_order(path, data, benchmarks)
    else:
        for row in read_rows(path):
            try:
                samples = list(_of_row(row.data, row.place))
            except DataError as error:
                if left_out is None:
                    raise
                left_out.append(error)
                continue
            yield from samples


def _whole(path: Path) -> Any:
    """The file as one JSON value, or `None` where it is JSON lines (or broken: `read_rows` will say where)."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        value = json.loads(data) if data.lstrip()[:1] in (b"[", b"{") else None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zlib.error, RecursionError):
        return None
    is_row = isinstance(value, dict) and any(name in value and isinstance(value[name], str | int) for name in _IDS)
    return None if is_row else value


def _in_order(path: Path, data: Sequence[Sequence[Any]], benchmarks: Mapping[str, Sequence[Question]]) -> Iterator[Given]:
    questions = list(benchmarks.values())
    if len(questions) != 1 or len(questions[0]) != len(data):
        counts = ", ".join(f"{name} {len(asked)}" for name, asked in benchmarks.items())
        raise DataError(f"{path} holds {len(data)} lists without ids, which must be one for each question of one benchmark ({counts})")
    for number, (question, texts) in enumerate(zip(sorted(questions[0], key=_lcb_order), data, strict=True), 1):
        for text in texts if isinstance(texts, list) else [texts]:
            yield Given(question.question_id, _text(text, f"{path}: list {number}"), True, f"{path}: list {number}")


def _lcb_order(question: Question) -> tuple[int, str, str]:
    """LiveCodeBench's order of questions: by id as text, and by test; execution by the number in the id."""
    keys = question.keys
    if "id" in keys:
        return int(str(keys["id"]).rpartition("_")[2]), "", ""
    return 0, str(keys.get("question_id", question.question_id)), str(keys.get("test_id", ""))


def _of_row(data: Mapping[str, Any], place: str) -> Iterator[Given]:
    key = next((name for name in _IDS if isinstance(data.get(name), str | int)), None)
    if key is None:
        raise DataError(f"{place}: no id; a sample needs one of {', '.join(_IDS)}")
    name = str(data[key]) + (f"/{data['test_id']}" if "test_id" in data else "")
    for field in _LISTS:
        if field in data:
            if not isinstance(data[field], list):
                raise DataError(f"{place}: {field!r} must be a list, not {type(data[field]).__name__}")
            is_answer = "test_id" not in data  # of these predictions the tool takes assertions
            yield from (Given(name, _text(text, place), is_answer, place) for text in data[field])
            return
    for field in (*_ANSWERS, "completion"):
        if field in data:
            yield Given(name, _text(data[field], place), field != "completion", place)
            return
    raise DataError(f"{place}: no text; a sample needs 'completion' (what the model said) or one of {', '.join(_ANSWERS)} (the answer alone)")


def _text(text: Any, place: str) -> str:
    if not isinstance(text, str):
        raise DataError(f"{place}: a sample must be text, not {type(text).__name__}")
    return text


def write_samples(folder: Path, benchmark: Benchmark, questions: Sequence[Question], judged: Iterable[Judged]) -> Path | None:
    """Write the answers as the benchmark's own tool reads them and return the file; `None` where it has none."""
    answers: dict[str, list[str]] = {question.question_id: [] for question in questions}
    for line in judged:
        answers[line.question_id].append(line.answer or "")
    if benchmark.format == "evalplus":
        text = "".join(
            json.dumps({"task_id": _evalplus_id(question), "solution": _with_setup(question, answer)}) + "\n"
            for question in questions
            for answer in answers[question.question_id]
        )
        return _write(folder / "samples.jsonl", text)
    if benchmark.format == "livecodebench":
        ordered = sorted(questions, key=_lcb_order)
        if all("id" in question.keys for question in ordered):  # its reader of the form with ids fails for execution, the form without them works
            data: list[Any] = [answers[question.question_id] for question in ordered]
        else:
            data = [
                {name: question.keys[name] for name in ("question_id", "test_id") if name in question.keys}
                | {"pred_list" if "test_id" in question.keys else "code_list": answers[question.question_id]}
                for question in ordered
            ]
        return _write(folder / "custom_output.json", json.dumps(data))
    return None


def _evalplus_id(question: Question) -> str:
    """evalplus names MBPP's problems `Mbpp/2`."""
    return question.question_id.replace("MBPP/", "Mbpp/")


def _with_setup(question: Question, answer: str) -> str:
    """A program that runs by itself: what the prompt defines goes before it."""
    setup = question.problem.setup_code.strip()
    return f"{setup}\n\n\n{answer}" if setup and answer else answer


def _write(path: Path, text: str) -> Path:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return path
