"""The benchmarks: one file each, listed here by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from coderlplus.errors import ConfigError, nearest
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkQuestion", "benchmarks_named", "canonical"]

_FILES = (
    "humaneval",
    "humanevalplus",
    "mbpp",
    "mbppplus",
    "leetcode",
    "livecodebench",
    "cruxeval_o",
    "cruxeval_i",
    "lcb_execution",
    "lcb_testoutput",
    "reval",
)
"""A file holds a `BENCHMARK`, or several that share their data, and `DIRECTLY` where its prompt has a direct form."""
BENCHMARKS: dict[str, Benchmark] = {}
for _name in _FILES:
    _module = import_module(f"{__name__}.{_name}")
    for _form in ("BENCHMARK", "DIRECTLY"):
        _found: Benchmark | tuple[Benchmark, ...] = getattr(_module, _form, ())
        BENCHMARKS |= {one.name: one for one in (_found if isinstance(_found, tuple) else (_found,))}


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
