"""Python source → syntax tree, by one thread at a time.

CPython counts how deep it is in a tree in one place for all threads (3.11: gh-106905). Where another thread makes a
tree meanwhile, it raises `SystemError: AST constructor recursion depth mismatch`. Judging has a thread per worker.
"""

from __future__ import annotations

import ast
import threading
from typing import Any

_LOCK = threading.RLock()  # a finalizer that runs meanwhile may make a tree itself


def parse(source: str, filename: str = "<unknown>") -> ast.Module:
    """As `ast.parse`.

    >>> ast.unparse(parse("x=1"))
    'x = 1'
    """
    with _LOCK:
        return ast.parse(source, filename)


def parse_expression(source: str) -> ast.Expression:
    """As `ast.parse` with the mode `eval`.

    >>> ast.unparse(parse_expression("x+1"))
    'x + 1'
    """
    with _LOCK:
        return ast.parse(source, mode="eval")


def literal(text: str) -> Any:
    """As `ast.literal_eval` of a text.

    >>> literal(" (1, 'a')")
    (1, 'a')
    """
    return ast.literal_eval(parse_expression(text.lstrip(" \t")))
