"""What test code asked programs, what they answered, and how that ended.

Test code that does the same in every process (`repeatable.is_repeatable`) asks two programs the same, for as long as
they answer the same, and comes to the same end. So of the first program that the examiner hears, the conversation is
kept. The next one of the problem gets all of these calls in one process: its answers may be those of a conversation
that is kept, and then the examiner need not hear them. Otherwise it hears them without the program, and only where it
asks something else do both run together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from coderlplus.judge.kept import Kept, key

Turn = tuple[Any, Any]
"""A call and its answer, as they travel (`wire.py`)."""
_kept = Kept(max_bytes=16 << 20)


class Conversations:
    """Those over some tests of a problem; `of_tests` is all that decides what test code does there, but the answers.

    >>> call = {"args": [1], "kwargs": {}, "of": 0}
    >>> right, wrong = [(call, {"value": 2})], [(call, {"value": 3})]
    >>> both = Conversations(key("assert operator.eq(f(1), 2)"))
    >>> both.calls()
    []
    >>> both.keep(right, [{"end": "passed"}])
    >>> both.calls(), both.end(right), both.end(wrong)
    ([{'args': [1], 'kwargs': {}, 'of': 0}], ([{'end': 'passed'}], 1), None)
    """

    def __init__(self, of_tests: bytes) -> None:
        self._of_tests = of_tests

    def calls(self) -> list[Any]:
        """The calls made to the last program that passed or, before there is one, to the last that was asked for more
        or for something else than the one before: what a wrong answer leads to says little of what others will be
        asked."""
        calls: list[Any] = self._best()[1]
        return calls

    def keep(self, turns: Sequence[Turn], replies: Sequence[Any]) -> None:
        """Remember a whole conversation, and what the examiner replied."""
        has_passed = all(reply.get("end", "passed") in ("passed", "value") for reply in replies)
        calls = [call for call, _ in turns]
        best_has_passed, best = self._best()
        is_more = not best_has_passed and best[: len(calls)] != calls
        if (has_passed, calls) != (best_has_passed, best) and (has_passed or is_more):
            _kept.put(self._of_tests, (has_passed, calls))
        *_, last = self._keys(turns)
        _kept.put(last, list(replies))

    def end(self, turns: Sequence[Turn]) -> tuple[list[Any], int] | None:
        """What the examiner replies to the conversation that these turns begin with, if one is kept, and how many
        turns it has."""
        for number, each in enumerate(self._keys(turns), 1):
            kept = _kept.get(each)
            if kept:
                return kept[0], number
        return None

    def _best(self) -> list[Any]:
        """Whether it passed, and its calls."""
        kept = _kept.get(self._of_tests)
        return kept[0] if kept else [False, []]

    def _keys(self, turns: Sequence[Turn]) -> list[bytes]:
        """A key of each beginning. Texts are compared: 1, 1.0 and True are equal, and NaN is not equal to itself."""
        keys = [self._of_tests]
        for turn in turns:
            keys.append(key(keys[-1], json.dumps(turn)))
        return keys[1:]
