"""Source text → code that reports its steps. Standard library only; runs inside the sandbox.

    def f(n):                       def f(n):
        for i in range(n):              enter(f, line, cells of borrowed variables, cells of lent ones)
            g(i)                        try:
                                            step(line)
                                            for i in range(n):
                                                turn(line)
                                                step(line)
                                                g(i)
                                            finally:
                                                leave()

The test of a `while` becomes `step(line) and test`. What a step changed is found by `steps.py`, which looks at the
variables when the next begins.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from coderlplus.tracing.instrumented import ENTER, LEAVE, STEP, TURN, Scope
from coderlplus.tracing.names import Definition, For, cells_of, is_dunder, place_of
from coderlplus.tracing.rewriting import Rewriter

_TURNS = For | ast.ExceptHandler
_NO_STEP = (ast.Try, ast.TryStar, ast.Global, ast.Nonlocal)


class Steps(Rewriter):
    in_order = False  # the next look at the variables sees what was bound

    def statement(self, node: ast.stmt, scope: Scope) -> list[ast.stmt]:
        rewritten = super().statement(node, scope)
        place = place_of(node)
        if isinstance(node, ast.While):
            node.test = ast.BoolOp(ast.And(), [self._call(STEP, place, node.lineno), node.test], **place)
        elif not (isinstance(node, _NO_STEP) or _is_constant(node) or _is_future(node)):
            call = self._call(STEP, place, node.lineno, *([True] if isinstance(node, For) else []))
            return [ast.Expr(call, **place), *rewritten]
        return rewritten

    def bound(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        self._note(names, scope)
        place = place_of(at)
        if isinstance(at, _TURNS):
            return [ast.Expr(self._call(TURN, place, at.lineno, *names), **place)]
        return []

    def walrus(self, node: ast.NamedExpr, scope: Scope) -> ast.expr:
        self._note([node.target.id], scope)
        return node

    def activation(self, body: list[ast.stmt], parameters: list[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        assert isinstance(scope.node, Definition)
        place = place_of(at)
        borrowed = self._borrowed(scope) if scope.kind == "function" else []
        cells = [cells_of(names, place) for names in (borrowed, sorted(scope.lent))]
        arguments = [ast.Constant(scope.index, **place), ast.Constant(scope.node.lineno, **place), *cells]
        start = ast.Expr(ast.Call(self.slot(ENTER, place), arguments, [], **place), **place)
        leave = ast.Expr(ast.Call(self.slot(LEAVE, place), [], [], **place), **place)
        return [start, ast.Try(body or [ast.Pass(**place)], [], [], [leave], **place)]

    def _note(self, names: Iterable[str], scope: Scope) -> None:
        for name in names:
            owner = self.owner(name, scope)
            if owner is not None and not is_dunder(name):
                self.key(name, owner)

    def _borrowed(self, scope: Scope) -> list[str]:
        """A name of each function around whose variables this one mentions."""
        assert scope.node is not None
        missing = (
            {node.id for node in ast.walk(scope.node) if isinstance(node, ast.Name)} - self._own(scope) - scope.globals
        )
        names = []
        outer = scope.parent
        while outer is not None and missing:
            if outer.kind == "function":
                found = missing & self._own(outer)
                missing -= found
                if found:
                    names.append(min(found))
                    outer.lent.add(min(found))
            outer = outer.parent
        return names

    def _own(self, scope: Scope) -> set[str]:
        return self.bound_in(scope) - scope.globals - scope.nonlocals

    def _call(self, slot: str, place: dict[str, Any], *arguments: Any) -> ast.expr:
        constants: list[ast.expr] = [ast.Constant(argument, **place) for argument in arguments]
        return ast.Call(self.slot(slot, place), constants, [], **place)


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"
