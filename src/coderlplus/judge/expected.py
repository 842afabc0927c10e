"""Exceptions that test code expects of the program, in its dry run (`dry_run.py`). Standard library only; runs in the
sandbox.

    try: f(-1) ... except ValueError as e: ...        with pytest.raises(ValueError, match="neg") as info: f(-1)
    self.assertRaises(ValueError, f, -1)              pytest.raises(ValueError, lambda: f(-1))

Whether the program raises one depends on it. So each way is taken, and what is asserted there is noted with its
condition. What a `try` does besides must be the same in each way: asserts, and nothing that is bound or called.
"""

from __future__ import annotations

import builtins
import math
import re
import sys
import types
from collections.abc import Callable
from typing import Any

from coderlplus.judge.cases import TestCase
from coderlplus.judge.guest import describe

_BOUNDED = re.compile(r"(?:[^\\*+?{}()|\[\]]|\\[^0-9A-Za-z]|\\[dDsSwWbB])*")
_MAX_PATTERN = 1_000
_HARMLESS: tuple[Any, ...] = (
    *(abs, all, any, isinstance, len, list, max, min, repr, round, set, sorted, str, sum, tuple, type, print),
    *(math.isclose, math.fabs),
)


def is_bounded(pattern: str) -> bool:
    """Whether a regular expression repeats nothing, so that any text is searched in no time."""
    return len(pattern) <= _MAX_PATTERN and _BOUNDED.fullmatch(pattern) is not None


def is_harmless(function: Any) -> bool:
    """Whether to call it changes nothing."""
    kind = type(function)
    if kind is types.MethodType:
        return isinstance(function.__self__, TestCase)
    if kind is types.BuiltinMethodType and type(function.__self__) is str:
        return True
    if kind in (type, types.BuiltinFunctionType):
        return any(function is each for each in _HARMLESS)
    testing = sys.modules.get("pytest")
    return testing is not None and function is testing.fail


def names_of(run: Any, kinds: Any) -> list[str]:
    """The names of builtin exceptions, of which nothing else is planned for."""
    flat: list[Any] = [*kinds] if type(kinds) in (tuple, list) else [kinds]
    flat = [part for kind in flat for part in (kind if type(kind) is tuple else (kind,))]
    for kind in flat:
        if not (
            isinstance(kind, type)
            and issubclass(kind, BaseException)
            and not issubclass(kind, BaseExceptionGroup)
            and getattr(builtins, kind.__name__, None) is kind
        ):
            run.refuse("an exception of another class")
    return [kind.__name__ for kind in flat]


class Tried:
    """A `try` whose last call is one of the program."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.before = len(run.calls), len(run.asserts)
        self.guards: list[list[Any]] = []

    def called(self, function: Any, kinds: list[Any], can_fail: bool) -> None:
        run = self.run
        calls, asserts = self.before
        is_one = len(run.calls) == calls + 1 and run.events == run.events_at_call
        if not is_one or len(run.asserts) > asserts or run.guards or len(run.tries) > 1:
            run.refuse("a try of other things than a call")
        names = [names_of(run, kind) for kind in kinds]
        together = [name for group in names for name in group]
        if can_fail and any(issubclass(AssertionError, getattr(builtins, name)) for name in together):
            run.refuse("an assert that is caught")
        run.catch(together)
        self.guards = [["not", ["raised", calls, together]]]
        earlier: list[str] = []
        for group in names:
            guard: list[Any] = ["raised", calls, group]
            self.guards.append(["and", guard, ["not", ["raised", calls, earlier]]] if earlier else guard)
            earlier = earlier + group

    def guard(self, number: int) -> list[Any]:
        return self.guards[number]


class Raises:
    """`raises(ValueError, match="neg")`, or unittest's `assertRaises`; `unless` says how test code ends if the call
    raises nothing: the message, and whether as an error."""

    def __init__(self, run: Any, kinds: Any, pattern: Any, unless: tuple[str, bool]) -> None:
        self.run, self.names, self.pattern = run, names_of(run, kinds), pattern
        self.unless, self.is_error = unless
        if pattern is not None and not (type(pattern) is str and is_bounded(pattern)):
            run.refuse("a pattern of another kind")

    def of(self, line: int, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Caught:
        with Expecting(self.run, line, self, True) as caught:
            self.run.call(line, function, *args, **kwargs)
        return caught


class Caught:
    """What `with` binds: the exception is its `value` (pytest) or `exception` (unittest)."""

    def __init__(self, error: Any) -> None:
        self.value = self.exception = error


class Expecting:
    def __init__(self, run: Any, line: int, raises: Raises, is_single: bool) -> None:
        self.run, self.line, self.raises = run, line, raises
        if run.guards or run.tries or not is_single:
            run.refuse("exceptions of other things than a call")

    def __enter__(self) -> Caught:
        run = self.run
        run.note_unused()
        self.before = len(run.calls), len(run.asserts)
        self.caught = Caught(type(run.changed)(run, ["error", len(run.calls)]))
        return self.caught

    def __exit__(self, kind: Any, *others: object) -> None:
        if kind is not None:
            return
        run, raises = self.run, self.raises
        calls, asserts = self.before
        if (len(run.calls), len(run.asserts)) != (calls + 1, asserts) or run.events != run.events_at_call:
            run.refuse("exceptions of other things than a call")
        run.catch(raises.names)
        raised = run.noted(["raised", calls, raises.names])
        run.note(self.line, raised, raises.unless, is_error=raises.is_error)
        if raises.pattern is not None:
            text = ["str", ["error", calls]]
            run.note(self.line, run.noted(["search", raises.pattern, text]), None)


class Approximate:
    """`pytest.approx(0.5)`"""

    def __init__(self, run: Any, expected: Any, tolerance: float) -> None:
        self.run, self.expected, self.tolerance = run, expected, tolerance

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        run = self.run
        if not run.involves(other):
            run.refuse("numbers of the test")
        run.is_exact = False

        def near() -> Any:
            apart = run.computed("abs", run.computed("sub", self.expected, other))
            return run.computed("le", apart, self.tolerance)

        is_number = run.computed("isinstance", other, ["int", "float", "complex"])
        is_near = run.computed("and", is_number, run.later(near))
        return run.computed("or", run.computed("eq", other, self.expected), is_near)

    def __ne__(self, other: object) -> Any:
        return self.run.not_(self == other)


def of_pytest(run: Any, function: Any) -> Callable[..., Any] | None:
    """What takes the place of a function of pytest, if it is one."""
    testing = sys.modules.get("pytest")
    if testing is None:
        return None

    def raises(kinds: Any, *called: Any, match: Any = None, **kwargs: Any) -> Any:
        names_of(run, kinds)
        found = Raises(run, kinds, match, _said(testing.raises(kinds).__exit__, None, None, None))
        return found.of(run.line, called[0], called[1:], kwargs) if called else found

    def fail(reason: str = "", pytrace: bool = True) -> None:
        message, is_error = _said(testing.fail, reason, pytrace)
        run.note(run.line, False, message, is_error=is_error)

    def approx(expected: Any, rel: Any = None, abs: Any = None) -> Approximate:
        if type(expected) not in (int, float) or not math.isfinite(expected):
            run.refuse("approximately something else")
        return Approximate(run, expected, float(testing.approx(expected, rel=rel, abs=abs).tolerance))

    for mine in (raises, fail, approx):
        if function is getattr(testing, mine.__name__):
            return mine
    return None


def _said(function: Callable[..., Any], *args: Any) -> tuple[str, bool]:
    """The message of the exception that it raises, and whether that is another than `AssertionError`."""
    try:
        function(*args)
    except AssertionError as error:
        return str(describe(error)["message"]), False
    except BaseException as error:
        said = describe(error)
        return f"{said['raised']}: {said['message']}", True
    raise ValueError("it raised nothing")
