"""What test code computes of answers, computed again on the host: on plain data that is short, as Python does it.

An expression is nested JSON, `["lt", ["abs", ["sub", ["answer", 0], ["const", 0.5]]], ["const", 1e-6]]`, as `dry_run`
notes it. Whatever is not certain to come out as in the examiner is `Unclear`, and the examiner decides: long values,
`nan`, the order of sets, objects, and all that raises an exception there.
"""

from __future__ import annotations

import builtins
import functools
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from coderlplus.judge.cases import METHODS, OPTIONS
from coderlplus.judge.expected import is_bounded
from coderlplus.judge.replies import Raised, Returned
from coderlplus.judge.stand_ins import exception_of
from coderlplus.judge.wire import MESSAGE_CHARS
from coderlplus.records import Failure, TaggedValue
from coderlplus.sandbox.values import NotPlain, decode, equal

Expression = list[Any]
Answered = Returned | Raised
_MOST_ITEMS, _MOST_CHARS, _MOST_BITS = 1_000, 50_000, 4_000
"""Longest value that is computed with: its items, characters, and bits of an integer. A set of more could be made of
numbers with one hash, and would take long."""
_NO_NUMBERS = (type(None), str, bytes, list, tuple, dict, set, frozenset)
_MOST_SHOWN = 100
"""Longest text of a value that unittest compares with another one, line by line."""

TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
}


class Unclear(Exception):
    """Only the examiner can say how a test ends; `failure` is what is certain of it."""

    def __init__(self, failure: Failure | None = None) -> None:
        super().__init__()
        self.failure = failure


class Fails(Unclear):
    """The test code raises this exception as it computes."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def holds(test: Expression, answers: Sequence[Answered]) -> bool:
    """Whether the condition of an assert holds. Raises `Unclear`."""
    match test:
        case ["eq", ["answer", int(place)], ["const", expected]] | ["eq", ["const", expected], ["answer", int(place)]]:
            return same_as_python(_returned(answers[place]), expected)
        case ["is", ["answer", int(place)], ["const", expected]]:
            returned = _returned(answers[place])
            return returned.view is None and returned.value is expected
        case ["answer", int(place)]:
            return truth_of(_returned(answers[place]))
        case ["not", inner]:
            return not holds(inner, answers)
        case ["and", a, b]:
            return holds(a, answers) and holds(b, answers)
        case ["or", a, b]:
            return holds(a, answers) or holds(b, answers)
        case ["implies", guard, inner]:
            return not holds(guard, answers) or holds(inner, answers)
        case ["computes", inner]:
            value_of(inner, answers)
            return True
        case ["raised", int(place), list(names)]:
            return is_raised(answers[place], names)
        case ["search", str(pattern), text] if is_bounded(pattern):
            return re.search(pattern, text_of(text, answers)) is not None
    return bool(value_of(test, answers))


def is_raised(answer: Answered, names: Sequence[str]) -> bool:
    """Whether it is an exception of one of these builtin classes, as the examiner sees it. Raises `Unclear`."""
    if isinstance(answer, Raised):
        return _is_of(answer.name, answer.base, tuple(names))
    if answer.truth is not None or answer.view is not None:  # the examiner asks for the items of an iterator
        raise Unclear
    return False


@functools.lru_cache(maxsize=4096)
def _is_of(name: str, base: str, names: tuple[str, ...]) -> bool:
    """Whether an exception of this class is of one of these builtin classes, whatever its message is."""
    error = exception_of(name, "", base)
    kinds = (getattr(builtins, each, None) for each in names)
    return any(isinstance(kind, type) and isinstance(error, kind) for kind in kinds)


def _error(answer: Raised) -> BaseException:
    return exception_of(answer.name, answer.message, answer.base)


def _returned(answer: Answered) -> Returned:
    if isinstance(answer, Raised):
        raise Unclear
    return answer


def text_of(expression: Expression, answers: Sequence[Answered]) -> str:
    """The text of a computed value, as a message shows it. Raises `Unclear`."""
    return str(value_of(expression, answers))


def text_of_method(method: Expression, answers: Sequence[Answered]) -> str:
    """The message with which a method of unittest's `TestCase` fails. Raises `Unclear`."""
    match method:
        case [str(name), list(parts), dict(options)] if name in METHODS and options.keys() <= set(OPTIONS):
            values = [value_of(part, answers) for part in parts]
        case _:
            raise Unclear
    if any(_has_set(value) or len(repr(value)) > _MOST_SHOWN for value in values):
        raise Unclear
    import unittest  # not at once, as few test code needs it

    try:
        getattr(unittest.TestCase(), name)(*values, **options)
    except AssertionError as error:
        return str(error)[:MESSAGE_CHARS]
    except (*_RAISES, RecursionError):
        pass
    raise Unclear


_RAISES = (TypeError, ValueError, ArithmeticError, LookupError)


def value_of(expression: Expression, answers: Sequence[Answered]) -> Any:
    """The value of an expression. Raises `Unclear`."""
    match expression:
        case ["const", value]:
            return _plain(value)
        case ["kind", str(name)] if name in TYPES:
            return TYPES[name]
        case ["answer", int(place)]:
            returned = _returned(answers[place])
            if returned.view is not None or returned.truth is not None:
                raise Unclear
            return _plain(returned.value)
        case ["str", ["error", int(place)]]:
            answer = answers[place]
            if isinstance(answer, Raised):
                return str(_error(answer))
        case [str(name), *parts] if name in _OPERATIONS:
            try:
                values = [value_of(part, answers) for part in parts]
            except Fails:
                if name in ("and", "or"):  # the second may not be computed at all
                    raise Unclear from None
                raise
            try:
                return _OPERATIONS[name](*values)
            except RecursionError:
                raise Unclear from None
            except _RAISES as error:
                raise Fails(error) from None
    raise Unclear


def _plain(tagged: TaggedValue) -> Any:
    _measure(tagged, [_MOST_ITEMS, _MOST_CHARS])
    try:
        value = decode(tagged)
    except NotPlain:
        raise Unclear from None
    if not _is_usual(value):
        raise Unclear
    return value


def _measure(tagged: TaggedValue, left: list[int]) -> None:
    kind = type(tagged)
    left[0] -= 1
    if kind is str:
        left[1] -= len(tagged)
    elif kind is list or kind is dict:
        if len(tagged) > left[0]:
            raise Unclear
        for item in tagged if kind is list else (*tagged, *tagged.values()):
            _measure(item, left)
    if min(left) < 0:
        raise Unclear


def _is_usual(value: Any) -> bool:
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return all(map(_is_usual, value))
    if kind is dict:
        return all(map(_is_usual, (*value, *value.values())))
    if kind is int:
        return bool(value.bit_length() <= _MOST_BITS)
    # one `nan` is no other, but lists compare by identity first
    return value is None or kind in (bool, str, bytes, complex) or (kind is float and value == value)


def _number(value: Any) -> Any:
    """Raises `Unclear` for what is neither a short number nor of a type that no arithmetic takes."""
    if type(value) not in (int, float, bool, *_NO_NUMBERS) or (type(value) is int and value.bit_length() > _MOST_BITS):
        raise Unclear
    return value


def _short(digits: Any) -> Any:
    """How many digits are rounded to, which an answer may say: an integer takes as long as 10 to the power of it."""
    if type(digits) is int and abs(digits) > _MOST_BITS:
        raise Unclear
    return digits


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def computed(a: Any, b: Any) -> Any:
        kinds = {type(_number(a)), type(_number(b))}
        others = kinds.intersection(_NO_NUMBERS)
        if others and (len(kinds) == 1 or function in (operator.mul, operator.mod)) and kinds != {type(None)}:
            raise Unclear  # lists can be added, and texts repeated
        if others == {set, frozenset}:
            raise Unclear
        return _certain(function(a, b))

    return computed


def _certain(value: Any) -> Any:
    if value != value:
        raise Unclear
    return value


def _add(a: Any, b: Any) -> Any:
    return a + b if type(a) is type(b) is str else _arithmetic(operator.add)(a, b)


def _ordered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function to which the order of a set would matter: it differs from process to process."""

    def computed(value: Any, *others: Any) -> Any:
        if _has_set(value):
            raise Unclear
        return function(value, *others)

    return computed


def _has_set(value: Any) -> bool:
    kind = type(value)
    if kind in (set, frozenset):
        return True
    if kind in (list, tuple):
        return any(map(_has_set, value))
    return kind is dict and any(map(_has_set, (*value, *value.values())))


def _sorted(value: Any, reverse: bool = False) -> Any:
    if type(value) in (set, frozenset) and len({type(item) for item in value}) == 1 and type(min(value)) in (int, str):
        return sorted(value, reverse=reverse)
    return _ordered(sorted)(value) if not reverse else sorted(_ordered(list)(value), reverse=True)


def _sum(values: Any) -> Any:
    for value in values:
        _number(value)
    return _certain(sum(values))


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge", "getitem")},
    **{name: _arithmetic(getattr(operator, name)) for name in ("sub", "mul", "truediv", "floordiv", "mod")},
    "add": _add,
    "neg": lambda a: -_number(a),
    "abs": lambda a: abs(_number(a)),
    "fabs": lambda a: math.fabs(_number(a)),
    "round": lambda a, *digits: round(_number(a), *map(_short, digits)),
    "isclose": lambda a, b, relative, absolute: math.isclose(
        *map(_number, (a, b)), rel_tol=relative, abs_tol=absolute
    ),
    "is": operator.is_,
    "in": lambda a, b: a in b,
    "not": operator.not_,
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "len": len,
    "set": set,
    "frozenset": frozenset,
    "list": _ordered(list),
    "tuple": _ordered(tuple),
    "sorted": _sorted,
    "sum": _ordered(_sum),
    "min": _ordered(min),
    "max": _ordered(max),
    "all": _ordered(all),
    "any": _ordered(any),
    "str": _ordered(str),
    "repr": _ordered(repr),
    "type": type,
    "isinstance": lambda value, names: any(isinstance(value, TYPES[name]) for name in names),
}


def same_as_python(returned: Returned, expected: TaggedValue) -> bool:
    """Whether what was returned `== expected`, a value of test code, as Python says: types count as little as there,
    `True == 1`, a list is no tuple. A view of a dict is a set of its items, or nothing that plain data is."""
    if returned.view is None:
        if equal(returned.value, expected, types="python"):
            return True
        if _signals(returned.value):  # `==` raises an exception, if it comes to that
            raise Unclear
        return False
    return returned.view != "values" and equal({"$set": returned.value}, expected, types="python")


def _signals(tagged: TaggedValue) -> bool:
    """Whether there is a signaling NaN in a value."""
    if type(tagged) is dict:
        body = tagged.get("$decimal")
        return (type(body) is str and "snan" in body.lower()) or any(map(_signals, tagged.values()))
    return type(tagged) is list and any(map(_signals, tagged))


def truth_of(returned: Returned) -> bool:
    """Whether what was returned counts as true."""
    if returned.truth is not None:
        return returned.truth
    tagged = returned.value
    if type(tagged) is dict and len(tagged) == 1:
        ((tag, body),) = tagged.items()
        if tag in ("$decimal", "$fraction", "$int", "$complex", "$range"):
            try:
                return bool(decode(tagged))
            except (NotPlain, ArithmeticError):
                return True
        return bool(body) if tag.startswith("$") else True
    return bool(tagged)
