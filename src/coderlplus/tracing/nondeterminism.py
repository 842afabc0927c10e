"""Whether a program may be nondeterministic: a look at its syntax tree. Standard library only; runs inside the
sandbox.

All runs of a trace are compared in output, ending, result, in the order of all bindings, and in the variables that two
of them took. Values that one run alone took are taken again by another, unless nondeterminism is *ruled out*: the
program uses nothing but what is listed here as the same in every run. What is not on the lists counts as
nondeterministic, be it `random`, `id`, `set`, a module that nobody has heard of, or `str`, which shows an address of
what has no text of its own.
"""

from __future__ import annotations

import ast
import builtins

_BUILTINS = frozenset(
    {
        "abs",
        "all",
        "any",
        "bin",
        "bool",
        "bytearray",
        "bytes",
        "callable",
        "chr",
        "classmethod",
        "complex",
        "dict",
        "divmod",
        "enumerate",
        "exit",
    }
    | {
        "filter",
        "float",
        "hex",
        "input",
        "int",
        "isinstance",
        "issubclass",
        "iter",
        "len",
        "list",
        "map",
        "max",
        "min",
        "next",
        "oct",
        "ord",
        "pow",
    }
    | {
        "print",
        "property",
        "quit",
        "range",
        "reversed",
        "round",
        "slice",
        "sorted",
        "staticmethod",
        "sum",
        "super",
        "tuple",
        "type",
        "zip",
    }
    | {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
    | {"NotImplemented", "Ellipsis", "__name__"}
)
_MODULES = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "bisect",
        "cmath",
        "collections",
        "copy",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
    }
    | {
        "functools",
        "heapq",
        "io",
        "itertools",
        "math",
        "numbers",
        "operator",
        "re",
        "statistics",
        "string",
        "sys",
        "typing",
    }
)
_ATTRIBUTES = frozenset(
    name
    for kind in (str, bytes, bytearray, list, dict, tuple, int, float, complex, range, slice)
    for name in vars(kind)
    if not name.startswith("_")
) - {"format", "format_map"} | frozenset(
    {
        "stdin",
        "stdout",
        "stderr",
        "buffer",
        "read",
        "readline",
        "readlines",
        "write",
        "flush",
        "setrecursionlimit",
        "maxsize",
        "exit",
        "argv",
    }
    | {
        "__init__",
        "__name__",
        "__main__",
        "appendleft",
        "popleft",
        "extendleft",
        "rotate",
        "maxlen",
        "most_common",
        "elements",
        "move_to_end",
    }
    | {
        "StringIO",
        "BytesIO",
        "getvalue",
        "group",
        "groups",
        "match",
        "search",
        "findall",
        "finditer",
        "fullmatch",
        "sub",
        "compile",
        "span",
    }
)
_FROM_MODULES = {
    "deque",
    "Counter",
    "OrderedDict",
    "defaultdict",
    "namedtuple",
    "ChainMap",
    "deepcopy",
    "dataclass",
    "field",
    "Fraction",
    "Decimal",
}
_IN_ORDER = frozenset(
    {
        "all",
        "any",
        "dict",
        "enumerate",
        "filter",
        "iter",
        "len",
        "list",
        "map",
        "max",
        "min",
        "sorted",
        "sum",
        "tuple",
        "zip",
    }
)
"""Consumers of `d.keys()` and `d.items()` that make no set of them."""


def is_possible(program: str) -> bool:
    """Whether two runs may differ. Raises `SyntaxError` for what is no program.

    >>> [is_possible(text) for text in ("print(sum(range(3)))", "print({3, 1})", "import random", "repr(map)")]
    [False, True, True, True]
    """
    tree = ast.parse(program)
    own = _own_names(tree)
    consumed = {id(call) for node in ast.walk(tree) for call in _consumed(node)}
    return any(_suspect(node, own, consumed) for node in ast.walk(tree))


def _own_names(tree: ast.Module) -> set[str]:
    """Names that the program binds, as variables, functions, modules or attributes."""
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.alias):
            own.add(node.asname or node.name.split(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            own.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            own.add(node.rest)
    return own


def _consumed(node: ast.AST) -> list[ast.expr]:
    """The expressions of which a node makes no set, though they may be views of a dict."""
    if isinstance(node, ast.For | ast.comprehension):
        return [node.iter]
    if isinstance(node, ast.Compare) and all(isinstance(operator, ast.In | ast.NotIn) for operator in node.ops):
        return node.comparators
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _IN_ORDER:
        return node.args
    return []


def _suspect(node: ast.AST, own: set[str], consumed: set[int]) -> bool:
    if isinstance(node, ast.Name):
        return isinstance(node.ctx, ast.Load) and node.id not in own and node.id not in _BUILTINS
    if isinstance(node, ast.Attribute):
        return (
            node.attr not in own
            and node.attr not in _ATTRIBUTES
            and node.attr not in _FROM_MODULES
            and not _is_of_module(node)
        )
    if isinstance(node, ast.Import):
        return any(name.name not in _MODULES for name in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module not in _MODULES or node.module == "sys" or any(name.name == "*" for name in node.names)
    if isinstance(node, ast.FunctionDef):
        return node.name == "__del__"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return isinstance(node.left, ast.JoinedStr) or (
            isinstance(node.left, ast.Constant) and isinstance(node.left.value, str | bytes)
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items"):
        return id(node) not in consumed
    return isinstance(node, ast.Set | ast.SetComp | ast.JoinedStr | ast.AsyncFunctionDef)


def _is_of_module(node: ast.Attribute) -> bool:
    """`math.sqrt`: a public name of a deterministic module."""
    return isinstance(node.value, ast.Name) and node.value.id in _MODULES - {"sys"} and not node.attr.startswith("_")
