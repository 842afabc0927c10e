"""Names of benchmarks, or files of problems → what is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.benchmarks import BENCHMARKS, Benchmark, BenchmarkQuestion, benchmarks_named, canonical
from coderlplus.evaluation.benchmarks.plus import BASE_ALONE
from coderlplus.evaluation.data import RELEASE_FILES, Found, Window, find, own_benchmark
from coderlplus.evaluation.run import AskedBenchmark
from coderlplus.records import Problem

T = TypeVar("T")
STYLES = ("chat", "base")
"""By the model's chat template, or as a text that it continues."""
FILE_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
"""What tells a file of problems from the name of a benchmark."""


def asked_for(
    names: Sequence[str],
    window: Window,
    data_dir: Path | None,
    own_prompt: Callable[[Problem], str],
    *,
    limit: int | None = None,
    style: str = "chat",
) -> list[AskedBenchmark]:
    """The benchmarks of these names with their questions, of each at most `limit`; of a file of problems `own_prompt`
    makes the user's message. `style` is how they are put, one of `STYLES`.

    Raises `ConfigError` for names that are unknown, doubled or none, a style that a benchmark does not have, or a
    window that chooses among contests where no benchmark has any, `DataError` for data that cannot be had.
    """
    if style not in STYLES:
        raise ConfigError(f"unknown style {style!r}; use {' or '.join(STYLES)}")
    names = [canonical(name) for name in names]
    files = [name for name in names if name.endswith(FILE_ENDINGS)]
    known = {one.name: one for one in benchmarks_named([name for name in names if name not in files])}
    if not names:
        raise ConfigError(f"--benchmarks is empty; use {', '.join(BENCHMARKS)}")
    if (window.start or window.end) and not any(benchmark.dated for benchmark in known.values()):
        raise ConfigError("--start-date and --end-date select contests by date; these benchmarks have no dates")
    asked: list[AskedBenchmark] = []
    for name in names:
        if name in known:
            benchmark, found = known[name], askable(known[name], find(known[name], window, data_dir))
            if found.release is None and RELEASE_FILES in benchmark.hub_files and window.release != Window().release:
                raise ConfigError(
                    f"{found.files[0]} is not a release of LiveCodeBench, so --release {window.release} does not "
                    "apply; leave it out"
                )
            days = {"start": window.start, "end": window.end} if benchmark.dated else {}
        else:
            (benchmark, found), days = own_benchmark(Path(name), own_prompt), {}
            if benchmark.name in BENCHMARKS or any(one.benchmark.name == benchmark.name for one in asked):
                raise ConfigError(
                    f"the results of {name} would go to {benchmark.name}, which is a benchmark; rename the file"
                )
        questions = spread(found.questions, limit)
        if style == "base":
            questions = [_as_text(benchmark, question) for question in questions]
        chosen = {name: value for name, value in ({"release": found.release} | days).items() if value}
        more = {"whole": found.whole, "left_out": tuple(map(str, found.left_out)), "inside": len(found.questions)}
        asked.append(AskedBenchmark.of(benchmark, questions, found.files, chosen, **more))
    return asked


def _as_text(benchmark: Benchmark, question: BenchmarkQuestion) -> BenchmarkQuestion:
    if question.base is None:
        raise ConfigError(f"{benchmark.name} has no prompt for base models; ask it without --style base")
    return replace(question, messages=question.base)


def askable(benchmark: Benchmark, found: Found) -> Found:
    """The data without the questions that lack what the benchmark is about; they are left out and named.

    Raises `DataError` if none is left: scored as they are, they would be another benchmark under this name.
    """
    lacking = [question for question in found.questions if question.lacks]
    if len(lacking) == len(found.questions):
        raise DataError(
            f"{found.files[0]}: {_no_row(found)} has {lacking[0].lacks}, so this is not {benchmark.name}; download "
            "its release, or evaluate the file by its path: --benchmarks FILE"
        )
    if found.questions and all(question.layout == BASE_ALONE for question in found.questions):
        raise DataError(
            f"{found.files[0]}: {_no_row(found)} has inputs in 'plus_input', so this is not {benchmark.name}; "
            "download its release again"
        )
    named = [DataError(f"{found.files[0]}: {question.question_id!r} lacks {question.lacks}") for question in lacking]
    kept = [question for question in found.questions if not question.lacks]
    return replace(found, questions=kept, left_out=[*found.left_out, *named])


def _no_row(found: Found) -> str:
    return f"none of {len(found.questions)} rows" if len(found.questions) > 1 else "no row"


def spread(items: Sequence[T], limit: int | None) -> Sequence[T]:
    """At most `limit` items, at equal distances: sets are often in the order of date, source or difficulty.

    >>> spread("abcdefgh", 3), spread("ab", 3), spread("ab", None)
    (['a', 'c', 'f'], 'ab', 'ab')
    """
    if limit is None or limit >= len(items):
        return items
    return [items[place * len(items) // limit] for place in range(limit)]
