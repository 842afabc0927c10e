"""Source text → code that notes its own bindings. Standard library only; runs inside the sandbox.

The syntax tree is rewritten so that a run leaves behind, for every variable, which *activation* (one call of a function, one execution of a class
body) bound it last, and calls the recorder when an activation ends that the recorder wants to see. Under `final` a function becomes

    def f(n):                               def f(n):
        x = n + 1                               CALLS[f] = LAST[n] = $f = CALLS[f] + 1
        return x                                try:
                                                    x = n + 1
                                                    LAST[x] = $f
                                                    return x
                                                finally:
                                                    try:
                                                        if $f in WANTED[f]: close(f)
                                                    except RecursionError:
                                                        pass

and module code stays as it is: its variables are read when the program ends. Under `binding` every binding of a variable counts, in every scope, and
calls the recorder when the recorder wants that count. Under `official` nothing is rewritten.

What is written in capitals above, and the recorder, are *constants of the code objects*: no namespace of the program holds them. `$f` is a local
variable whose name no source text can spell; calls of `locals()`, `vars()` and `dir()` in a function are wrapped to leave it out. Every inserted node
has the line of the statement that it belongs to, so tracebacks are those of the original.

Not covered: bindings made by `exec`, `globals()[...] = ...` and `from … import *`; lambdas (they bind parameters only); comprehension variables.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from coderlplus.tracing.instrumented import (
    CALLS,
    CLOSE,
    COUNT,
    FILENAME,
    LAST,
    MODULE,
    RECORD,
    RECORD_WALRUS,
    SET_LAST,
    TOO_DEEP,
    VISIBLE,
    Instrumented,
    Scope,
    wanted,
)
from coderlplus.tracing.names import Definition, Function, assigned, binds, captures, declarations, is_dunder, parameters

Semantics = Literal["final", "binding", "official"]


def instrument(source: str, semantics: Semantics = "final") -> Instrumented:
    """Rewrite and compile a program. Raises what `compile` raises on the original: `SyntaxError`, `ValueError`, `RecursionError`, `MemoryError`."""
    suspends = "yield" in source or "async" in source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source, FILENAME)
        original = compile(tree, FILENAME, "exec", dont_inherit=True) if semantics == "official" else None
        rewriter = (_Binding if semantics == "binding" else _Final)(source)
        body = rewriter.body(tree.body, rewriter.open(Scope(0, MODULE, "module", node=tree)))
        if original is not None:
            return Instrumented(original, {}, rewriter.scopes[:1], rewriter.keys, False)
        tree.body = body
        return Instrumented(compile(tree, FILENAME, "exec", dont_inherit=True), rewriter.slots, rewriter.scopes, rewriter.keys, suspends)


class _Rewriter:
    """What both semantics share: which statements bind which names in which scope. `bound`, `walrus` and `activation` say what is noted of it."""

    def __init__(self, source: str) -> None:
        self.scopes: list[Scope] = []
        self.keys = 0
        self.slots: dict[str, float] = {}
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
        return name in scope.variables or (isinstance(scope.node, Function) and binds(scope.node, name))

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


class _Final(_Rewriter):
    def bound(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        place = _place(at)
        notes: dict[int, tuple[Scope, list[ast.expr]]] = {}
        for name in names:
            for key, active in self.notes(name, scope):
                notes.setdefault(active.index, (active, []))[1].append(self.item(LAST, key, ast.Store(), place))
        return [ast.Assign(targets, self.token(active, place), **place) for active, targets in notes.values()]

    def walrus(self, node: ast.NamedExpr, scope: Scope) -> ast.expr:
        place = _place(node)
        calls: list[ast.expr] = [
            ast.Call(self.slot(SET_LAST, place), [ast.Constant(key, **place), self.token(active, place)], [], **place)
            for key, active in self.notes(node.target.id, scope)
        ]
        if not calls:
            return node
        return ast.Subscript(ast.Tuple([node, *calls], ast.Load(), **place), ast.Constant(0, **place), ast.Load(), **place)

    def activation(self, body: list[ast.stmt], parameters: list[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        if not (scope.variables or scope.borrowed):
            return body
        place = _place(at)
        number = ast.BinOp(self.item(CALLS, scope.index, ast.Load(), place), ast.Add(), ast.Constant(1, **place), **place)
        targets: list[ast.expr] = [self.item(CALLS, scope.index, ast.Store(), place)]
        for name in parameters:
            if name in scope.rebound:
                targets.append(self.item(LAST, scope.variables[name], ast.Store(), place))
            else:
                scope.constant_parameters.append(scope.variables[name])
        if scope.kind == "function":
            targets.append(ast.Name(scope.token, ast.Store(), **place))
        call = ast.Expr(ast.Call(self.slot(CLOSE, place), [ast.Constant(scope.index, **place)], [], **place), **place)
        is_wanted = ast.Compare(self.token(scope, place), [ast.In()], [self.slot(wanted(scope.index), place)], **place)
        close = self.unless_too_deep(ast.If(is_wanted, [call], [], **place), place)
        start = ast.Assign(targets, number, **place)
        return [start, ast.Try(body, [], [], [close], **place) if body else close]

    def notes(self, name: str, scope: Scope) -> Iterator[tuple[int, Scope]]:
        """Which entries of LAST a binding sets, and the scope whose activation goes there.

        A nonlocal binding sets two: the owner's activation for the variable, and the running one, which may outlive the owner's and then has the
        final value.
        """
        owner = self.owner(name, scope)
        if owner is None or is_dunder(name):
            return
        key = self.key(name, owner)
        owner.rebound.add(name)
        if owner.kind != "module":
            yield key, owner
        if owner is not scope and owner.kind == "function":
            if name not in scope.borrowed:
                self.keys += 1
                scope.borrowed[name] = (self.keys, owner, key)
            yield scope.borrowed[name][0], scope


class _Binding(_Rewriter):
    def bound(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        place = _place(at)
        noted: list[ast.stmt] = []
        for name in names:
            owner = self.owner(name, scope)
            if owner is None or is_dunder(name):
                continue
            key = self.key(name, owner)
            noted.append(ast.AugAssign(self.item(COUNT, key, ast.Store(), place), ast.Add(), ast.Constant(1, **place), **place))
            is_wanted = ast.Compare(self.item(COUNT, key, ast.Load(), place), [ast.In()], [self.slot(wanted(key), place)], **place)
            call = ast.Call(self.slot(RECORD, place), [ast.Constant(key, **place), ast.Name(name, ast.Load(), **place)], [], **place)
            noted.append(self.unless_too_deep(ast.If(is_wanted, [ast.Expr(call, **place)], [], **place), place))
        return noted

    def walrus(self, node: ast.NamedExpr, scope: Scope) -> ast.expr:
        owner = self.owner(node.target.id, scope)
        if owner is None:
            return node
        place = _place(node)
        return ast.Call(self.slot(RECORD_WALRUS, place), [ast.Constant(self.key(node.target.id, owner), **place), node], [], **place)

    def activation(self, body: list[ast.stmt], parameters: list[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        return self.bound(parameters, scope, at) + body


class _Expressions(ast.NodeTransformer):
    """Rewrites inside the expressions of one statement: `:=`, and under `final` the calls that show a function's local variables."""

    def __init__(self, rewriter: _Rewriter, scope: Scope) -> None:
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
            return ast.Call(self.rewriter.slot(VISIBLE, _place(node)), [node], [], **_place(node))
        return node


def _place(node: ast.AST) -> dict[str, Any]:
    return {name: getattr(node, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
