"""Programs that differ from a given one in one place: tests that none of them fails say little.

One place means: a comparison, a sign of arithmetic, `and` and `or`, a whole number, a truth value, the condition of an
`if`. Conditions of loops are left alone, since most such changes only run for ever. Where a program has few such
places, returned and printed values are changed too, which any test should notice. A mutant may happen to do the same
as the program; so a few are made, and one that fails is enough.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator

from coderlplus.programs import parse

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip
_Change = Callable[[], None]


def mutants(program: str, count: int) -> list[str]:
    """At most `count` different programs, each with one change; the same ones for the same program. None for a program
    that does not parse.

    >>> mutants("def f(a, b):\\n    return a + b", 1)
    ['def f(a, b):\\n    return a - b']
    """
    found: dict[str, None] = {}
    try:
        tree = parse(program)
        original = ast.unparse(tree)
        for changes in (_small, _of_results):
            places = range(len(list(changes(tree))))
            for place in random.Random(program).sample(places, len(places)):
                changed = copy.deepcopy(tree)
                list(changes(changed))[place]()
                text = ast.unparse(ast.fix_missing_locations(changed))
                if text != original:
                    found.setdefault(text)
                if len(found) == count:
                    return list(found)
    except (SyntaxError, RecursionError, ValueError):
        pass
    return list(found)


def _small(tree: ast.Module) -> Iterator[_Change]:
    """What can be changed in place, in the order of the tree."""
    left_alone = {id(part) for node in ast.walk(tree) for whole in _left_alone(node) for part in ast.walk(whole)}
    for node in ast.walk(tree):
        if id(node) in left_alone:
            continue
        match node:
            case ast.Compare(ops=[operator, *others]) if type(operator) in _COMPARISONS:
                yield _set(node, "ops", [_COMPARISONS[type(operator)](), *others])
            case ast.BinOp(op=sign) | ast.AugAssign(op=sign) if type(sign) in _ARITHMETIC:
                yield _set(node, "op", _ARITHMETIC[type(sign)]())
            case ast.BoolOp(op=sign):
                yield _set(node, "op", ast.Or() if isinstance(sign, ast.And) else ast.And())
            case ast.Constant(value=bool() as value):
                yield _set(node, "value", not value)
            case ast.Constant(value=int() as value):
                yield _set(node, "value", value + 1)
            case ast.If(test=test) | ast.IfExp(test=test) if id(test) not in left_alone:
                yield _set(node, "test", ast.UnaryOp(ast.Not(), test))


def _left_alone(node: ast.AST) -> Iterator[ast.AST]:
    """Parts in which a change only runs for ever, only is an error, or leaves nothing of the program."""
    match node:
        case ast.While(test=test):
            yield test
        case ast.JoinedStr() | ast.BinOp(left=ast.Constant(value=str())):
            yield node
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__")) as test):
            yield test


def _of_results(tree: ast.Module) -> Iterator[_Change]:
    """Changes of what is returned and printed."""
    for node in ast.walk(tree):
        match node:
            case ast.Return(value=ast.expr() as value):
                yield _set(node, "value", ast.Tuple([value, ast.Constant(1)], ast.Load()))
            case ast.Call(func=ast.Name(id="print"), args=args):
                yield _set(node, "args", [*args, ast.Constant(1)])


def _set(node: ast.AST, field: str, value: object) -> _Change:
    return lambda: setattr(node, field, value)
