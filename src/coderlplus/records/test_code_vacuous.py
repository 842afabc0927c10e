"""Whether test code tests anything: whether anything of it that runs can fail, and whether it uses the entry
point."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence

from coderlplus import syntax
from coderlplus.records.test_code_names import DYNAMIC, FUNCTIONS, assignments, names_of_candidate, parsed

_ALL = frozenset({"AssertionError", "Exception", "BaseException"})


def vacuous(tree: ast.Module, entry_point: str, setup_code: str, calls: Sequence[str]) -> str:
    """Why test code tests nothing; empty where it does. `calls` are the statements that call what it defines."""
    names = names_of_candidate(tree, entry_point.partition("().")[0])
    running = _running(tree, parsed(setup_code), [call.replace("(candidate)", "()") for call in calls])
    used = {name for node, _ in running for name in _names_in(node)}
    if used & DYNAMIC:
        return ""
    if not any(can_fail for _, can_fail in running):
        return "it tests nothing: no statement of it that runs can fail"
    if not names & used and "check" not in dict(assignments(tree.body)):
        return f"it tests nothing: it never uses {entry_point}"
    return ""


def _running(tree: ast.Module, setup: ast.Module, calls: Sequence[str]) -> list[tuple[ast.AST, bool]]:
    """The nodes of all code that may run, with whether they can fail the test: at module level, in what is called, and
    in each function, of the set-up code too, whose name such code mentions."""
    functions: dict[str, list[ast.AST]] = {}
    for node in [*syntax.walk(tree), *syntax.walk(setup)]:
        if isinstance(node, FUNCTIONS):
            functions.setdefault(node.name, []).append(node)
    for name, value in assignments([*syntax.walk(tree), *syntax.walk(setup)]):
        if isinstance(value, ast.Lambda):
            functions.setdefault(name, []).append(value)
    found: list[tuple[ast.AST, bool]] = []
    waiting: list[ast.AST] = [tree, *map(syntax.parse, calls)]
    while waiting:
        nodes = [*_reached(waiting.pop())]
        found += nodes
        for name in {name for node, _ in nodes for name in _names_in(node)}:
            waiting += functions.pop(name, [])
        if any(isinstance(node, ast.ClassDef) for node, _ in nodes):
            for name in [*functions]:
                if name.startswith("__") or name.lower().startswith(("setup", "teardown")):
                    waiting += functions.pop(name)
    return found


def _reached(
    root: ast.AST, parts: Callable[[ast.AST], Iterator[ast.AST]] | None = None
) -> Iterator[tuple[ast.AST, bool]]:
    """The nodes of a module or a function that may run, without those inside the functions that it defines; and
    whether each can fail the test. `parts` gives the children of a node."""
    parts = parts or _parts
    stack = [(node, False) for node in parts(root)]
    while stack:
        node, is_caught = stack.pop()
        yield node, not is_caught and _can_fail(node)
        if isinstance(node, FUNCTIONS):
            stack += [(part, is_caught) for part in (*node.decorator_list, *node.args.defaults)]
            continue
        caught = {id(part) for part in node.body} if isinstance(node, ast.Try | ast.With) and _catches(node) else ()
        stack += [(part, is_caught or id(part) in caught) for part in parts(node)]


def own_nodes(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module or a function, without those inside the functions that it defines."""
    return (node for node, _ in _reached(root, syntax.children))


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """The children of a node that may run: none behind what ends a block, none under a condition that never holds."""
    truth = _truth(node.test) if isinstance(node, ast.If | ast.While) else None
    for name, value in ast.iter_fields(node):
        if (name == "body" and truth is False) or (name == "orelse" and truth is True):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield part
            if isinstance(part, ast.Return | ast.Raise | ast.Break | ast.Continue) or _leaves(part):
                break


def _leaves(node: object) -> bool:
    """Whether it is `sys.exit()` or `exit()`."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name))):
            return name in ("exit", "quit", "_exit")
    return False


def _truth(node: ast.expr) -> bool | None:
    """Whether a condition holds, where its text says so."""
    match node:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return bool(items)
        case ast.Name(id="__debug__"):
            return True
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return False
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            truth = _truth(operand)
            return None if truth is None else not truth
        case ast.BoolOp(op=operator, values=values):
            ends = isinstance(operator, ast.Or)
            truths = [_truth(value) for value in values]
            return ends if ends in truths else None if None in truths else not ends
    return None


def _catches(node: ast.Try | ast.With) -> bool:
    """Whether an assertion that fails in its body goes no further."""
    if isinstance(node, ast.With):
        calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
        return any("suppress" in _names_in(call.func) and _is_all(*call.args) for call in calls)
    for handler in node.handlers:
        if handler.type is None or _is_all(
            *(handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])
        ):
            return not any(_can_fail(inner) for inner in syntax.walk(handler))
    return False


def _is_all(*classes: ast.expr) -> bool:
    """Whether an `AssertionError` is one of these."""
    return any(not _ALL.isdisjoint(_names_in(each)) for each in classes)


def _names_in(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return (name,)
        case ast.Call(args=[ast.Constant(value=str(name)), *_]):  # TestCase("test_name")
            return (name,)
    return ()


def _can_fail(node: ast.AST) -> bool:
    match node:
        case ast.Assert(test=test):
            truth = _truth(test)
            return truth is False or (truth is None and any(isinstance(part, ast.Name) for part in syntax.walk(test)))
        case ast.Raise(exc=ast.Name(id="SystemExit") | ast.Call(func=ast.Name(id="SystemExit"), args=[])):
            return False
        case ast.Raise():
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            if name in ("exit", "quit"):
                return bool(node.args)
            return "assert" in name.lower() or name in ("fail", "raises", "_exit")
    return False
