"""Whether chance may play a part in a program: a look at its source text. Standard library only; runs inside the sandbox.

Two runs with different hash seeds are always compared in output, ending, result, in the order of all bindings, and in the variables that both runs
took. What is left are the final values of functions called more than a few times, which one run alone takes. A third run takes them again only where
the source uses something that can differ from run to run. The rule errs towards another run.
"""

from __future__ import annotations

import ast

_NAMES = frozenset(
    {"set", "frozenset", "union", "intersection", "difference", "symmetric_difference", "__hash__", "hash", "id", "object", "getattr", "open"}
    | {"vars", "globals", "locals", "dir", "eval", "exec", "modules", "_getframe", "getrefcount", "__import__", "__builtins__", "__subclasses__"}
)
_MODULES_WITHOUT_CHANCE = frozenset(
    {"__future__", "abc", "array", "bisect", "cmath", "collections", "copy", "dataclasses", "decimal", "enum", "fractions", "functools", "heapq"}
    | {"io", "itertools", "json", "math", "numbers", "operator", "re", "statistics", "string", "sys", "textwrap", "typing"}
)


def may_play(program: str) -> bool:
    """Whether two runs may differ. Raises `SyntaxError` for what is no program.

    >>> may_play("print(sum(range(3)))"), may_play("print({3, 1})"), may_play("import random")
    (False, True, True)
    """
    return any(map(_suspect, ast.walk(ast.parse(program))))


def _suspect(node: ast.AST) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Name):
        return node.id in _NAMES
    if isinstance(node, ast.Attribute):
        return node.attr in _NAMES
    if isinstance(node, ast.Import):
        return any(name.name.split(".")[0] not in _MODULES_WITHOUT_CHANCE for name in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] not in _MODULES_WITHOUT_CHANCE
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor | ast.Sub):
        return _is_view(node.left) or _is_view(node.right)
    return False


def _is_view(node: ast.expr) -> bool:
    """`d.keys()` and `d.items()`: an operation on them makes a set."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")
