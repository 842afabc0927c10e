"""What an instrumented run leaves behind, and how its values are taken. Standard library only; runs inside the sandbox.

A run notes for every variable which activation bound it last (`final`), or how often it was bound (`binding`), and encodes values only in the first
`EARLY` activations or bindings and in those that an earlier run found to be the last. A program whose functions are called a few times is thus done
in one run; for any other, `Recorder.missing` says what a second run has to look at. The cost does not depend on the size of what a program computes.

It runs no code of the program: values are encoded by exact type, names are looked up in plain dicts.
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

from coderlplus.tracing.instrumented import Instrumented, Scope, mangled

EARLY = 4

ABSENT: Any = object()
# Taken here, where the program cannot patch them
_getframe, _current_frames, _get_objects, _sha256 = sys._getframe, sys._current_frames, gc.get_objects, hashlib.sha256
_get_recursion_limit, _set_recursion_limit = sys.getrecursionlimit, sys.setrecursionlimit
_SUSPENDED = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
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
    """Whether a name with this value counts as a variable: functions, classes, modules and their kin do not, and threads, which are all different."""
    return not issubclass(type(value), _NOT_VARIABLES)


class Recorder:
    """Collects during one run. `marks[key]` is the last activation (`final`) or the count (`binding`) of a variable, `calls` counts activations."""

    def __init__(self, program: Instrumented, encode: Callable[[object], Any], wanted: Mapping[int, list[int]], *, binding: bool) -> None:
        self.scopes = program.scopes
        self.suspends = program.suspends
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
        """An activation of scope `index` that is wanted ends; its frame is the caller's, which may be as deep as the recursion limit allows."""
        limit = raise_recursion_limit()
        try:
            names = _getframe(1).f_locals
            self._take(self.scopes[index], names)
            hide(names)
        finally:
            restore_recursion_limit(limit)

    def record(self, key: int, value: object) -> None:
        """A binding whose count is wanted."""
        self._capture(key, self.marks[key], value)

    def record_walrus(self, key: int, value: object) -> object:
        """A binding by `:=`; returns the value."""
        self.marks[key] += 1
        if self.marks[key] in self.wanted[key]:
            self._capture(key, self.marks[key], value)
        return value

    @staticmethod
    def visible(names: Any) -> Any:
        """What `locals()`, `vars()` or `dir()` returned to the caller, without the hidden variables."""
        hide(_getframe(1).f_locals)
        if type(names) is list:
            return [name for name in names if not _is_hidden(name)]
        hide(names)
        return names

    def finish(self, namespace: dict[str, Any], error: BaseException | None = None) -> None:
        """The program has ended, or ends now: take the module's variables and those of activations that are still open.

        `error` is the exception that ended it. Frames at the recursion limit had no room to call `close`, so they are looked at here.
        """
        if self.binding:
            return
        for scope in self.scopes:
            self._mark_parameters(scope)
        for frame in _open_frames(self.suspends):
            running = self._scope_of(frame)
            if running is not None:
                self._take(running, frame.f_locals)
        traceback = error.__traceback__ if isinstance(error, RecursionError) else None
        while traceback is not None:
            frame, traceback = traceback.tb_frame, traceback.tb_next
            left = self._scope_of(frame)
            if left is not None and look_up(frame.f_locals, left.token) in self.wanted[left.index]:
                self._take(left, frame.f_locals, only_missing=True)
        for name, key in self.scopes[0].variables.items():
            self.marks[key] = 1
            self._capture(key, 1, dict.get(namespace, name, ABSENT))

    def variables(self) -> dict[str, dict[str, Any]]:
        """Scope → variable → encoded value, in the order of the source text; where two scopes share a name, the later capture counts."""
        found: dict[str, dict[str, tuple[int, Any]]] = {}
        for scope in self.scopes:
            names = found.setdefault(scope.qualname, {})
            for name, key in scope.variables.items():
                mark, order, value = self.captured.get(key, (0, 0, ABSENT))
                if mark and not self._stale(key) and (name not in names or names[name][0] < order):
                    names[name] = (order, value)
        present = {scope: {name: value for name, (_, value) in names.items() if value is not ABSENT} for scope, names in found.items()}
        return {scope: names for scope, names in present.items() if names}

    def missing(self) -> dict[int, list[int]]:
        """What this run did not look at and should have: scope → activations, or under `binding` key → counts; `wanted` of the next run."""
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
        """Whether the variable was bound again after it was captured, by its owner or by a function that borrows it."""
        if self.captured[key][0] != self.marks[key]:
            return True
        return any(self.marks[borrower] != self.seen.get(borrower, 0) for borrower in self.borrowers.get(key, ()))

    def _mark_parameters(self, scope: Scope) -> None:
        """A parameter that nothing binds again was bound last by the activation that began last."""
        for key in scope.constant_parameters:
            self.marks[key] = self.calls[scope.index]

    def _scope_of(self, frame: types.FrameType) -> Scope | None:
        """The function that a frame runs, known by its own hidden variable (one of an enclosing function would be a free variable)."""
        hidden = [name for name in frame.f_code.co_varnames + frame.f_code.co_cellvars if _is_hidden(name)]
        return self.scopes[int(hidden[0][1:])] if hidden else None

    def _take(self, scope: Scope, names: Any, only_missing: bool = False) -> None:
        self._mark_parameters(scope)
        active = self.calls[scope.index] if scope.kind == "class" else look_up(names, scope.token)
        for name, key in scope.variables.items():
            if self.marks[key] == active and not (only_missing and self.captured.get(key, (0,))[0] == active):
                self._capture(key, active, look_up(names, mangled(scope, name)))
                self.seen.update((borrower, self.marks[borrower]) for borrower in self.borrowers.get(key, ()))
        for name, (key, owner, owners_key) in scope.borrowed.items():
            if self.marks[key] == active:
                self.seen[key] = active
                owners = look_up(names, owner.token)
                if owners == self.marks[owners_key]:
                    self._capture(owners_key, owners, look_up(names, mangled(scope, name)))

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
    _set_recursion_limit(limit + 200)
    return limit


def restore_recursion_limit(limit: int) -> None:
    try:
        _set_recursion_limit(limit)
    except RecursionError:  # already deeper than that
        return


def _is_hidden(name: object) -> bool:
    return type(name) is str and name.startswith("$") and name[1:].isdigit()


def hide(names: object) -> None:
    """Take the hidden variables out of a function's namespace, which until Python 3.12 is one dict for all who ask, the program included."""
    if type(names) is dict:
        for name in [name for name in names if _is_hidden(name)]:
            del names[name]


def look_up(names: Any, name: str) -> Any:
    """A name in a frame's namespace; a class body's may be of the program's own making, and is then not asked unless it is a dict."""
    if isinstance(names, dict):
        return dict.get(names, name, ABSENT)
    if type(names).__name__ == "FrameLocalsProxy":
        return names.get(name, ABSENT)
    return ABSENT


def _open_frames(suspended_too: bool) -> Iterator[types.FrameType]:
    """Frames of all threads from the innermost outwards, and of suspended generators and coroutines."""
    for frame in _current_frames().values():
        current: types.FrameType | None = frame
        while current is not None:
            yield current
            current = current.f_back
    if suspended_too:
        for item in _get_objects():
            kind = type(item)
            if kind in _SUSPENDED:
                frame_of = getattr(item, "gi_frame", None) or getattr(item, "cr_frame", None) or getattr(item, "ag_frame", None)
                if frame_of is not None:
                    yield frame_of
