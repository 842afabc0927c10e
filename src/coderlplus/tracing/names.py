"""Which names a piece of syntax binds, and other small questions about syntax. Standard library only; runs inside the
sandbox."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
# Unions are made here once: a program has many statements, and each is asked for all of these
For = ast.For | ast.AsyncFor
With = ast.With | ast.AsyncWith
Try = ast.Try | ast.TryStar
Branch = ast.While | ast.If
Several = ast.Tuple | ast.List
Part = ast.Attribute | ast.Subscript
_Import = ast.Import | ast.ImportFrom
_Held = ast.ExceptHandler | ast.match_case
_Bound = ast.Store | ast.Del


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def assigned(targets: Iterable[ast.expr]) -> list[str]:
    """The names that assignment targets bind, each once, in order."""
    found: dict[str, None] = {}
    todo = list(targets)[::-1]
    while todo:
        target = todo.pop()
        if isinstance(target, ast.Name):
            found[target.id] = None
        elif isinstance(target, Several):
            todo += target.elts[::-1]
        elif isinstance(target, ast.Starred):
            todo.append(target.value)
    return list(found)


def captures(pattern: ast.pattern) -> list[str]:
    found: dict[str, None] = {}
    for node in ast.walk(pattern):
        name = (
            node.name
            if isinstance(node, ast.MatchAs | ast.MatchStar)
            else node.rest
            if isinstance(node, ast.MatchMapping)
            else None
        )
        if name:
            found[name] = None
    return list(found)


def parameters(arguments: ast.arguments) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    starred = [arguments.vararg] if arguments.vararg else []
    named = [*arguments.kwonlyargs, *([arguments.kwarg] if arguments.kwarg else [])]
    return [argument.arg for argument in [*positional, *starred, *named]]


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements of a scope, without those of the scopes inside it."""
    todo = list(body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, Definition):
            for _, value in ast.iter_fields(node):
                for item in value if isinstance(value, list) else ():
                    if isinstance(item, ast.stmt):
                        todo.append(item)
                    elif isinstance(item, _Held):
                        todo += item.body


def declarations(body: Iterable[ast.stmt]) -> Iterator[ast.Global | ast.Nonlocal]:
    return (node for node in statements(body) if isinstance(node, ast.Global | ast.Nonlocal))


def bound_names(function: Function) -> set[str]:
    """The names that a function binds itself, in any way that makes them local variables; those that it declares
    global or nonlocal too."""
    found = set(parameters(function.args))
    for statement in statements(function.body):
        if isinstance(statement, Definition):
            found.add(statement.name)
        else:
            found.update(_bound_by(statement))
    return found


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, _Import):
        yield from (alias.asname or alias.name.split(".")[0] for alias in statement.names)
    elif isinstance(statement, Try):
        yield from (handler.name for handler in statement.handlers if handler.name)
    elif isinstance(statement, ast.Match):
        yield from (name for case in statement.cases for name in captures(case.pattern))
    todo: list[ast.AST] = [statement]
    while todo:  # a target of a comprehension or a lambda is not bound here, a `:=` in a comprehension is
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, _Bound):
            yield node.id
        elif isinstance(node, ast.NamedExpr):
            todo += [node.target, node.value]
        elif isinstance(node, ast.comprehension):
            todo += [node.iter, *node.ifs]
        elif isinstance(node, ast.Lambda):
            todo.append(node.args)
        elif node is statement or not isinstance(node, ast.stmt):
            todo += ast.iter_child_nodes(node)


def place_of(node: ast.AST) -> dict[str, Any]:
    return {name: getattr(node, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")}


def after(noted: list[ast.expr], value: ast.expr) -> ast.expr:
    """The expression, evaluated after these."""
    place = place_of(value)
    if not noted:
        return value
    return ast.Subscript(
        ast.Tuple([*noted, value], ast.Load(), **place), ast.Constant(-1, **place), ast.Load(), **place
    )


def cells_of(names: Iterable[str], place: dict[str, Any]) -> ast.expr:
    """A function that is never called: its closure has the cells of variables that functions share."""
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    body: list[ast.expr] = [ast.Name(name, ast.Load(), **place) for name in names]
    return ast.Lambda(nothing, ast.Tuple(body, ast.Load(), **place), **place) if body else ast.Constant(None, **place)


_SHOWING = frozenset({"locals", "vars", "dir"})
_SHOWS_LOCALS = re.compile(r"\b(?:locals|vars|dir)\b")


def looks_at_locals(tree: ast.Module, source: str) -> bool:
    """Whether a program may see the local variables of its functions: it mentions `locals`, `vars` or `dir`, other
    than as a name that it binds itself, by name, as an attribute or in a text, which `eval` may run."""
    if _SHOWS_LOCALS.search(source) is None:
        return False
    loaded: set[str] = set()
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (loaded if isinstance(node.ctx, ast.Load) else own).add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Attribute):
            if node.attr in _SHOWING:
                return True
        elif isinstance(node, ast.alias) or (isinstance(node, ast.Constant) and type(node.value) is str):
            text = node.name if isinstance(node, ast.alias) else str(node.value)
            if _SHOWS_LOCALS.search(text) is not None:
                return True
    return not _SHOWING & loaded <= own
