"""unittest's `TestCase` in a dry run (`dry_run.py`): what its methods assert of answers is noted, and with it the
method, which says on the host what the message is. Standard library only; runs in the sandbox."""

from __future__ import annotations

import contextlib
import operator
from typing import Any

_OPERATORS: dict[str, str] = {
    **{"assertEqual": "eq", "assertNotEqual": "ne", "assertIn": "in", "assertGreater": "gt", "assertLess": "lt"},
    **{"assertGreaterEqual": "ge", "assertLessEqual": "le"},
}
"""Methods that compare two values as an operator does."""
_TYPES = {"assertListEqual": list, "assertTupleEqual": tuple, "assertDictEqual": dict, "assertMultiLineEqual": str}
"""Methods that also ask of which type the two values are."""
OPTIONS = ("msg", "places", "delta")


class TestCase:
    """Without set-up: a new object for each test, as unittest makes it. `run` is the dry run."""

    __test__ = False
    run: Any

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self) -> None:
        getattr(self, self._name)()

    def _note(self, method: str, holds: Any, *values: Any, **options: Any) -> None:
        """That this holds of the values, which a method of unittest asserts."""
        run = self.run
        if type(holds) is not type(run.changed) and (holds or not run.guards):
            assert holds
            return
        if not all(option is None or type(option) in (str, int, float) for option in options.values()):
            run.refuse("another option")
        given = {name: value for name, value in options.items() if value is not None}
        by = [method, [run.tree(value) for value in values], given] if method else None
        run.note(run.line, holds, None, method=by)

    def _computed(self, name: str, *values: Any) -> Any:
        run = self.run
        if name == "in":
            return run.in_(*values)
        return run.computed(name, *values) if run.involves(values) else getattr(operator, name)(*values)

    def assertNotIn(self, member: Any, container: Any, msg: Any = None) -> None:
        self._note("assertNotIn", self.run.not_(self.run.in_(member, container)), member, container, msg=msg)

    def assertTrue(self, expr: Any, msg: Any = None) -> None:
        self._note("assertTrue", expr, expr, msg=msg)

    def assertFalse(self, expr: Any, msg: Any = None) -> None:
        self._note("assertFalse", self.run.not_(expr), expr, msg=msg)

    def assertIs(self, first: Any, second: Any, msg: Any = None) -> None:
        self._note("assertIs", self.run.is_(first, second), first, second, msg=msg)

    def assertIsNot(self, first: Any, second: Any, msg: Any = None) -> None:
        self._note("assertIsNot", self.run.not_(self.run.is_(first, second)), first, second, msg=msg)

    def assertIsNone(self, obj: Any, msg: Any = None) -> None:
        self._note("assertIsNone", self.run.is_(obj, None), obj, msg=msg)

    def assertIsNotNone(self, obj: Any, msg: Any = None) -> None:
        self._note("assertIsNotNone", self.run.not_(self.run.is_(obj, None)), obj, msg=msg)

    def assertIsInstance(self, obj: Any, cls: Any, msg: Any = None) -> None:
        self._note("", self.run.call(self.run.line, isinstance, obj, cls))

    def assertNotIsInstance(self, obj: Any, cls: Any, msg: Any = None) -> None:
        self._note("", self.run.not_(self.run.call(self.run.line, isinstance, obj, cls)))

    def assertAlmostEqual(
        self, first: Any, second: Any, places: Any = None, msg: Any = None, delta: Any = None
    ) -> None:
        run = self.run
        if not run.involves((first, second)) or not (places is None or delta is None):
            run.refuse("numbers of the test")
        digits = 7 if places is None else places

        def near() -> Any:
            apart = run.computed("abs", run.computed("sub", first, second))
            if delta is not None:
                return run.computed("le", apart, delta)
            return run.computed("eq", run.computed("round", apart, digits), 0)

        holds = run.computed("or", run.computed("eq", first, second), run.later(near))
        self._note("assertAlmostEqual", holds, first, second, places=places, msg=msg, delta=delta)

    def assertCountEqual(self, first: Any, second: Any, msg: Any = None) -> None:
        run = self.run
        if not run.involves((first, second)):
            run.refuse("items of the test")
        holds = run.computed("eq", run.computed("sorted", first), run.computed("sorted", second))
        self._note("assertCountEqual", holds, first, second, msg=msg)

    def assertRaises(self, kinds: Any, *called: Any, **kwargs: Any) -> Any:
        return self._raises(kinds, None, called, kwargs)

    def assertRaisesRegex(self, kinds: Any, pattern: Any, *called: Any, **kwargs: Any) -> Any:
        return self._raises(kinds, pattern, called, kwargs)

    def _raises(self, kinds: Any, pattern: Any, called: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        run = self.run
        name = getattr(kinds, "__name__", None) or str(kinds)
        if not called:
            if kwargs.keys() - {"msg"}:
                run.refuse("another option")
            said = f"{name} not raised"
            return run.raises(kinds, pattern, f"{said} : {kwargs['msg']}" if kwargs.get("msg") is not None else said)
        function, *args = called
        by = getattr(function, "__name__", "") or run.name.rpartition(".")[2]
        run.raises(kinds, pattern, f"{name} not raised by {by}").of(run.line, function, tuple(args), kwargs)
        return None

    def fail(self, msg: Any = None) -> None:
        self.run.note(self.run.line, False, str(msg))

    def subTest(self, msg: Any = None, **parameters: Any) -> Any:
        return contextlib.nullcontext()


def _method(name: str, operation: str) -> Any:
    def method(self: TestCase, first: Any, second: Any, msg: Any = None) -> None:
        self._note(name, self._computed(operation, first, second), first, second, msg=msg)

    return method


def _typed(name: str, kind: type) -> Any:
    def method(self: TestCase, first: Any, second: Any, msg: Any = None) -> None:
        run = self.run
        if not run.involves((first, second)):
            run.refuse("values of the test")
        holds = run.computed("eq", first, second)
        for value in (first, second):
            is_of = run.computed("isinstance", value, [kind.__name__])
            holds = run.computed("and", is_of, holds)
        self._note(name, holds, first, second, msg=msg)

    return method


for _name, _operation in _OPERATORS.items():
    setattr(TestCase, _name, _method(_name, _operation))
for _name, _kind in _TYPES.items():
    setattr(TestCase, _name, _typed(_name, _kind))
METHODS = (
    *_OPERATORS,
    *_TYPES,
    *("assertNotIn", "assertTrue", "assertFalse", "assertIs", "assertIsNot", "assertIsNone", "assertIsNotNone"),
    *("assertAlmostEqual", "assertCountEqual"),
)
"""Methods that the host may ask for their message."""
