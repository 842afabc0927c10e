"""Statements that run no code but their own, so that nobody has to look at what they do not bind. Standard library
only; runs inside the sandbox.

An operator, a comparison or a subscript runs no code of anybody's where all operands are atoms (numbers, texts,
`None`), and then its result is one. So a statement that is made of names, constants and these changes nothing but the
names that it binds, *if* its names hold atoms when it begins, which the recorder knows (`steps.py`): a look when the
next statement begins needs to see only these.

What runs between two statements counts too: `__exit__` at the end of a `with`, the name that goes at the end of a
handler, the iterator of a `for`. So a statement in the first two does not qualify, and one in a `for` only if what
that iterates over is a range, a text, or a tuple of atoms or of tuples of atoms. What a signal handler changes in such
a moment is seen when the next statement that is none of these has run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from coderlplus.tracing.names import is_dunder

Calm = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[int, ...]]
"""Names of the scope and of the module that must hold atoms; the names that are bound, which must hold atoms or
nothing; and the numbers of the loops around, each of which must be over something calm."""

_OPERATIONS = (ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Subscript, ast.Slice, ast.Constant)
_Names = ast.Name | ast.Tuple
_Jumps = ast.Pass | ast.Break | ast.Continue


def places(
    body: Iterable[ast.stmt], number: Iterator[int], loops: tuple[int, ...] = ()
) -> Iterator[tuple[ast.stmt, tuple[int, ...]]]:
    """The statements of a scope that may be calm as far as their place goes, each with the numbers of the loops
    around it; a `for` with its own number last."""
    for node in body:
        if isinstance(node, ast.For):
            inside = (*loops, next(number))
            yield node, inside
            yield from places(node.body, number, inside)
            yield from places(node.orelse, number, loops)
            continue
        yield node, loops
        if isinstance(node, ast.If | ast.While):
            yield from places(node.body, number, loops)
            yield from places(node.orelse, number, loops)
        elif isinstance(node, ast.Try) and all(_names_only(handler.type) for handler in node.handlers):
            for inner in (node.body, node.orelse, node.finalbody):
                yield from places(inner, number, loops)


def names_of(node: ast.stmt) -> tuple[list[str], list[str]] | None:
    """The names that a statement loads, and those that it binds; `None` if it may do more than that with atoms."""
    if isinstance(node, _Jumps):
        return [], []
    if isinstance(node, ast.If | ast.While):
        return _loaded([node.test], [])
    if isinstance(node, ast.Return):
        return _loaded([node.value] if node.value is not None else [], [])
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        found = _loaded([node.value], [node.target.id])
        return found and ([*found[0], node.target.id], found[1])
    if not isinstance(node, ast.Assign):
        return None
    values, bound = [node.value], []
    for target in node.targets:
        if isinstance(target, ast.Name):
            bound.append(target.id)
            continue
        if len(node.targets) > 1 or not isinstance(target, ast.Tuple) or not isinstance(node.value, ast.Tuple):
            return None
        values = node.value.elts
        for each in target.elts:
            if not isinstance(each, ast.Name):
                return None
            bound.append(each.id)
    return _loaded(values, bound)


def binds_names_only(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) or (
        isinstance(target, ast.Tuple) and all(isinstance(each, ast.Name) for each in target.elts)
    )


def _loaded(values: list[ast.expr], bound: list[str]) -> tuple[list[str], list[str]] | None:
    loaded: list[str] = []
    todo: list[ast.AST] = [*values]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name):
            loaded.append(node.id)
        elif isinstance(node, _OPERATIONS):
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):  # warns, which may be caught
                return None
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        else:
            return None
    return None if any(map(is_dunder, bound)) else (loaded, bound)


def _names_only(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Tuple):
        return all(map(_names_only, node.elts))
    return node is None or isinstance(node, ast.Name)
