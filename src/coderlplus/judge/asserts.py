"""Asserts that compare a call with a literal: their text is their plan (`plans.py`).

    assert f(3) == 6
    assert candidate([1], k=2) is True
    assert not f("")
    def check(candidate): ... of nothing but such

Whether test code is of this form its text says, before any program runs.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from coderlplus import syntax
from coderlplus.records import TaggedValue
from coderlplus.sandbox.values import encode, is_plain

_MAX_CHARS = 200_000
"""Longest test code that is looked at."""
_BROKEN = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class LiteralAssert:
    """`operator` is `==`, `is`, `true` or `false`; `expected` the value of a literal; `line` of the assert in the
    test code."""

    args: tuple[TaggedValue, ...]
    kwargs: dict[str, TaggedValue]
    operator: str
    expected: TaggedValue
    line: int
    message: str


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
        return _asserts(syntax.parse(code).body, {"candidate"} | ({entry_point} if "." not in entry_point else set()))
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
            operator, expected = "==", _tagged(other)
        case ast.Compare(left=call, ops=[ast.Is()], comparators=[ast.Constant(value=True | False | None as expected)]):
            operator = "is"
        case ast.UnaryOp(op=ast.Not(), operand=call):
            operator, expected = "false", None
        case call:
            operator, expected = "true", None
    if not _is_call(call, names) or any(keyword.arg is None for keyword in call.keywords):
        raise ValueError("not a call of the program")
    args = tuple(_tagged(argument) for argument in call.args)
    kwargs = {str(keyword.arg): _tagged(keyword.value) for keyword in call.keywords}
    return LiteralAssert(args, kwargs, operator, expected, node.lineno, message)


def _is_call(node: ast.expr, names: set[str]) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _tagged(node: ast.expr) -> TaggedValue:
    tagged = encode(ast.literal_eval(node))
    if not is_plain(tagged):
        raise ValueError("too long")
    return tagged
