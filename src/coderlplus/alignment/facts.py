"""What can be read off a program and its input without running it: how variables are bound, and which values stand there for all to see.

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


HANDING_ON = READERS | {"print", "write", "int", "str", "float", "list", "map", "split", "strip", "rstrip"}
"""Functions and methods that bring values in and out without computing anything."""
COMPUTING = (
    ast.BinOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.AugAssign, ast.JoinedStr, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
    ast.If, ast.IfExp, ast.For, ast.While, ast.Match, ast.Try, ast.With, ast.Lambda, ast.Yield, ast.YieldFrom, ast.Await,
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


def variable_bindings(program: str) -> dict[tuple[str, str], Bindings]:
    """The bindings of every (scope, name), scopes named as in `Trace.variables`; names bound only by statements without a value have no entry.

    A name declared `global` or `nonlocal` is noted in every scope around it, which errs to the side of *computed*.

    >>> variable_bindings("def f(a):\\n    n = 10\\n    return [a] * n")[("f", "n")].constants
    ['10']
    """
    found: dict[tuple[str, str], Bindings] = {}
    _collect(parse(program), (MODULE,), found)
    return found


def _collect(block: ast.AST, scopes: tuple[str, ...], found: dict[tuple[str, str], Bindings]) -> None:
    """Note the bindings inside `block`, the body of the last of `scopes`."""
    nodes = list(_own_nodes(block))
    outer = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    values = {id(target): value for node in nodes for target, value in _assignments(node)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            value = values.get(id(node))
            constants = [] if value is None else [canonical(constant) for constant in _literal(value)]
            reads = value is not None and _reads(value)
            for scope in scopes[:-1] if node.id in outer else scopes[-1:]:
                bindings = found.setdefault((scope, node.id), Bindings())
                bindings.constants += constants
                bindings.reads |= reads
                bindings.computed |= not constants and not reads
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = _qualified(scopes[-1], block, node.name)
            if not isinstance(node, ast.ClassDef):
                arguments = node.args
                every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
                for argument in every:
                    if argument is not None:
                        found.setdefault((inner, argument.arg), Bindings()).parameter = True
            _collect(node, (*scopes, inner), found)


def _qualified(scope: str, block: ast.AST, name: str) -> str:
    """The `__qualname__` of a function or class defined in `block`, whose own is `scope`."""
    if scope == MODULE:
        return name
    return f"{scope}.{name}" if isinstance(block, ast.ClassDef) else f"{scope}.<locals>.{name}"


def _own_nodes(block: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope in order; of functions and classes in it the definition alone, of comprehensions nothing that they bind."""
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


def _assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """(target, value) of an assignment; each target of an unpacking with its own value, or with the whole where that reads the input."""
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
            elif _reads(value):
                pairs += [(item, value) for item in target.elts]
        elif isinstance(target, ast.Starred):
            if _reads(value):
                pairs.append((target.value, value))
        else:
            yield target, value


def _reads(value: ast.expr) -> bool:
    """Whether an expression reads the standard input."""
    return any(
        (isinstance(node, ast.Name) and node.id in READERS) or (isinstance(node, ast.Attribute) and node.attr in READERS) for node in ast.walk(value)
    )


def literals(program: str) -> set[str]:
    """The `canonical` values of all literals in the program, those inside other literals included."""
    return {canonical(value) for node in ast.walk(parse(program)) if isinstance(node, ast.expr) for value in _literal(node)}


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
                    yield positional, {keyword.arg or "": encode(ast.literal_eval(keyword.value)) for keyword in keywords}
                except (ValueError, TypeError, RecursionError):
                    continue


def computes(program: str) -> bool:
    """Whether the program does anything but hand on constants and input: an operator, a branch, a loop, a call of a function that is not its own.

    >>> computes("def f(a):\\n    b = a\\n    return b"), computes("def f(a):\\n    return a + 1")
    (False, True)
    """
    nodes = list(ast.walk(parse(program)))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return any(isinstance(node, COMPUTING) or (isinstance(node, ast.Call) and _called(node) not in own | HANDING_ON) for node in nodes)


def _called(call: ast.Call) -> str | None:
    match call.func:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
    return None


def input_values(given: ProgramInput) -> set[str]:
    """The `canonical` values that the input shows: arguments and what is in them; of a standard input the text, lines, tokens and their numbers."""
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
    return bool(parts) and any(f"\0{parts}\0" in f"\0{whole}\0" for whole in ("\0".join(stdin.split()), stdin.replace("\n", "\0")))


def _number(token: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(token)
        except ValueError:
            continue
    return None


def _parts(value: TaggedValue) -> Iterator[TaggedValue]:
    yield value
    if isinstance(value, list):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _parts(item)


def _literal(node: ast.expr) -> Iterable[TaggedValue]:
    if isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Set | ast.Dict | ast.UnaryOp):
        try:
            yield encode(ast.literal_eval(node))
        except (ValueError, TypeError, RecursionError):
            return
