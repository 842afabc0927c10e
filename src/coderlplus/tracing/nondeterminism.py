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
import sys

_BUILTINS = frozenset(
    {
        "abs", "all", "any", "bin", "bool", "bytearray", "bytes", "callable", "chr", "classmethod", "complex", "dict",
        "divmod", "enumerate", "exit", "filter", "float", "hex", "input", "int", "isinstance", "issubclass", "iter",
        "len", "list", "map", "max", "min", "next", "oct", "ord", "pow", "print", "property", "quit", "range",
        "reversed", "round", "slice", "sorted", "staticmethod", "sum", "super", "tuple", "type", "zip",
        "NotImplemented", "Ellipsis", "__name__"
    }
    | {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
)  # fmt: skip
_MODULES = frozenset(
    {
        "__future__", "abc", "array", "bisect", "cmath", "collections", "copy", "dataclasses", "decimal", "enum",
        "fractions", "functools", "heapq", "io", "itertools", "math", "numbers", "operator", "re", "statistics",
        "string", "sys", "typing"
    }
)  # fmt: skip
_ATTRIBUTES = frozenset(
    name
    for kind in (str, bytes, bytearray, list, dict, tuple, int, float, complex, range, slice)
    for name in vars(kind)
    if not name.startswith("_")
) - {"format", "format_map"} | frozenset(
    {
        "stdin", "stdout", "stderr", "buffer", "read", "readline", "readlines", "write", "flush", "setrecursionlimit",
        "maxsize", "exit", "argv", "__init__", "__name__", "__main__", "appendleft", "popleft", "extendleft", "rotate",
        "maxlen", "most_common", "elements", "move_to_end", "StringIO", "BytesIO", "getvalue", "group", "groups",
        "match", "search", "findall", "finditer", "fullmatch", "sub", "compile", "span"
    }
)  # fmt: skip
_FROM_MODULES = {
    "deque", "Counter", "OrderedDict", "defaultdict", "namedtuple", "ChainMap", "deepcopy", "dataclass", "field",
    "Fraction", "Decimal"
}  # fmt: skip
_IN_ORDER = frozenset(
    {
        "all", "any", "dict", "enumerate", "filter", "iter", "len", "list", "map", "max", "min", "sorted", "sum",
        "tuple", "zip"
    }
)  # fmt: skip
"""Consumers of `d.keys()` and `d.items()` that make no set of them."""

_HIDDEN = frozenset(vars(builtins)) - _BUILTINS
"""Builtins that are not listed. A program that has a name of its own like one of them may still mean the builtin."""
_REACH_FURTHER = frozenset(
    {"open", "open_code", "FileIO", "attrgetter", "methodcaller", "mod", "imod", "get_type_hints", "make_dataclass"}
    | {"Template", "Formatter", "UserString", "NormalDist", "kde_random", "bltns"}
)
"""What the listed modules have that reads files, or takes an attribute or makes a text of an object."""
_TELL_ADDRESSES = frozenset({"format", "format_map", "buffer_info"})
"""Methods that do so, whatever the program has of that name."""
_CATCH_TEXT = frozenset({"stdin", "stdout", "stderr", "buffer", "write"})
"""Attributes by which a program gets hold of the text that `print` makes of an object, if it sets them."""
_OPENS = ("import", "__", "exec", "eval", "getattr", "globals", "locals", "vars")
_LIBRARY = sys.stdlib_module_names
_MAKE_TEXT = frozenset({"chr", "bytes", "bytearray", "decode", "translate"})


# Unions are made here once, for each is asked for at every node
_Turns = ast.For | ast.comprehension
_Chancy = ast.Set | ast.SetComp | ast.JoinedStr | ast.AsyncFunctionDef
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Capture = ast.ExceptHandler | ast.MatchAs | ast.MatchStar
_Named = ast.Name | ast.Attribute


def is_possible(program: str) -> bool:
    """Whether two runs may differ. Raises `SyntaxError` for what is no program.

    >>> [is_possible(text) for text in ("print(sum(range(3)))", "print({3, 1})", "import random", "repr(map)")]
    [False, True, True, True]
    >>> is_possible("from statistics import random as own"), is_possible("def f(id): return id\\nf(id)")
    (True, True)
    """
    nodes = [*ast.walk(ast.parse(program))]
    names = _Names()
    names.modules = {
        name.asname or name.name: name.name for node in nodes if isinstance(node, ast.Import) for name in node.names
    }
    names.own = _own_names(nodes) - names.modules.keys()
    names.consumed = {id(call) for node in nodes for call in _consumed(node)}
    names.asked = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    names.has_formats = any(_may_make_format(node) for node in nodes)
    return any(_suspect(node, names) for node in nodes)


def is_closed(program: str) -> bool:
    """Whether a program reaches no module, so that `is_possible` may be asked when it has run: no other could
    have patched `ast`.

    >>> is_closed("print(sum(range(3)))"), is_closed("import ast\\nast.walk = list"), is_closed("ｅｖａｌ('1')")
    (True, False, False)
    """
    return program.isascii() and not any(word in program for word in _OPENS)


class _Names:
    """What is known of a program. No class here has methods: they are gone when a program runs (`monitor.strip`)."""

    __slots__ = ("asked", "consumed", "has_formats", "modules", "own")
    modules: dict[str, str]
    """Modules by the names that they are bound to."""
    own: set[str]
    """All other names that the program binds."""
    consumed: set[int]
    """Expressions of which no set is made, see `_consumed`."""
    asked: set[int]
    """Expressions of which an attribute is taken."""
    has_formats: bool
    """Whether it may have a text with a `%` in it."""


def _suspect(node: ast.AST, names: _Names) -> bool:
    if isinstance(node, ast.Name):
        if node.id in names.modules:  # a module as a value has attributes that nothing here would know
            return id(node) not in names.asked
        return isinstance(node.ctx, ast.Load) and (
            node.id in _HIDDEN or (node.id not in names.own and node.id not in _BUILTINS)
        )
    if isinstance(node, ast.Attribute):
        return _suspect_attribute(node, names)
    if isinstance(node, ast.Import):
        return any(name.name not in _MODULES for name in node.names)
    if isinstance(node, ast.ImportFrom):
        return (
            node.module not in _MODULES
            or node.module == "sys"
            or any(not _is_same_in_every_run(node.module, name.name) for name in node.names)
        )
    if isinstance(node, ast.FunctionDef):
        return node.name == "__del__"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _may_format(node.left, node.right, names)
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mod):
        return _may_format(node.target, node.value, names)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items"):
            return id(node) not in names.consumed
        is_print = isinstance(node.func, ast.Name) and node.func.id == "print"
        return is_print and any(keyword.arg is None for keyword in node.keywords)
    if isinstance(node, ast.keyword):
        return node.arg == "file" and not _is_stream(node.value, names)
    return isinstance(node, _Chancy)


def _suspect_attribute(node: ast.Attribute, names: _Names) -> bool:
    name = node.attr
    if not isinstance(node.ctx, ast.Load) and name in _CATCH_TEXT:
        return True
    module = names.modules.get(node.value.id) if isinstance(node.value, ast.Name) else None
    if module is not None:
        if module == "sys":
            return name not in _ATTRIBUTES
        return not isinstance(node.ctx, ast.Load) or not _is_same_in_every_run(module, name)
    if name in _ATTRIBUTES or name in _FROM_MODULES:
        return False
    return name not in names.own or name in _TELL_ADDRESSES or (name.startswith("__") and name.endswith("__"))


def _may_format(left: ast.expr, right: ast.expr, names: _Names) -> bool:
    """Whether `left % right` may be a text that shows an object."""
    if isinstance(left, ast.JoinedStr) or (isinstance(left, ast.Constant) and isinstance(left.value, str | bytes)):
        return True
    is_number = any(isinstance(side, ast.Constant) and not isinstance(side.value, str) for side in (left, right))
    return names.has_formats and not is_number


def _is_stream(node: ast.expr, names: _Names) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and names.modules.get(node.value.id) == "sys"
    )


def _is_same_in_every_run(module: str, name: str) -> bool:
    """Whether a name of a listed module is listed too: `math.sqrt` is, the modules that it imports are not
    (`statistics.random`)."""
    is_module = name in _LIBRARY and name != module
    return not (name.startswith("_") or name == "*" or is_module or name in _REACH_FURTHER)


def _may_make_format(node: ast.AST) -> bool:
    """Whether a format of `%` may come of it."""
    if isinstance(node, ast.Constant):
        return ("%" in node.value) if isinstance(node.value, str) else isinstance(node.value, bytes)
    return (isinstance(node, ast.Name) and node.id in _MAKE_TEXT) or (
        isinstance(node, ast.Attribute) and node.attr in _MAKE_TEXT
    )


def _own_names(nodes: list[ast.AST]) -> set[str]:
    """Names that the program binds, as variables, functions, modules or attributes."""
    own: set[str] = set()
    for node in nodes:
        if isinstance(node, _Named) and isinstance(node.ctx, ast.Store):
            own.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, _Definition):
            own.add(node.name)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.alias):
            own.add(node.asname or node.name.split(".")[0])
        elif isinstance(node, _Capture) and node.name:
            own.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            own.add(node.rest)
    return own


def _consumed(node: ast.AST) -> list[ast.expr]:
    """The expressions of which a node makes no set, though they may be views of a dict."""
    if isinstance(node, _Turns):
        return [node.iter]
    if isinstance(node, ast.Compare) and all(isinstance(operator, ast.In | ast.NotIn) for operator in node.ops):
        return node.comparators
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _IN_ORDER:
        return node.args
    return []
