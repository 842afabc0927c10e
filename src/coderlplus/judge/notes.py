"""What is noted while test code is run without a program (`dry_run.py`): the calls that it makes, and what it asks of
their answers. Standard library only; runs in the sandbox."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from coderlplus.judge.answer import Answer, Refused
from coderlplus.judge.given import LISTS, can_be_changed, involves, is_data, items_of
from coderlplus.sandbox.decoding import is_plain
from coderlplus.sandbox.encoding import encode
from coderlplus.sandbox.nodes import are_shared

_MAX_CALLS, _MAX_SIZE = 2_000, 200
"""Most calls of a test; most parts of an expression."""
_GROWN = 100
_OTHERS = [object() for _ in range(_GROWN)]
_RAISES_NOTHING = ("eq", "ne", "is", "not", "isinstance", "type")
_LAZY = ("and", "or", "implies")
"""Operations that may not compute their second part."""
TYPES = {kind: kind.__name__ for kind in (bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)}


class Notes:
    """The notes of one run of one test. `spoils` says what becomes of arguments: 0: nothing, 1: emptied, 2: grown."""

    def __init__(self, spoils: int) -> None:
        self.spoils = spoils
        self.line = 0
        """Of the test code, where it called something last."""
        self.events, self.events_at_call = 0, 0
        """What it did, so far and when it called the program last."""
        self.computed_here: list[list[Any]] = []
        """What was computed in the assert that is run."""
        self.unused: list[list[Any]] = []
        """What was computed, may raise an exception, and is in nothing that was noted."""
        self.is_exact = False
        """Whether it did nothing in this assert but compute, and call the program before."""
        self.guards: list[list[Any]] = []
        """Conditions of what is run now."""
        self.calls: list[dict[str, Any]] = []
        self.asserts: list[dict[str, Any]] = []
        self.void = ""
        self.is_late = False
        """Whether it runs what Python may not run."""
        self.in_message: list[Any] | None = None
        """The expressions whose text stands in the message that is being made."""
        self.changed = Answer(self, ["changed"])
        self.spoiled: list[tuple[Any, list[Any]]] = []
        self.can_be_changed = False
        """Whether an argument can be changed in place."""

    def refuse(self, why: str) -> Any:
        if self.in_message is None:
            self.void = self.void or why
        raise Refused(why)

    def note(self, line: int, holds: Any, message: str | None, shown: Any = (), **others: Any) -> None:
        """What must hold, or else test code raises an exception on this line."""
        tree = self.tree(holds)
        self.unused = [each for each in self.unused if not _is_computed(each, tree)]
        self.note_unused()
        self._note(line, tree, message, shown, others)

    def note_unused(self) -> None:
        """That what was computed so far raises no exception, before anything else does."""
        unused, self.unused = self.unused, []
        for each in unused:
            self._note(self.line, ["computes", each], None, (), {})

    def _note(self, line: int, tree: list[Any], message: str | None, shown: Any, others: dict[str, Any]) -> None:
        if not self.calls:
            self.refuse("an assert before a call")
        for guard in reversed(self.guards):
            tree = ["implies", guard, tree]
        made = {"after": len(self.calls), "test": tree, "line": line, "message": message, "shown": list(shown)}
        self.asserts.append(made | others)

    def called(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Answer:
        given = [*args, *kwargs.values()]
        if self.in_message is not None or len(self.calls) >= _MAX_CALLS or involves(given):
            self.refuse("a call")
        if not all(map(is_data, given)) or are_shared(given):
            self.refuse("arguments that are not plain data")
        made: dict[str, Any] = {
            "args": [encode(arg, by_value=True) for arg in args],
            "kwargs": {key: encode(value, by_value=True) for key, value in kwargs.items()},
        }
        if not all(map(is_plain, [*made["args"], *made["kwargs"].values()])):
            self.refuse("arguments that are too long")
        self.note_unused()
        self.calls.append(made)
        self.events_at_call = self.events
        self.is_exact = self.is_exact and not self.computed_here
        self.can_be_changed = self.can_be_changed or any(map(can_be_changed, given))
        if self.spoils:
            for value in given:
                self._spoil(value)
        return Answer(self, ["answer", len(self.calls) - 1])

    def computed(self, name: str, *parts: Any) -> Answer:
        self.events += 1
        size = 1 + sum(part._size if type(part) is Answer else 1 for part in parts)
        if size > _MAX_SIZE:
            self.refuse("a long computation")
        tree = [name, *map(self.tree, parts)]
        self.computed_here.append(tree)
        if self.in_message is None and name not in _RAISES_NOTHING:
            surely = tree[:2] if name in _LAZY else tree
            self.unused = [each for each in self.unused if not any(each is part for part in surely)]
            self.unused.append(tree)
        return Answer(self, tree, size)

    def later(self, compute: Callable[[], Any]) -> Any:
        """What stands where it may not be computed at all."""
        unused, is_late = self.unused, self.is_late
        self.is_late = True
        value = compute()
        self.unused, self.is_late = unused, is_late
        return value

    def noted(self, tree: list[Any]) -> Answer:
        return Answer(self, tree)

    def tree(self, part: Any) -> list[Any]:
        if type(part) is Answer:
            return part._tree
        if isinstance(part, type) and part in TYPES:
            return ["kind", TYPES[part]]
        if not is_data(part):
            self.refuse(f"a computation with a {type(part).__name__}")
        tagged = encode(part, by_value=True)
        return ["const", tagged] if is_plain(tagged) else self.refuse("a computation with a long value")

    def shown(self, name: str, answer: Answer) -> str:
        if self.in_message is None:
            self.refuse("the text of an answer")
        assert self.in_message is not None
        self.in_message.append([name, answer._tree])
        return f"\0{len(self.in_message) - 1}\0"

    def _spoil(self, value: Any) -> None:
        kind = type(value)
        if kind in LISTS:
            for item in list(value):
                self._spoil(item)
        elif kind is dict:
            for item in [*value.values()]:
                self._spoil(item)
        grows = self.spoils == 2
        if kind is list:
            value[:] = [self.changed] * (len(value) + _GROWN if grows else 0)
        elif kind is dict:
            value.clear()
            value.update(dict.fromkeys(_OTHERS if grows else (), self.changed))
        elif kind is set:
            value.clear()
            value.update(_OTHERS if grows else ())
        else:
            return
        self.spoiled.append((value, items_of(value)))

    def was_changed_later(self) -> bool:
        """Whether test code changed arguments after the call; a program may have returned them."""
        return any(
            len(now := items_of(value)) != len(items) or not all(map(operator.is_, now, items))
            for value, items in self.spoiled
        )


def _is_computed(part: list[Any], tree: list[Any]) -> bool:
    """Whether a part of an expression is computed whenever that is."""
    surely = tree[:2] if tree[0] in _LAZY else tree
    return tree is part or any(type(each) is list and _is_computed(part, each) for each in surely)
