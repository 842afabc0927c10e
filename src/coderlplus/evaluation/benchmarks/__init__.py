"""The benchmarks by name: one file each."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from coderlplus.errors import ConfigError
from coderlplus.evaluation.benchmarks import (
    cruxeval_i,
    cruxeval_o,
    humaneval,
    humanevalplus,
    lcb_execution,
    lcb_testoutput,
    leetcode,
    livecodebench,
    mbpp,
    mbppplus,
)
from coderlplus.evaluation.benchmarks.base import Benchmark, Question

__all__ = ["BENCHMARKS", "Benchmark", "Question", "benchmarks_named"]

_MODULES = (humaneval, humanevalplus, mbpp, mbppplus, leetcode, livecodebench, cruxeval_o, cruxeval_i, lcb_execution, lcb_testoutput)
BENCHMARKS: dict[str, Benchmark] = {module.BENCHMARK.name: module.BENCHMARK for module in _MODULES}


def benchmarks_named(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks of these names, in this order. Raises `ConfigError` for an unknown one, naming the nearest, and for one named twice.

    >>> [benchmark.name for benchmark in benchmarks_named(["cruxeval-o", "mbpp"])]
    ['cruxeval-o', 'mbpp']
    """
    for name in names:
        if name not in BENCHMARKS:
            near = difflib.get_close_matches(name.lower().replace("_", "-"), BENCHMARKS, n=1, cutoff=0.5)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"unknown benchmark {name!r}{meant} (there are {', '.join(BENCHMARKS)}, and files of problems ending in .jsonl)")
        if names.count(name) > 1:
            raise ConfigError(f"benchmark {name!r} is named twice")
    return [BENCHMARKS[name] for name in names]
