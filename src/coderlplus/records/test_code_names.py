"""The names that test code uses, and those that it defines."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import symtable
import sys
from collections.abc import Iterable, Iterator

from coderlplus import syntax

NODE_CLASSES = ("ListNode", "TreeNode")
DYNAMIC = frozenset({"exec", "eval", "compile", "globals", "locals", "vars", "__import__", "importlib"})
"""Code that uses one of these may define and do what its text does not show."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BUILTINS = dir(builtins)
BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What parsing and compiling of any text may raise."""


def unknown_names(code: str, entry_point: str, setup_code: str) -> set[str]:
    """Global names that test code uses and that neither it, its set-up code, the entry point nor Python defines. None
    where that cannot be told."""
    known = {*_BUILTINS, "candidate", entry_point.partition("().")[0]}
    known |= set(NODE_CLASSES) if "()." in entry_point else set()
    table = symtable.symtable(code, "<test>", "exec")
    used = {
        symbol.get_name()
        for symbol, is_global in _symbols(table)
        if symbol.is_referenced() and (is_global or symbol.is_global())
    }
    if used & DYNAMIC:
        return set()
    known |= _bound(syntax.parse(code), table) | defined(setup_code)
    if "*" in known:
        return set()
    return {name for name in used - known if not name.startswith("__")}


@functools.lru_cache(maxsize=256)
def defined(code: str) -> frozenset[str]:
    """Names that code binds at module level; `*` stands for those of a module that is not of the standard library."""
    for text in _completed(code):
        try:
            return frozenset(_bound(syntax.parse(text), symtable.symtable(text, "<code>", "exec")))
        except BROKEN:
            continue
    return frozenset()


def _bound(tree: ast.Module, table: symtable.SymbolTable) -> set[str]:
    names = {
        symbol.get_name()
        for symbol, is_global in _symbols(table)
        if (symbol.is_assigned() or symbol.is_imported()) and (is_global or symbol.is_declared_global())
    }
    for node in syntax.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            names |= _exported(node.module or "")
    return names


@functools.cache
def _exported(module: str) -> frozenset[str]:
    if module.partition(".")[0] not in sys.stdlib_module_names or module in ("antigravity", "this"):
        return frozenset({"*"})
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        return frozenset({"*"})
    return frozenset(getattr(loaded, "__all__", [name for name in vars(loaded) if not name.startswith("_")]))


def _symbols(table: symtable.SymbolTable) -> Iterator[tuple[symtable.Symbol, bool]]:
    """The symbols of all scopes, with whether they are those of the module."""
    for symbol in table.get_symbols():
        yield symbol, table.get_type() == "module"
    for child in table.get_children():
        yield from _symbols(child)


@functools.lru_cache(maxsize=256)
def parsed(code: str) -> ast.Module:
    """The syntax tree of code; an empty one where it does not parse."""
    for text in _completed(code):
        try:
            return syntax.parse(text)
        except BROKEN:
            continue
    return ast.Module([], [])


def _completed(code: str) -> tuple[str, str]:
    """Code, and the same for the case that it ends behind a signature, as starter code does."""
    return code, code + "\n    pass\n"


def definitions(tree: ast.Module) -> list[Definition]:
    """Functions and classes at module level, also under `if` and `try`, in their order; of several of one name the
    last."""
    found: dict[str, Definition] = {}
    stack: list[ast.AST] = [tree]
    while stack:
        for node in syntax.children(stack.pop()):
            if isinstance(node, Definition):
                found[node.name] = node
            elif isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
                stack.append(node)
    return sorted(found.values(), key=lambda node: node.lineno)


def assignments(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """The names that these statements bind by `=`, each with its value."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """What a function may be handed by place."""
    given = function.args
    return [argument.arg for argument in (*given.posonlyargs, *given.args, given.vararg) if argument]


def names_of_candidate(tree: ast.Module, name: str) -> set[str]:
    """What test code may call the entry point: its name, and what `check`, an import or an assignment calls it."""
    names = {"candidate", name}
    for node in syntax.walk(tree):
        if isinstance(node, FUNCTIONS) and node.name == "check":
            names.update(parameters(node))
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.asname and alias.name in names}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in names:
            names.update(other for other, _ in assignments([node]))
    return names
