"""Which files a source is: a file, a folder of files, or a dataset on the Hugging Face hub. No code that comes with
data is run."""

from __future__ import annotations

import re
from pathlib import Path

from coderlplus.errors import DataError
from coderlplus.evaluation.data import hub_folder
from coderlplus.problems import read_problems
from coderlplus.records import Problem

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def load_problems(source: str | Path, left_out: list[DataError] | None = None) -> list[Problem]:
    """The problems of a file, a folder, or a dataset on the Hugging Face hub (`owner/name`).

    It reads every format of `coderlplus prepare`: coderlplus JSONL and the public ones, as JSONL, JSON or Parquet,
    gzipped or not. Nothing is validated or deduplicated; `coderlplus prepare` does that. Raises `DataError` for a
    source that cannot be read, a row that cannot be used, and a `problem_id` of two different problems. With
    `left_out`, errors of rows are appended to it instead, and raised only if no row is left.

    >>> import tempfile
    >>> from coderlplus import StdioTest, write_jsonl
    >>> path = Path(tempfile.mkdtemp()) / "problems.jsonl"
    >>> write_jsonl(path, [Problem(problem_id="p", statement="Print 1.", tests=(StdioTest("", "1"),))])
    1
    >>> [problem.problem_id for problem in load_problems(path)]
    ['p']
    """
    problems: dict[str, Problem] = {}
    for file in files_of(str(source)):
        for problem in read_problems(file, left_out):
            if problems.setdefault(problem.problem_id, problem) != problem:
                error = DataError(f"{file}: another file of {source} has another problem {problem.problem_id!r}")
                if left_out is None:
                    raise error
                left_out.append(error)
    return list(problems.values())


def files_of(source: str) -> list[Path]:
    """The data files of a source, in the order of their names.

    Of a folder, and of a dataset on the hub (`owner/name`), these are the files with `train` in their path or, where
    there are none, all. Raises `DataError` if there is no such file, folder or dataset, and where it holds no data.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    if path.is_dir():
        folder = path
    elif _HUB_NAME.fullmatch(source):
        way_out = f"or give a local file or folder ({source} does not exist)"
        folder = hub_folder(source, [f"*train*{suffix}" for suffix in SUFFIXES], way_out)
        if not _data_files(folder):
            folder = hub_folder(source, [f"*{suffix}" for suffix in SUFFIXES], way_out)
    else:
        raise DataError(f"cannot read {source}: not a file, a folder or a Hub name (owner/name)")
    files = _data_files(folder)
    if not files:
        raise DataError(f"{source} holds no data: no file there ends in {', '.join(SUFFIXES)}")
    return [file for file in files if "train" in file.relative_to(folder).as_posix()] or files


def _data_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(SUFFIXES))
