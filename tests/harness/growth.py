"""Whether a function takes time in proportion to its input."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
MOST_GROWTH = 3.0
"""Of the time when the input doubles, at most, over the last three doublings: a quadratic function has 4, a linear
one 2."""
SHORTEST_S = 0.02
"""Below this a time says nothing about growth."""
MOST_S = 20.0


def assert_linear(function: Callable[[T], object], make: Callable[[int], T], start: int, doublings: int = 4) -> None:
    """Fail if `function(make(n))` takes more than linear time as n doubles from `start`.

    CPU time of this thread counts, the best of two; what looks more than linear is measured once more. An error that
    the function raises counts as its result: what it raises is not asked here.
    """
    if _verdict(function, make, start, doublings):
        said = _verdict(function, make, start, doublings)
        assert not said, said


def _verdict(function: Callable[[T], object], make: Callable[[int], T], start: int, doublings: int) -> str:
    """Why the function seems to take more than linear time; nothing if it does not."""
    times: list[tuple[int, float]] = []
    for size in (start * 2**step for step in range(doublings + 1)):
        times.append((size, _best(function, make(size))))
        if times[-1][1] > MOST_S:
            break
    told = ", ".join(f"{size}: {seconds:.3f} s" for size, seconds in times)
    if times[-1][1] > MOST_S:
        return f"too slow: {told}"
    steps = min(3, len(times) - 1)
    before, last = max(times[-1 - steps][1], SHORTEST_S / 2**steps), times[-1][1]
    growth = (last / before) ** (1 / steps)
    return (
        f"more than linear, {growth:.1f} times a doubling: {told}"
        if last > SHORTEST_S and growth > MOST_GROWTH
        else ""
    )


def _best(function: Callable[[T], object], given: T) -> float:
    best = MOST_S * 2
    gc.disable()
    try:
        for _ in range(2):
            began = time.thread_time()
            with contextlib.suppress(Exception):  # the errors of a function are tested elsewhere
                function(given)
            best = min(best, time.thread_time() - began)
            if best > 0.2:
                break
    finally:
        gc.enable()
    return best
