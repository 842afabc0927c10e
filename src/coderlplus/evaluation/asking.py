"""Names of benchmarks, or files of problems → what is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.benchmarks import BENCHMARKS, benchmarks_named
from coderlplus.evaluation.data import Window, load, own_benchmark
from coderlplus.evaluation.run import Asked
from coderlplus.records import Problem

T = TypeVar("T")
FILE_ENDINGS = (".jsonl", ".jsonl.gz")
"""What tells a file of problems from the name of a benchmark."""


def asked_for(
    names: Sequence[str],
    window: Window,
    data_dir: Path | None,
    own_prompt: Callable[[Problem], str],
    *,
    limit: int | None = None,
    left_out: list[DataError] | None = None,
) -> list[Asked]:
    """The benchmarks of these names with their questions, of each at most `limit`; of a file of problems `own_prompt` makes the user's message.

    Raises `ConfigError` for names that are unknown, doubled or none, or a window that chooses among contests where no benchmark has any, `DataError`
    for data that cannot be had; rows of files of problems that cannot be used go to `left_out`, where that is given.
    """
    files = [name for name in names if name.endswith(FILE_ENDINGS)]
    known = {benchmark.name: benchmark for benchmark in benchmarks_named([name for name in names if name not in files])}
    if not names:
        raise ConfigError(f"--benchmarks names none; there are {', '.join(BENCHMARKS)}")
    if (window.start or window.end) and not any(benchmark.dated for benchmark in known.values()):
        raise ConfigError("--start-date and --end-date choose among contests; none of these benchmarks has dates")
    asked: list[Asked] = []
    for name in names:
        if name in known:
            questions, paths = load(known[name], window, data_dir)
            asked.append(Asked.of(known[name], spread(questions, limit), paths, asdict(window)))
        else:
            benchmark, questions = own_benchmark(Path(name), own_prompt, left_out)
            if benchmark.name in BENCHMARKS or any(one.benchmark.name == benchmark.name for one in asked):
                raise ConfigError(f"the results of {name} would lie in {benchmark.name}, which is another benchmark; give the file another name")
            asked.append(Asked.of(benchmark, spread(questions, limit), [Path(name)], {}))
    return asked


def spread(items: Sequence[T], limit: int | None) -> Sequence[T]:
    """At most `limit` items, at equal distances: sets are often in the order of date, source or difficulty.

    >>> spread("abcdefgh", 3), spread("ab", 3), spread("ab", None)
    (['a', 'c', 'f'], 'ab', 'ab')
    """
    if limit is None or limit >= len(items):
        return items
    return [items[place * len(items) // limit] for place in range(limit)]
