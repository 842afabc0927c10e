"""What a program defines, what it reads from elsewhere, and whether it does anything. Nothing here recurses."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence

_OF_ITSELF = {*dir(builtins), "exit", "quit", "__file__", "__builtins__", "__annotations__"}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_PARTS = (ast.stmt, ast.excepthandler, ast.match_case)


def is_program(tree: ast.Module) -> bool:
    """Whether there is a statement that does more than to write down a value, and no `return` outside of a
    function."""
    if any(isinstance(node, ast.Return) for node in tree.body):
        return False
    return any(not isinstance(node, ast.Expr) or _calls(node) for node in tree.body)


def stands_alone(tree: ast.Module) -> bool:
    """Whether a program does something when it runs and defines every name that it reads."""
    return any(_calls(node) for node in _run_at_once(tree.body) if isinstance(node, ast.Expr)) and not names_read(tree)


def names_read(tree: ast.Module) -> set[str]:
    """The names that a program reads and binds nowhere; none where it imports everything of a module."""
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.alias(name="*"):
                return set()
            case ast.alias(name=name, asname=other):
                bound.add(other or name.partition(".")[0])
            case (
                ast.Name(id=str(name)) | ast.arg(arg=str(name)) | ast.MatchMapping(rest=str(name))
                | ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)) | ast.ClassDef(name=str(name))
                | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name))
            ):  # fmt: skip
                bound.add(name)
            case ast.Global(names=names):
                bound.update(names)
    return read - bound - _OF_ITSELF


def names_bound(tree: ast.Module) -> set[str]:
    """The names that a program defines for what follows it."""
    return {name for node in _run_at_once(tree.body) for name in _bound_by(node, with_imports=True)}


def defines(tree: ast.Module, entry_point: str) -> bool:
    """Whether a program defines the function of an entry point, `"f"` or `"Solution().f"`, or a class with it as a
    method."""
    name = entry_point.rpartition(".")[2]
    return any(_defines(node, name) for node in _run_at_once(tree.body))


def without_run_on(program: str, tree: ast.Module, entry_point: str, first_line: int) -> str | None:
    """The program up to the end of the entry point, which must reach into `first_line`, with the definitions and
    imports that follow at once; `None` where the entry point does not reach it.

    What a base model writes afterwards is left out: tests, examples, the next problem, the same function again.
    """
    name = entry_point.rpartition(".")[2]
    known: set[str] = set()
    is_defined = False
    for node in tree.body:
        bound = _bound_by(node, with_imports=False)
        if is_defined and (not isinstance(node, (*_DEFINITIONS, *_IMPORTS)) or known & bound):
            decorators = node.decorator_list if isinstance(node, _DEFINITIONS) else []
            stop = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
            return "\n".join(program.split("\n")[:stop]).rstrip() + "\n"
        known |= bound
        is_defined = is_defined or (_defines(node, name) and (node.end_lineno or 0) >= first_line)
    return program if is_defined else None


def _calls(node: ast.stmt) -> bool:
    return any(isinstance(part, ast.Call | ast.Await) for part in ast.walk(node))


def _run_at_once(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements outside of functions and classes, also those inside of other statements."""
    waiting: list[ast.AST] = list(reversed(body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, (*_DEFINITIONS, ast.expr)):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, _PARTS)]


def _bound_by(node: ast.stmt, *, with_imports: bool) -> set[str]:
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    if isinstance(node, _IMPORTS):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names} if with_imports else set()
    targets: list[ast.expr] = []
    match node:
        case ast.Assign():
            targets = node.targets
        case ast.AnnAssign(value=ast.expr()) | ast.For() | ast.AsyncFor():
            targets = [node.target]
        case ast.With() | ast.AsyncWith():
            targets = [item.optional_vars for item in node.items if item.optional_vars is not None]
    parts = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    return {part.id for part in parts if isinstance(part.ctx, ast.Store)}


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.ClassDef) and any(name in _bound_by(part, with_imports=False) for part in node.body):
        return True
    return name in _bound_by(node, with_imports=False)
