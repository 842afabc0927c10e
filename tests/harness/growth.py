"""Whether the time of a function grows no faster than its input."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FLOOR_S = 0.02
"""CPU time below which a measurement says nothing."""

MAX_EXPONENT = 1.5
"""Of `time ~ size ** exponent` over all sizes: between linear (1) and quadratic (2)."""


def assert_linear(function: Callable[[T], object], make: Callable[[int], T], start: int, doublings: int = 4) -> None:
    """Call a function on `make(start)`, `make(2 * start)`, … and fail where its CPU time grows faster than linearly.

    Each size counts with the shortest of three runs on this thread. Times below `FLOOR_S` count as `FLOOR_S`.
    """
    sizes = [start << step for step in range(doublings + 1)]
    times: list[float] = []
    for size in sizes:
        value = make(size)
        times.append(max(FLOOR_S, min(_cpu_s(function, value) for _ in range(3 if not times or times[-1] < 1 else 1))))
        exponent = math.log(times[-1] / times[0]) / math.log(size / start) if size > start else 0.0
        told = ", ".join(f"{one:,}: {s:.3f} s" for one, s in zip(sizes, times, strict=False))
        # one step may be off by a pause of the machine; a whole row of them, or one of a hundredfold, is not
        assert times[-1] < 100 * times[0] * size / start, f"grows faster than its input ({told})"
    assert exponent <= MAX_EXPONENT, f"grows as the input to the power of {exponent:.1f} ({told})"


def _cpu_s(function: Callable[[T], object], value: T) -> float:
    gc.collect()
    began = time.thread_time()
    function(value)
    return time.thread_time() - began
