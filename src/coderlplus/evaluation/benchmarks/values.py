"""Values that are written down, as answers to questions about programs: a grammar, so that an answer cannot run what
it should predict.

An output is a literal: what `ast.literal_eval` reads, `inf` and `nan`, and the containers of the standard library as
Python prints them (`set()`, `Counter({'a': 1})`, `deque([1])`). An input is a call of the function with literals, and
with what the inputs of CRUXEval itself are written with: arithmetic on values, slices, methods of text, functions that
make one value of another (`range`, `list`, `str`), values that the program defines at its top level, and `lambda`
where the function asks for a function. Nothing here evaluates anything.

CRUXEval's own scorer evaluates any expression and refuses only an answer that repeats the call letter by letter; its
prompt asks for a literal.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

from coderlplus.programs import parse

CONTAINERS = ("Counter", "OrderedDict", "defaultdict", "deque")
"""Classes of `collections` that an answer may name."""
_FACTORIES = {"int", "float", "str", "list", "dict", "set", "tuple", "bool"}
_FLOATS = {"inf", "-inf", "+inf", "infinity", "-infinity", "nan"}
_CONSTRUCTORS = {
    "list", "tuple", "set", "frozenset", "dict", "str", "int", "float", "bool", "complex", "bytes", "bytearray",
    "range",
}  # fmt: skip
_IN_LAMBDA = _CONSTRUCTORS | {
    "len", "sum", "min", "max", "sorted", "abs", "round", "any", "all", "ord", "chr", "reversed", "divmod", "pow",
}  # fmt: skip
_EMPTY = {
    "set", "frozenset", "dict", "list", "tuple", "str", "bytes", "bytearray", "Counter", "OrderedDict", "deque",
}  # fmt: skip
"""What Python prints of an empty container, or what makes one without arguments."""
_NOT_IN_LAMBDA = (
    ast.Lambda, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom, ast.JoinedStr, ast.Starred, ast.comprehension,
)  # fmt: skip
_MAX_DEPTH = 200
"""Of an answer; the parser itself gives up at 200 open brackets."""


def literal(expression: str) -> str | None:
    """The source of a literal in Python's own spelling, or `None` if the expression is anything else.

    >>> literal("[1,'a' , {2.0}]"), literal("set()"), literal("f(1)"), literal("1 + 1")
    ("[1, 'a', {2.0}]", 'set()', None, None)
    """
    node = _expression(expression)
    return _source(node) if node is not None and _is_literal(node, 0) else None


def call_with_values(expression: str, name: str, code: str) -> str | None:
    """The source of a call of the function `name` whose arguments are values, or `None` if the expression is anything
    else.

    >>> call_with_values("f([1,2], k = 'a'*3)", "f", "")
    "f([1, 2], k='a' * 3)"
    >>> call_with_values("f(f(1))", "f", ""), call_with_values("f(1) or 2", "f", "")
    (None, None)
    """
    node = _expression(expression)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name):
        return None
    arguments = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is not None)]
    if len(arguments) != len(node.args) + len(node.keywords):
        return None
    known = _values_of(code) - {name}
    return _source(node) if all(_is_input(argument, known, 0) for argument in arguments) else None


def _expression(text: str) -> ast.expr | None:
    """The one expression that a text is. Parentheses let it go over several lines, as `eval` does not."""
    try:
        body = parse(text.strip()).body
    except SyntaxError:
        return None
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None


def _source(node: ast.expr) -> str | None:
    try:
        return ast.unparse(_Spelled().visit(node))
    except (ValueError, RecursionError, MemoryError):  # an integer of more digits than Python prints, a tree too deep
        return None


class _Spelled(ast.NodeTransformer):
    """`inf`, `nan` and names behind `collections.` as something that is defined everywhere."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Call(ast.Name("float"), [ast.Constant(node.id)], []) if node.id in ("inf", "nan") else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == "collections":
            return ast.Name(node.attr)
        self.generic_visit(node)
        return node


def _is_literal(node: ast.expr, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        return False
    match node:
        case ast.Constant(value=value):
            return value is not ...
        case ast.UnaryOp() | ast.BinOp() | ast.Name():
            return _is_number(node)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return all(_is_literal(item, depth + 1) for item in items)
        case ast.Dict(keys=keys, values=values):
            return all(key is not None and _is_literal(key, depth + 1) for key in keys) and all(
                _is_literal(value, depth + 1) for value in values
            )
        case ast.Call():
            return _is_printed(node, depth + 1)
    return False


def _is_number(node: ast.expr) -> bool:
    """A number with or without a sign, `inf`, `nan`, or a complex number written as a sum."""
    match node:
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=value)):
            return type(value) in (int, float, complex)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Name(id=name)) | ast.Name(id=name):
            return name in ("inf", "nan")
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Call() as call):
            return _is_float_call(call)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=ast.Constant(value=complex())):
            real = left.operand if isinstance(left, ast.UnaryOp) and isinstance(left.op, ast.USub | ast.UAdd) else left
            return isinstance(real, ast.Constant) and type(real.value) in (int, float)
    return False


def _is_float_call(call: ast.Call) -> bool:
    match call:
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str() as text)], keywords=[]):
            return text.strip().lower() in _FLOATS
    return False


def _is_printed(call: ast.Call, depth: int) -> bool:
    """A value of a type without a literal, as Python prints it."""
    name = _container(call.func)
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if name is None or None in keywords or not all(_is_literal(value, depth) for value in keywords.values()):
        return _is_float_call(call)
    if not call.args and name in _EMPTY:
        return not keywords or name == "dict"
    if keywords.keys() - ({"maxlen"} if name == "deque" else set()):
        return False
    match name, call.args:
        case "frozenset" | "set", [ast.Set() | ast.List() | ast.Tuple() as items]:
            return _is_literal(items, depth)
        case ("Counter" | "OrderedDict", [ast.Dict() as items]) | ("OrderedDict" | "deque", [ast.List() as items]):
            return _is_literal(items, depth)
        case "defaultdict", [ast.Name(id=factory), ast.Dict() as items]:
            return factory in _FACTORIES and _is_literal(items, depth)
        case "defaultdict", [ast.Constant(value=None), ast.Dict() as items]:
            return _is_literal(items, depth)
        case "bytearray", [ast.Constant(value=bytes())]:
            return True
        case "range", [_, *_] if len(call.args) <= 3:
            return all(_is_literal(item, depth) for item in call.args)
    return _is_float_call(call)


def _container(function: ast.expr) -> str | None:
    match function:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="collections"), attr=name) if name in CONTAINERS:
            return name
    return None


def _is_input(node: ast.expr, known: Collection[str], depth: int) -> bool:
    """Whether a node is a value that needs no search: see the head of this file. `known` are the values that the
    program defines."""
    if depth > _MAX_DEPTH:
        return False

    def all_are(*nodes: ast.expr | None) -> bool:
        return all(one is None or _is_input(one, known, depth + 1) for one in nodes)

    match node:
        case ast.Constant(value=value):
            return value is not ...
        case ast.Name(id=name):
            return name in known or name in ("inf", "nan")
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return all_are(*items)
        case ast.Dict(keys=keys, values=values):
            return None not in keys and all_are(*keys, *values)
        case ast.UnaryOp(operand=operand):
            return all_are(operand)
        case ast.BinOp(left=left, right=right):
            return all_are(left, right)
        case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=step)):
            return all_are(value, lower, upper, step)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords) if name in _CONSTRUCTORS:
            return all(keyword.arg is not None for keyword in keywords) and all_are(
                *arguments, *(keyword.value for keyword in keywords)
            )
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str() | bytes()), attr=name), args=arguments, keywords=[]
        ):
            return not name.startswith("_") and all_are(*arguments)
        case ast.Call(func=function) if _container(function) in CONTAINERS:
            return _is_printed(node, depth + 1)
        case ast.Lambda(args=arguments, body=body):
            taken = [*arguments.posonlyargs, *arguments.args]
            is_plain = not (arguments.defaults or arguments.kwonlyargs or arguments.vararg or arguments.kwarg)
            return is_plain and _is_of_parameters(body, {argument.arg for argument in taken})
    return False


def _is_of_parameters(body: ast.expr, names: Collection[str]) -> bool:
    """Whether the body of a function computes with nothing but what it is given."""
    for node in ast.walk(body):
        match node:
            case ast.Name(id=name) if name not in names and name not in _IN_LAMBDA:
                return False
            case ast.Attribute(attr=name) if name.startswith("_") or name in ("format", "format_map"):
                return False
            case _ if isinstance(node, _NOT_IN_LAMBDA):
                return False
    return True


def _values_of(code: str) -> set[str]:
    """The names that a program binds to a literal at its top level."""
    try:
        body = parse(code).body
    except SyntaxError:
        return set()
    return {
        target.id
        for node in body
        if isinstance(node, ast.Assign) and _is_literal(node.value, 0)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
