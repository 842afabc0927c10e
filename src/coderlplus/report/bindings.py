"""Where a program binds a variable last: the line beside which the page writes its traced value."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache

from coderlplus.programs import parse

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def binding_line(program: str, scope: str, label: str) -> int | None:
    """The last line (from 1) in `scope` (`<module>` or a `__qualname__`) that binds the variable `label`, which may be
    scope-qualified.

    It is the last in the text, which need not be the last that ran. `None` when the text does not show it.

    >>> binding_line("def f(x):\\n    a = x\\n    a += 1\\n    return a", "f", "a")
    3
    """
    return _last_lines(program).get((scope, label.rsplit(".", 1)[-1]))


@lru_cache(maxsize=16)
def _last_lines(program: str) -> Mapping[tuple[str, str], int]:
    """Scope and name → last line that binds it; nothing for a text that does not parse."""
    last: dict[tuple[str, str], int] = {}
    try:
        tree = parse(program)
    except SyntaxError:
        return last
    for scope, name, line in bindings(tree):
        last[scope, name] = max(line, last.get((scope, name), 0))
    return last


def bindings(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Every binding of a name below `tree`, in no order: the scope's qualified name, the name, the line."""
    stack = [(tree, "<module>", "")]  # with the scope, and what goes before the name of a scope inside
    while stack:
        node, scope, prefix = stack.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                yield scope, child.id, child.lineno
            elif isinstance(child, ast.arg):
                yield scope, child.arg, child.lineno
            elif isinstance(child, ast.ExceptHandler) and child.name:
                yield scope, child.name, child.lineno
            if isinstance(child, ast.ClassDef):
                stack.append((child, prefix + child.name, f"{prefix}{child.name}."))
            elif isinstance(child, FUNCTIONS):
                name = prefix + getattr(child, "name", "<lambda>")
                stack.append((child, name, f"{name}.<locals>."))
            else:
                stack.append((child, scope, prefix))
