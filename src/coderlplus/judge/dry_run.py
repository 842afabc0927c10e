"""Test code, run once without any program: which calls it makes, and what it asks of their answers. Standard library
only; runs in the sandbox.

A call gives an `Answer`, which stands for whatever a program will return. What test code does with it is noted as an
expression (`["eq", ["answer", 0], ["const", 6]]`). Where it would have to know the answer, as for `if`, there is no
plan. So the calls of a plan depend on no answer. The code arrives instrumented (`instrument.py`): what Python
does not let a class define (`is`, `not`, `and`, calls, `assert`) goes through the `DryRun`.

A program may change its arguments in place. Where it can, the code is run three times: with arguments as they are,
with all of them emptied, and with all of them grown by the call. Only what is the same each time is planned.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import math
import operator
import random
import types
from collections.abc import Callable, Mapping
from typing import Any

from coderlplus.judge.answer import Answer, Candidate
from coderlplus.judge.cases import TestCase
from coderlplus.judge.expected import Expecting, Raises, Tried, is_harmless, of_pytest
from coderlplus.judge.given import holds_no_answer, involves, is_builtin, is_of_test, may_reach
from coderlplus.judge.guest import TEST_FILENAME, bind_modules
from coderlplus.judge.notes import TYPES, Notes
from coderlplus.sandbox.nodes import CLASSES

_TEST = {
    "code": "_dry_run.check(_dry_run.at(1, True), _dry_run.call(1, f, 1) == 1, None, True)",
    "main": False,
    "modules": [],
}
REHEARSALS = {"dry_run": ({"setup_code": "", "entry_point": "f", "tests": [_TEST]}, b"")}
_IS_BOOL = ("eq", "ne", "is", "in", "not", "isinstance")
"""Of plain data these are `True` or `False`."""
_FUNCTIONS: dict[Any, str] = {
    function: function.__name__
    for function in (abs, all, any, frozenset, len, list, max, min, repr, round, set, sorted, str, sum, tuple)
} | {math.fabs: "fabs"}


class DryRun(Notes):
    """One run of one test: what instrumented code calls. `name` is that of the program's function."""

    def __init__(self, spoils: int, name: str) -> None:
        super().__init__(spoils)
        self.name = name
        self.tries: list[Tried] = []
        self.TestCase = type("TestCase", (TestCase,), {"run": self})

    def involves(self, value: Any) -> bool:
        return involves(value)

    def _is_kind(self, value: Any) -> bool:
        """Whether it is a builtin type, or that of an answer."""
        return value._tree[0] == "type" if type(value) is Answer else isinstance(value, type) and value in TYPES

    def call(self, line: int, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.events += 1
        self.line = line
        kind = type(function)
        is_written = type(function) is types.BuiltinFunctionType or is_builtin(function)
        if (self.guards and not is_harmless(function)) or (self.is_late and not is_written):
            self.refuse("an effect that an answer decides about")
        if (special := of_pytest(self, function)) is not None:
            return special(*args, **kwargs)
        given = [*args, *kwargs.values()]
        if kind is Candidate:
            return function(*args, **kwargs)
        if not involves(given):
            if self._hands_on(function, given):
                self.refuse("code that is not of the test may see an answer")
            value = function(*args, **kwargs)
            return self.refuse("a sum") if function is sum and type(value) is Answer else value
        if kind is types.MethodType and isinstance(function.__self__, TestCase):
            return function(*args, **kwargs)
        plain = function.__func__ if kind is types.MethodType else function
        if is_of_test(plain):
            self.is_exact = False
            return function(*args, **kwargs)
        if function is map and type(args[0]) is Candidate and not involves(args[1:]):
            return map(*args)
        if type(function) is types.BuiltinMethodType and function.__name__ == "append":
            owner = function.__self__
            return owner.append(*args) if type(owner) is list else self.refuse("an answer is appended")
        if function in (str, repr) and self.in_message is not None:
            return function(*args, **kwargs)
        if function is type and len(given) == 1:
            return self.computed("type", *args)
        if function is isinstance:
            kinds = args[1] if type(args[1]) is tuple else args[1:]
            if all(kind in TYPES for kind in kinds):
                return self.computed("isinstance", args[0], [TYPES[kind] for kind in kinds])
        if function is math.isclose and len(args) == 2 and kwargs.keys() <= {"rel_tol", "abs_tol"}:
            return self.computed("isclose", *args, kwargs.get("rel_tol", 1e-9), kwargs.get("abs_tol", 0.0))
        if type(function) in (type, types.BuiltinFunctionType) and function in _FUNCTIONS:
            if len(args) == 1 and not kwargs:
                return self.computed(_FUNCTIONS[function], *args)
            if function is round and len(args) == 2 and not kwargs:
                return self.computed("round", *args)
            if function is sorted and kwargs.keys() == {"reverse"}:
                return self.computed("sorted", *args, kwargs["reverse"])
        return self.refuse("an answer is handed to another function")

    def _hands_on(self, function: Any, given: list[Any]) -> bool:
        """Whether a function that is not of the test may come by an answer, in what an iterator, a function or another
        object gives: what it does there, such as `is`, is not noted."""
        is_method = type(function) is types.MethodType
        plain = function.__func__ if is_method else function
        if is_of_test(plain) or (is_method and isinstance(function.__self__, TestCase)):
            return False
        if isinstance(plain, type) and any(map(is_of_test, vars(plain).values())):
            return False
        if function is exec and may_reach(given):
            return True
        is_of_python = type(plain) is not types.BuiltinFunctionType and not is_builtin(plain)
        if is_of_python and may_reach(function):
            return True
        if all(map(holds_no_answer, given)):
            return False
        if not is_of_python:
            return any(
                callable(each) and type(each) is not Candidate and not is_of_test(getattr(each, "__func__", each))
                for each in given
            )
        return True

    def at(self, line: int, is_exact: bool) -> int:
        """The line of an assert, before it is run; `is_exact`: what it computes is on this line."""
        self.is_exact = is_exact
        self.computed_here.clear()
        return line

    def check(self, line: int, holds: Any, message: Callable[[], Any] | None, is_simple: bool) -> None:
        """An assert; `is_simple`: its message has no effects and may be made now."""
        self.events += 1
        is_exact = self.is_exact and type(holds) is Answer and self._is_of_here(holds._tree)
        is_exact = is_exact and not self.guards  # an exception may be caught
        if type(holds) is not Answer and (holds or not self.guards):
            assert holds
            return
        text: str | None = ""
        shown: list[Any] = []
        self.in_message = shown
        try:
            if message is not None:
                text = str(self.later(message)) if is_simple else None
                if text is not None and shown and text.count("\0") != 2 * len(shown):
                    text = None
        except BaseException:
            text = None
        finally:
            self.in_message = None
        self.note(line, holds, text, shown, is_exact=is_exact)

    def _is_of_here(self, tree: list[Any]) -> bool:
        """Whether all of it was computed in this assert, and in no function that it calls."""
        if tree[0] in ("answer", "const"):
            return True
        is_here = any(tree is each for each in self.computed_here)
        return is_here and all(self._is_of_here(part) for part in tree[1:])

    # Exceptions that are expected

    def begin(self) -> None:
        self.note_unused()
        self.tries.append(Tried(self))

    def tried(
        self, line: int, can_fail: bool, kinds: list[Any], function: Any, /, *args: Any, **kwargs: Any
    ) -> Answer:
        answer = self.call(line, function, *args, **kwargs)
        self.tries[-1].called(function, kinds, can_fail)
        return answer  # type: ignore[no-any-return]

    def guard(self, number: int) -> None:
        self.note_unused()
        self.guards.append(self.tries[-1].guard(number))

    def unguard(self) -> None:
        self.note_unused()
        self.guards.pop()

    def error(self) -> Answer:
        """Stands for the exception of the last call."""
        return Answer(self, ["error", len(self.calls) - 1])

    def end(self) -> None:
        self.tries.pop()

    def expecting(self, line: int, context: Any, is_single: bool) -> Any:
        """A `with`; `is_single`: the last statement in it is a call."""
        if type(context) is Raises:
            return Expecting(self, line, context, is_single)
        return context if type(context) is contextlib.nullcontext else self.refuse("another context")

    def raises(self, kinds: Any, pattern: Any, unless: str) -> Raises:
        return Raises(self, kinds, pattern, (unless, False))

    def catch(self, names: list[str]) -> None:
        """The last call may raise these."""
        if self.calls[-1].setdefault("caught", names) is not names:
            self.refuse("exceptions that are expected twice")

    def is_(self, a: Any, b: Any) -> Any:
        if not involves((a, b)):
            return a is b
        if type(a) is Answer and (b is None or b is True or b is False):
            return self.computed("is", a, b)
        if type(a) is Answer and a._tree[0] == "type" and self._is_kind(b):
            return self.computed("eq", a, b)
        return self.refuse("which object an answer is")

    def in_(self, a: Any, b: Any) -> Any:
        return self.computed("in", a, b) if involves((a, b)) else a in b

    def compared(self, name: str, a: Any, b: Any) -> Any:
        """`a < b` and its kind, of which Python would take the other one where only `b` is an answer."""
        is_of_answer = type(a) is Answer or type(b) is Answer
        return self.computed(name, a, b) if is_of_answer else getattr(operator, name)(a, b)

    def chain(self, names: list[str], *parts: Any) -> Any:
        """`a < b <= c`, of which no part but the first two has effects."""
        pairs = zip(names, parts[:-1], parts[1:], strict=True)
        if not any(type(part) is Answer for part in parts):
            return all(getattr(operator, name)(a, b) for name, a, b in pairs)
        first, *others = pairs
        found = [self.compared(*first), *(self.later(functools.partial(self.compared, *each)) for each in others)]
        return self.computed("and", *found) if len(found) == 2 else self.refuse("a long chain")

    def not_(self, a: Any) -> Any:
        return self.computed("not", a) if type(a) is Answer else not a

    def and_(self, a: Any, *others: Callable[[], Any]) -> Any:
        return self._either("and", a, others)

    def or_(self, a: Any, *others: Callable[[], Any]) -> Any:
        return self._either("or", a, others)

    def _either(self, name: str, value: Any, others: tuple[Callable[[], Any], ...]) -> Any:
        for other in others:
            if type(value) is not Answer:
                if bool(value) == (name == "or"):
                    return value
                value = other()
                continue
            calls = len(self.calls)
            second = self.later(other)
            if len(self.calls) > calls:
                self.refuse("whether there is a call")
            if second is (name == "or") and value._tree[0] in _IS_BOOL:
                value = second
            else:
                value = self.computed(name, value, second)
        return value


def dry_run(payload: Mapping[str, Any], host: Any) -> None:
    """Replies one list with, for each of `tests` (`code`, `main`, `modules`), its `calls` and `asserts`, or `{"no":
    why}` where there is no plan."""
    state = random.getstate()
    runs = [_run_all(payload, 0, state)]
    if any(run.can_be_changed for run in runs[0]) and not any(run.void for run in runs[0]):
        runs += [_run_all(payload, spoils, state) for spoils in (1, 2)]
    host.reply([_plan(*of_test) for of_test in zip(*runs, strict=True)])


def _run_all(payload: Mapping[str, Any], spoils: int, state: Any) -> list[DryRun]:
    random.setstate(state)
    helpers: dict[str, Any] = dict(CLASSES) if payload["entry_point"].startswith("Solution()") else {}
    exec(compile(payload["setup_code"], "<set-up>", "exec", dont_inherit=True), helpers)
    name = payload["entry_point"]
    return [_run(test, name, dict(helpers), DryRun(spoils, name)) for test in payload["tests"]]


def _run(test: Mapping[str, Any], entry_point: str, names: dict[str, Any], run: DryRun) -> DryRun:
    """As `examiner._run` does."""
    names.pop("check", None)
    names["candidate"] = Candidate(run)
    owner, dot, _ = entry_point.rpartition("().")
    names[owner if dot else entry_point] = (lambda: run.refuse("a new instance")) if dot else names["candidate"]
    names["__name__"] = "__main__" if test["main"] else "test"
    names["__builtins__"] = builtins
    names["_dry_run"] = run
    try:
        bind_modules(test["modules"], names)
        exec(compile(test["code"], TEST_FILENAME, "exec", dont_inherit=True), names)
        run.note_unused()
    except BaseException as error:
        run.void = run.void or f"{type(error).__name__}: {error}"
    return run


def _plan(plain: DryRun, *others: DryRun) -> dict[str, Any]:
    for run in (plain, *others):
        if run.void:
            return {"no": run.void[:200]}
        if run.was_changed_later():
            return {"no": "arguments are changed after the call"}
    if not plain.asserts:
        return {"no": "nothing is asserted of an answer"}
    for run in others:
        for mine, its in zip(plain.asserts, run.asserts, strict=False):
            if (mine["message"], mine["shown"]) != (its["message"], its["shown"]):
                mine["message"] = None
            its |= {"message": mine["message"], "shown": mine["shown"]}
        if (plain.calls, plain.asserts) != (run.calls, run.asserts):
            return {"no": "arguments are used after the call"}
    return {"calls": plain.calls, "asserts": plain.asserts}
