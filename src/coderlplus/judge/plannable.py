"""Which test code may be run without a program (`dry_run.py`), as its text says: what does the same in every process
(`repeatable.py`), and shows an answer to nothing that would not note what it does with it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from coderlplus import syntax
from coderlplus.judge.repeatable import MAX_CHARS, PURE, check_repeatable, imports

_TESTING = {
    "numpy": ("allclose", "array", "float32", "float64", "inf", "isclose", "nan", "ndarray"),
    "pytest": ("approx", "fail", "raises"),
    "unittest": ("TestCase",),
}
"""Modules of which these names alone are planned for; those of numpy where they see no answer."""
_UNUSUAL = (
    *(ast.TryStar, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await),
    *(ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Match, ast.Delete, ast.Global, ast.Nonlocal),
)
"""What may go on where the program raised an exception, or that names are bound where they are not written."""
_UNUSUAL_NAMES = (
    *("exec", "eval", "compile", "globals", "locals", "vars", "dir", "__import__", "id", "open", "input", "super"),
    *("breakpoint", "getattr", "setattr", "delattr", "hash", "object", "SystemRandom", "exit", "quit"),
)
_USUAL_METHODS = ("__init__", "__name__")
RUN = "_dry_run"
"""The name of the dry run in instrumented code."""


def check_plannable(code: str, tree: ast.Module, setup: ast.Module, modules: Sequence[str] = ()) -> dict[str, str]:
    """The names of modules and classes for tests in test code and set-up code, such as `pytest`. `modules` are those
    that test code uses without an import. Raises `ValueError` for code that cannot be planned."""
    if len(code) > MAX_CHARS:
        raise ValueError("too long")
    impure = {name for part in (tree, setup) for name in _impure(part)}
    testing = {name: module for part in (setup, tree) for name, module in _testing(part).items()}
    own = _of_testing(tree, testing) | _of_fixed_code(tree)
    check_repeatable((tree, setup), modules, own)
    _check_nodes((tree, setup), impure, testing, own)
    _check_names(setup)
    for node in syntax.walk(tree):
        match node:
            case ast.FunctionDef(decorator_list=[_, *_]):
                raise ValueError("a decorator")
            case ast.ClassDef() if node not in tree.body or not _is_of_tests(node):
                raise ValueError("a class")
            case ast.Attribute(attr=name, ctx=context) if (
                name.startswith("_") or name in _UNUSUAL_NAMES or not isinstance(context, ast.Load)
            ):
                raise ValueError(name)
        if isinstance(node, _UNUSUAL):
            raise ValueError(type(node).__name__)
    return testing


def _check_nodes(trees: Iterable[ast.Module], impure: set[str], testing: Mapping[str, str], own: set[ast.AST]) -> None:
    """Raises `ValueError` for names that may not stand there: what the dry run would not note. `own` are names that
    stand as they may."""
    for node in (node for tree in trees for node in syntax.walk(tree)):
        match node:
            case ast.Name(id="exec") if node in own:
                pass
            case ast.Name(id=name) if name in _UNUSUAL_NAMES or name in impure or name == RUN:
                raise ValueError(name)
            case ast.Name(id=name) if name in testing and node not in own:
                raise ValueError(name)
            case (
                ast.Name(id="print" | "AssertionError" as name, ctx=ast.Store())
                | ast.arg(arg="print" | "AssertionError" as name)
                | ast.FunctionDef(name="print" | "AssertionError" as name)
                | ast.ClassDef(name="print" | "AssertionError" as name)
                | ast.ExceptHandler(name="print" | "AssertionError" as name)
                | ast.alias(asname="print" | "AssertionError" as name)
                | ast.alias(name="print" | "AssertionError" as name)
            ):
                raise ValueError(f"another {name}")


def _of_fixed_code(tree: ast.Module) -> set[ast.AST]:
    """Where `exec("...", names)` runs code that is written out, as a reference is: it sees no answer, since it is not
    of the test (`DryRun.call`). Raises `ValueError` where that code may do something else in another process."""
    found: set[ast.AST] = set()
    for node in syntax.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="exec") as name, args=[ast.Constant(value=str(code)), ast.Name()]):
                fixed = syntax.parse(code)
                testing = _testing(fixed)
                check_repeatable((fixed,))
                _check_nodes((fixed,), _impure(fixed), testing, _of_testing(fixed, testing))
                _check_names(fixed)
                found.add(name)
    return found


def _check_names(tree: ast.Module) -> None:
    """Raises `ValueError` for a method or attribute by which Python does something unseen: in code that is not
    instrumented, to which Python may hand an answer."""
    for node in syntax.walk(tree):
        named = getattr(node, "name", None) or getattr(node, "attr", None) or getattr(node, "id", None)
        if isinstance(named, str) and named.startswith("__") and named not in _USUAL_METHODS:
            raise ValueError(named)


def _impure(tree: ast.Module) -> set[str]:
    """Names that are bound to what is imported from another module than the pure ones."""
    names: set[str] = set()
    for name, module, of_it in imports(tree):
        if module in _TESTING and (not of_it or of_it in _TESTING[module]):
            continue
        if module.partition(".")[0] not in PURE:
            if of_it == "*":
                raise ValueError(module)
            names.add(name)
    return names


def _testing(tree: ast.Module) -> dict[str, str]:
    """Names of these modules and of `TestCase`."""
    return {
        name: of_it or module
        for name, module, of_it in imports(tree)
        if module in _TESTING and of_it in ("", "TestCase")
    }


def _of_testing(tree: ast.Module, testing: dict[str, str]) -> set[ast.AST]:
    """Where these names stand as they may: `pytest.raises`, and as the base of a class."""
    found: set[ast.AST] = set()
    for node in syntax.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name) as value, attr=attr):
                if (module := testing.get(name)) in ("numpy", "pytest") and attr in _TESTING[module]:
                    found.add(value)
            case ast.ClassDef(bases=[ast.Attribute(value=ast.Name(id=name) as value, attr="TestCase")]):
                if testing.get(name) == "unittest":
                    found.add(value)
            case ast.ClassDef(bases=[ast.Name(id=name) as value]) if testing.get(name) == "TestCase":
                found.add(value)
    return found


def _is_of_tests(node: ast.ClassDef) -> bool:
    """Whether a class is nothing but methods, none of which another class calls: no set-up."""
    if node.keywords or node.decorator_list or len(node.bases) > 1:
        return False
    import unittest  # not at once, as little test code needs it

    for item in node.body:
        match item:
            case ast.FunctionDef(name=name):
                taken = hasattr(unittest.TestCase, name) if node.bases else name.startswith(("setup", "teardown"))
                if taken or name.startswith("_"):
                    return False
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case _:
                return False
    return True
