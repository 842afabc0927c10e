"""Where a program binds a variable last: the line beside which the page writes its traced value."""

from __future__ import annotations

import ast
from collections.abc import Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def binding_line(program: str, scope: str, label: str) -> int | None:
    """The last line (from 1) in `scope` (`<module>` or a `__qualname__`) that binds the variable `label`, which may be scope-qualified.

    It is the last in the text, which need not be the last that ran. `None` when the text does not show it.

    >>> binding_line("def f(x):\\n    a = x\\n    a += 1\\n    return a", "f", "a")
    3
    """
    name = label.rsplit(".", 1)[-1]
    try:
        return max((line for where, bound, line in bindings(ast.parse(program)) if where == scope and bound == name), default=None)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def bindings(node: ast.AST, scope: str = "<module>", prefix: str = "") -> Iterator[tuple[str, str, int]]:
    """Every binding of a name below `node`: the scope's qualified name, the name, the line. `prefix` goes before the name of a scope inside."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield scope, child.id, child.lineno
        elif isinstance(child, ast.arg):
            yield scope, child.arg, child.lineno
        elif isinstance(child, ast.ExceptHandler) and child.name:
            yield scope, child.name, child.lineno
        if isinstance(child, ast.ClassDef):
            yield from bindings(child, prefix + child.name, f"{prefix}{child.name}.")
        elif isinstance(child, FUNCTIONS):
            name = prefix + getattr(child, "name", "<lambda>")
            yield from bindings(child, name, f"{name}.<locals>.")
        else:
            yield from bindings(child, scope, prefix)
