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
    >>> Conversations(key("assert operator.eq(f(1), 2)")).keep(right, [{"end": "passed"}])
    >>> both = Conversations(key("assert operator.eq(f(1), 2)"))
    >>> both.calls, both.ends(right), both.ends(wrong)
    ([{'args': [1], 'kwargs': {}, 'of': 0}], [{'end': 'passed'}], None)
    """

    def __init__(self, of_tests: bytes) -> None:
        self._of_tests = of_tests
        kept = _kept.get(of_tests)
        self._has_passed, self.calls, self._said, self._ends = kept[0] if kept else (False, [], "", [])
        """Of the best conversation: whether it passed; `calls`, those of the last program that passed or, before there
        is one, of the last that was asked for more or for something else than the one before, as what a wrong answer
        leads to says little of what others will be asked; and what was said there, and the ends."""

    def keep(self, turns: Sequence[Turn], ends: Sequence[Any]) -> None:
        """Remember a whole conversation, and how the examiner says that the tests ended."""
        has_passed = all(end["end"] in ("passed", "value") for end in ends)
        calls = [call for call, _ in turns]
        is_more = not self._has_passed and self.calls[: len(calls)] != calls
        if has_passed or is_more:
            _kept.put(self._of_tests, (has_passed, calls, _text(turns), list(ends)))
        *_, last = self._keys(turns)
        _kept.put(last, list(ends))

    def ends(self, turns: Sequence[Turn]) -> list[Any] | None:
        """How the tests ended in the conversation that these turns begin with, if one is kept."""
        ends: list[Any] | None = self._ends
        if _text(turns) != self._said:
            ends = next((kept[0] for each in self._keys(turns) if (kept := _kept.get(each))), None)
        return ends

    def _keys(self, turns: Sequence[Turn]) -> list[bytes]:
        """A key of each beginning."""
        keys = [self._of_tests]
        for turn in turns:
            keys.append(key(keys[-1], _text(turn)))
        return keys[1:]


def _text(of: object) -> str:
    """What is compared: 1, 1.0 and True are equal, and NaN is not equal to itself."""
    return json.dumps(of)
