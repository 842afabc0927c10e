"""The benchmarks by name: one file each."""

from __future__ import annotations

from collections.abc import Sequence

from coderlplus.errors import ConfigError, nearest
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.benchmarks.cruxeval_i import BENCHMARK as CRUXEVAL_I
from coderlplus.evaluation.benchmarks.cruxeval_i import DIRECTLY as CRUXEVAL_I_DIRECT
from coderlplus.evaluation.benchmarks.cruxeval_o import BENCHMARK as CRUXEVAL_O
from coderlplus.evaluation.benchmarks.cruxeval_o import DIRECTLY as CRUXEVAL_O_DIRECT
from coderlplus.evaluation.benchmarks.humaneval import BENCHMARK as HUMANEVAL
from coderlplus.evaluation.benchmarks.humanevalplus import BENCHMARK as HUMANEVALPLUS
from coderlplus.evaluation.benchmarks.lcb_execution import BENCHMARK as LCB_EXECUTION
from coderlplus.evaluation.benchmarks.lcb_execution import DIRECTLY as LCB_EXECUTION_DIRECT
from coderlplus.evaluation.benchmarks.lcb_testoutput import BENCHMARK as LCB_TESTOUTPUT
from coderlplus.evaluation.benchmarks.leetcode import BENCHMARK as LEETCODE
from coderlplus.evaluation.benchmarks.livecodebench import BENCHMARK as LIVECODEBENCH
from coderlplus.evaluation.benchmarks.mbpp import BENCHMARK as MBPP
from coderlplus.evaluation.benchmarks.mbppplus import BENCHMARK as MBPPPLUS

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkQuestion", "benchmarks_named", "canonical"]

_ALL = (
    HUMANEVAL,
    HUMANEVALPLUS,
    MBPP,
    MBPPPLUS,
    LEETCODE,
    LIVECODEBENCH,
    CRUXEVAL_O,
    CRUXEVAL_O_DIRECT,
    CRUXEVAL_I,
    CRUXEVAL_I_DIRECT,
    LCB_EXECUTION,
    LCB_EXECUTION_DIRECT,
    LCB_TESTOUTPUT,
)
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}


def canonical(name: str) -> str:
    """The name of a benchmark in any case and with `+` for `plus`; any other name as it is.

    >>> canonical("MBPP+"), canonical("humanevalplus"), canonical("mine.jsonl")
    ('mbppplus', 'humanevalplus', 'mine.jsonl')
    """
    found = name.lower().replace("+", "plus")
    return found if found in BENCHMARKS else name


def benchmarks_named(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks of these names, in this order. Raises `ConfigError` for an unknown one, naming the nearest, and
    for one named twice.

    >>> [benchmark.name for benchmark in benchmarks_named(["cruxeval-o", "HumanEval+"])]
    ['cruxeval-o', 'humanevalplus']
    """
    names = [canonical(name) for name in names]
    for name in names:
        if name not in BENCHMARKS:
            near = nearest(name, BENCHMARKS)
            meant = f"; did you mean {near}?" if near else ""
            raise ConfigError(
                f"unknown benchmark {name!r}{meant} (use {', '.join(BENCHMARKS)}, or a .jsonl file of problems)"
            )
        if names.count(name) > 1:
            raise ConfigError(f"benchmark {name!r} is named twice")
    return [BENCHMARKS[name] for name in names]
