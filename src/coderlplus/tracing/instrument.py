"""Source text → code that notes its own bindings. Standard library only; runs inside the sandbox.

The syntax tree is rewritten so that a run leaves behind, for every variable, which *activation* (one call of a
function, one execution of a class body) bound it last, and calls the recorder when an activation ends that the
recorder wants to see. Under `final` a function becomes

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

and module code stays as it is: its variables are read when the program ends. Under `binding` every binding of a
variable counts, in every scope, and calls the recorder when the recorder wants that count. Under `official` nothing is
rewritten.

What is written in capitals above, and the recorder, are *constants of the code objects*: no namespace of the program
holds them. `$f` is a local variable whose name no source text can spell, and no function inside shares it: whoever
binds a `nonlocal` variable finds the number of its owner by the cell of that variable. A program that may look at its
local variables (see `looks_at_locals`) has no such variables; there the recorder knows an activation by its frame,
which takes longer. Every inserted node has the line of the statement that it belongs to, so tracebacks are those of
the original.

Not covered: bindings made by `exec`, `globals()[...] = ...` and `from … import *`; lambdas (they bind parameters
only); comprehension variables.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType
from typing import Any, Literal

from coderlplus.tracing.instrumented import (
    CALLS,
    CLOSE,
    COUNT,
    END,
    FILENAME,
    LAST,
    LEND,
    MODULE,
    NUMBER,
    OWNER,
    RECORD,
    RECORD_WALRUS,
    SET_LAST,
    START,
    Instrumented,
    Scope,
    owner_token,
    wanted,
)
from coderlplus.tracing.names import cells_of, is_dunder, place_of
from coderlplus.tracing.rewriting import Rewriter
from coderlplus.tracing.stepping import Steps

Semantics = Literal["final", "binding", "official"]


def instrument(source: str, semantics: Semantics | Literal["steps"] = "final") -> Instrumented:
    """Rewrite and compile a program; `"steps"` for a run that reports its steps.

    Raises what `compile` raises on the original: `SyntaxError`, `ValueError`, `RecursionError`, `MemoryError`. A
    program that is too deeply nested to be rewritten is left as it is, and only its module's variables are seen. Under
    `binding`, where these would have to be seen as they are bound, the notes do without a block of their own instead.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rewriter, tree = _rewritten(source, {"binding": _Binding, "steps": Steps}.get(semantics, _Final))
        code = None if semantics == "official" else _compiled(tree)
        if code is None and semantics == "binding":
            rewriter, tree = _rewritten(source, _FlatBinding)
            code = _compiled(tree)
        if code is None:
            original = compile(source, FILENAME, "exec", dont_inherit=True)
            return Instrumented(original, {}, rewriter.scopes[:1], rewriter.keys, False)
        return Instrumented(
            code,
            rewriter.slots,
            rewriter.scopes,
            rewriter.keys,
            "yield" in source or "async" in source,
            rewriter.may_hide,
        )


def _rewritten(source: str, kind: type[Rewriter]) -> tuple[Rewriter, ast.Module]:
    tree = ast.parse(source, FILENAME)
    rewriter = kind(source)
    rewriter.prepare(tree)
    tree.body = rewriter.body(tree.body, rewriter.open(Scope(0, MODULE, "module", node=tree)))
    return rewriter, tree


def _compiled(tree: ast.Module) -> CodeType | None:
    """The code; `None` where the tree is too deeply nested, or what it was made of is no program."""
    try:
        code: CodeType = compile(tree, FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, RecursionError, MemoryError):
        return None
    return code


class _Final(Rewriter):
    def bound(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        place = place_of(at)
        notes: dict[int, tuple[ast.expr, list[ast.expr]]] = {}
        for name in names:
            for key, active in self.notes(name, scope):
                targets = notes.setdefault(active.index, (self.number(active, scope, name, place), []))[1]
                targets.append(self.item(LAST, key, ast.Store(), place))
        return [ast.Assign(targets, number, **place) for number, targets in notes.values()]

    def noted(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.expr]:
        place = place_of(at)
        return [
            ast.Call(
                self.slot(SET_LAST, place),
                [ast.Constant(key, **place), self.number(active, scope, name, place)],
                [],
                **place,
            )
            for name in dict.fromkeys(names)
            for key, active in self.notes(name, scope)
        ]

    def walrus(self, node: ast.NamedExpr, scope: Scope) -> ast.expr:
        place = place_of(node)
        calls = self.noted([node.target.id], scope, node)
        if not calls:
            return node
        return ast.Subscript(
            ast.Tuple([node, *calls], ast.Load(), **place), ast.Constant(0, **place), ast.Load(), **place
        )

    def number(self, active: Scope, scope: Scope, name: str, place: dict[str, Any]) -> ast.expr:
        """The number of the running activation of `scope`, or of that of `active` around it, which owns `name`."""
        hides = (
            self.may_hide and scope.kind == "function"
        )  # class bodies hold nothing of ours, so that no class gets an attribute
        if active is scope:
            if hides:
                return ast.Name(scope.token, ast.Load(), **place)
            return (
                self.item(CALLS, scope.index, ast.Load(), place) if scope.kind == "class" else self.call(NUMBER, place)
            )
        active.lent.add(name)
        first = scope.lenders.setdefault(active.index, name)
        if hides:
            return ast.Name(owner_token(scope, active.index), ast.Load(), **place)
        return self.call(OWNER, place, ast.Constant(active.index, **place), cells_of([first], place))

    def activation(self, body: list[ast.stmt], parameters: list[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        if not (scope.variables or scope.borrowed):
            return body
        place = place_of(at)
        index = ast.Constant(scope.index, **place)
        count = ast.BinOp(
            self.item(CALLS, scope.index, ast.Load(), place), ast.Add(), ast.Constant(1, **place), **place
        )
        targets: list[ast.expr] = [self.item(CALLS, scope.index, ast.Store(), place)]
        for name in parameters:
            if name in scope.rebound:
                targets.append(self.item(LAST, scope.variables[name], ast.Store(), place))
            else:
                scope.constant_parameters.append(scope.variables[name])
        is_function = scope.kind == "function"
        if is_function and self.may_hide:
            targets.append(ast.Name(scope.token, ast.Store(), **place))
        start: list[ast.stmt] = [ast.Assign(targets, count, **place)]
        if is_function and not self.may_hide:
            start.append(ast.Expr(self.call(START, place, index), **place))
            close: ast.stmt = ast.Expr(self.call(END, place), **place)
        else:
            number = self.number(scope, scope, "", place)
            is_wanted = ast.Compare(number, [ast.In()], [self.slot(wanted(scope.index), place)], **place)
            close = ast.If(is_wanted, [ast.Expr(self.call(CLOSE, place, index), **place)], [], **place)
        if is_function and scope.lent:
            lend = self.call(LEND, place, self.number(scope, scope, "", place), cells_of(sorted(scope.lent), place))
            start.append(self.unless_too_deep(ast.Expr(lend, **place), place))
        if is_function and self.may_hide:
            for owner, name in scope.lenders.items():
                token: list[ast.expr] = [ast.Name(owner_token(scope, owner), ast.Store(), **place)]
                start.append(ast.Assign(token, ast.Constant(0, **place), **place))
                found = self.call(OWNER, place, ast.Constant(owner, **place), cells_of([name], place))
                token = [ast.Name(owner_token(scope, owner), ast.Store(), **place)]
                start.append(self.unless_too_deep(ast.Assign(token, found, **place), place))
        close = self.unless_too_deep(close, place)
        return [*start, ast.Try(body, [], [], [close], **place) if body else close]

    def call(self, name: str, place: dict[str, Any], *arguments: ast.expr) -> ast.expr:
        return ast.Call(self.slot(name, place), list(arguments), [], **place)

    def notes(self, name: str, scope: Scope) -> Iterator[tuple[int, Scope]]:
        """Which entries of LAST a binding sets, and the scope whose activation goes there.

        A nonlocal binding sets two: the owner's activation for the variable, and the running one, which may outlive
        the owner's and then has the final value.
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


class _Binding(Rewriter):
    def bound(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        place = place_of(at)
        noted: list[ast.stmt] = []
        for name in names:
            owner = self.owner(name, scope)
            if owner is None or is_dunder(name):
                continue
            key = self.key(name, owner)
            noted.append(
                ast.AugAssign(self.item(COUNT, key, ast.Store(), place), ast.Add(), ast.Constant(1, **place), **place)
            )
            is_wanted = ast.Compare(
                self.item(COUNT, key, ast.Load(), place), [ast.In()], [self.slot(wanted(key), place)], **place
            )
            call = ast.Call(
                self.slot(RECORD, place),
                [ast.Constant(key, **place), ast.Name(name, ast.Load(), **place)],
                [],
                **place,
            )
            noted.append(self.unless_too_deep(ast.If(is_wanted, [ast.Expr(call, **place)], [], **place), place))
        return noted

    def noted(self, names: Iterable[str], scope: Scope, at: ast.AST) -> list[ast.expr]:
        place = place_of(at)
        return [self._recorded(name, scope, ast.Name(name, ast.Load(), **place)) for name in dict.fromkeys(names)]

    def walrus(self, node: ast.NamedExpr, scope: Scope) -> ast.expr:
        return self._recorded(node.target.id, scope, node)

    def _recorded(self, name: str, scope: Scope, value: ast.expr) -> ast.expr:
        owner, place = self.owner(name, scope), place_of(value)
        if owner is None or is_dunder(name):
            return value
        return ast.Call(
            self.slot(RECORD_WALRUS, place), [ast.Constant(self.key(name, owner), **place), value], [], **place
        )

    def activation(self, body: list[ast.stmt], parameters: list[str], scope: Scope, at: ast.AST) -> list[ast.stmt]:
        return self.bound(parameters, scope, at) + body


class _FlatBinding(_Binding):
    """For programs that nest as many blocks as Python allows. Where no room is left on the stack, a note raises what
    the next call would."""

    def unless_too_deep(self, statement: ast.stmt, place: Mapping[str, Any]) -> ast.stmt:
        return statement
