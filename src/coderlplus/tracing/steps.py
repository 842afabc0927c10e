"""The steps of a run: what each statement changed. Standard library only; runs inside the sandbox.

When a statement begins, and when an activation ends, the variables in sight are compared with what was last seen of
them: those of the running activation, those that it borrows from functions around it, and those of the module. What
differs is noted as a change of the step before. A variable is encoded only if it may differ: a *shape* of its last
value, made of the identities of the atoms in it, tells so without running the program's code.
"""

from __future__ import annotations

import sys
import types
from collections import deque
from collections.abc import Callable
from itertools import chain as _chain
from itertools import repeat as _repeat
from operator import is_ as _is
from typing import Any

from coderlplus.tracing.instrumented import Instrumented, Scope, mangled
from coderlplus.tracing.recorder import ABSENT, is_variable, plain, raise_recursion_limit, restore_recursion_limit

_None = type(None)
_MAX_ITEMS, _MAX_DEPTH = 2_000, 20
"""Items and levels that a shape follows; what is larger is encoded at each step, as far as the encoder's budget
goes."""
_getframe, _Namespace = sys._getframe, types.SimpleNamespace

Change = tuple[str, str | None, str, int]
"""Name, value as JSON (`None`: the name is gone), scope and activation."""


def _activation(number: int, scope: Scope, line: int, depth: int, owners: list[Any]) -> Any:
    """The state of one activation; no class, see `monitor`.

    `seen` maps a variable to its value as JSON and the shape of the value; `owners` are the activations of the
    functions around, whose variables this one may see; `in_loop` is the line of the `for` whose first turn is still to
    come.
    """
    return _Namespace(number=number, scope=scope, line=line, depth=depth, owners=owners, seen={}, in_loop=0)


class StepRecorder:
    """Collects the steps of one run until `max_steps` or `max_bytes` of values; then it calls `cut`, which does not
    return.

    `encode` gives a value as JSON text; `written` tells how many bytes the program has printed so far.
    """

    def __init__(
        self,
        program: Instrumented,
        namespace: dict[str, Any],
        encode: Callable[[object], str],
        *,
        max_steps: int,
        max_bytes: int,
        written: Callable[[], int],
        cut: Callable[[str], None],
    ) -> None:
        self.scopes = program.scopes
        self.namespace = namespace
        self.encode = encode
        self.max_steps, self.left = max_steps, max_bytes
        self.written = written
        self.cut = cut
        self.steps: list[Any] = []
        self.module = _activation(0, program.scopes[0], 1, 0, [])
        self.open: dict[int, Any] = {}
        self.count = 1
        self.makers: dict[int, Any] = {}
        """Identity of the cell of a variable that functions share → the activation that made it."""

    def enter(self, index: int, line: int, borrowed: Any, lent: Any) -> None:
        """An activation begins. The closures of `borrowed` and `lent`, where they are functions, have a cell of a
        variable of each activation around it whose variables it mentions, and cells of its own variables that
        functions inside mention."""
        frame = _getframe(1)
        if self.steps:
            self._note(self._changes(self.module, self.namespace), self.steps[-1].activation)
        owners = [self.makers.get(id(cell)) for cell in borrowed.__closure__ or ()] if borrowed is not None else []
        activation = _activation(
            self.count, self.scopes[index], line, 1, [owner for owner in owners if owner is not None]
        )
        self.count += 1
        if lent is not None:
            self.makers.update((id(cell), activation) for cell in lent.__closure__ or ())
        self.open[id(frame)] = activation
        self._begin(line, activation, frame)
        self._look(activation, frame)

    def leave(self) -> None:
        """The caller's activation ends."""
        frame = _getframe(1)
        activation = self.open.pop(id(frame), None)
        if activation is not None:
            self._look(activation, frame)

    def step(self, line: int) -> bool:
        """A statement begins. True, so that the test of a `while` can follow it."""
        frame = _getframe(1)
        activation = self.open.get(id(frame), self.module)
        self._look(activation, frame)
        self._begin(line, activation, frame)
        return True

    def loop(self, line: int) -> None:
        """A `for` begins; its first turn belongs to this step."""
        frame = _getframe(1)
        activation = self.open.get(id(frame), self.module)
        self._look(activation, frame)
        self._begin(line, activation, frame)
        activation.in_loop = line

    def turn(self, line: int, *targets: str) -> None:
        """A turn of a `for` begins, or an `except`, which has just bound its targets."""
        frame = _getframe(1)
        activation = self.open.get(id(frame), self.module)
        if activation.in_loop != line:
            bound = self._look(activation, frame, targets)
            self._begin(line, activation, frame)
            self._note(bound, activation)
        activation.in_loop = 0

    def finish(self) -> None:
        """The program has ended. What it does while it is cleared away is no step."""
        self._note(self._changes(self.module, self.namespace), self.module)
        self.max_steps = self.left = sys.maxsize
        self.namespace = {}

    def report(self) -> list[Any]:
        """Rows `[line, scope, activation, depth, written, [[name, value as JSON or null, scope, activation],
        ...]]`."""
        if self.steps:
            self.steps[-1].written = self.written()
        return [
            [s.line, s.activation.scope.qualname, s.activation.number, s.depth, s.written, s.changes]
            for s in self.steps
        ]

    def _begin(self, line: int, activation: Any, frame: types.FrameType) -> None:
        if activation is not self.module:
            activation.depth = 1
            caller = frame.f_back
            while caller is not None:
                activation.depth += id(caller) in self.open
                caller = caller.f_back
        self._append(line, activation)

    def _append(self, line: int, activation: Any) -> None:
        if self.steps:
            self.steps[-1].written = self.written()
        if len(self.steps) >= self.max_steps:
            self.cut("steps")
        activation.line = line
        self.steps.append(_Namespace(line=line, activation=activation, depth=activation.depth, written=0, changes=[]))

    def _look(self, activation: Any, frame: types.FrameType, targets: tuple[str, ...] = ()) -> list[Change]:
        """Note what has changed since the last look; returns the changes of `targets`, which are not noted."""
        limit = raise_recursion_limit()
        try:
            changes = self._changes(self.module, self.namespace)
            if activation is not self.module:
                names = frame.f_locals
                changes += self._changes(activation, names)
                free = set(frame.f_code.co_freevars) if activation.owners else set()
                for owner in activation.owners:
                    changes += self._changes(owner, names, free)
                    free.difference_update(owner.scope.variables)
            self._note([change for change in changes if change[0] not in targets], activation)
            return [change for change in changes if change[0] in targets]
        except (MemoryError, RecursionError):
            return []
        finally:
            restore_recursion_limit(limit)

    def _note(self, changes: list[Change], activation: Any) -> None:
        if not changes:
            return
        if not self.steps or self.steps[-1].activation is not activation:
            self._append(activation.line, activation)
        self.steps[-1].changes += changes
        self.left -= sum(len(value or "") + len(name) + 40 for name, value, _, _ in changes)
        if self.left < 0:
            del self.steps[-1].changes[-len(changes) :]
            self.cut("bytes")

    def _changes(self, activation: Any, names: Any, free: set[str] | None = None) -> list[Change]:
        """What differs in an activation's variables: all of them, or those that another one has as free variables."""
        changes: list[Change] = []
        seen, scope = activation.seen, activation.scope
        if type(names) is not dict or not all(map(_is, map(type, names), _repeat(str))):
            names = plain(names)
        for name in scope.variables if free is None else free.intersection(scope.variables):
            value = names.get(mangled(scope, name), ABSENT)
            before = seen.get(name)
            if value is ABSENT or not is_variable(value):
                if before is not None:
                    del seen[name]
                    changes.append((name, None, scope.qualname, activation.number))
            elif before is None or not _is_same(value, before[1]):
                text = self.encode(value)
                seen[name] = (text, _shape(value, [_MAX_ITEMS], None if before is None else before[1]))
                if before is None or before[0] != text:
                    changes.append((name, text, scope.qualname, activation.number))
        return changes


_UNKNOWN = object()
"""The shape of a value that is encoded each time."""


def _shape(value: Any, left: list[int], old: Any = None, depth: int = 0) -> Any:
    """An atom is its own shape; that of a container is (kind, its atoms, shapes of its items unless they are all
    atoms).

    `left` holds how many items may still be looked at. Of `old`, the shape that was, parts are used again that have
    not changed: to compare them is faster.
    """
    kind = type(value)
    if _is_atomic(kind):
        return value
    if depth > _MAX_DEPTH or not _is_container(kind):
        return _UNKNOWN
    left[0] -= len(value) + 1
    if left[0] < 0:
        return _UNKNOWN
    was_flat = type(old) is tuple and old[2] is None
    if was_flat and _is_same(value, old):
        return old
    items = tuple(value) if kind is not dict else (*value.keys(), *value.values())
    if _are_atoms(items):
        return kind, items, None
    parts = _repeat(None) if type(old) is not tuple or was_flat else _chain(old[2], _repeat(None))
    return kind, (None,) * len(items), tuple([_shape(item, left, part, depth + 1) for item, part in zip(items, parts)])  # noqa: B905


def _is_atomic(kind: type) -> bool:
    """By identity: to look for a class in a set calls `__hash__` of its metaclass, and `id` calls the audit hook."""
    return (
        kind is int
        or kind is str
        or kind is float
        or kind is bool
        or kind is _None
        or kind is bytes
        or kind is complex
    )


def _is_container(kind: type) -> bool:
    return kind is list or kind is dict or kind is tuple or kind is set or kind is deque or kind is frozenset


def _are_atoms(items: tuple[Any, ...]) -> bool:
    if not items:
        return True
    first = type(items[0])
    if not _is_atomic(first):
        return False
    return all(map(_is, map(type, items), _repeat(first))) or all(map(_is_atomic, map(type, items)))


def _is_same(value: Any, shape: Any) -> bool:
    """Whether the value is surely what the shape was made of."""
    if type(shape) is not tuple:
        return value is shape
    kind, atoms, shapes = shape
    if type(value) is not kind or len(value) * (1 + (kind is dict)) != len(atoms):
        return False
    items = value if kind is not dict else (*value.keys(), *value.values())
    return all(map(_is, items, atoms)) if shapes is None else all(map(_is_same, items, shapes))
