"""What an instrumented run leaves behind, and how its values are taken. Standard library only; runs inside the
sandbox.

A run notes for every variable which activation bound it last (`final`), or how often it was bound (`binding`), and
encodes values only in the first `EARLY` activations or bindings and in those that an earlier run found to be the last.
A program whose functions are called a few times is thus done in one run; for any other, `Recorder.missing` says what a
second run has to look at. The cost does not depend on the size of what a program computes.

It runs no code of the program: values are encoded by exact type, names are looked up in dicts of our own (`plain`).
"""

from __future__ import annotations

import functools
import gc
import hashlib
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from coderlplus.sandbox.encoding import items_of
from coderlplus.tracing.instrumented import Instrumented, Scope, mangled, owner_token
from coderlplus.tracing.substitutes import frame_of

EARLY = 4
VALUE_BUDGET = 1_000
"""Size of one variable's value, see `values.encode`: what does not fit is cut, and nobody would ask for it."""

ABSENT: Any = object()
_ROOM = 600
"""Calls that taking a value needs: three for each level that is encoded, and some."""
# Taken here, where the program cannot patch them
_getframe, _current_frames, _get_objects, _sha256 = sys._getframe, sys._current_frames, gc.get_objects, hashlib.sha256
_exception_traceback = BaseException.__dict__["__traceback__"].__get__
_Namespace = types.SimpleNamespace
_get_recursion_limit, _set_recursion_limit = sys.getrecursionlimit, sys.setrecursionlimit
_Generator, _Coroutine = types.GeneratorType, types.CoroutineType
_SUSPENDED = frozenset(map(id, (_Generator, _Coroutine, types.AsyncGeneratorType)))
_NOT_VARIABLES = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.GenericAlias,
    functools.partial,
    threading.Thread,
    type(functools.lru_cache(int)),
    staticmethod,
    classmethod,
    property,
)


def is_variable(value: object) -> bool:
    """Whether a name with this value counts as a variable: functions, classes, modules and their kin do not, and
    threads, which are all different."""
    return not issubclass(type(value), _NOT_VARIABLES)


class Recorder:
    """Collects during one run. `marks[key]` is the last activation (`final`) or the count (`binding`) of a variable,
    `calls` counts activations."""

    def __init__(
        self, program: Instrumented, encode: Callable[[object], Any], wanted: Mapping[int, list[int]], *, binding: bool
    ) -> None:
        self.scopes = program.scopes
        self.suspends = program.suspends
        self.hides = program.hides
        self.frames: dict[int, Any] = {}
        """Identity of a frame → its activation, where no local variable holds the number."""
        self.owners: dict[int, int] = {}
        """Identity of the cell of a variable that functions share → the activation that made it."""
        self.encode = encode
        self.binding = binding
        self.marks = [0] * (program.keys + 1)
        self.calls = [0] * len(program.scopes)
        places = range(program.keys + 1) if binding else range(len(program.scopes))
        self.wanted = {index: {*range(1, EARLY + 1), *wanted.get(index, ())} for index in places}
        self.captured: dict[int, tuple[int, int, Any]] = {}
        self.seen: dict[int, int] = {}
        self.borrowers: dict[int, list[int]] = {}
        for scope in program.scopes:
            for key, _, owners_key in scope.borrowed.values():
                self.borrowers.setdefault(owners_key, []).append(key)
        self.captures = 0

    def close(self, index: int) -> None:
        """An activation of scope `index` that is wanted ends; its frame is the caller's, which may be as deep as the
        recursion limit allows."""
        limit = raise_recursion_limit()
        try:
            scope, names = self.scopes[index], plain(_getframe(1).f_locals)
            if scope.kind == "class":
                self._take(scope, names, self.calls[index], {})
            else:
                self._take(scope, names, *_hidden(scope, names))
        finally:
            restore_recursion_limit(limit)

    def start(self, index: int) -> None:
        """A function of a program without hidden variables begins."""
        self.frames[id(_getframe(1))] = _Namespace(scope=self.scopes[index], number=self.calls[index], owners={})

    def end(self) -> None:
        """It ends."""
        limit = raise_recursion_limit()
        try:
            frame = _getframe(1)
            activation = self.frames.pop(id(frame), None)
            if activation is not None and activation.number in self.wanted[activation.scope.index]:
                self._take(activation.scope, plain(frame.f_locals), activation.number, activation.owners)
        finally:
            restore_recursion_limit(limit)

    def number(self) -> int:
        """The number of the caller's activation."""
        activation = self.frames.get(id(_getframe(1)))
        return 0 if activation is None else activation.number

    def lend(self, number: int, function: Any) -> None:
        """An activation begins whose variables, in the closure of `function`, functions inside may bind."""
        for cell in function.__closure__:
            self.owners[id(cell)] = number

    def owner(self, index: int, function: Any) -> int:
        """The activation, of scope `index`, that owns the variable in the closure of `function`."""
        number = self.owners.get(id(function.__closure__[0]), 0)
        if not self.hides:
            activation = self.frames.get(id(_getframe(1)))
            if activation is not None:
                activation.owners[index] = number
        return number

    def record(self, key: int, value: object) -> None:
        """A binding whose count is wanted."""
        self._capture(key, self.marks[key], value)

    def record_walrus(self, key: int, value: object) -> object:
        """A binding by `:=`; returns the value."""
        self.marks[key] += 1
        if self.marks[key] in self.wanted[key]:
            self._capture(key, self.marks[key], value)
        return value

    def finish(self, namespace: dict[str, Any], error: BaseException | None = None) -> None:
        """The program has ended, or ends now: take the module's variables and those of activations that are still
        open.

        `error` is the exception that ended it. Frames at the recursion limit had no room to call `close`, so they are
        looked at here.
        """
        if self.binding:
            return
        for scope in self.scopes:
            self._mark_parameters(scope)
        for frame in _open_frames(self.suspends):
            self._take_frame(frame, only_missing=False)
        traceback = (
            _exception_traceback(error) if error is not None and issubclass(type(error), RecursionError) else None
        )
        while traceback is not None:
            self._take_frame(frame_of(traceback), only_missing=True)
            traceback = traceback.tb_next
        names = plain(namespace)
        for name, key in self.scopes[0].variables.items():
            self.marks[key] = 1
            self._capture(key, 1, names.get(name, ABSENT))

    def variables(self) -> dict[str, dict[str, Any]]:
        """Scope → variable → encoded value, in the order of the source text; where two scopes share a name, the later
        capture counts."""
        found: dict[str, dict[str, tuple[int, Any]]] = {}
        for scope in self.scopes:
            names = found.setdefault(scope.qualname, {})
            for name, key in scope.variables.items():
                mark, order, value = self.captured.get(key, (0, 0, ABSENT))
                if mark and not self._stale(key) and (name not in names or names[name][0] < order):
                    names[name] = (order, value)
        present = {
            scope: {name: value for name, (_, value) in names.items() if value is not ABSENT}
            for scope, names in found.items()
        }
        return {scope: names for scope, names in present.items() if names}

    def missing(self) -> dict[int, list[int]]:
        """What this run did not look at and should have: scope → activations, or under `binding` key → counts;
        `wanted` of the next run."""
        wanted: dict[int, set[int]] = {}
        for scope in self.scopes:
            for key in scope.variables.values():
                if self.captured.get(key, (0,))[0] != self.marks[key]:
                    wanted.setdefault(key if self.binding else scope.index, set()).add(self.marks[key])
            for key, _, _ in scope.borrowed.values():
                if self.marks[key] != self.seen.get(key, 0):
                    wanted.setdefault(scope.index, set()).add(self.marks[key])
        return {index: sorted(marks) for index, marks in wanted.items()}

    def fingerprint(self) -> str:
        """Equal for two runs that bound the same variables in the same activations."""
        return _sha256(repr((self.marks, self.calls)).encode()).hexdigest()[:16]

    def _stale(self, key: int) -> bool:
        """Whether the variable was bound again after it was captured, by its owner or by a function that borrows
        it."""
        if self.captured[key][0] != self.marks[key]:
            return True
        return any(self.marks[borrower] != self.seen.get(borrower, 0) for borrower in self.borrowers.get(key, ()))

    def _mark_parameters(self, scope: Scope) -> None:
        """A parameter that nothing binds again was bound last by the activation that began last."""
        for key in scope.constant_parameters:
            self.marks[key] = self.calls[scope.index]

    def _take_frame(self, frame: types.FrameType, *, only_missing: bool) -> None:
        """Take what an activation holds that has not ended, or had no room to call `close`."""
        if not self.hides:
            activation = self.frames.get(id(frame))
            if activation is not None and (
                not only_missing or activation.number in self.wanted[activation.scope.index]
            ):
                self._take(activation.scope, plain(frame.f_locals), activation.number, activation.owners, only_missing)
            return
        hidden = [name for name in frame.f_code.co_varnames if _is_hidden(name)]
        if hidden:
            scope, names = self.scopes[int(hidden[0][1:])], plain(frame.f_locals)
            number, owners = _hidden(scope, names)
            if not only_missing or number in self.wanted[scope.index]:
                self._take(scope, names, number, owners, only_missing)

    def _take(
        self, scope: Scope, names: dict[str, Any], active: Any, owners: Mapping[int, Any], only_missing: bool = False
    ) -> None:
        self._mark_parameters(scope)
        for name, key in scope.variables.items():
            if self.marks[key] == active and not (only_missing and self.captured.get(key, (0,))[0] == active):
                self._capture(key, active, names.get(mangled(scope, name), ABSENT))
                self.seen.update((borrower, self.marks[borrower]) for borrower in self.borrowers.get(key, ()))
        for name, (key, owner, owners_key) in scope.borrowed.items():
            if self.marks[key] == active:
                self.seen[key] = active
                if owners.get(owner.index, 0) == self.marks[owners_key]:
                    self._capture(owners_key, self.marks[owners_key], names.get(mangled(scope, name), ABSENT))

    def _capture(self, key: int, mark: int, value: object) -> None:
        self.captures += 1
        if value is not ABSENT:
            try:
                value = self.encode(value) if is_variable(value) else ABSENT
            except (MemoryError, RecursionError):
                return
        self.captured[key] = (mark, self.captures, value)


def raise_recursion_limit() -> int:
    """Make room on the stack for the recorder; returns the limit that was."""
    limit = _get_recursion_limit()
    _set_recursion_limit(limit + _ROOM)
    return limit


def restore_recursion_limit(limit: int) -> None:
    try:
        _set_recursion_limit(limit)
    except RecursionError:  # already deeper than that
        return


def _is_hidden(name: object) -> bool:
    return type(name) is str and name.startswith("$") and name[1:].isdigit()


def _hidden(scope: Scope, names: Mapping[str, Any]) -> tuple[Any, dict[int, Any]]:
    """The number of an activation, and those of the activations around it that own what it binds, from its hidden
    variables."""
    owners = {owner.index: names.get(owner_token(scope, owner.index), 0) for _, owner, _ in scope.borrowed.values()}
    return names.get(scope.token, 0), owners


def plain(names: Any) -> dict[str, Any]:
    """The names and values of a namespace, in a dict of our own.

    A look-up in a dict of the program may call `__hash__` and `__eq__` of its keys, and one in an object that is no
    dict anything else: such a namespace, which only a class can have, counts as empty.
    """
    kind = type(names)
    if issubclass(kind, dict):
        return {name: value for name, value in items_of(names) if type(name) is str}
    if kind is _Proxy:
        return {name: value for name, value in names.items() if type(name) is str}
    return {}


def _proxy() -> type:
    return type(_getframe().f_locals)


_Proxy = _proxy()
"""What shows a function's variables from Python 3.13 on."""


def _open_frames(suspended_too: bool) -> Iterator[types.FrameType]:
    """Frames of all threads from the innermost outwards, and of suspended generators and coroutines."""
    for frame in running_frames().values():
        current: types.FrameType | None = frame
        while current is not None:
            yield current
            current = current.f_back
    if suspended_too:
        for item in all_objects():
            if id(type(item)) in _SUSPENDED:
                frame_of = suspended_frame(item)
                if frame_of is not None:
                    yield frame_of


# The only ones that may ask for these: each does it and nothing else, so that no finalizer of the program, which may
# be a callable of C, runs in its frame


def running_frames() -> dict[int, types.FrameType]:
    return _current_frames()


def all_objects() -> list[Any]:
    return _get_objects()


def suspended_frame(item: Any) -> types.FrameType | None:
    kind = type(item)
    frame: types.FrameType | None
    frame = item.gi_frame if kind is _Generator else item.cr_frame if kind is _Coroutine else item.ag_frame
    return frame
