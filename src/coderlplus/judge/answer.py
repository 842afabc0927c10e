"""What stands for a program's answers, and for the program's function, while test code is run without any program
(`dry_run.py`). Standard library only; runs in the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coderlplus.judge.expected import Approximate

if TYPE_CHECKING:
    from coderlplus.judge.notes import Notes

_BINARY = {
    **{name: name for name in ("eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod")},
    "getitem": "getitem",
}
_REFLECTED = ("add", "sub", "mul", "truediv", "floordiv", "mod")
_REFUSED = (
    *("hash", "bool", "len", "iter", "next", "reversed", "contains", "call", "int", "float", "complex", "index"),
    *("setitem", "delitem", "enter", "exit", "pow", "rpow", "matmul", "and", "or", "xor", "rand", "ror", "rxor"),
    *("trunc", "floor", "ceil", "divmod", "rdivmod", "lshift", "rshift", "invert", "bytes", "fspath", "await"),
)


class Refused(BaseException):
    """Test code does what only an answer can decide. Not an `Exception`, so that little catches it."""


class Answer:
    """Stands for the answer to a call, or for what is computed of answers."""

    __slots__ = ("_run", "_size", "_tree")

    def __init__(self, run: Notes, tree: list[Any], size: int = 1) -> None:
        self._run, self._tree, self._size = run, tree, size

    def __getattr__(self, name: str) -> Any:
        self._run.refuse(f"the attribute {name} of an answer")

    def __str__(self) -> str:
        return self._run.shown("str", self)

    def __repr__(self) -> str:
        return self._run.shown("repr", self)

    def __format__(self, form: str) -> str:
        return self._run.refuse("a format") if form else self._run.shown("str", self)

    def __neg__(self) -> Answer:
        return self._run.computed("neg", self)

    def __abs__(self) -> Answer:
        return self._run.computed("abs", self)

    def __round__(self, *digits: Any) -> Answer:
        return self._run.computed("round", self, *digits)


def _binary(name: str, is_reflected: bool) -> Callable[[Answer, Any], Answer]:
    def method(self: Answer, other: Any) -> Any:
        if type(other) is Approximate:
            return NotImplemented
        return self._run.computed(name, other, self) if is_reflected else self._run.computed(name, self, other)

    return method


def _in_place(name: str) -> Callable[[Answer, Any], Answer]:
    def method(self: Answer, other: Any) -> Any:
        made = self._run.computed(name, self, other)
        self._run.note_unused()  # of lists, which may have another name, the host does not compute it
        return made

    return method


def _refuses(name: str) -> Callable[..., Any]:
    return lambda self, *others: self._run.refuse(f"__{name}__ of an answer")


for _name in _BINARY:
    setattr(Answer, f"__{_name}__", _binary(_name, False))
for _name in _REFLECTED:
    setattr(Answer, f"__r{_name}__", _binary(_name, True))
    setattr(Answer, f"__i{_name}__", _in_place(_name))
for _name in _REFUSED:
    setattr(Answer, f"__{_name}__", _refuses(_name))


class Candidate:
    """What test code calls in place of the program's function."""

    def __init__(self, run: Notes) -> None:
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Answer:
        return self._run.called(args, kwargs)
