"""The data of benchmarks: files on this machine, or on the Hugging Face hub. No code that comes with data is run.

`--data-dir` may hold the benchmarks' own releases (`HumanEval.jsonl.gz`, …) at any depth, and datasets as the hub has
them: a clone or download (`openai_humaneval/`, `openai/openai_humaneval/`) or a cache
(`datasets--openai--openai_humaneval/snapshots/…`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.benchmarks import tasks
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.generate import Continued
from coderlplus.problems import read_format, read_tasks
from coderlplus.problems.files import leaving_out, stream_rows

RELEASE_FILES = "{releases}"
"""Stands in `hub_files` for the files of LiveCodeBench's releases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of LiveCodeBench:

    releases up to `release` (`release_v1` … `release_v6`), contests from `start` to `end` (ISO dates, both included).
    """

    release: str = "release_v4"
    start: str | None = None
    end: str | None = None

    def __post_init__(self) -> None:
        if self.release not in RELEASES:
            raise ConfigError(f"unknown LiveCodeBench release {self.release!r}; use one of {', '.join(RELEASES)}")
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not _is_date(value):
                raise ConfigError(f"the {name} date {value!r} is not a date like 2024-11-01")
        if self.start and self.end and self.start > self.end:
            raise ConfigError(f"the window from {self.start} to {self.end} is empty: it ends before it starts")

    def files(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The patterns with `RELEASE_FILES` spelt out: LiveCodeBench adds one file a release."""
        if RELEASE_FILES not in patterns:
            return tuple(patterns)
        return tuple(
            f"test{number if number > 1 else ''}.jsonl" for number in range(1, RELEASES.index(self.release) + 2)
        )

    def holds(self, day: str | None) -> bool:
        return day is None or (self.start or "") <= day <= (self.end or "9999")


RELEASES = tuple(f"release_v{number}" for number in range(1, 7))


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The data of a benchmark: the `questions` inside the window, the ids of the `whole` in the order of the `files`,
    and the rows left out.

    `left_out` are errors that name the place. `release` is LiveCodeBench's, where the files are those of its
    releases.
    """

    questions: Sequence[BenchmarkQuestion]
    whole: Sequence[str]
    files: Sequence[Path]
    left_out: Sequence[DataError]
    release: str | None


def load(
    benchmark: Benchmark, window: Window, data_dir: Path | None = None
) -> tuple[list[BenchmarkQuestion], list[Path]]:
    """The questions of a benchmark and the files that they come from.

    Raises `DataError` if there are none: the folder lacks them, the hub cannot be reached, a row cannot be used,
    the window is empty.
    """
    found = find(benchmark, window, data_dir)
    if found.left_out:
        raise found.left_out[0]
    return list(found.questions), list(found.files)


def find(benchmark: Benchmark, window: Window, data_dir: Path | None = None) -> Found:
    """The data of a benchmark; rows that cannot be used are left out and named. Raises `DataError` as `load` does
    where no row can be used."""
    paths, is_released = _local(benchmark, window, data_dir) if data_dir else (_from_hub(benchmark, window), True)
    questions: list[BenchmarkQuestion] = []
    whole: dict[str, None] = {}
    left_out: list[DataError] = []
    for path in paths:
        for row in stream_rows(path, left_out):
            for part in row.read(partial(benchmark.parts, path)):
                question = None
                with leaving_out(left_out):
                    question = replace(row, data=part).read(benchmark.read)
                if question is None:
                    continue
                if question.question_id in whole:
                    raise DataError(
                        f"{row.place}: a second row has the id {question.question_id!r}; check that the file is not "
                        "there twice"
                    )
                whole[question.question_id] = None
                if window.holds(question.date if benchmark.dated else None):
                    questions.append(question)
    if not whole and left_out:
        raise left_out[0]
    if not questions:
        span = f"{window.start or 'the start'} and {window.end or 'the end'}"
        why = f"none of its {len(whole)} questions lies between {span}" if whole else "it has no rows"
        raise DataError(f"{benchmark.name} has no questions in {paths[0]}: {why}")
    release = window.release if is_released and RELEASE_FILES in benchmark.hub_files else None
    return Found(questions=questions, whole=tuple(whole), files=paths, left_out=left_out, release=release)


def _local(benchmark: Benchmark, window: Window, data_dir: Path) -> tuple[list[Path], bool]:
    """The files, and whether they lie as on the hub."""
    if not data_dir.is_dir():
        raise DataError(
            f"the data folder {data_dir} does not exist; leave --data-dir out to load {benchmark.name} from the hub"
        )
    folders = [Path(folder) for folder, _, _ in os.walk(data_dir, followlinks=True)]
    for pattern in benchmark.files:
        found = sorted(
            (path for folder in folders for path in folder.glob(pattern) if path.is_file()),
            key=lambda path: (len(path.parts), path),
        )
        if found:
            return found[:1], False
    owner, _, name = benchmark.hub.partition("/")
    for folder in folders:
        if folder.name == name or folder.match(f"datasets--{owner}--{name}/snapshots/*"):
            found = _matching(folder, window.files(benchmark.hub_files))
            if found:
                return _complete(benchmark, window, folder, found), True
    wanted = ", ".join(pattern for pattern in benchmark.files if "*" not in pattern) or benchmark.files[0]
    missing = f"neither {wanted} nor a folder of the hub's {benchmark.hub}" if benchmark.hub else f"no {wanted}"
    raise DataError(f"{data_dir} holds no data of {benchmark.name}: {missing}; put one there")


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """All files of the first pattern that any file matches; of several patterns without a wildcard, all."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    groups = [[pattern for pattern in patterns if "*" not in pattern]]
    groups += [[pattern] for pattern in patterns if "*" in pattern]
    for group in groups:
        found = [path for path in files if any(fnmatch(path.relative_to(folder).as_posix(), one) for one in group)]
        if found:
            return found
    return []


def _from_hub(benchmark: Benchmark, window: Window) -> list[Path]:
    if not benchmark.hub:
        raise DataError(f"{benchmark.name} is not on the hub: name a folder with {benchmark.files[0]} with --data-dir")
    patterns = window.files(benchmark.hub_files)
    way_out = "or use --data-dir with its files"
    found = _matching(hub_folder(benchmark.hub, patterns, way_out), patterns)
    if not found:
        raise DataError(
            f"{benchmark.hub} on the hub has none of the files {', '.join(patterns)}; its layout has changed; "
            f"{way_out[3:]}"
        )
    return _complete(benchmark, window, found[0].parent, found)


def _complete(benchmark: Benchmark, window: Window, folder: Path, found: list[Path]) -> list[Path]:
    """The files found, if they are all that a release consists of: a part of them would be another release."""
    if RELEASE_FILES in benchmark.hub_files:
        absent = set(window.files(benchmark.hub_files)) - {path.name for path in found}
        if absent:
            raise DataError(
                f"{window.release} of {benchmark.name} needs {', '.join(sorted(absent))} too, which {folder} lacks; "
                "download them, or use an earlier release with --release"
            )
    return found


def hub_folder(dataset: str, patterns: Sequence[str], way_out: str) -> Path:
    """The folder with those files of a dataset on the hub that match one of the patterns; they are fetched where the
    cache lacks them.

    Raises `DataError` that says why they cannot be had and ends with the way out, `ConfigError` without
    huggingface_hub.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise ConfigError(
            f"loading {dataset} from the hub needs huggingface_hub: pip install huggingface_hub, {way_out}"
        ) from None
    try:
        return Path(snapshot_download(dataset, repo_type="dataset", allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise DataError(
            f"{dataset} is gated: accept its terms on the hub and log in with `hf auth login`, {way_out}"
        ) from error
    except RepositoryNotFoundError as error:
        raise DataError(
            f"the hub has no dataset {dataset}, or it is private: log in with `hf auth login`, {way_out}"
        ) from error
    except LocalEntryNotFoundError as error:
        raise DataError(
            f"the hub cannot be reached for {dataset}, and it is not in the cache; check the network, {way_out}"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"cannot load {dataset} from the hub ({reason}); check the network, {way_out}") from error


def own_benchmark(path: Path, ask: Any) -> tuple[Benchmark, Found]:
    """A file of problems as a benchmark, named as the file; `ask` makes the user's message of a problem. A file of
    alignment tasks is one too, with their own prompts.

    Raises `DataError` if the format is none that is known, or no row can be used.
    """
    left_out: list[DataError] = []
    first = next(stream_rows(path, []), None)
    if first is not None and first.data.keys() >= {"task_id", "targets", "prompt", "program"}:
        questions = [tasks.question_of(task) for task in read_tasks(path, left_out)]
        benchmark = tasks.benchmark_of(path)
    else:
        known, problems = read_format(path, left_out)

        def read(problem: Any) -> BenchmarkQuestion:
            return BenchmarkQuestion(
                question_id=problem.problem_id,
                messages=user(ask(problem)),
                base=Continued(ask(problem)),
                problem=problem,
                layout=known.name,
                family=problem.family,
            )

        benchmark = Benchmark(name=path.name.partition(".")[0], metric="pass@1", read=read, files=(str(path),))
        questions = [read(problem) for problem in problems]
    by_id = {question.question_id: question for question in questions}
    found = Found(questions=[*by_id.values()], whole=tuple(by_id), files=[path], left_out=left_out, release=None)
    return benchmark, found
