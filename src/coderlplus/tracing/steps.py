"""The steps of a run: what each statement changed. Standard library only; runs inside the sandbox.

When a statement begins, and when an activation ends, the variables in sight are compared with what was last seen of
them: those of the running activation, those that it borrows from functions around it, and those of the module. What
differs is noted as a change of the step before.
"""

from __future__ import annotations

import _thread
import inspect
import sys
import types
from collections.abc import Callable, Collection
from itertools import repeat as _repeat
from operator import is_ as _is
from typing import Any

from coderlplus.tracing.calm import Calm
from coderlplus.tracing.instrumented import Instrumented, Scope, mangled
from coderlplus.tracing.recorder import ABSENT, plain, raise_recursion_limit, restore_recursion_limit
from coderlplus.tracing.texts import forget, is_atomic, memory_of, text_of, text_of_atom

_getframe, _Namespace, _count_threads = sys._getframe, types.SimpleNamespace, _thread._count
_identity = object.__hash__
"""As `id`, which is an event for the audit hook."""
_SUSPENDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_HELD = object()
"""In the place of a value that may change while it keeps its identity."""

Change = tuple[str, str | None, str, int]
"""Name, value as JSON (`None`: the name is gone), scope and activation."""


def _activation(number: int, scope: Scope, line: int, owners: list[Any], suspends: bool = False) -> Any:
    """The state of one activation; no class, see `monitor`.

    `values` and `texts` are what was last seen of its variables; `owners` are the activations of the functions around,
    whose variables this one may see; `in_loop` is the line of the `for` whose first turn is still to come; `loops`
    says of each loop by its number whether it is calm. The `depth` of one that `suspends` changes with who resumes it.
    """
    return _Namespace(
        number=number,
        scope=scope,
        line=line,
        owners=owners,
        suspends=suspends,
        depth=0,
        values={},
        texts={},
        in_loop=0,
        loops={},
    )


def _callers() -> Any:
    """Tells who calls the function that calls the one that asks; starts from its own frame, so that no event is
    caused."""
    own = yield
    yield
    while True:
        yield own.f_back.f_back.f_back


class StepRecorder:
    """Collects the steps of one run until `max_steps` or `max_bytes` of values; then it calls `cut`, which does not
    return.

    `encode` gives a value as JSON text; `written` tells how many bytes the program has printed so far. Steps are rows
    `[line, scope, activation, depth, written, changes]`.
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
        self.names = [{name: mangled(scope, name) for name in scope.variables} for scope in program.scopes]
        """The variables of each scope, and the names that the namespace has for them."""
        self.namespace = namespace
        self.memory = memory_of(encode)
        self.max_steps, self.left = max_steps, max_bytes
        self.written = written
        self.cut = cut
        self.steps: list[Any] = []
        self.module = self.last = _activation(0, program.scopes[0], 1, [])
        self.open: dict[int, Any] = {}
        self.count = 1
        self.makers: dict[int, Any] = {}
        """Identity of the cell of a variable that functions share → the activation that made it."""
        self.calm: tuple[Any, tuple[str, ...]] | None = None
        """The activation, and the names that may differ, if what runs until the next look can change nothing else."""
        self.is_seen = False
        """Whether the last look saw all there was."""
        self.printed = 0
        self.threads = _count_threads()
        callers = _callers()
        next(callers)
        callers.send(callers.gi_frame)
        self.callers = callers.send

    def enter(self, index: int, line: int, borrowed: Any, lent: Any) -> None:
        """An activation begins. The closures of `borrowed` and `lent`, where they are functions, have a cell of a
        variable of each activation around it whose variables it mentions, and cells of its own variables that
        functions inside mention."""
        limit = raise_recursion_limit()
        try:
            frame = self._caller()
            has_begun = bool(self.steps)
            if has_begun:
                self._note(self._look(self.module, None), self.last)
            owners = [self.makers.get(_identity(cell)) for cell in borrowed.__closure__ or ()] if borrowed else []
            suspends = bool(frame.f_code.co_flags & _SUSPENDS)
            activation = _activation(
                self.count, self.scopes[index], line, [owner for owner in owners if owner is not None], suspends
            )
            self.count += 1
            if lent is not None:
                self.makers.update((_identity(cell), activation) for cell in lent.__closure__ or ())
            self.open[_identity(frame)] = activation
            self._place(activation, frame)
            self._append(line, activation)
            self._note(self._look(activation, frame, with_module=not has_begun), activation)
            self._expect(activation, ())
        finally:
            restore_recursion_limit(limit)

    def leave(self) -> None:
        """The caller's activation ends."""
        limit = raise_recursion_limit()
        try:
            frame = self._caller()
            activation = self.open.pop(_identity(frame), None)
            calm, self.calm = self.calm, None
            if activation is not None and (calm is None or calm[0] is not activation):
                self._note(self._look(activation, frame), activation)
            elif activation is not None and calm is not None and calm[1]:
                self._note(self._look_at(activation, frame, calm[1]), activation)
        finally:
            restore_recursion_limit(limit)

    def step(self, line: int, is_loop: bool = False, facts: Calm | None = None) -> bool:
        """A statement begins, of a `for` with its first turn; `facts` say when it is calm. True, so that the test of a
        `while` can follow it."""
        limit = raise_recursion_limit()
        try:
            frame = self._caller()
            activation = self.open.get(_identity(frame), self.module)
            calm, self.calm = self.calm, None
            if calm is None or calm[0] is not activation:
                self._note(self._look(activation, frame), activation)
            elif calm[1]:
                self._note(self._look_at(activation, frame, calm[1]), activation)
            if activation.suspends:
                self._place(activation, frame)
            self._append(line, activation)
            if is_loop:
                activation.in_loop = line
            elif facts is not None and self._is_calm(activation, facts):
                self._expect(activation, facts[2])
        finally:
            restore_recursion_limit(limit)
        return True

    def over(self, loop: int, iterated: Any) -> Any:
        """A `for` begins to iterate over a value, which is returned."""
        limit = raise_recursion_limit()
        try:
            activation = self.open.get(_identity(self._caller()), self.module)
            kind = type(iterated)
            is_tuple = kind is tuple and all(map(_is_calm_item, iterated))
            activation.loops[loop] = is_tuple or kind is range or kind is str
        finally:
            restore_recursion_limit(limit)
        return iterated

    def turn(self, line: int, loop: int, is_followed: bool, *targets: str) -> None:
        """A turn of a `for` begins, or an `except` (loop 0), which has just bound its targets; whether a step follows
        at once."""
        limit = raise_recursion_limit()
        try:
            frame = self._caller()
            activation = self.open.get(_identity(frame), self.module)
            calm, self.calm = self.calm, None
            if activation.in_loop != line:
                if (
                    calm is not None
                    and calm[0] is activation
                    and self._is_calm(activation, ((), (), targets, (loop,)))
                ):
                    changes = self._look_at(activation, frame, calm[1] + targets)
                else:
                    changes = self._look(activation, frame)
                self._note([change for change in changes if change[0] not in targets], activation)
                if activation.suspends:
                    self._place(activation, frame)
                self._append(line, activation)
                self._note([change for change in changes if change[0] in targets], activation)
                if is_followed or activation.loops.get(loop, False):
                    self._expect(activation, ())
            activation.in_loop = 0
        finally:
            restore_recursion_limit(limit)

    def finish(self) -> None:
        """The program has ended. What it does while it is cleared away is no step, and nothing of it is held."""
        forget(self.memory)
        self._note(self._look(self.module, None), self.module)
        self._close_step()
        self.max_steps = self.left = sys.maxsize
        self.names = [{} for _ in self.names]
        self.namespace = {}
        self.memory = memory_of(self.memory.encode)

    def _caller(self) -> types.FrameType:
        """The frame that called the method that asks, whose program has run in the meantime."""
        forget(self.memory)
        frame: types.FrameType
        try:
            frame = self.callers(None)
        except ValueError:  # a thread or a handler of the program asks meanwhile
            frame = _getframe(2)
        return frame

    def _place(self, activation: Any, frame: types.FrameType) -> None:
        """Find how many activations are open below."""
        depth, below = 1, frame.f_back
        while below is not None:
            found = self.open.get(_identity(below))
            if found is not None:
                if not found.suspends:
                    depth += found.depth
                    break
                depth += 1
            below = below.f_back
        activation.depth = depth

    def _append(self, line: int, activation: Any) -> None:
        steps = self.steps
        if steps:
            steps[-1][4] = self.printed
            if len(steps) >= self.max_steps:
                self.cut("steps")
        activation.line = line
        self.last = activation
        steps.append([line, activation.scope.qualname, activation.number, activation.depth, 0, ()])

    def _close_step(self) -> None:
        if self.steps:
            self.steps[-1][4] = self.printed

    def _note(self, changes: list[Change], activation: Any) -> None:
        if not changes:
            return
        if not self.steps or self.last is not activation:
            self._append(activation.line, activation)
        step = self.steps[-1]
        before = step[5]
        step[5] = [*before, *changes] if before else changes
        for name, text, _, _ in changes:
            self.left -= len(text or "") + len(name) + 40
        if self.left < 0:
            step[5] = before
            self._close_step()
            self.cut("bytes")

    def _is_calm(self, activation: Any, facts: Calm) -> bool:
        """Whether what runs now does nothing but bind names to atoms; the variables were looked at just now."""
        loaded, of_module, bound, loops = facts
        values, globals_ = activation.values, self.module.values
        for name in loaded:
            if not _is_atom(values.get(name, _HELD)):
                return False
        for name in of_module:
            if not _is_atom(globals_.get(name, _HELD)):
                return False
        for name in bound:
            if values.get(name, ABSENT) is _HELD:
                return False
        for loop in loops:  # noqa: SIM110
            if not activation.loops.get(loop, False):
                return False
        return True

    def _expect(self, activation: Any, bound: tuple[str, ...]) -> None:
        """Until the next look nothing changes but these names, unless a thread runs."""
        self.calm = (activation, bound) if self.is_seen and _count_threads() == self.threads else None

    def _look_at(self, activation: Any, frame: Any, bound: tuple[str, ...]) -> list[Change]:
        """What has changed since the last look, which can be only these names."""
        changes: list[Change] = []
        try:
            self._compare(activation, self.namespace if activation is self.module else frame.f_locals, bound, changes)
        except (MemoryError, RecursionError):
            self.is_seen = False
            return []
        return changes

    def _look(self, activation: Any, frame: Any, with_module: bool = True) -> list[Change]:
        """What has changed since the last look, in the module and in the activation."""
        changes: list[Change] = []
        self.is_seen = False
        try:
            # First, for a dict of a function's variables that is brought up to date lets go of what they held before
            names = self.namespace if activation is self.module else frame.f_locals
            self.printed = self.written()
            if with_module:
                self._compare(self.module, self.namespace, None, changes)
            if activation is not self.module:
                self._compare(activation, names, None, changes)
                free = set(frame.f_code.co_freevars) if activation.owners else set()
                for owner in activation.owners:
                    self._compare(owner, names, free, changes)
                    free.difference_update(owner.scope.variables)
        except (MemoryError, RecursionError):
            return []
        self.is_seen = True
        return changes

    def _compare(self, activation: Any, namespace: Any, among: Collection[str] | None, changes: list[Change]) -> None:
        """Add what differs in an activation's variables, of those `among` them if it is given."""
        variables = self.names[activation.scope.index]
        compared = variables if among is None else [name for name in variables if name in among]
        if not compared:
            return
        names, values, texts = _as_dict(namespace), activation.values, activation.texts
        for name in compared:
            value = names.get(variables[name], ABSENT)
            if values.get(name, ABSENT) is value:
                continue
            kind = type(value)
            if value is ABSENT:
                values[name], text = ABSENT, None
            elif is_atomic(kind):
                values[name], text = value, text_of_atom(self.memory, value, kind)
            else:
                values[name], text = _HELD, text_of(self.memory, value, kind)
            if text is None:
                if texts.pop(name, None) is not None:
                    changes.append((name, None, activation.scope.qualname, activation.number))
            elif texts.get(name) != text:
                texts[name] = text
                changes.append((name, text, activation.scope.qualname, activation.number))


def _is_atom(seen: object) -> bool:
    """Whether what was seen of a variable is an atom."""
    return seen is not _HELD and seen is not ABSENT


def _is_calm_item(item: object) -> bool:
    kind = type(item)
    return is_atomic(kind) or (kind is tuple and all(map(is_atomic, map(type, item))))  # type: ignore[call-overload]


def _as_dict(names: Any) -> dict[str, Any]:
    """A namespace in which a name can be looked up without running the program's code."""
    return names if type(names) is dict and all(map(_is, map(type, names), _repeat(str))) else plain(names)
