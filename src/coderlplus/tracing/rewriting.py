"""The walk over a program's syntax tree that all semantics share. Standard library only; runs inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from coderlplus.tracing.instrumented import TOO_DEEP, Scope
from coderlplus.tracing.names import (
    Branch,
    Definition,
    For,
    Function,
    Try,
    With,
    after,
    assigned,
    bound_names,
    captures,
    declarations,
    looks_at_locals,
    parameters,
    place_of,
)
from coderlplus.tracing.targets import Targets


class Rewriter:
    """What all semantics share: which statements bind which names in which scope.

    `bound`, `noted`, `walrus` and `activation` say what is noted of it.
    """

    in_order = True
    """Whether each name is noted as soon as it is bound, also where the rest of its statement fails."""

    def __init__(self, source: str) -> None:
        self.scopes: list[Scope] = []
        self.keys = 0
        self.slots: dict[str, float] = {}
        self.held = 0
        self._bound: dict[int, set[str]] = {}
        self.source = source
        self.has_walrus = ":=" in source
        self.may_hide = True

    def prepare(self, tree: ast.Module) -> None:
        """Look at the whole program, which is not rewritten yet."""
        self.may_hide = not looks_at_locals(tree, self.source)

    def bound(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        """Statements that note that names have been bound."""
        raise NotImplementedError

    def noted(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.expr]:
        """Expressions that note it, where no statement can stand."""
        raise NotImplementedError

    def walrus(self, node: ast.NamedExpr, scope: Scope) -> ast.expr:
        raise NotImplementedError

    def activation(self, body: list[ast.stmt], parameters: list[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        raise NotImplementedError

    def open(self, scope: Scope) -> Scope:
        self.scopes.append(scope)
        return scope

    def key(self, name: str, scope: Scope) -> int:
        if name not in scope.variables:
            self.keys += 1
            scope.variables[name] = self.keys
        return scope.variables[name]

    def body(self, statements: list[ast.stmt], scope: Scope) -> list[ast.stmt]:
        rewritten: list[ast.stmt] = []
        for statement in statements:
            rewritten += self.statement(statement, scope)
        return rewritten

    def statement(self, node: ast.stmt, scope: Scope) -> list[ast.stmt]:
        if self.has_walrus:
            _Expressions(self, scope).expressions_of(node)
        if isinstance(node, Definition):
            self.definition(node, scope)
            return [node]
        if isinstance(node, ast.Assign):
            return self._assign(node, scope)
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            return self._annotated(node, scope)
        if isinstance(node, ast.AugAssign):
            return [node, *self.bound(assigned([node.target]), scope, node)]
        if isinstance(node, For):
            node.body = self._target(node, scope) + self.body(node.body, scope)
            node.orelse = self.body(node.orelse, scope)
        elif isinstance(node, Branch):
            node.body = self.body(node.body, scope)
            node.orelse = self.body(node.orelse, scope)
        elif isinstance(node, With):
            self._with(node, scope)
        elif isinstance(node, Try):
            node.body = self.body(node.body, scope)
            for handler in node.handlers:
                handler.body = self.bound([handler.name] if handler.name else [], scope, handler) + self.body(
                    handler.body, scope
                )
            node.orelse = self.body(node.orelse, scope)
            node.finalbody = self.body(node.finalbody, scope)
        elif isinstance(node, ast.Match):
            for case in node.cases:
                names = captures(case.pattern)
                if case.guard is not None and names and self.in_order:  # they are bound when the guard is tested
                    case.guard = after(self.noted(names, scope, case.guard), case.guard)
                    names = []
                case.body = self.bound(names, scope, case.pattern) + self.body(case.body, scope)
        return [node]

    def _assign(self, node: ast.Assign, scope: Scope) -> list[ast.stmt]:
        if not self.in_order or (len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            return [node, *self.bound(assigned(node.targets), scope, node)]
        return [node, *Targets(self, scope, node).chained(node)]

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> list[ast.stmt]:
        """Outside functions the annotation is evaluated when the name is bound already."""
        noted = self.bound(assigned([node.target]), scope, node)
        if scope.kind == "function" or not noted or not self.in_order:
            return [node, *noted]
        assert isinstance(node.target, ast.Name)
        assert node.value is not None
        assignment = ast.Assign(
            [ast.Name(node.target.id, ast.Store(), **place_of(node.target))], node.value, **place_of(node)
        )
        node.value = None
        return [assignment, *noted, node]

    def _target(self, node: ast.For | ast.AsyncFor, scope: Scope) -> list[ast.stmt]:
        if not self.in_order or isinstance(node.target, ast.Name):
            return self.bound(assigned([node.target]), scope, node)
        return Targets(self, scope, node).single(node.target)

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> None:
        targets = [item.optional_vars for item in node.items if item.optional_vars is not None]
        if not self.in_order:
            node.body = self.bound(assigned(targets), scope, node) + self.body(node.body, scope)
            return
        body, items = self.body(node.body, scope), node.items
        while items:
            target = items[-1].optional_vars
            body = (Targets(self, scope, node).single(target) if target is not None else []) + body
            if len(items) > 1 and any(item.optional_vars is not None for item in items[:-1]):
                body = [type(node)(items[-1:], body, None, **place_of(node))]
                items = items[:-1]
            else:  # the managers before it bind nothing
                break
        node.items, node.body = items, body

    def definition(self, node: Definition, parent: Scope) -> None:
        if parent.kind == "module" or node.name in parent.globals:
            qualname = node.name
        else:
            qualname = parent.qualname + (".<locals>." if parent.kind == "function" else ".") + node.name
        declared = list(declarations(node.body))
        scope = self.open(
            Scope(
                index=len(self.scopes),
                qualname=qualname,
                kind="class" if isinstance(node, ast.ClassDef) else "function",
                parent=parent,
                node=node,
                class_name=node.name if isinstance(node, ast.ClassDef) else parent.class_name,
                globals=frozenset(name for d in declared if isinstance(d, ast.Global) for name in d.names),
                nonlocals=frozenset(name for d in declared if isinstance(d, ast.Nonlocal) for name in d.names),
            )
        )
        self.bound_in(scope)
        arguments = [] if isinstance(node, ast.ClassDef) else parameters(node.args)
        for name in arguments:
            self.key(name, scope)
        first = node.body[0]
        has_docstring = (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        )
        docstring, rest = node.body[:has_docstring], node.body[has_docstring:]
        node.body = docstring + self.activation(self.body(rest, scope), arguments, scope, first)

    def owner(self, name: str, scope: Scope) -> Scope | None:
        """The scope whose variable a binding of `name` in `scope` binds."""
        if name in scope.globals:
            return self.scopes[0]
        if name not in scope.nonlocals:
            return scope
        outer = scope.parent
        while outer is not None and not (outer.kind == "function" and self.is_owner(outer, name)):
            outer = outer.parent
        return outer

    def is_owner(self, scope: Scope, name: str) -> bool:
        if name in scope.globals or name in scope.nonlocals:
            return False
        return name in scope.variables or name in self.bound_in(scope)

    def bound_in(self, scope: Scope) -> set[str]:
        """The names that a function binds, taken before its statements are rewritten."""
        if scope.index not in self._bound:
            self._bound[scope.index] = bound_names(scope.node) if isinstance(scope.node, Function) else set()
        return self._bound[scope.index]

    def slot(self, name: str, place: Mapping[str, Any]) -> ast.Constant:
        """A constant to be replaced by one of the recorder's objects."""
        return ast.Constant(self.slots.setdefault(name, float("nan")), **place)

    def item(self, name: str, index: int, context: ast.expr_context, place: Mapping[str, Any]) -> ast.Subscript:
        return ast.Subscript(self.slot(name, place), ast.Constant(index, **place), context, **place)

    def unless_too_deep(self, statement: ast.stmt, place: Mapping[str, Any]) -> ast.stmt:
        """The statement, which does nothing where there is no room left on the stack."""
        return ast.Try(
            [statement],
            [ast.ExceptHandler(self.slot(TOO_DEEP, place), None, [ast.Pass(**place)], **place)],
            [],
            [],
            **place,
        )


class _Expressions(ast.NodeTransformer):
    """Rewrites each `:=` in the expressions of one statement."""

    def __init__(self, rewriter: Rewriter, scope: Scope) -> None:
        self.rewriter = rewriter
        self.scope = scope

    def expressions_of(self, node: ast.stmt) -> None:
        """Visit what the statement evaluates in its own scope, and not the statements inside it."""
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr | ast.arguments):
                setattr(node, name, self.visit(value))
            elif isinstance(value, list) and value and not isinstance(value[0], ast.stmt):
                for item in value:
                    if isinstance(item, ast.ExceptHandler):
                        item.type = item.type and self.visit(item.type)
                    elif isinstance(item, ast.match_case):
                        item.guard = item.guard and self.visit(item.guard)
                value[:] = [
                    self.visit(item) if isinstance(item, ast.expr | ast.keyword | ast.withitem) else item
                    for item in value
                ]

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        node.args = self.visit(node.args)
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        node.value = self.visit(node.value)
        return self.rewriter.walrus(node, self.scope)
