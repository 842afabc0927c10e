"""Asserts that compare a call with a literal: they are run as calls, and compared on the host as Python's `==` would.

    assert f(3) == 6
    assert candidate([1], k=2) is True
    assert not f("")
    def check(candidate): ... of nothing but such

Whether test code is of this form its text says, before any program runs.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coderlplus.judge.replies import Returned
from coderlplus.records import TaggedValue
from coderlplus.sandbox import values

_MAX_CHARS = 200_000
"""Longest test code that is looked at."""
_BROKEN = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)
_SCALARS = ("$int", "$float", "$complex", "$decimal", "$fraction", "$bytes", "$bytearray")
"""Tags of what may equal a number or bytes."""


@dataclass(frozen=True, slots=True)
class LiteralAssert:
    """`operator` is `==`, `is`, `true` or `false`; `expected` a Python value of a literal; `line` of the assert in the
    test code."""

    args: tuple[TaggedValue, ...]
    kwargs: dict[str, TaggedValue]
    operator: str
    expected: Any
    line: int
    message: str

    def holds(self, returned: Returned) -> bool:
        match self.operator:
            case "==":
                return same_as_python(returned, self.expected)
            case "is":
                return returned.view is None and returned.value is self.expected
            case operator:
                return truth_of(returned) == (operator == "true")


@functools.lru_cache(maxsize=8192)
def literal_asserts(code: str, entry_point: str) -> tuple[LiteralAssert, ...] | None:
    """The asserts of test code that is nothing else, `None` where it is more.

    >>> tests = literal_asserts("assert f(3) == 6\\nassert not f([])", "f")
    >>> [(test.args, test.operator, test.expected) for test in tests]
    [((3,), '==', 6), (([],), 'false', None)]
    >>> literal_asserts("assert f(f(3)) == 6", "f") is None
    True
    """
    if len(code) > _MAX_CHARS:
        return None
    try:
        return _asserts(ast.parse(code).body, {"candidate"} | ({entry_point} if "." not in entry_point else set()))
    except _BROKEN:
        return None


def _asserts(body: Sequence[ast.stmt], names: set[str]) -> tuple[LiteralAssert, ...] | None:
    found: list[LiteralAssert] = []
    check: list[LiteralAssert] | None = None
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=alias)], value=ast.Name(id=name)) if (
                name in names and alias != "check"
            ):
                names = names | {alias}
            case ast.Assign(targets=[ast.Name(id="METADATA")], value=ast.Dict()):
                ast.literal_eval(node.value)
            case ast.Assert(test=ast.Constant(value=True)) | ast.Pass():
                pass
            case ast.Assert():
                found.append(_assert(node, names))
            case ast.FunctionDef(
                name="check", args=ast.arguments(args=[ast.arg(arg=alias)], posonlyargs=[], kwonlyargs=[])
            ) if (
                check is None
                and "check" not in names
                and not (node.decorator_list or node.args.vararg or node.args.kwarg or found)
            ):
                inner = node.body[1:] if ast.get_docstring(node) is not None else node.body
                asserts = _asserts(inner, {alias})
                if asserts is None:
                    return None
                check = list(asserts)
            case ast.Expr(value=ast.Call(func=ast.Name(id="check"), args=[ast.Name(id=name)], keywords=[])) if (
                name in names and check is not None and node is body[-1]
            ):
                pass
            case _:
                return None
    if check is not None:
        return tuple(check) if not found and check else None
    return tuple(found) or None


def _assert(node: ast.Assert, names: set[str]) -> LiteralAssert:
    """Raises `ValueError` if it is of another form."""
    match node.msg:
        case None:
            message = ""
        case ast.Constant(value=value):
            message = str(value)
        case _:
            raise ValueError("a message that is computed")
    match node.test:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            call, other = (left, right) if _is_call(left, names) else (right, left)
            operator, expected = "==", ast.literal_eval(other)
        case ast.Compare(left=call, ops=[ast.Is()], comparators=[ast.Constant(value=True | False | None as expected)]):
            operator = "is"
        case ast.UnaryOp(op=ast.Not(), operand=call):
            operator, expected = "false", None
        case call:
            operator, expected = "true", None
    if (
        not isinstance(call, ast.Call)
        or not _is_call(call, names)
        or any(keyword.arg is None for keyword in call.keywords)
    ):
        raise ValueError("not a call")
    args = tuple(_tagged(argument) for argument in call.args)
    kwargs = {str(keyword.arg): _tagged(keyword.value) for keyword in call.keywords}
    return LiteralAssert(args, kwargs, operator, expected, node.lineno, message)


def _is_call(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _tagged(node: ast.expr) -> TaggedValue:
    tagged = values.encode(ast.literal_eval(node))
    if not values.is_plain(tagged):
        raise ValueError("too long")
    return tagged


def same_as_python(returned: Returned, expected: Any) -> bool:
    """Whether what was returned `== expected`, a value of a literal, as Python says: types count as little as there,
    `True == 1`, a list is no tuple.

    Only as much of the value is looked at as the expected one has.
    """
    if returned.view is not None:
        items = returned.value
        return returned.view != "values" and type(expected) in (set, frozenset) and _same_sets(items, expected)
    return _same(returned.value, expected)


def _same(tagged: TaggedValue, expected: Any) -> bool:
    kind = type(expected)
    if kind is list:
        return type(tagged) is list and _same_items(tagged, expected)
    if kind is str or expected is None:
        return bool(type(tagged) is kind and tagged == expected)
    body = next(iter(tagged.values()), None) if type(tagged) is dict and len(tagged) == 1 else None
    tag = next(iter(tagged)) if body is not None else ""
    if kind is tuple:
        return bool(tag == "$tuple" and type(body) is list and _same_items(body, expected))
    if kind is set or kind is frozenset:
        return tag in ("$set", "$frozenset") and type(body) is list and _same_sets(body, expected)
    if kind is dict:
        return _same_dicts(tagged, expected)
    if (
        type(tagged) in (list, str)
        or (type(tagged) is dict and tag not in _SCALARS)
        or _chars(tagged) > _MAX_CHARS + 1000
    ):
        return False
    try:
        return bool(values.decode(tagged) == expected)
    except (values.NotPlain, ArithmeticError):  # a signalling NaN
        return False


def _chars(tagged: TaggedValue) -> int:
    body = next(iter(tagged.values())) if type(tagged) is dict else None
    parts = body if type(body) is list else [body]
    return max(
        (len(part) if type(part) is str else part.bit_length() if type(part) is int else 1 for part in parts),
        default=0,
    )


def _same_items(items: list[Any], expected: Sequence[Any]) -> bool:
    return len(items) == len(expected) and all(map(_same, items, expected))


def _same_sets(items: list[Any], expected: Any) -> bool:
    """Each item is looked up in the expected set, which no program has made, so that no choice of items makes it
    slow."""
    if len(items) != len(expected):
        return False
    left = set(expected)
    for item in items:
        key = _key(item)
        if key is None or key[0] not in left:
            return False
        left.remove(key[0])
    return True


def _same_dicts(tagged: TaggedValue, expected: dict[Any, Any]) -> bool:
    if type(tagged) is not dict:
        return False
    if set(tagged) == {"$dict"}:
        pairs = tagged["$dict"]
        if type(pairs) is not list or not all(type(pair) is list and len(pair) == 2 for pair in pairs):
            return False
    elif any(name.startswith("$") for name in tagged):
        return False
    else:
        pairs = list(tagged.items())
    if len(pairs) != len(expected):
        return False
    left = dict(expected)
    for key_of_pair, value in pairs:
        key = _key(key_of_pair)
        if key is None or key[0] not in left or not _same(value, left.pop(key[0])):
            return False
    return True


def _key(tagged: TaggedValue) -> tuple[Any] | None:
    """The value of an item of a set or a key of a dict, as the only item, or nothing where it is none."""
    if not _is_key(tagged):
        return None
    try:
        value = values.decode({"$tuple": [tagged]})[0]
        hash(value)
    except (values.NotPlain, TypeError, ArithmeticError):
        return None
    return (value,)


def _is_key(tagged: TaggedValue) -> bool:
    """Whether it may be in a set of literals: a number, text, bytes, or a tuple of such."""
    if type(tagged) is not dict:
        return type(tagged) is not list
    ((tag, body),) = tagged.items() if len(tagged) == 1 else (("", None),)
    return tag in _SCALARS if tag != "$tuple" else type(body) is list and all(map(_is_key, body))


def truth_of(returned: Returned) -> bool:
    """Whether what was returned counts as true."""
    if returned.truth is not None:
        return returned.truth
    tagged = returned.value
    if type(tagged) is dict and len(tagged) == 1:
        ((tag, body),) = tagged.items()
        if tag in ("$decimal", "$fraction", "$int", "$complex", "$range"):
            try:
                return bool(values.decode(tagged))
            except (values.NotPlain, ArithmeticError):
                return True
        return bool(body) if tag.startswith("$") else True
    return bool(tagged)
