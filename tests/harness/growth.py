"""Whether the time of a function grows no faster than its input."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FLOOR_S = 0.02
"""CPU time below which a measurement says nothing."""

MAX_EXPONENT = 1.5
"""Of `time ~ size ** exponent` over all sizes: between linear (1) and quadratic (2)."""

ROUNDS = 3


def assert_linear(function: Callable[[T], object], make: Callable[[int], T], start: int, doublings: int = 4) -> None:
    """Call a function on `make(start)`, `make(2 * start)`, … and fail where its CPU time grows faster than linearly.

    Times are CPU seconds of this thread; those below `FLOOR_S` count as `FLOOR_S`. What seems to grow too fast is
    measured again, twice at most, and counts with its shortest times."""
    sizes = [start << step for step in range(doublings + 1)]
    times = [math.inf] * len(sizes)
    exponent = 0.0
    for _ in range(ROUNDS):
        for step, size in enumerate(sizes):
            times[step] = max(FLOOR_S, min(times[step], _cpu_s(function, make(size))))
            exponent = math.log(times[step] / times[0]) / math.log(size / start) if step else 0.0
            if times[step] > 1 and exponent > MAX_EXPONENT:
                break  # the next size may take minutes
        if exponent <= MAX_EXPONENT:
            return
    told = ", ".join(f"{size:,}: {s:.3f} s" for size, s in zip(sizes, times, strict=True) if s < math.inf)
    raise AssertionError(f"grows as its input to the power of {exponent:.1f} ({told})")


def _cpu_s(function: Callable[[T], object], value: T) -> float:
    began = time.thread_time()
    function(value)
    return time.thread_time() - began
