"""Which statements surely change nothing but the names that they bind, so that nobody has to look at the rest.
Standard library only; runs inside the sandbox.

Values change in place by calls, by stores to items and attributes, and by code that runs unasked: special methods,
properties, iterators. A function of the program says itself when it begins and ends, whoever calls it, and so do its
statements. What is left is code that is none: a callable of C, a lambda or a generator expression that stands where
the interpreter calls it unasked. A program in which such a thing may be, or that uses syntax, a builtin or a name of a
module that is not listed here, has no quiet statement.
"""

from __future__ import annotations

import ast
import builtins
import collections
import io
import re
import types
from collections.abc import Iterator

from coderlplus.tracing.names import Definition, Function, assigned, is_dunder

Segment = tuple[str, ...]
"""The names that a statement may bind. The first is `IN_PLACE` if it was quiet only where the second is bound to an
atom now; the last is `PRINTS` if it may print."""
IN_PLACE, PRINTS = "=", ">"

_FROM: dict[str, frozenset[str] | None] = {
    "__future__": None,
    "bisect": None,
    "cmath": None,
    "collections": frozenset({"Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"}),
    "copy": frozenset({"copy", "deepcopy"}),
    "dataclasses": frozenset({"dataclass"}),
    "datetime": frozenset({"date", "datetime", "time", "timedelta", "timezone"}),
    "decimal": frozenset({"Decimal", "ROUND_DOWN", "ROUND_HALF_EVEN", "ROUND_HALF_UP", "ROUND_UP", "getcontext"}),
    "fractions": frozenset({"Fraction"}),
    "functools": frozenset({"cache", "lru_cache", "reduce", "total_ordering", "wraps"}),
    "heapq": frozenset(
        {"heapify", "heappop", "heappush", "heappushpop", "heapreplace", "nlargest", "nsmallest"}
    ),  # `merge` calls its key later
    "itertools": frozenset(
        {"chain", "combinations", "combinations_with_replacement", "count", "cycle", "islice", "permutations"}
        | {"product", "repeat", "zip_longest"}
    ),
    "math": None,
    "random": frozenset(
        {"choice", "choices", "randint", "random", "randrange", "sample", "seed", "shuffle", "uniform"}
    ),
    "re": frozenset(
        {"DOTALL", "I", "IGNORECASE", "M", "MULTILINE", "compile", "escape", "findall", "finditer", "fullmatch"}
        | {"match", "search", "split", "sub", "subn"}
    ),
    "string": frozenset({"ascii_letters", "ascii_lowercase", "ascii_uppercase", "digits", "punctuation"}),
    "sys": frozenset({"argv", "exit", "maxsize", "setrecursionlimit", "stderr", "stdin", "stdout"}),
    "time": frozenset({"monotonic", "perf_counter", "process_time", "sleep", "time"}),
    "typing": frozenset(
        {"Any", "Callable", "DefaultDict", "Deque", "Dict", "FrozenSet", "Generator", "Iterable", "Iterator", "List"}
        | {"Mapping", "NamedTuple", "Optional", "Sequence", "Set", "Tuple", "Type", "TypeVar", "Union"}
    ),
}
"""Modules and their names that are harmless; `None`: all of them."""
_PURE = frozenset(
    {
        "abs", "all", "any", "bool", "chr", "dict", "divmod", "enumerate", "float", "int", "isinstance", "len", "list",
        "max", "min", "ord", "pow", "print", "range", "reversed", "round", "set", "sorted", "str", "sum", "tuple",
        "zip"
    }
    | {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
)  # fmt: skip
_PLAIN = frozenset(
    {"Ellipsis", "NotImplemented", "ascii", "bin", "bytearray", "bytes", "callable", "complex", "exit", "format"}
    | {"frozenset", "hasattr", "hash", "hex", "id", "input", "issubclass", "next", "object", "oct", "quit", "repr"}
    | {"slice"}
)
"""Builtins that may do what is seen at once, and nothing later."""
_PURE_METHODS = frozenset(
    {"count", "endswith", "find", "get", "index", "isalpha", "isdigit", "items", "join", "keys", "lower", "replace"}
    | {"split", "startswith", "strip", "upper", "values"}
)
_EAGER = frozenset({"all", "any", "dict", "list", "max", "min", "set", "sorted", "sum", "tuple"})
_REACHING = frozenset(name for name in vars(builtins) if not is_dunder(name)) - _PURE - _PLAIN
"""Builtins that are harmless only where `_harmless` says so."""
_KINDS: tuple[type, ...] = (list, dict, set, bytearray, str, bytes, int, float, tuple, frozenset, re.Pattern)
_KINDS += (collections.deque, collections.Counter, collections.OrderedDict, BaseException, types.GeneratorType, type)
_KINDS += (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.StringIO, io.BytesIO, io.FileIO)
_TAKEN = frozenset(name for kind in _KINDS for name in dir(kind)) | {"cache_clear"}
"""Methods that classes of others have."""
_CACHES = frozenset({"cache", "lru_cache"})
_DESCRIPTORS = frozenset({"classmethod", "property", "staticmethod"})
_HARMLESS_DUNDERS = frozenset({"__class__", "__doc__", "__init__", "__name__", "__slots__"})
_MAY_BE_BOUND = frozenset({"__class__", "__doc__", "__slots__"})
_GIVES_ATTRIBUTES = frozenset({"__get__", "__getattr__", "__getattribute__"})
"""Methods whose results may be called as if they were methods."""
_EXPRESSIONS = frozenset(
    {ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Starred}
    | {ast.Slice, ast.JoinedStr, ast.FormattedValue, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp}
    | {ast.comprehension, ast.Name, ast.Constant, ast.keyword}
)
_SIGNS = frozenset(
    kind
    for group in (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
    for kind in group.__subclasses__()
)


_NODES = _EXPRESSIONS | _SIGNS
_NODES |= {ast.Module, ast.FunctionDef, ast.ClassDef, ast.Return, ast.Delete, ast.Assign, ast.AugAssign, ast.AnnAssign}
_NODES |= {
    ast.For,
    ast.While,
    ast.If,
    ast.With,
    ast.Raise,
    ast.Try,
    ast.Assert,
    ast.Import,
    ast.ImportFrom,
    ast.Global,
}
_NODES |= {ast.Nonlocal, ast.Expr, ast.Pass, ast.Break, ast.Continue, ast.NamedExpr, ast.Lambda, ast.Call, ast.Yield}
_NODES |= {ast.Attribute, ast.Subscript, ast.arguments, ast.arg, ast.alias, ast.withitem, ast.ExceptHandler}


class Facts:
    """What is known of a program; no methods, see `monitor`."""

    __slots__ = ("functions", "handled", "has_missing", "methods", "modules", "pure", "pure_methods")
    modules: dict[str, str]
    """Modules by the names that they are bound to."""
    functions: frozenset[str]
    """Names that mean one function or class of the program, wherever they stand."""
    methods: frozenset[str]
    """Attributes that can be methods of the program only."""
    pure: frozenset[str]
    """Builtins that only give a value."""
    pure_methods: frozenset[str]
    """Attributes that, if they are no methods of the program, can be methods only that give a value."""
    has_missing: bool
    """Whether a look into a dict may add to it."""
    handled: Segment
    """Names of handled exceptions: they go at the end of a block, which is no statement."""


def facts_of(tree: ast.Module) -> Facts | None:
    """What tells the quiet statements of a program; `None` if it has none."""
    nodes = [node for node in ast.walk(tree) if type(node) not in _SIGNS]
    modules = _modules(nodes)
    if modules is None or not all(type(node) in _NODES for node in nodes):
        return None
    definitions = [node for node in nodes if isinstance(node, Definition)]
    bound = [name for node in nodes for name in _bound(node)]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    stored = {node.attr for node in nodes if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)}
    if any(is_dunder(name) and name not in _MAY_BE_BOUND for name in (*bound, *stored)):
        return None
    own = [node.name for node in definitions]
    names = [*bound, *own]
    decorated = {node.name for node in definitions if node.decorator_list}
    known = {*bound, *stored, *decorated}
    imported = {alias.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
    caches = {
        name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "functools"
        for name in (alias.name for alias in node.names if alias.asname is None)
        if name in _CACHES and names.count(name) == 1
    }
    plain = {
        node.name for node in definitions if all(_is_cache(each, caches, modules) for each in node.decorator_list)
    }
    classes = [node for node in definitions if isinstance(node, ast.ClassDef)]
    facts = Facts()
    facts.modules = modules
    facts.functions = frozenset(name for name in plain if names.count(name) == 1) - vars(builtins).keys()
    in_classes = {node.name for each in classes for node in each.body if isinstance(node, Function)}
    hides_attributes = _GIVES_ATTRIBUTES & {*own} or {"namedtuple", "NamedTuple"} & {*imported, *attributes}
    facts.methods = frozenset() if hides_attributes else frozenset(in_classes - known - _TAKEN)
    facts.pure_methods = frozenset() if hides_attributes else _PURE_METHODS - known
    facts.pure = _PURE - {*names}
    facts.pure -= {"print"} if {"stdout", "write"} & stored else set()
    facts.pure -= {"dict"} if "keys" not in facts.pure_methods else set()  # which it calls
    facts.has_missing = "defaultdict" in {*imported, *attributes}
    facts.handled = tuple(
        dict.fromkeys(node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name)
    )
    harmless = {id(part) for node in nodes for part in _harmless(node, facts, own)}
    return None if any(_is_odd(node, facts) and id(node) not in harmless for node in nodes) else facts


def segment_of(node: ast.stmt, facts: Facts) -> Segment | None:
    """What a statement may bind until the next one begins; `None` if it may do more."""
    targets: list[ast.expr] = []
    values: list[ast.expr | None] = []
    if isinstance(node, ast.AugAssign):
        targets, values = [node.target], [node.value]
    elif isinstance(node, ast.If | ast.While):
        values = [node.test]
    elif isinstance(node, ast.For):
        targets, values = [node.target], [node.iter]
    elif isinstance(node, ast.Assign):
        targets, values = node.targets, [node.value]
    elif isinstance(node, ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.Return | ast.Expr):
        values = [node.value.value if isinstance(node.value, ast.Yield) else node.value]
    elif isinstance(node, ast.Assert):
        values = [node.test, node.msg]
    elif isinstance(node, ast.Raise):
        values = [node.exc, node.cause]
    elif not isinstance(node, ast.Pass | ast.Break | ast.Continue):
        return None
    if not all(_binds_names(target) for target in targets):
        return None
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mod) and facts.has_missing:
        return None
    parts = [part for value in values if value is not None for part in ast.walk(value)]
    if not all(_is_quiet(part, facts) for part in parts):
        return None
    in_place = (IN_PLACE,) if isinstance(node, ast.AugAssign) else ()
    prints = (PRINTS,) if any(isinstance(part, ast.Name) and part.id == "print" for part in parts) else ()
    return (*in_place, *assigned(targets), *facts.handled, *prints)


def _binds_names(target: ast.expr) -> bool:
    """Whether names are all that a target binds."""
    names = ast.Name | ast.Tuple | ast.List | ast.Starred | ast.expr_context
    return all(isinstance(part, names) for part in ast.walk(target))


def _is_quiet(part: ast.AST, facts: Facts) -> bool:
    """Whether a part of an expression does nothing but give a value."""
    kind = type(part)
    if isinstance(part, ast.BinOp) and facts.has_missing:  # "%(key)s" % mapping
        return not isinstance(part.op, ast.Mod)
    if (isinstance(part, ast.Dict) and None in part.keys) or (isinstance(part, ast.keyword) and part.arg is None):
        return "keys" in facts.pure_methods
    if kind in _SIGNS or kind in _EXPRESSIONS:
        return True
    if isinstance(part, ast.Attribute | ast.Subscript):
        is_look_up = isinstance(part, ast.Subscript) and facts.has_missing
        return isinstance(part.ctx, ast.Load) and not is_look_up
    return isinstance(part, ast.Call) and _is_quiet_call(part, facts)


def _is_quiet_call(node: ast.Call, facts: Facts) -> bool:
    if isinstance(node.func, ast.Name):
        if node.func.id == "print" and all(keyword.arg in ("sep", "end") for keyword in node.keywords):
            return "print" in facts.pure
        return node.func.id in facts.functions or (node.func.id in facts.pure and not node.keywords)
    if not isinstance(node.func, ast.Attribute):
        return False
    owner = node.func.value
    if isinstance(owner, ast.Name) and owner.id in facts.modules:
        return facts.modules[owner.id] == "math"
    return node.func.attr in facts.methods or (node.func.attr in facts.pure_methods and not node.keywords)


def _modules(nodes: list[ast.AST]) -> dict[str, str] | None:
    modules: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name not in _FROM:
                    return None
                modules[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            are_harmless = all(_is_harmless(node.module or "", alias.name) for alias in node.names)
            if node.level or not are_harmless:
                return None
    return modules


def _is_harmless(module: str, name: str) -> bool:
    if module not in _FROM:
        return False
    names = _FROM[module]
    return not (name.startswith("_") or name == "*") if names is None else name in names


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name


def _is_cache(decorator: ast.expr, caches: set[str], modules: dict[str, str]) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return modules.get(function.value.id) == "functools" and function.attr in _CACHES
    return isinstance(function, ast.Name) and function.id in caches


def _harmless(node: ast.AST, facts: Facts, own: list[str]) -> Iterator[ast.AST]:
    """Parts of a node that would be odd elsewhere."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = facts.modules.get(node.value.id)
        if module is not None and isinstance(node.ctx, ast.Load) and _is_harmless(module, node.attr):
            yield node.value
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield):
        yield node.value
    elif isinstance(node, Function):
        if not is_dunder(node.name):
            yield from (each for each in node.decorator_list if isinstance(each, ast.Name) and each.id in _DESCRIPTORS)
    elif isinstance(node, ast.Call) and not node.keywords and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        first = node.args[0] if node.args else None
        maps = name in ("map", "filter") and isinstance(first, ast.Name) and first.id in facts.pure - {"print"}
        if (
            maps
            or (name in ("iter", "type") and len(node.args) == 1)
            or (name == "super" and first is None)
            or (name == "getattr" and len(node.args) > 1 and _is_plain_name(node.args[1]))
        ):
            yield node.func
        elif len(node.args) == 1:
            is_join = isinstance(node.func, ast.Attribute) and name == "join"
            is_eager = isinstance(node.func, ast.Name) and name in _EAGER & facts.pure
            if is_eager or (is_join and "join" in facts.pure_methods and "join" not in own):
                yield from node.args


def _is_plain_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is str and not is_dunder(node.value)


def _is_odd(node: ast.AST, facts: Facts) -> bool:
    """Whether a node may let the interpreter call what says nothing, or give a program other means than its text
    shows, unless it is harmless where it stands."""
    if isinstance(node, ast.Name):
        return node.id in _REACHING or node.id in facts.modules or _is_unknown_dunder(node.id)
    if isinstance(node, ast.Attribute):
        return _is_unknown_dunder(node.attr)
    if isinstance(node, Function):
        return is_dunder(node.name) and bool(node.decorator_list)
    if isinstance(node, ast.ClassDef):
        return bool(node.keywords)
    if isinstance(node, ast.For):  # each turn begins with a store that is no statement
        return not _binds_names(node.target)
    return isinstance(node, ast.GeneratorExp | ast.Yield)


def _is_unknown_dunder(name: str) -> bool:
    return is_dunder(name) and name not in _HARMLESS_DUNDERS
