"""Which tests are kept.

Public sets give some problems thousands of tests, of which each costs time in every rollout, and a few of many
megabytes. The rule: at most `max_tests`, the first `FIRST` (by custom the examples of the statement) and then the
largest, since inputs that are large or awkward are what wrong and slow programs fail on; taken in that order as long
as they fit into `max_test_kb` kilobytes together. What is kept stays in the order of the set.
"""

from __future__ import annotations

import json
from dataclasses import replace

from coderlplus.records import Problem, Test

FIRST = 8


def capped(problem: Problem, max_tests: int, max_test_kb: int) -> Problem | None:
    """The problem with the tests that the rule keeps; `None` where not even one fits."""
    sizes = [_bytes(test) for test in problem.tests]
    order = sorted(range(len(sizes)), key=lambda place: (place >= FIRST, 0 if place < FIRST else -sizes[place]))
    kept: list[int] = []
    room = max_test_kb * 1024
    for place in order:
        if len(kept) == max_tests:
            break
        if sizes[place] <= room:
            kept.append(place)
            room -= sizes[place]
    if len(kept) == len(sizes):
        return problem
    return replace(problem, tests=tuple(problem.tests[place] for place in sorted(kept))) if kept else None


def _bytes(test: Test) -> int:
    return len(json.dumps(test.to_json(), ensure_ascii=False).encode("utf-8", "surrogatepass"))
