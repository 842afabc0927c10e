"""The walk over a program's syntax tree that all semantics share. Standard library only; runs inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from coderlplus.tracing.instrumented import CALLS, TOO_DEEP, VISIBLE, Scope
from coderlplus.tracing.names import Definition, Function, assigned, bound_names, captures, declarations, parameters


class Rewriter:
    """What both semantics share: which statements bind which names in which scope. `bound`, `walrus` and `activation` say what is noted of it."""

    def __init__(self, source: str) -> None:
        self.scopes: list[Scope] = []
        self.keys = 0
        self.slots: dict[str, float] = {}
        self._bound: dict[int, set[str]] = {}
        self.looks_inside = any(word in source for word in (":=", "locals", "vars", "dir"))

    def bound(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
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
        if self.looks_inside:
            _Expressions(self, scope).expressions_of(node)
        if isinstance(node, Definition):
            self.definition(node, scope)
            return [node]
        after: list[ast.stmt] = []
        if isinstance(node, ast.Assign):
            after = self.bound(assigned(node.targets), scope, node)
        elif isinstance(node, ast.AugAssign) or (isinstance(node, ast.AnnAssign) and node.value is not None):
            after = self.bound(assigned([node.target]), scope, node)
        elif isinstance(node, ast.For | ast.AsyncFor):
            node.body = self.bound(assigned([node.target]), scope, node) + self.body(node.body, scope)
            node.orelse = self.body(node.orelse, scope)
        elif isinstance(node, ast.While | ast.If):
            node.body = self.body(node.body, scope)
            node.orelse = self.body(node.orelse, scope)
        elif isinstance(node, ast.With | ast.AsyncWith):
            targets = [item.optional_vars for item in node.items if item.optional_vars is not None]
            node.body = self.bound(assigned(targets), scope, node) + self.body(node.body, scope)
        elif isinstance(node, ast.Try | ast.TryStar):
            node.body = self.body(node.body, scope)
            for handler in node.handlers:
                handler.body = self.bound([handler.name] if handler.name else [], scope, handler) + self.body(handler.body, scope)
            node.orelse = self.body(node.orelse, scope)
            node.finalbody = self.body(node.finalbody, scope)
        elif isinstance(node, ast.Match):
            for case in node.cases:
                case.body = self.bound(captures(case.pattern), scope, case.pattern) + self.body(case.body, scope)
        return [node, *after]

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
        has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
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
        return ast.Try([statement], [ast.ExceptHandler(self.slot(TOO_DEEP, place), None, [ast.Pass(**place)], **place)], [], [], **place)

    def token(self, scope: Scope, place: Mapping[str, Any]) -> ast.expr:
        """The number of the running activation: a local variable in functions; class bodies have none, so that no class gets an attribute."""
        if scope.kind == "class":
            return self.item(CALLS, scope.index, ast.Load(), place)
        return ast.Name(scope.token, ast.Load(), **place)


class _Expressions(ast.NodeTransformer):
    """Rewrites inside the expressions of one statement: `:=`, and under `final` the calls that show a function's local variables."""

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
                value[:] = [self.visit(item) if isinstance(item, ast.expr | ast.keyword | ast.withitem) else item for item in value]

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        node.args = self.visit(node.args)
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        node.value = self.visit(node.value)
        return self.rewriter.walrus(node, self.scope)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        shows_locals = isinstance(node.func, ast.Name) and node.func.id in ("locals", "vars", "dir") and not (node.args or node.keywords)
        if shows_locals and self.scope.kind == "function":
            return ast.Call(self.rewriter.slot(VISIBLE, place_of(node)), [node], [], **place_of(node))
        return node


def place_of(node: ast.AST) -> dict[str, Any]:
    return {name: getattr(node, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
