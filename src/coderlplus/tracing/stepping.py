"""Source text → code that reports its steps. Standard library only; runs inside the sandbox.

    def f(n):                       def f(n):
        for i in range(n):              enter(f, line, cells of borrowed variables, cells of lent ones)
            g(i)                        try:
                                            step(line)
                                            for i in over(loop, range(n)):
                                                turn(line, loop, True, "i")
                                                step(line)
                                                g(i)
                                            finally:
                                                leave()

The test of a `while` becomes `step(line) and test`. What a step changed is found by `steps.py`, which looks at the
variables when the next begins; `step` is told where it may look at few of them (see `calm`).
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable
from typing import Any

from coderlplus.tracing import calm
from coderlplus.tracing.instrumented import ENTER, LEAVE, OVER, STEP, TURN, Scope
from coderlplus.tracing.names import Definition, For, Function, assigned, cells_of, is_dunder, place_of
from coderlplus.tracing.rewriting import Rewriter

_TURNS = For | ast.ExceptHandler
_NO_STEP = (ast.Try, ast.TryStar, ast.Global, ast.Nonlocal)


class Steps(Rewriter):
    in_order = False  # the next look at the variables sees what was bound

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.numbers = itertools.count(1)
        self.places: dict[ast.stmt, tuple[int, ...]] = {}
        """Statements that may be calm → the loops around them, see `calm.places`."""

    def prepare(self, tree: ast.Module) -> None:
        super().prepare(tree)
        self._place(tree.body)

    def statement(self, node: ast.stmt, scope: Scope) -> list[ast.stmt]:
        if isinstance(node, Function):
            self._place(node.body)
        loops = self.places.get(node)
        names = None if loops is None else calm.names_of(node)  # before it is rewritten
        rewritten = super().statement(node, scope)
        place = place_of(node)
        if isinstance(node, _NO_STEP) or _is_constant(node) or _is_future(node):
            return rewritten
        if isinstance(node, For):
            if self._loop(node, scope):
                node.iter = ast.Call(
                    self.slot(OVER, place), [ast.Constant(self._loop(node, scope), **place), node.iter], [], **place
                )
            return [ast.Expr(self._call(STEP, place, node.lineno, True), **place), *rewritten]
        facts = None if names is None or loops is None else self._facts(*names, loops, scope)
        call = self._call(STEP, place, node.lineno, *(() if facts is None else (False, facts)))
        if isinstance(node, ast.While):
            node.test = ast.BoolOp(ast.And(), [call, node.test], **place)
            return rewritten
        return [ast.Expr(call, **place), *rewritten]

    def bound(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        self._note(names, scope)
        place = place_of(at)
        if isinstance(at, _TURNS):
            loop = self._loop(at, scope) if isinstance(at, For) else 0
            is_followed = not (isinstance(at.body[0], _NO_STEP) or _is_constant(at.body[0]))
            return [ast.Expr(self._call(TURN, place, at.lineno, loop, is_followed, *names), **place)]
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

    def _place(self, body: list[ast.stmt]) -> None:
        if self.may_hide:  # else each look brings the variables up to date that the program has in a dict
            self.places.update(calm.places(body, self.numbers))

    def _loop(self, node: ast.For | ast.AsyncFor, scope: Scope) -> int:
        """The number of a loop that may be calm, or 0."""
        loops = self.places.get(node)
        if loops and calm.binds_names_only(node.target) and self._facts([], assigned([node.target]), (), scope):
            return loops[-1]
        return 0

    def _facts(self, loaded: list[str], bound: list[str], loops: tuple[int, ...], scope: Scope) -> calm.Calm | None:
        """What makes a statement calm; `None` where a name is that of a function or class around."""
        if scope.kind == "module":
            return tuple(dict.fromkeys(loaded)), (), tuple(bound), loops
        own, outer = self._own(scope), scope.parent
        others = {name for name in loaded if name not in own}
        if not own.issuperset(bound) or others & scope.nonlocals:
            return None
        while outer is not None:
            if outer.kind == "function" and others & self.bound_in(outer) - scope.globals:
                return None
            outer = outer.parent
        return tuple({*loaded} - others), tuple(others), tuple(bound), loops

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
