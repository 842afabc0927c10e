"""Whether test code needs the process of the program: it uses a name that only the reference defines, or hands over a
function, a class or an object of a class of its own."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator

from coderlplus import syntax
from coderlplus.records.test_code_names import (
    BROKEN,
    NODE_CLASSES,
    Definition,
    assignments,
    defined,
    names_of_candidate,
    parsed,
    unknown_names,
)

_ASKED = re.compile(r"\b(?:class|function|struct|type|object|dataclass|enum)[ \t]+[`'\"*]{0,3}([A-Za-z_]\w*)")
"""A name that a statement speaks of as something to be defined: "define a class Node"."""
_CLASSES_OF_PYTHON = frozenset(name for name, value in vars(builtins).items() if callable(value))


def needs_program(code: str, entry_point: str, setup_code: str, program: str, statement: str = "") -> bool:
    """Whether test code can only run in the process of the program; `program` is the reference, or what there is of
    it. Without a reference, `statement` tells which other names the program is asked to define: those in it that are
    written as a class or a function is.

    >>> needs_program("assert size(Node(1)) == 1", "size", "", "class Node: ...\\ndef size(node): ...")
    True
    """
    try:
        tree = syntax.parse(code)
        used = unknown_names(code, entry_point, setup_code)
    except BROKEN:
        return False
    unknown = {name for name in used if name not in sys.stdlib_module_names}
    if unknown and unknown <= defined(program).union(_ASKED.findall(statement)):
        return True
    own = _own_things(tree) | _own_things(parsed(setup_code))
    given = (
        argument
        for call in _calls_of(tree, entry_point)
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
    )
    return any(_is_thing(argument, own) for argument in given)


def _calls_of(tree: ast.Module, entry_point: str) -> Iterator[ast.Call]:
    """The calls of the entry point, by whatever name."""
    names = names_of_candidate(tree, entry_point.rpartition("().")[2])
    for node in syntax.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in names:
                yield node


def _own_things(tree: ast.Module) -> set[str]:
    """Names of the functions and classes that code defines itself, and of variables that hold one of them or an object
    of such a class."""
    names = {node.name for node in syntax.walk(tree) if isinstance(node, Definition)} - set(NODE_CLASSES)
    for name, value in assignments(syntax.walk(tree)):
        if _is_thing(value, names):
            names.add(name)
    return names


def _is_thing(node: ast.expr, own: set[str]) -> bool:
    """Whether an argument is a function, a class, or an object of a class of the test, or a display that holds one."""
    match node:
        case ast.Lambda():
            return True
        case ast.Name(id=name):
            return name in own or name in _CLASSES_OF_PYTHON
        case ast.Call(func=ast.Name(id=name)):
            return name in own and name[:1].isupper()
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items) | ast.Dict(values=items):
            return any(_is_thing(item, own) for item in items)
    return False
