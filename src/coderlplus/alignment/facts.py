"""What can be read off a program and its input without running it: how variables are bound, and which values stand
there for all to see.

The choice of targets uses it to prefer values that must be worked out.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any

from coderlplus.programs import parse
from coderlplus.records import CallInput, ProgramInput, TaggedValue
from coderlplus.sandbox.values import encode

MODULE = "<module>"
READERS = frozenset({"input", "stdin", "read", "readline", "readlines"})
"""Names whose presence on the right of an assignment says that it reads the standard input."""
_LITERAL = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp)
_MAX_LEVELS = 20

HANDING_ON = READERS | {"print", "write", "int", "str", "float", "list", "map", "split", "strip", "rstrip"}
"""Functions and methods that bring values in and out without computing anything."""
COMPUTING = (
    ast.BinOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.AugAssign, ast.JoinedStr, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp,
    ast.If, ast.IfExp, ast.For, ast.While, ast.Match, ast.Try, ast.With, ast.Lambda, ast.Yield, ast.YieldFrom,
    ast.Await,
)  # fmt: skip


@dataclass(slots=True)
class Bindings:
    """How one variable of one scope is bound anywhere in the program."""

    constants: list[str] = field(default_factory=list)
    """`canonical` values of the literals assigned to it."""
    parameter: bool = False
    reads: bool = False
    """Assigned from the standard input."""
    computed: bool = False
    """Bound in any other way: by an expression, a loop, `with`, an augmented assignment."""


def canonical(value: TaggedValue) -> str:
    """One text per tagged value, to be compared and put into sets."""
    return json.dumps(value, sort_keys=True)


def variable_bindings(tree: ast.Module) -> dict[tuple[str, str], Bindings]:
    """The bindings of every (scope, name) of a program, scopes named as in `Trace.variables`; names bound only by
    statements without a value have no entry.

    A name declared `global` or `nonlocal` is noted in every scope around it, which errs to the side of *computed*.

    >>> variable_bindings(parse("def f(a):\\n    n = 10\\n    return [a] * n"))[("f", "n")].constants
    ['10']
    """
    found: dict[tuple[str, str], Bindings] = {}
    _collect(tree, (MODULE,), found, _reading(tree))
    return found


def _collect(
    block: ast.AST, scopes: tuple[str, ...], found: dict[tuple[str, str], Bindings], reading: Set[int]
) -> None:
    """Note the bindings inside `block`, the body of the last of `scopes`. `reading`: see `_reading`."""
    nodes = list(_own_nodes(block))
    outer = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    values = {id(target): value for node in nodes for target, value in _assignments(node, reading)}
    texts: dict[int, list[str]] = {}  # of a value that many targets have, once
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            value = values.get(id(node))
            if value is not None and id(value) not in texts:
                texts[id(value)] = [canonical(constant) for constant in _literal(value)]
            constants = [] if value is None else texts[id(value)]
            reads = id(value) in reading
            for scope in scopes[:-1] if node.id in outer else scopes[-1:]:
                bindings = found.setdefault((scope, node.id), Bindings())
                bindings.constants += constants
                bindings.reads |= reads
                bindings.computed |= not constants and not reads
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = _qualified(scopes[-1], block, node.name)
            if not isinstance(node, ast.ClassDef):
                given = node.args
                named = (*given.posonlyargs, *given.args, *given.kwonlyargs)
                for argument in (*named, given.vararg, given.kwarg):
                    if argument is not None:
                        found.setdefault((inner, argument.arg), Bindings()).parameter = True
            _collect(node, (*scopes, inner), found, reading)


def _qualified(scope: str, block: ast.AST, name: str) -> str:
    """The `__qualname__` of a function or class defined in `block`, whose own is `scope`."""
    if scope == MODULE:
        return name
    return f"{scope}.{name}" if isinstance(block, ast.ClassDef) else f"{scope}.<locals>.{name}"


def _own_nodes(block: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope in order; of functions and classes in it the definition alone, of comprehensions nothing
    that they bind."""
    body = getattr(block, "body", [])
    stack = list(reversed(body))
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.comprehension):
            children.remove(node.target)
        stack.extend(reversed(children))


def _assignments(node: ast.AST, reading: Set[int]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """(target, value) of an assignment; each target of an unpacking with its own value, or with the whole where that
    reads the input."""
    pairs: list[tuple[ast.expr, ast.expr]]
    match node:
        case ast.Assign(targets, assigned):
            pairs = [(target, assigned) for target in targets]
        case ast.AnnAssign(annotated, _, ast.expr() as assigned):
            pairs = [(annotated, assigned)]
        case ast.NamedExpr(name, assigned):
            pairs = [(name, assigned)]
        case _:
            return
    while pairs:
        target, value = pairs.pop()
        if isinstance(target, ast.Tuple | ast.List):
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                pairs += zip(target.elts, value.elts, strict=True)
            elif id(value) in reading:
                pairs += [(item, value) for item in target.elts]
        elif isinstance(target, ast.Starred):
            if id(value) in reading:
                pairs.append((target.value, value))
        else:
            yield target, value


def _reading(tree: ast.AST) -> set[int]:
    """The ids of the nodes in which the standard input is read."""
    reading: set[int] = set()
    for node, parent in reversed(_in_order(tree)):  # each node is complete when its turn comes
        if id(node) in reading or _name(node) in READERS:
            reading |= {id(node), id(parent)}
    return reading


def _name(node: ast.AST) -> str | None:
    """The name that a name or an attribute ends with."""
    match node:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
    return None


def _in_order(tree: ast.AST) -> list[tuple[ast.AST, ast.AST | None]]:
    """All nodes, each with its parent and after it."""
    found: list[tuple[ast.AST, ast.AST | None]] = [(tree, None)]
    for node, _ in found:
        found.extend((child, node) for child in ast.iter_child_nodes(node))
    return found


def literals(tree: ast.Module) -> set[str]:
    """The `canonical` values of the literals in the program, those inside other literals included, up to
    `_MAX_LEVELS` levels of them: a value that is nested more deeply is asked for nowhere, and each level is one more
    text that holds all below it."""
    heights: dict[int, int] = {}
    found: set[str] = set()
    for node, parent in reversed(_in_order(tree)):
        height = heights.get(id(node), 0)
        if isinstance(node, _LITERAL) and height <= _MAX_LEVELS:
            found.update(map(canonical, _literal(node)))
        if parent is not None:
            heights[id(parent)] = max(heights.get(id(parent), 0), height + isinstance(node, _LITERAL))
    return found


def literal_calls(code: str, names: Set[str]) -> Iterator[tuple[tuple[TaggedValue, ...], dict[str, TaggedValue]]]:
    """The arguments, tagged, of the calls of `names` that are given literals only.

    >>> next(literal_calls("assert set(f((1, 2), n=3)) == {1}", {"f"}))
    (({'$tuple': [1, 2]},), {'n': 3})
    """
    for node in ast.walk(parse(code)):
        match node:
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in names:
                try:
                    positional = tuple(encode(ast.literal_eval(arg)) for arg in args)
                    named = {keyword.arg or "": encode(ast.literal_eval(keyword.value)) for keyword in keywords}
                except (ValueError, TypeError, RecursionError, MemoryError):
                    continue
                yield positional, named


def computes(tree: ast.Module) -> bool:
    """Whether the program does anything but hand on constants and input: an operator, a branch, a loop, a call of a
    function that is not its own.

    >>> [computes(parse(text)) for text in ("def f(a):\\n    b = a\\n    return b", "def f(a):\\n    return a + 1")]
    [False, True]
    """
    nodes = list(ast.walk(tree))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return any(
        isinstance(node, COMPUTING) or (isinstance(node, ast.Call) and _name(node.func) not in own | HANDING_ON)
        for node in nodes
    )


def input_values(given: ProgramInput) -> set[str]:
    """The `canonical` values that the input shows: arguments and what is in them; of a standard input the text, lines,
    tokens and their numbers."""
    if isinstance(given, CallInput):
        return {canonical(part) for value in (*given.args, *given.kwargs.values()) for part in _parts(value)}
    shown: list[Any] = [given.stdin, given.stdin.rstrip("\n"), given.stdin.split()]
    for line in given.stdin.split("\n")[:200]:
        tokens = line.split()
        numbers = [number for token in tokens if (number := _number(token)) is not None]
        shown += [line, line.strip(), tokens, numbers, *tokens[:200], *numbers[:200]]
    return {canonical(value) for value in shown}


def is_stretch_of(value: TaggedValue, stdin: str) -> bool:
    """Whether the value's parts are tokens or lines of the input as they follow one another there.

    >>> is_stretch_of([[1, 2], [3]], "0 1 2\\n3\\n"), is_stretch_of([2, 1], "0 1 2\\n")
    (True, False)
    """
    parts = "\0".join(str(part) for part in _parts(value) if not isinstance(part, list | dict))
    return bool(parts) and any(
        f"\0{parts}\0" in f"\0{whole}\0" for whole in ("\0".join(stdin.split()), stdin.replace("\n", "\0"))
    )


def _number(token: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(token)
        except ValueError:
            continue
    return None


def _parts(value: TaggedValue) -> Iterator[TaggedValue]:
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(item)


def _literal(node: ast.expr) -> Iterable[TaggedValue]:
    if isinstance(node, _LITERAL):
        try:
            yield encode(ast.literal_eval(node))
        except (ValueError, TypeError, RecursionError, MemoryError):
            return
