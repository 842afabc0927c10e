"""Files of completions: ours, and those of evalplus, bigcode's harness, LiveCodeBench and CRUXEval, read and written.

Read, told apart by what is in the file, gzipped or not:

- JSON lines or a list of objects with an id (`question_id`, `task_id`, `problem_id` or `id`) and a text: `completion` is what a model said (in
  evalplus's and HumanEval's files it may go on where the prompt ends), `solution`, `program` or `answer` is the answer itself; a list of texts is
  several samples. Rows with one id are its samples in order. evalplus's `samples.jsonl` and the files of recorded programs are of this form.
- LiveCodeBench's output: a list of objects with `question_id` (and `test_id`) or `id`, and `code_list` or `pred_list` (answers) or, without them,
  `output_list` (what the model said).
- Lists without ids, one for each question: LiveCodeBench's custom output, in its order of the questions, and bigcode's `generations.json`, in the
  order of the data set.
- CRUXEval's generations: an object that maps ids to lists of answers; the files with its scores hold them as `raw_generations`.
- A folder of evalplus: a folder for each problem (`HumanEval_0`), its samples as files (`0.py`, `1.py`).

Written next to the results: evalplus's `samples.jsonl` for the benchmarks that it scores, LiveCodeBench's custom output for LiveCodeBench's.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.base import Benchmark, Question
from coderlplus.evaluation.records import Judged, Sample
from coderlplus.problems.files import stream_rows

_IDS = ("question_id", "task_id", "problem_id", "id")
_ANSWERS = ("solution", "program", "answer")
_LISTS = ("code_list", "pred_list", "output_list")
_DEFINED = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)|^\s+def\s+(\w+)\s*\(\s*self\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Given:
    """A text of a samples file for the question named `name`; `is_answer`: nothing needs to be taken from it. `place` is for messages."""

    name: str
    text: str
    is_answer: bool
    place: str


def read_samples(
    path: Path,
    benchmarks: Mapping[str, Sequence[Question]],
    *,
    whole: Mapping[str, Sequence[str]] | None = None,
    on_bad_row: Callable[[str], None] | None = None,
) -> dict[str, list[Sample]]:
    """The samples of a file for each of these benchmarks (name → its questions); a row counts for every benchmark that has its id.

    `whole` gives the ids of all questions of a benchmark's data, in its order, where the questions are a part of them: samples of the others are
    passed over. A row that cannot be used, or whose id no benchmark has, is told to `on_bad_row` as a sentence; without it, it is raised.

    Raises `DataError` naming the place for a file that cannot be read, for a benchmark of which the file has no sample, and for samples named by
    their place or number alone that seem to be of other questions.
    """
    whole = {name: (whole or {}).get(name) or [question.question_id for question in questions] for name, questions in benchmarks.items()}
    names = {name: _names(ids) for name, ids in whole.items()}
    asked = {name: {question.question_id: question for question in questions} for name, questions in benchmarks.items()}
    found: dict[str, list[Sample]] = {name: [] for name in benchmarks}
    counts: Counter[tuple[str, str]] = Counter()
    known: set[str] = set()
    numbered: dict[str, list[tuple[Question, str]]] = {name: [] for name in benchmarks}
    bad: list[str] = []
    for given in _given(path, benchmarks, whole, bad.append if on_bad_row else None):
        key = _key(given.name)
        homes = [(name, ids[key]) for name, ids in names.items() if key in ids]
        if len({_key(question_id) for _, question_id in homes}) != 1:
            sentence = _ambiguous(given, homes) if homes else _stranger(given, names)
            if on_bad_row is None:
                raise DataError(sentence)
            bad.append(sentence)
            continue
        for name, question_id in homes:
            known.add(name)
            if question_id not in asked[name]:
                continue
            answer, completion = (given.text, None) if given.is_answer else (None, given.text)
            found[name].append(Sample(question_id=question_id, sample=counts[name, question_id], answer=answer, completion=completion))
            counts[name, question_id] += 1
            if key != _key(question_id) or " list " in given.place:
                numbered[name].append((asked[name][question_id], given.text))
    for name, samples in found.items():
        if not samples:
            raise DataError(_none_of(path, name, names[name], bad, is_of_other_part=name in known))
        _check_order(path, name, numbered[name])
    for sentence in bad:
        if on_bad_row is not None:
            on_bad_row(sentence)
    return found


def digest_of(path: Path) -> str:
    """A short digest of a samples file, or of the files of a folder. Raises `DataError` if it cannot be read."""
    digest = hashlib.sha256()
    try:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(file.read_bytes() if file == path else f"{file.relative_to(path)}\0".encode() + file.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()[:16]


def _key(name: str) -> str:
    """A name without what does not tell questions apart: case, and `_` for `/` as in the names of folders."""
    return name.strip().casefold().replace("_", "/")


def _names(ids: Sequence[str]) -> dict[str, str]:
    """All ways to name a question → its id: the id, and what stands behind its `Name/` where that is a number of one question only."""
    parts = [(question_id.rpartition("/"), question_id) for question_id in ids]
    numbers = Counter(last for (first, _, last), _ in parts if first and last.isdigit() and not first.isdigit() and "/" not in first)
    short = {last: question_id for (first, _, last), question_id in parts if first and numbers[last] == 1 and not first.isdigit()}
    return short | {_key(question_id): question_id for question_id in ids}


def _stranger(given: Given, names: Mapping[str, Mapping[str, str]]) -> str:
    known = {key: question_id for ids in names.values() for key, question_id in ids.items()}
    near = difflib.get_close_matches(_key(given.name)[:200], known, n=1) if len(known) <= 20_000 else []
    meant = f"; the nearest is {known[near[0]]!r}" if near else ""
    return f"{given.place}: no question of {', '.join(names)} has the id {given.name[:200]!r}{meant}"


def _ambiguous(given: Given, homes: Sequence[tuple[str, str]]) -> str:
    questions = " or ".join(f"{question_id!r} of {name}" for name, question_id in homes)
    return f"{given.place}: the id {given.name!r} may be {questions}; write whole ids, or name one benchmark"


def _none_of(path: Path, name: str, ids: Mapping[str, str], bad: Sequence[str], *, is_of_other_part: bool) -> str:
    if is_of_other_part:
        return f"{path} has samples of {name}, but none of the questions that are asked; check --limit, --start-date and --end-date"
    unread = [sentence for sentence in bad if ": no question of " not in sentence]
    if len(unread) == len(bad) > 0:
        return unread[0] + (f" (and {len(bad) - 1} more rows like it)" if len(bad) > 1 else "")
    first = f" ({bad[0]})" if bad else ""
    return f"no sample of {path} is of {name}, whose ids are like {next(iter(ids.values()), '')!r}{first}; name the benchmark that the samples are of"


def _check_order(path: Path, name: str, numbered: Sequence[tuple[Question, str]]) -> None:
    """Refuse samples without whole ids whose programs define the functions of other questions: their order is not the data set's."""
    wanted = {function: question.question_id for question, _ in numbered if (function := _function(question)) is not None}
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
            example = example or f"the sample for {question.question_id!r} does not define {function}" + (f", but that of {other!r}" if other else "")
    if wrong > max(1, right):
        raise DataError(f"{path}: {wrong} of {wrong + right} programs are of other questions of {name} or of another set ({example}); add the ids")


def _function(question: Question) -> str | None:
    """The function or method that a program must define, where the question names one."""
    entry = question.problem.entry_point
    return None if entry is None else entry.rpartition(".")[2].partition("(")[0]


def _given(
    path: Path, benchmarks: Mapping[str, Sequence[Question]], whole: Mapping[str, Sequence[str]], on_bad_row: Callable[[str], None] | None
) -> Iterator[Given]:
    if path.is_dir():
        yield from _in_folder(path)
        return
    data = _whole_json(path)
    parts: Iterable[tuple[str, Any]]
    if isinstance(data, dict):
        generations = data.get("raw_generations", data)
        if not isinstance(generations, dict) or not all(isinstance(texts, list) for texts in generations.values()):
            yield from _of_row(data, f"{path}:1")  # a file of one line
            return
        parts = ((f"{path}: {name}", {"id": str(name), "answer": texts}) for name, texts in generations.items())
    elif isinstance(data, list) and data and all(isinstance(item, list | str) for item in data):
        yield from _in_order(path, data, benchmarks, whole)
        return
    elif isinstance(data, list):
        parts = ((f"{path}: row {number}", row) for number, row in enumerate(data, 1))
    else:
        parts = ((row.place, row.data) for row in stream_rows(path, None if on_bad_row is None else lambda _, error: on_bad_row(str(error))))
    empty = True
    for place, row in parts:
        empty = False
        try:
            texts = list(_of_row(row, place))
        except DataError as error:
            if on_bad_row is None:
                raise
            on_bad_row(str(error))
            continue
        yield from texts
    if empty:
        raise DataError(f"{path} holds no rows")


def _whole_json(path: Path) -> Any:
    """The file as one JSON value, or `None` where it is JSON lines (or broken: `stream_rows` will say where)."""
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
    return None if is_row or value == [] else value


def _in_folder(path: Path) -> Iterator[Given]:
    """evalplus's folders: one for each problem, a file for each sample, in the order of their numbers."""
    files = sorted(
        path.glob("*/*.py"), key=lambda file: (file.parent.name, [(part.isdigit(), part.zfill(9)) for part in re.split(r"(\d+)", file.stem)])
    )
    if not files:
        raise DataError(f"{path} holds no samples: a folder needs one for each problem (HumanEval_0) with files like 0.py in it")
    for file in files:
        try:
            yield Given(file.parent.name, file.read_text(encoding="utf-8", errors="replace"), True, str(file))
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror or error}") from error


def _in_order(
    path: Path, data: Sequence[Sequence[Any] | str], benchmarks: Mapping[str, Sequence[Question]], whole: Mapping[str, Sequence[str]]
) -> Iterator[Given]:
    """Lists without ids, for all questions of the data or for those that are asked."""
    (name, questions), *others = benchmarks.items()
    orders = [list(whole[name]), [question.question_id for question in questions]]
    ids = next((one for one in orders if len(one) == len(data)), None)
    if others or ids is None:
        counts = ", ".join(f"{name} {len(asked)}" for name, asked in benchmarks.items())
        raise DataError(
            f"{path} holds {len(data)} lists without ids, which must be one for each question of one benchmark ({counts}); name one benchmark, or "
            "write rows with ids"
        )
    if _is_sorted_by_livecodebench(questions):
        ids = sorted(ids, key=_lcb_order)
    for number, (question_id, texts) in enumerate(zip(ids, data, strict=True), 1):
        for text in texts if isinstance(texts, list) else [texts]:
            yield Given(question_id, _text(text, f"{path}: list {number}"), True, f"{path}: list {number}")


def _is_sorted_by_livecodebench(questions: Sequence[Question]) -> bool:
    return all("question_id" in question.keys or "id" in question.keys for question in questions)


def _lcb_order(question_id: str) -> tuple[int, str, str]:
    """LiveCodeBench's order of questions: by id as text, and by test; execution (`sample_12`) by the number in the id."""
    if re.fullmatch(r"sample_\d+", question_id):
        return int(question_id.rpartition("_")[2]), "", ""
    first, _, test = question_id.partition("/")
    return 0, first, test


def _of_row(data: Any, place: str) -> Iterator[Given]:
    if not isinstance(data, Mapping):
        raise DataError(f"{place}: expected an object with an id and a text, not {type(data).__name__}")
    key = next((name for name in _IDS if isinstance(data.get(name), str | int) and not isinstance(data[name], bool)), None)
    if key is None:
        raise DataError(f"{place}: no id; a sample needs one of {', '.join(_IDS)}")
    name = str(data[key]) + (f"/{data['test_id']}" if "test_id" in data else "")
    for field in _LISTS:
        if data.get(field) is not None:
            if not isinstance(data[field], list):
                raise DataError(f"{place}: {field!r} must be a list, not {type(data[field]).__name__}")
            is_answer = "test_id" not in data and field != "output_list"  # of these predictions the tool takes assertions
            yield from (Given(name, _text(text, place), is_answer, place) for text in data[field])
            return
    for field in (*_ANSWERS, "completion"):
        if data.get(field) is not None:
            texts = data[field] if isinstance(data[field], list) else [data[field]]
            yield from (Given(name, _text(text, place), field != "completion", place) for text in texts)
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
        ordered = sorted(questions, key=lambda question: _lcb_order(question.question_id))
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
