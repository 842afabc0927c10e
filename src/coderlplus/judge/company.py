"""Whether a script can tell, from inside, that others ran in its process before it, or leave something behind for
those after it.

Said of its text, conservatively: names, attributes and modules outside the lists here make it one that can. For a
program that cannot, a run in company is a run in a fresh process; so no program has one answer for company and another
one for itself.
"""

from __future__ import annotations

import ast
import re

from coderlplus import syntax


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TYPING = _words("List Dict Tuple Set Optional Union Callable Iterator Iterable Deque DefaultDict")
_MODULES = {
    "__future__": ("annotations",),
    "bisect": None,
    "collections": ("deque", "defaultdict", "Counter", "OrderedDict", "namedtuple"),
    "copy": ("copy", "deepcopy"),
    "functools": ("reduce", "cmp_to_key", "lru_cache", "cache", "partial"),
    "heapq": ("heappush", "heappop", "heapify", "heappushpop", "heapreplace", "nlargest", "nsmallest", "merge"),
    "itertools": None,
    "math": None,
    "operator": ("itemgetter", "add", "mul", "sub", "xor", "or_", "and_"),
    "string": ("ascii_lowercase", "ascii_uppercase", "ascii_letters", "digits"),
    "sys": ("stdin", "stdout", "stderr", "setrecursionlimit", "exit", "maxsize"),
    "typing": _TYPING,
}
"""Modules that keep nothing, with what of them may be used (`None`: everything)."""
_STARRED = ("bisect", "collections", "heapq", "itertools", "math")
"""Modules of which `import *` brings nothing else."""
_PYTHON_OBJECTS = _TYPING | _words(
    "Counter OrderedDict annotations cache cmp_to_key copy deepcopy exit lru_cache merge namedtuple nlargest "
    "nsmallest partial quit"
)
"""Of these, what a program could hang something on: it may be called or stand in an annotation, and nothing else."""
_HIDDEN = _words(
    "ChainMap MemoryError UserDict UserList UserString __import__ breakpoint compile copyright credits delattr dir "
    "eval exec getattr globals hasattr hash help id license locals memoryview object open repr setattr super type "
    "vars"
)
"""Builtins that reach state, or show an address. `super` and `type` reach classes of others."""
_ATTRIBUTES = _words(
    "add append appendleft bit_count bit_length buffer cache_clear cache_info capitalize center clear count decode "
    "difference discard elements encode endswith extend extendleft find flush fromkeys get imag index insert "
    "insort intersection is_integer isalnum isalpha isdecimal isdigit isdisjoint islower isnumeric isspace issubset "
    "issuperset istitle isupper items join keys ljust lower lstrip maketrans most_common numerator partition pop "
    "popitem popleft read readline readlines real remove replace reverse rfind rindex rjust rotate rpartition rsplit "
    "rstrip setdefault sort split splitlines startswith strip subtract swapcase symmetric_difference title total "
    "translate union update upper values write writelines zfill"
)
_INNER = re.compile(
    r"(gi|cr|ag|f|tb|co|func)_.*|_.*|tell|seek|truncate|raw|fileno|detach|mro|modules|format_map|with_traceback|obj"
)
"""Attributes of frames, generators, streams and exceptions that show what is around; no program may have one of its
own of such a name."""
_OF_ANNOTATIONS = (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Tuple, ast.List)
_FIELD = re.compile(r"\{\{|\}\}|\{\w*(![sr])?(:[^{}]*)?\}")
"""A field of a format that reaches no attribute."""


def cannot_tell(program: str) -> bool:
    """
    >>> cannot_tell("import sys\\nn = int(input())\\nprint(n * 2)"), cannot_tell("import builtins\\nbuiltins.seen = 1")
    (True, False)
    >>> cannot_tell("import math\\nmath.seen = 1")
    False
    >>> cannot_tell("def mark(self): self.seen = 1\\nimport math\\nmark(math)")
    False
    """
    try:
        return _Reader(syntax.parse(program)).is_plain()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


_BINDING: dict[type[ast.AST], str] = {
    **dict.fromkeys((ast.FunctionDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar), "name"),
    **{ast.arg: "arg", ast.MatchMapping: "rest", ast.alias: "asname"},
}
"""The field of a node that is a name which it binds to any object, `ast.Name` aside."""
_DEFINITIONS, _ANNOTATED = (ast.FunctionDef, ast.ClassDef), (ast.arg, ast.AnnAssign)
_IMPORTS = {ast.Import, ast.ImportFrom}
_TELLING = {
    *(ast.Name, ast.Attribute, ast.Constant, ast.FunctionDef, ast.ClassDef),
    *(ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.MatchClass),
}
"""What `_Reader._is_plain` looks at."""


class _Reader:
    def __init__(self, tree: ast.Module) -> None:
        self.nodes = syntax.walk(tree)
        self.modules: dict[str, str] = {}
        """Modules by the names that they are bound to."""
        self.called: set[int] = set()
        """Nodes that are called, decorate, stand in an annotation, or have an attribute taken."""
        self.assigned: set[str] = set()
        """Names that may stand for any object."""
        self.own = {"copy"}
        """Names of functions, classes and attributes of its own."""
        self.fragile = set(_PYTHON_OBJECTS)
        for node in self.nodes:
            if isinstance(node, ast.Name):
                if not isinstance(node.ctx, ast.Load):
                    self.assigned.add(node.id)
            elif isinstance(node, ast.Attribute):
                if isinstance(node.ctx, ast.Store):
                    self.own.add(node.attr)
            elif type(node) in _BINDING:
                self.assigned.add(getattr(node, _BINDING[type(node)]) or "")
            if isinstance(node, _DEFINITIONS):
                self.own.add(node.name)

    def is_plain(self) -> bool:
        if any(name.startswith("__") for name in self.assigned - self.own):
            return False
        if not all(self._imports(node) for node in self.nodes if type(node) in _IMPORTS):
            return False
        for node in self.nodes:
            if isinstance(node, ast.Call):
                self.called.add(id(node.func))
            elif isinstance(node, ast.FunctionDef):
                self.called.update(map(id, node.decorator_list))
                self._annotates(node.returns)
            elif isinstance(node, _ANNOTATED):
                self._annotates(node.annotation)
            elif isinstance(node, ast.ClassDef) and (node.bases or node.keywords or node.decorator_list):
                return False
        return all(self._is_plain(node) for node in self.nodes if type(node) in _TELLING)

    def _annotates(self, annotation: ast.expr | None) -> None:
        """Take note of what an annotation subscripts. `List[x]` remembers `x` for later runs, and compares with it;
        it is itself an object on which something can be hung. So all names in it must be those of classes."""
        if annotation is None:
            return
        nodes = syntax.walk(annotation)
        if all(isinstance(node, _OF_ANNOTATIONS) for node in nodes) and not self.assigned.intersection(
            node.id for node in nodes if isinstance(node, ast.Name)
        ):
            self.called.update(id(node.value) for node in nodes if isinstance(node, ast.Subscript))

    def _imports(self, node: ast.AST) -> bool:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    if alias.name not in _MODULES or alias.name == "__future__":
                        return False
                    self.modules[alias.asname or alias.name] = alias.name
            case ast.ImportFrom(module=module, names=names):
                if module not in _MODULES:
                    return False
                allowed = _MODULES[module]
                for alias in names:
                    is_allowed = module in _STARRED if alias.name == "*" else allowed is None or alias.name in allowed
                    if not is_allowed:
                        return False
                    if alias.name in _PYTHON_OBJECTS and alias.asname:
                        self.fragile.add(alias.asname)
        return True

    def _is_plain(self, node: ast.AST) -> bool:
        match node:
            case ast.Name(id=name):
                if name in self.modules or name in self.fragile:
                    return id(node) in self.called and isinstance(node.ctx, ast.Load)
                return name == "__name__" or not (name in _HIDDEN or name.startswith("__"))
            case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Load()) if name in self.modules:
                self.called.add(id(node.value))
                allowed = _MODULES[self.modules[name]]
                return (
                    not attribute.startswith("_")
                    and (allowed is None or attribute in allowed)
                    and (attribute not in _PYTHON_OBJECTS or id(node) in self.called)
                )
            case ast.Attribute(value=value, attr="format"):
                text = value.value if isinstance(value, ast.Constant) else None
                return isinstance(text, str) and not set("{}") & set(_FIELD.sub("", text))
            case ast.Attribute(attr=attribute):
                return not _INNER.fullmatch(attribute) and (attribute in _ATTRIBUTES or attribute in self.own)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                return name not in _HIDDEN and name not in ("__del__", "__class_getitem__")
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith() | ast.MatchClass():
                return False
            case ast.Constant(value=str(text)):
                return "__" not in text or text == "__main__"  # a format may reach attributes
        return True
