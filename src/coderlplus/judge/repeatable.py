"""Which code does the same in every process of the sandbox, as its text says: it comes by no clock, entropy, file or
address. A module may be used by the names that are known of it, and is handed to nothing."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence

from coderlplus import syntax

MAX_CHARS = 500_000
"""Longest code that is looked at."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PURE = (
    *("bisect", "collections", "copy", "decimal", "fractions", "functools", "heapq", "itertools", "math", "operator"),
    *("random", "re", "statistics", "string", "typing"),
)
"""Modules whose functions give the same in every process of the sandbox, but for these."""
_IMPURE = {
    "functools": _words("singledispatch singledispatchmethod"),
    "operator": _words("attrgetter methodcaller"),
    "random": _words("SystemRandom"),
    "statistics": _words("kde_random"),
    "string": _words("Formatter"),
    "typing": _words("ForwardRef get_type_hints"),
}
"""Entropy, and what finds attributes or code by a text."""
_NAMES = {
    "__future__": _words("annotations"),
    "collections.abc": _words(
        "Callable Collection Container Generator Hashable Iterable Iterator Mapping MutableMapping MutableSequence "
        "MutableSet Reversible Sequence Set Sized"
    ),
    "dataclasses": _words("FrozenInstanceError asdict astuple dataclass field fields is_dataclass replace"),
    "enum": _words("Enum Flag IntEnum IntFlag StrEnum auto unique"),
    "json": _words("JSONDecodeError JSONDecoder JSONEncoder dumps loads"),
    "numpy": _words(
        "abs all allclose any arange argmax argmin argsort around array array_equal asarray bool_ concatenate cross "
        "cumsum diag diff dot e eye float32 float64 floating full identity inf inner int32 int64 integer isclose "
        "isfinite isinf isnan linspace matmul max mean median min nan ndarray number ones outer pi prod round "
        "set_printoptions sort sqrt std sum transpose unique var vstack hstack where zeros"
    ),
    "numpy.linalg": _words("LinAlgError det eig eigvals inv lstsq matrix_power matrix_rank norm pinv qr solve svd"),
    "numpy.testing": _words(
        "assert_allclose assert_almost_equal assert_array_almost_equal assert_array_equal assert_equal assert_raises"
    ),
    "pytest": _words("approx fail fixture mark param raises skip"),
    "types": _words("FunctionType GeneratorType LambdaType MappingProxyType MethodType NoneType SimpleNamespace"),
    "unittest": _words("SkipTest TestCase expectedFailure main skip skipIf skipUnless"),
}
"""Further modules, with the names of them that may be used."""
_BUILTINS = _words(
    "__import__ breakpoint compile dir eval exec getattr globals hash help id input locals open vars SystemRandom "
    "default_rng"
)
"""By these names code comes by what another process may not find, or by any other name."""
_ATTRIBUTES = _words(
    "SystemRandom ag_frame cr_frame ctypes default_rng f_back f_builtins f_globals f_locals gi_frame tb_frame tofile"
)
_USUAL = _words("__class__ __doc__ __eq__ __init__ __len__ __name__ __post_init__ __repr__ __str__")
_SEEDED = ("seed", "Random")
"""What is called with a seed that is written out: without one, or with `None`, it takes entropy."""


@functools.lru_cache(maxsize=8192)
def is_repeatable(code: str, setup_code: str = "", modules: tuple[str, ...] = ()) -> bool:
    """Whether test code does the same in every process of the sandbox, for as long as the program answers the same.
    `modules` are those that it uses without an import.

    >>> is_repeatable("import operator\\nassert operator.eq(f(1), 2)"), is_repeatable("import time\\ntime.time()")
    (True, False)
    """
    if len(code) + len(setup_code) > MAX_CHARS:
        return False
    try:
        check_repeatable((syntax.parse(code), syntax.parse(setup_code)), modules)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def check_repeatable(
    trees: Sequence[ast.Module], modules: Iterable[str] = (), allowed: Collection[ast.AST] = ()
) -> None:
    """Raises `ValueError` for what may be something else in another process. The trees share their names; `allowed`
    are nodes that may stand as they do."""
    reader = _Reader(trees, modules)
    for node in (node for tree in trees for node in syntax.walk(tree)):
        if node not in allowed and (found := reader.refused(node)):
            raise ValueError(found)


def imports(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """What is imported: the name that it is bound to, the module, and the name in it or nothing."""
    for node in syntax.walk(tree):
        match node:
            case ast.Import(names=imported):
                for alias in imported:
                    yield alias.asname or alias.name.partition(".")[0], alias.name, ""
            case ast.ImportFrom(module=module, names=imported, level=level):
                for alias in imported:
                    yield alias.asname or alias.name, "." * level + (module or ""), alias.name


def _may_be_used(module: str, name: str) -> bool:
    """Whether this name of a module may; without a name, whether the module."""
    if f"{module}.{name}" in _NAMES or (not name and (module in PURE or module in _NAMES)):
        return True
    if module in _NAMES:
        return name in _NAMES[module]
    is_module = name in sys.stdlib_module_names and name != module
    return module in PURE and not (is_module or name.startswith("_") or name in _IMPURE.get(module, ()))


class _Reader:
    def __init__(self, trees: Sequence[ast.Module], modules: Iterable[str]) -> None:
        self.names: dict[str, str] = {}
        """Modules, and their functions, by the names that they are bound to: `operator`, `operator.eq`; nothing for
        what may not be used."""
        self.refuses_all = ""
        self.bound: set[str] = set()
        """Names that may stand for something else as well."""
        self.before_dots: set[int] = set()
        self.called: set[int] = set()
        self.seeded: set[int] = set()
        for name in modules:
            self._bind(name, name, "")
        for tree in trees:
            for name, module, of_it in imports(tree):
                self._bind(name, module, of_it)
            for node in syntax.walk(tree):
                match node:
                    case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                        self.bound.add(name)
                    case ast.Attribute(value=value):
                        self.before_dots.add(id(value))
                    case ast.Call(func=function, args=args):
                        self.called.add(id(function))
                        if args and isinstance(args[0], ast.Constant) and args[0].value is not None:
                            self.seeded.add(id(function))

    def _bind(self, name: str, module: str, of_it: str) -> None:
        if of_it == "*":
            if module not in PURE:
                self.refuses_all = self.refuses_all or module
            self.names |= dict.fromkeys(_IMPURE.get(module, ()), "")
            self.names |= {each: f"random.{each}" for each in _SEEDED if module == "random"}
        elif self.names.get(name, "*") and _may_be_used(module, of_it):
            whole = f"{module}.{of_it}" if of_it else module
            self.names[name] = whole if of_it or name != module.partition(".")[0] else name
        else:
            self.names[name] = ""

    def refused(self, node: ast.AST) -> str:
        """What is refused of a node, or nothing."""
        if self.refuses_all:
            return self.refuses_all
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                if name in _BUILTINS or (name.startswith("__") and name != "__name__"):
                    return name
                if name in self.names and self._is_refused(node, self.names[name], name in self.bound):
                    return name
            case ast.Attribute(value=value, attr=name):
                if (module := self._module(value)) and not _may_be_used(module, name):
                    return name
                if self._is_refused(node, f"{module}.{name}" if module else "?", False):
                    return name
                if isinstance(value, ast.Name) and value.id in ("self", "cls") and value.id not in self.names:
                    return ""
                is_module = name in sys.stdlib_module_names and name not in PURE and not module
                is_hidden = name.startswith("_") and name not in _USUAL
                is_chance = name in _SEEDED and id(node) not in self.seeded
                return name if is_module or is_hidden or is_chance or name in _ATTRIBUTES else ""
        return ""

    def _is_refused(self, node: ast.AST, whole: str, may_be_another: bool) -> bool:
        """`whole` is what it stands for: a module that is no more than before a dot, a class that takes a seed."""
        if whole == "numpy.ndarray":  # what it is made of has not been written
            return id(node) in self.called
        if whole in PURE or whole in _NAMES:
            return not may_be_another and id(node) not in self.before_dots
        return not whole or (whole in ("random.seed", "random.Random") and id(node) not in self.seeded)

    def _module(self, node: ast.expr) -> str:
        """Which module stands there, if one does."""
        match node:
            case ast.Name(id=name):
                whole = self.names.get(name, "")
            case ast.Attribute(value=value, attr=name):
                whole = f"{module}.{name}" if (module := self._module(value)) else ""
            case _:
                return ""
        return whole if whole in PURE or whole in _NAMES else ""
