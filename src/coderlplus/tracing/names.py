"""Which names a piece of syntax binds. Standard library only; runs inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


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
        elif isinstance(target, ast.Tuple | ast.List):
            todo += target.elts[::-1]
        elif isinstance(target, ast.Starred):
            todo.append(target.value)
    return list(found)


def captures(pattern: ast.pattern) -> list[str]:
    found: dict[str, None] = {}
    for node in ast.walk(pattern):
        name = node.name if isinstance(node, ast.MatchAs | ast.MatchStar) else node.rest if isinstance(node, ast.MatchMapping) else None
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
                    elif isinstance(item, ast.ExceptHandler | ast.match_case):
                        todo += item.body


def declarations(body: Iterable[ast.stmt]) -> Iterator[ast.Global | ast.Nonlocal]:
    return (node for node in statements(body) if isinstance(node, ast.Global | ast.Nonlocal))


def bound_names(function: Function) -> set[str]:
    """The names that a function binds itself, in any way that makes them local variables; those that it declares global or nonlocal too."""
    found = set(parameters(function.args))
    for statement in statements(function.body):
        if isinstance(statement, Definition):
            found.add(statement.name)
        else:
            found.update(_bound_by(statement))
    return found


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in statement.names)
    elif isinstance(statement, ast.Try | ast.TryStar):
        yield from (handler.name for handler in statement.handlers if handler.name)
    elif isinstance(statement, ast.Match):
        yield from (name for case in statement.cases for name in captures(case.pattern))
    todo: list[ast.AST] = [statement]
    while todo:  # a target of a comprehension or a lambda is not bound here, a `:=` in a comprehension is
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id
        elif isinstance(node, ast.NamedExpr):
            todo += [node.target, node.value]
        elif isinstance(node, ast.comprehension):
            todo += [node.iter, *node.ifs]
        elif isinstance(node, ast.Lambda):
            todo.append(node.args)
        elif node is statement or not isinstance(node, ast.stmt):
            todo += ast.iter_child_nodes(node)
