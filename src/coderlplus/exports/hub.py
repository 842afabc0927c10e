"""A data set of problems, tasks and rationales for the Hugging Face hub: a folder with a card and Parquet files, which
`datasets.load_dataset` loads from the folder and from the hub alike."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from coderlplus import __version__
from coderlplus.errors import ConfigError, DataError
from coderlplus.exports import rationales, rows
from coderlplus.preparation.outputs import ParquetFile, parquet_row, problem_schema
from coderlplus.records import AlignmentTask, Problem
from coderlplus.records.files import atomic_write

Part = tuple[int, str, Mapping[str, str]]
"""Of a data set: the number of rows, a sentence, and the columns."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_CARD = """\
---
{metadata}---

# {title}

Questions about executions of programs, with known answers: coderlplus {version} made them from programs that
models wrote and that failed their tests. They are for training with execution semantics alignment (CodeRL+,
[arXiv 2510.18471](https://arxiv.org/abs/2510.18471)).

{parts}
## Loading

```python
import coderlplus as crl
from datasets import load_dataset

tasks = load_dataset("{name}", "tasks", split="train")
print(tasks[0]["prompt"], tasks[0]["answer"])

rewards = crl.alignment_reward()(completions=[tasks[0]["answer"]], record=[tasks[0]["record"]])  # [1.0]
```

## How it was made

{made}

## What to know

- The programs are wrong on purpose: most fail tests of their problem. Run them in a sandbox only.
- Problems and programs have the licences of their sources, which this card does not know. Check them before you share
  the data set.
- Answers are what Python {python} does; other versions may differ in rare cases.
"""


def check_name(name: str) -> None:
    """Raises `ConfigError` for what is no name of a data set on the hub."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--push-to-hub {name!r} must be owner/name, such as me/failed-programs")


def is_writable(row: Mapping[str, Any], name: str, left_out: list[DataError]) -> bool:
    """Whether Parquet holds a row: its text is Unicode. What is said of one that is not is added to `left_out`."""
    try:
        json.dumps(row, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        left_out.append(DataError(f"{name} is left out of the data set: a text in it is no Unicode ({error.reason})"))
        return False
    return True


def write_parquet(path: Path, schema: Callable[[Any], Any], lines: Iterable[dict[str, Any]]) -> None:
    """Raises `ConfigError` without pyarrow, `DataError` where the file cannot be written."""
    try:
        with ParquetFile(path, schema) as file:
            for line in lines:
                file.add(line)
    except UnicodeEncodeError as error:
        raise DataError(f"cannot write {path}: a text in it is no Unicode ({error.reason})") from error
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def write_folder(
    folder: Path,
    name: str,
    problems: Sequence[Problem],
    tasks: Sequence[AlignmentTask],
    worked: Sequence[dict[str, Any]] | None,
    made: Mapping[str, Any],
) -> list[Path]:
    """Write the data set into `folder` and return its files, the card first. `worked` are rationales, if there are to
    be any; `made` says how the tasks were made.

    Raises `DataError` where there is no task, or where it cannot be written.
    """
    if not tasks:
        raise DataError(f"there is no task for {name}; the programs made none")
    data = folder / "data"
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}") from error
    parts: dict[str, Part] = {
        "tasks": (len(tasks), f"kinds: {_counts(task.kind for task in tasks)}", rows.COLUMNS),
        "problems": (len(problems), "what the programs were written for, with tests", _PROBLEM_COLUMNS),
    }
    write_parquet(data / "tasks.parquet", rows.task_schema, map(rows.task_row, tasks))
    lines = (parquet_row(problem, place) for place, problem in enumerate(problems))
    write_parquet(data / "problems.parquet", problem_schema, lines)
    if worked is None:
        (data / "rationales.parquet").unlink(missing_ok=True)  # of a run before
    else:
        parts["rationales"] = (len(worked), "tasks worked step by step, for supervised training", rationales.COLUMNS)
        write_parquet(data / "rationales.parquet", rationales.rationale_schema, worked)
    try:
        atomic_write(folder / "README.md", card(name, parts, made))
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}") from error
    return [folder / "README.md", *(data / f"{part}.parquet" for part in parts)]


def card(name: str, parts: Mapping[str, Part], made: Mapping[str, Any]) -> str:
    """The card of a data set: `parts` are its configurations with their number of rows, a sentence and columns."""
    metadata = {
        "pretty_name": name.partition("/")[2],
        "task_categories": ["text-generation"],
        "tags": ["code", "reinforcement-learning", "execution", "coderlplus"],
        "configs": [
            {"config_name": part, "data_files": [{"split": "train", "path": f"data/{part}.parquet"}]}
            | ({"default": True} if part == "tasks" else {})
            for part in parts
        ],
    }
    sections = [
        f"## {part}: {count:,} rows\n\n{sentence[0].upper()}{sentence[1:]}.\n\n| column | content |\n|---|---|\n"
        + "".join(f"| `{column}` | {content} |\n" for column, content in columns.items())
        for part, (count, sentence, columns) in parts.items()
    ]
    how = "\n".join(f"- `{key}`: {_one_line(value)}" for key, value in made.items())
    return _CARD.format(
        metadata=yaml.safe_dump(metadata, sort_keys=False),
        title=name.partition("/")[2],
        version=__version__,
        parts="\n".join(sections),
        name=name,
        made=how,
        python=platform.python_version(),
    )


def push(name: str, folder: Path, files: Sequence[Path]) -> str:
    """Upload the files of a folder to a private data set on the hub, made where it is not there, and return its
    address. Raises `ConfigError` without huggingface_hub, `DataError` where the hub refuses or is not reached."""
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ImportError:
        raise ConfigError(
            "--push-to-hub needs huggingface_hub: pip install huggingface_hub, or add --dry-run"
        ) from None
    added = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
    try:
        api = HfApi()
        address = api.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
        api.create_commit(name, added, commit_message=f"Data of coderlplus {__version__}", repo_type="dataset")
    except Exception as error:  # of many libraries: httpx, requests, the hub's own
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"cannot push {name} ({type(error).__name__}: {reason}); log in with `hf auth login` and run the same "
            f"command again, the files are in {folder}"
        ) from error
    return str(address)


_PROBLEM_COLUMNS = {
    "prompt": "chat messages: the problem",
    "record": "the problem as JSON, with its tests: what `coderlplus.code_reward` reads",
    "data_source, ability, reward_model, extra_info": "as verl reads them",
}


def _counts(names: Iterable[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in Counter(names).most_common())


def _one_line(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(text.replace("`", "'").split())[:300]
