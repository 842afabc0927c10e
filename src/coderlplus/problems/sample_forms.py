"""The forms of samples files, told apart by what is in the file, gzipped or not:

- JSON lines or a list of objects with an id (`question_id`, `task_id`, `problem_id` or `id`) and a text: `completion`
  is what a model said (in evalplus's and HumanEval's files it may continue the prompt), `solution`, `program`
  or `answer` is the answer itself; a list of texts is several samples. Rows with one id are its samples in order.
  evalplus's `samples.jsonl` and the files of recorded programs are of this form.
- LiveCodeBench's output: a list of objects with `question_id` (and `test_id`) or `id`, and `code_list` or `pred_list`
  (answers) or, without them, `output_list` (what the model said).
- Lists without ids, one for each question: LiveCodeBench's custom output, in its order of the questions, and bigcode's
  `generations.json`, in the order of the data set.
- CRUXEval's generations: an object that maps ids to lists of answers; the files with its scores hold them as
  `raw_generations`.
- Lines of an evaluation of ours (`completions.jsonl`, `verdicts.jsonl`) and of a training run (`samples.jsonl`: a
  group of samples a line).
- A folder of evalplus: a folder for each problem (`HumanEval_0`), its samples as files (`0.py`, `1.py`).
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems.files import leaving_out, stream_rows
from coderlplus.records import OWN
from coderlplus.records.fields import described, short
from coderlplus.records.forms import misplaced

_IDS = ("question_id", "task_id", "problem_id", "id")
_ANSWERS = ("solution", "program", "answer")
_LISTS = ("code_list", "pred_list", "output_list")


@dataclass(frozen=True, slots=True)
class Given:
    """A text of a samples file for the question named `name`; `is_answer`: nothing needs to be taken from it. `place`
    is for messages."""

    name: str
    text: str
    is_answer: bool
    place: str
    rollout_id: str | None = None
    """The sample's own name, where it has one."""
    is_of_task: bool = False
    """Whether it is an answer to an alignment task of a training run."""


def given_in(
    path: Path,
    orders: Mapping[str, Sequence[Sequence[str]]],
    left_out: list[DataError] | None,
) -> Iterator[Given]:
    """The texts of a file or folder, each with the name of its question. `orders` are, for each set of questions, the
    ids that lists without ids may be for: all of them, or those that are asked.

    Raises `DataError` naming the place for a row that cannot be used, or adds it to `left_out`; always for a file that
    cannot be read at all.
    """
    if path.is_dir():
        yield from _in_folder(path)
        return
    data = _whole_json(path)
    parts: Iterable[tuple[str, Any]]
    if isinstance(data, dict):
        generations = data.get("raw_generations", data)
        if not isinstance(generations, dict) or not all(isinstance(texts, list) for texts in generations.values()):
            parts = [(f"{path}:1", data)]  # a file of one line
        else:
            parts = ((f"{path}: {name}", {"id": str(name), "answer": texts}) for name, texts in generations.items())
    elif isinstance(data, list) and data and all(isinstance(item, list | str) for item in data):
        yield from _in_order(path, data, orders)
        return
    elif isinstance(data, list):
        parts = ((f"{path}: row {number}", row) for number, row in enumerate(data, 1))
    else:
        parts = ((row.place, row.data) for row in stream_rows(path, left_out))
    empty = True
    for place, row in parts:
        empty = False
        texts: Sequence[Given] = ()
        with leaving_out(left_out):
            texts = list(_of_row(row, place))
        yield from texts
    if empty:
        raise DataError(f"{path} holds no rows")


def _whole_json(path: Path) -> Any:
    """The file as one JSON value, or `None` where it is JSON lines or a list of objects, which `stream_rows` reads one
    by one (or broken: it will say where)."""
    try:
        with (gzip.open if _is_gzip(path) else open)(path, "rb") as file:
            start = file.read(1)
            while start.isspace():
                start = file.read(1)
            if start == b"[":
                start = file.read(1)
                while start.isspace():
                    start = file.read(1)
                if start == b"{":
                    return None
            elif start != b"{" or _begins_lines(start + file.readline(), file):
                return None
            file.seek(0)
            value = json.loads(file.read())
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            return None
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zlib.error, RecursionError):
        return None
    is_row = isinstance(value, dict) and any(_is_id(value.get(name)) for name in _IDS)
    return None if is_row or value == [] else value


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _begins_lines(first: bytes, others: Iterable[bytes]) -> bool:
    """Whether a first line is an object by itself and others follow."""
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return any(not line.isspace() for line in others)


def _in_folder(path: Path) -> Iterator[Given]:
    """evalplus's folders: one for each problem, a file for each sample, in the order of their numbers."""
    files = sorted(path.glob("*/*.py"), key=_place)
    if not files:
        raise DataError(
            f"{path} holds no samples: a folder needs one for each problem (HumanEval_0) with files like 0.py in it"
        )
    for file in files:
        try:
            yield Given(file.parent.name, file.read_text(encoding="utf-8", errors="replace"), True, str(file))
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror or error}") from error


def _place(file: Path) -> tuple[str, list[tuple[bool, str]]]:
    numbers = [(part.isdigit(), part.zfill(9)) for part in re.split(r"(\d+)", file.stem)]
    return file.parent.name, numbers


def _in_order(
    path: Path,
    data: Sequence[Sequence[Any] | str],
    orders: Mapping[str, Sequence[Sequence[str]]],
) -> Iterator[Given]:
    """Lists without ids, for all questions of the data or for those that are asked."""
    ids = next((one for one in next(iter(orders.values())) if len(one) == len(data)), None)
    if len(orders) > 1 or ids is None:
        counts = ", ".join(f"{name} {len(asked[-1])}" for name, asked in orders.items())
        raise DataError(
            f"{path} holds {len(data)} lists without ids, which must be one for each question of one benchmark "
            f"({counts}); name one benchmark, or write rows with ids"
        )
    for number, (question_id, texts) in enumerate(zip(ids, data, strict=True), 1):
        for text in texts if isinstance(texts, list) else [texts]:
            yield Given(question_id, _text(text, f"{path}: list {number}"), True, f"{path}: list {number}")


def livecodebench_order(question_id: str) -> tuple[int, str, str]:
    """LiveCodeBench's order of questions: by id as text, and by test; execution (`sample_12`) by the number in the
    id."""
    if re.fullmatch(r"sample_\d+", question_id):
        return int(question_id.rpartition("_")[2]), "", ""
    first, _, test = question_id.partition("/")
    return 0, first, test


def _of_row(data: Any, place: str) -> Iterator[Given]:
    if not isinstance(data, Mapping):
        raise DataError(f"{place}: expected an object with an id and a text, not {described(data)}")
    if is_group(data):
        yield from _of_group(data, place)
        return
    key = next((name for name in _IDS if _is_id(data.get(name))), None)
    if key is None:
        sentence = misplaced(data, "a sample") or f"no id; a sample needs one of {', '.join(_IDS)}"
        raise DataError(f"{place}: {sentence}")
    name = _name(data, key, place) + (f"/{_name(data, 'test_id', place)}" if data.get("test_id") is not None else "")
    for field in _LISTS:
        if data.get(field) is not None:
            if not isinstance(data[field], list):
                raise DataError(f"{place}: {field!r} must be a list, not {described(data[field])}")
            # of predictions with a test, the tool takes assertions
            is_answer = "test_id" not in data and field != "output_list"
            yield from (Given(name, _text(text, place), is_answer, place) for text in data[field])
            return
    for field in (*_ANSWERS, "completion"):
        if data.get(field) is not None:
            texts = data[field] if isinstance(data[field], list) else [data[field]]
            yield from (Given(name, _text(text, place), field != "completion", place) for text in texts)
            return
    if isinstance(data.get("verdict"), Mapping) and "program" in data:  # of an evaluation: no program was found
        yield Given(name, "", False, place)
        return
    no_text = f"no text; a sample needs 'completion' (what the model said) or one of {', '.join(_ANSWERS)}"
    raise DataError(f"{place}: {misplaced(data, 'a sample') or f'{no_text} (the answer alone)'}")


def is_group(row: Mapping[str, Any]) -> bool:
    """Whether a row is a line of `samples.jsonl` of a training run: a problem or a task, and its samples."""
    return isinstance(row.get("samples"), list) and ("problem" in row or "task" in row)


def _of_group(row: Mapping[str, Any], place: str) -> Iterator[Given]:
    """The samples of a group, named by the problem or the task; none of a row of the user's own."""
    if row.get("kind") == OWN:
        return
    owner = row.get("task") or row.get("problem")
    name = owner.get("task_id", owner.get("problem_id")) if isinstance(owner, Mapping) else None
    if not isinstance(owner, Mapping) or not isinstance(name, str):
        raise DataError(f"{place}: a group of samples needs its problem or its task")
    for sample in row["samples"]:
        if not isinstance(sample, Mapping) or not isinstance(sample.get("completion"), str):
            raise DataError(f"{place}: a sample of a group needs 'completion' as a string")
        rollout_id = sample.get("rollout_id")
        named = rollout_id if isinstance(rollout_id, str) else None
        yield Given(name, sample["completion"], False, place, named, is_of_task="task_id" in owner)


def is_sample(row: Mapping[str, Any]) -> bool:
    """Whether a row has an id and a text of a sample, or is a group of samples."""
    if is_group(row):
        return True
    texts = (*_ANSWERS, *_LISTS, "completion")
    return any(name in row for name in _IDS) and any(name in row for name in texts)


def is_list_of_samples(path: Path) -> bool:
    """Whether a file is one JSON value that holds samples: lists without ids, or an object that maps ids to lists."""
    try:
        data = _whole_json(path)
    except DataError:
        return False
    if isinstance(data, dict):
        texts = data.get("raw_generations", data)
        return bool(texts) and isinstance(texts, dict) and all(isinstance(one, list) for one in texts.values())
    return isinstance(data, list) and bool(data) and all(isinstance(item, list | str) for item in data)


def plain_name(name: str) -> str:
    """A name without what does not tell questions apart: case, and `_` for `/` as in the names of folders.

    >>> plain_name("HumanEval_0") == plain_name("humaneval/0")
    True
    """
    return name.strip().casefold().replace("_", "/")


def names_of(ids: Sequence[str]) -> dict[str, str]:
    """All ways to name a question → its id: the id, and what stands behind its `Name/` where that is a number of one
    question only."""
    parts = [(*question_id.rpartition("/"), question_id) for question_id in ids]
    parts = [part for part in parts if part[0] and not part[0].isdigit()]
    numbers = Counter(last for first, _, last, _ in parts if last.isdigit() and "/" not in first)
    short = {last: question_id for _, _, last, question_id in parts if numbers[last] == 1}
    return short | {plain_name(question_id): question_id for question_id in ids}


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _name(data: Mapping[str, Any], field: str, place: str) -> str:
    value = data[field]
    if not _is_id(value) or (isinstance(value, int) and value.bit_length() > 63):
        raise DataError(f"{place}: {field!r} must be text or a number of at most 64 bits, not {short(value)!r}")
    return str(value)


def _text(text: Any, place: str) -> str:
    if not isinstance(text, str):
        raise DataError(f"{place}: a sample must be text, not {described(text)}")
    return text
