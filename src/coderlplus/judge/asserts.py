"""Asserts on calls with literals: their text is their plan (`plans.py`).

    assert f(3) == 6
    assert candidate([1], k=2) is True
    assert not f("") and abs(f(3 * 19) - 0.5) < 1e-6, "no"
    assert set(f([1])) == set([1])
    def check(candidate): ... of nothing but such

Whether test code is of this form its text says, before any program runs.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coderlplus import syntax
from coderlplus.judge.expressions import (
    TYPES,
    Answered,
    Expression,
    Unclear,
    holds,
    text_of,
    text_of_method,
    value_of,
)
from coderlplus.judge.wire import MESSAGE_CHARS
from coderlplus.records import TaggedValue
from coderlplus.sandbox.values import encode, is_plain

_MAX_CHARS = 200_000
"""Longest test code that is looked at."""
_BROKEN = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, Unclear)
_FUNCTIONS = (
    *("abs", "all", "any", "frozenset", "len", "list", "max", "min", "repr", "round", "set", "sorted", "str", "sum"),
    "tuple",
)
"""Functions of one argument that `expressions` computes."""
_OPERATORS: dict[type[ast.AST], str] = {
    **{ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.In: "in"},
    **{ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv"},
    ast.Mod: "mod",
}


@dataclass(frozen=True, slots=True)
class Call:
    """`caught` names the builtin exceptions after which test code goes on."""

    args: tuple[TaggedValue, ...]
    kwargs: Mapping[str, TaggedValue]
    caught: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """An assert behind the first `after` calls, on a line of the test code. `message` is its text, in which `\\0n\\0`
    stands for the n-th of `shown`, or `None` where `method`, of unittest, tells (its name, values, options), or only
    the examiner. `is_error`: test code ends otherwise than by an `AssertionError`. `is_exact`: all that is computed is
    computed there, behind the last call, so that an exception of it is one of the test code on this line."""

    after: int
    test: Expression
    line: int
    message: str | None
    shown: Sequence[Expression] = ()
    method: Expression | None = None
    is_error: bool = False
    is_exact: bool = False

    def holds(self, answers: Sequence[Answered]) -> bool:
        """Raises `Unclear`."""
        return holds(self.test, answers)

    def text(self, answers: Sequence[Answered]) -> str:
        """Its message. Raises `Unclear`."""
        if self.method is not None:
            return text_of_method(self.method, answers)
        if self.message is None:
            raise Unclear
        if not self.shown:
            return self.message
        parts = self.message.split("\0")  # every other one is a place
        for at in range(1, len(parts), 2):
            parts[at] = text_of(self.shown[int(parts[at])], answers)[:MESSAGE_CHARS]
        return "".join(parts)[:MESSAGE_CHARS]


@dataclass(frozen=True, slots=True)
class Plan:
    calls: tuple[Call, ...]
    conditions: tuple[Condition, ...]
    catches: bool = False
    """Whether an exception that the program raises may be caught."""

    def looks_at(self, place: int) -> bool:
        """Whether anything is asserted of the answer to this call."""
        return any(_is_in(["answer", place], one.test) for one in self.conditions)


def _is_in(part: Expression, expression: object) -> bool:
    return expression == part or (isinstance(expression, list) and any(_is_in(part, each) for each in expression))


def read_asserts(code: str, entry_point: str, setup_code: str = "") -> Plan | None:
    """The plan of test code that is nothing but such asserts, `None` where it is more.

    >>> plan = read_asserts("assert f(3) == 6\\nassert not f([])", "f")
    >>> [call.args for call in plan.calls], [one.test for one in plan.conditions]
    ([(3,), ([],)], [['eq', ['answer', 0], ['const', 6]], ['not', ['answer', 1]]])
    >>> read_asserts("assert f(f(3)) == 6", "f") is None
    True
    """
    if len(code) > _MAX_CHARS:
        return None
    try:
        reader = _Reader(setup_code)
        reader.read(syntax.parse(code).body, {"candidate"} | ({entry_point} if "." not in entry_point else set()))
    except _BROKEN:
        return None
    return Plan(tuple(reader.calls), tuple(reader.conditions)) if reader.conditions else None


class _Reader:
    """Raises `ValueError` or `Unclear` for code of another form."""

    def __init__(self, setup_code: str, bound: frozenset[str] = frozenset()) -> None:
        self.setup_code = setup_code
        self.bound = bound
        """All names of the program's function so far."""
        self.calls: list[Call] = []
        self.conditions: list[Condition] = []
        self.names: set[str] = set()

    def read(self, body: Sequence[ast.stmt], names: set[str], in_check: bool = False) -> None:
        """`names` are those of the program's function."""
        check: ast.FunctionDef | None = None
        for node in body:
            self.bound |= names
            match node:
                case ast.Assign(targets=[ast.Name(id=alias)], value=ast.Name(id=name)) if (
                    name in names and alias != "check"
                ):
                    names = names | {alias}
                case ast.Assign(targets=[ast.Name(id="METADATA")], value=ast.Dict()):
                    ast.literal_eval(node.value)
                case ast.Assert(test=ast.Constant(value=True)) | ast.Pass():
                    pass
                case ast.Assert():
                    self._assert(node, names)
                case ast.FunctionDef(
                    name="check",
                    args=ast.arguments(args=[ast.arg()], posonlyargs=[], kwonlyargs=[], defaults=[]),
                    returns=None | ast.Constant() | ast.Name(),
                ) if (
                    check is None
                    and not in_check
                    and "check" not in names
                    and isinstance(node.args.args[0].annotation, ast.Constant | ast.Name | None)
                    and not (node.decorator_list or node.args.vararg or node.args.kwarg or self.conditions)
                ):
                    check = node
                case ast.Expr(value=ast.Call(func=ast.Name(id="check"), args=[ast.Name(id=name)], keywords=[])) if (
                    name in names and check is not None and node is body[-1]
                ):
                    pass
                case _:
                    raise ValueError(type(node).__name__)
        if check is not None:
            if self.conditions:
                raise ValueError("asserts beside check")
            self.read(check.body[ast.get_docstring(check) is not None :], {check.args.args[0].arg}, in_check=True)

    def _assert(self, node: ast.Assert, names: set[str]) -> None:
        message: str | None = None
        if node.msg is None or isinstance(node.msg, ast.Constant):
            message = "" if node.msg is None else str(node.msg.value)
        self.names = names
        parts = node.test.values if isinstance(node.test, ast.BoolOp) and _is_and(node.test) else [node.test]
        for part in parts:
            calls = len(self.calls)
            test = self.expression(part)
            if len(self.calls) == calls:
                raise ValueError("no call of the program")
            is_exact = len(self.calls) == calls + 1
            self.conditions.append(Condition(len(self.calls), test, node.lineno, message, is_exact=is_exact))

    def expression(self, node: ast.expr) -> Expression:
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in self.names:
                if any(keyword.arg is None for keyword in node.keywords):
                    raise ValueError("arguments that are not written")
                args = tuple(map(self._constant, node.args))
                self.calls.append(Call(args, {str(each.arg): self._constant(each.value) for each in node.keywords}))
                return ["answer", len(self.calls) - 1]
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self._comparison(left, operator, right)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ["not", self.expression(operand)]
            case ast.BoolOp(values=[first, *others]):
                expression = self.expression(first)
                calls = len(self.calls)
                for other in others:
                    expression = ["and" if _is_and(node) else "or", expression, self.expression(other)]
                if len(self.calls) > calls:
                    raise ValueError("a call that depends on an answer")
                return expression
            case ast.BinOp() | ast.Call() if not _is_literal(node):
                return self._computation(node)
            case ast.List() | ast.Tuple():
                return ["const", self._constant(node)]
        tagged = encode(ast.literal_eval(node))
        if not is_plain(tagged):
            raise ValueError("too long")
        return ["const", tagged]

    def _constant(self, node: ast.expr) -> TaggedValue:
        """The value of what is made of literals alone."""
        tagged = encode(self._value(node))
        if not is_plain(tagged):
            raise ValueError("too long")
        return tagged

    def _value(self, node: ast.expr) -> Any:
        if _is_literal(node):
            return ast.literal_eval(node)
        if isinstance(node, ast.List | ast.Tuple):
            items = [self._value(item) for item in node.elts]
            return items if isinstance(node, ast.List) else tuple(items)
        return value_of(_Reader(self.setup_code, self.bound).expression(node), ())

    def _comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Expression:
        if isinstance(operator, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and (right.value is None or type(right.value) is bool)):
                raise ValueError("which object it is")
            made: Expression = ["is", self.expression(left), ["const", right.value]]
        elif isinstance(operator, ast.NotIn):
            made = ["in", self.expression(left), self.expression(right)]
        else:
            return [_OPERATORS[type(operator)], self.expression(left), self.expression(right)]
        return made if isinstance(operator, ast.Is) else ["not", made]

    def _computation(self, node: ast.expr) -> Expression:
        match node:
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                return [_OPERATORS[type(operator)], self.expression(left), self.expression(right)]
            case ast.Call(func=ast.Name(id=name), args=[one], keywords=[]) if name in _FUNCTIONS:
                self._check_name(name)
                return [name, self.expression(one)]
            case ast.Call(func=ast.Name(id="round"), args=[one, ast.Constant() as digits], keywords=[]):
                self._check_name("round")
                return ["round", self.expression(one), self.expression(digits)]
            case ast.Call(func=ast.Name(id="isinstance"), args=[one, ast.Name(id=name)], keywords=[]) if name in TYPES:
                self._check_name("isinstance", name)
                return ["isinstance", self.expression(one), ["const", [name]]]
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="isclose"), args=[a, b]):
                self._check_name("math")
                given = {"rel_tol": 1e-9, "abs_tol": 0.0} | {
                    str(each.arg): self._constant(each.value) for each in node.keywords
                }
                if len(given) > 2:
                    raise ValueError("other arguments")
                tolerances = [["const", given["rel_tol"]], ["const", given["abs_tol"]]]
                return ["isclose", self.expression(a), self.expression(b), *tolerances]
        raise ValueError(type(node).__name__)

    def _check_name(self, *names: str) -> None:
        """Raises `ValueError` if they may not be what Python calls so: set-up code that mentions them, other than to
        import `math`, may bind them, and test code calls the program's function so."""
        if not self.bound.isdisjoint(names):
            raise ValueError("a name of the program's function")
        for node in syntax.walk(syntax.parse(self.setup_code)):
            match node:
                case ast.Import(names=imported):
                    bound = {alias.asname or alias.name for alias in imported if alias.asname or alias.name != "math"}
                case ast.ImportFrom(names=imported):
                    bound = {alias.asname or alias.name for alias in imported}
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    bound = {name}
                case ast.Name(id=name, ctx=ast.Store()):
                    bound = {name}
                case _:
                    continue
            if bound.intersection((*names, "*")):
                raise ValueError("a name that set-up code binds")


def _is_and(node: ast.BoolOp) -> bool:
    return isinstance(node.op, ast.And)


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True
