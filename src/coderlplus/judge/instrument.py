"""Test code, as it is run without a program (`dry_run.py`): what Python does not let a class define, and what depends
on whether the program raises an exception, are calls of the dry run.

    assert f(x) is None              check(at(1, True), is_(call(1, f, x), None), None, True)
    try:                             begin()
        f(-1)                        tried(2, False, [ValueError], f, -1)
        assert False, "no"           guard(0); check(at(3, True), False, lambda: "no", True); unguard()
    except ValueError as e:          guard(1); e = error()
        assert str(e) == "neg"       check(at(5, True), call(5, str, e) == "neg", None, True); del e; unguard()
    with raises(ValueError):         with expecting(6, call(6, raises, ValueError), True):
        f(-1)                            call(7, f, -1)
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence

from coderlplus import syntax
from coderlplus.judge.plannable import RUN, check_plannable

_SIMPLE = (
    *("abs", "all", "any", "isinstance", "len", "list", "max", "min", "repr", "round", "set", "sorted", "str", "sum"),
    *("tuple", "type"),
)
"""Functions without effects."""
_COMPARISONS: dict[type[ast.cmpop], str] = {
    **{ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"},
}


def instrumented(code: str, setup_code: str, modules: Sequence[str] = ()) -> str:
    """The code with calls, `is`, `in`, `not`, `and`, `or` and `assert` as calls of the dry run. `modules` are those
    that it uses without an import. Raises `ValueError` for code that cannot be planned, and `SyntaxError` for text
    that is not Python."""
    tree, setup = syntax.parse(code), syntax.parse(setup_code)
    testing = check_plannable(code, tree, setup, modules)
    return ast.unparse(ast.fix_missing_locations(_Instrument(testing).visit(tree)))


def _is_simple(node: ast.expr) -> bool:
    """Whether it has no effects, and no text in it is taken apart."""
    for part in syntax.walk(node):
        match part:
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _SIMPLE:
                pass
            case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str(form)), right=ast.Tuple()):
                if form.count("%") != form.count("%s") + form.count("%r"):
                    return False
            case ast.FormattedValue(format_spec=None):
                pass
            case ast.Call() | ast.Lambda() | ast.FormattedValue() | ast.BinOp(op=ast.Mod() | ast.Mult()):
                return False
            case ast.Subscript(value=ast.Name() | ast.Subscript()):
                pass
            case ast.Subscript() | ast.Attribute() | ast.Starred() | ast.ListComp() | ast.SetComp():
                return False
            case ast.DictComp() | ast.GeneratorExp() | ast.IfExp() | ast.Compare() | ast.BoolOp():
                return False
    return True


class _Instrument(ast.NodeTransformer):
    """`testing` are the names of `unittest` and its `TestCase`, which is another one in the dry run."""

    def __init__(self, testing: dict[str, str]) -> None:
        self.testing = testing

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        names = [alias for alias in node.names if alias.name != "unittest"]
        return ast.Import(names) if names else ast.Pass()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        names = [alias for alias in node.names if (node.module, alias.name) != ("unittest", "TestCase")]
        return ast.ImportFrom(node.module, names, node.level) if names else ast.Pass()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        self.generic_visit(node)
        match node.bases:
            case [ast.Attribute(value=ast.Name(id=name), attr="TestCase")] if self.testing.get(name) == "unittest":
                pass
            case [ast.Name(id=name)] if self.testing.get(name) == "TestCase":
                pass
            case [_]:
                raise ValueError("a base class")
            case _:
                return node
        node.bases = [ast.Attribute(ast.Name(RUN, ast.Load()), "TestCase", ast.Load())]
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return _of_run("call", ast.Constant(node.lineno), node.func, *node.args, keywords=node.keywords)

    def visit_With(self, node: ast.With) -> ast.stmt:
        is_single = _is_call(node.body[-1])
        line = node.lineno
        self.generic_visit(node)
        match node.items:
            case [ast.withitem(context_expr=context, optional_vars=None | ast.Name() as name)]:
                entered = _of_run("expecting", ast.Constant(line), context, ast.Constant(is_single))
                return ast.With([ast.withitem(entered, name)], node.body)
        raise ValueError("several contexts")

    def visit_Try(self, node: ast.Try) -> list[ast.stmt]:
        calls = [place for place, statement in enumerate(node.body) if _is_call(statement)]
        if node.finalbody or not calls:
            raise ValueError("try")
        before, tried, rest = node.body[: calls[-1]], node.body[calls[-1]], node.body[calls[-1] + 1 :]
        parts = [[*rest, *node.orelse], *(handler.body for handler in node.handlers)]
        if not all(_is_guarded(statement) for part in parts for statement in part):
            raise ValueError("what depends on an exception")
        kinds = [handler.type or ast.Name("BaseException", ast.Load()) for handler in node.handlers]
        if not all(isinstance(kind, ast.Name | ast.Attribute | ast.Tuple) for kind in kinds):
            raise ValueError("computed classes")
        made: list[ast.stmt] = [ast.Expr(_of_run("begin")), *self._visited(before)]
        assert isinstance(tried, ast.Expr | ast.Assign)
        call = tried.value
        assert isinstance(call, ast.Call)
        self.generic_visit(call)
        can_fail = ast.Constant(any(not isinstance(each, ast.Pass) for each in rest))
        classes = ast.List(kinds, ast.Load())
        tried.value = _of_run(
            "tried", ast.Constant(call.lineno), can_fail, classes, call.func, *call.args, keywords=call.keywords
        )
        made.append(tried)
        for number, part in enumerate(parts):
            name = node.handlers[number - 1].name if number else None
            made.append(ast.Expr(_of_run("guard", ast.Constant(number))))
            if name:
                made.append(ast.Assign([ast.Name(name, ast.Store())], _of_run("error")))
            made += self._visited(part)
            if name:
                made.append(ast.Delete([ast.Name(name, ast.Del())]))
            made.append(ast.Expr(_of_run("unguard")))
        return [*made, ast.Expr(_of_run("end"))]

    def _visited(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for statement in map(_as_assert, statements):
            visited = self.visit(statement)
            made += visited if isinstance(visited, list) else [visited]
        return made

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        has_no_effects = all(map(_has_no_effects, node.comparators[1:]))
        self.generic_visit(node)
        match node:
            case ast.Compare(left=left, ops=[ast.Is()], comparators=[right]):
                return _of_run("is_", left, right)
            case ast.Compare(left=left, ops=[ast.IsNot()], comparators=[right]):
                return _of_run("not_", _of_run("is_", left, right))
            case ast.Compare(left=left, ops=[ast.In()], comparators=[right]):
                return _of_run("in_", left, right)
            case ast.Compare(left=left, ops=[ast.NotIn()], comparators=[right]):
                return _of_run("not_", _of_run("in_", left, right))
            case ast.Compare(left=left, ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE() as one], comparators=[right]):
                return _of_run("compared", ast.Constant(_COMPARISONS[type(one)]), left, right)
        if len(node.ops) == 1:
            return node
        names = [ast.Constant(_COMPARISONS.get(type(each), "")) for each in node.ops]
        if not all(name.value for name in names) or not has_no_effects:
            raise ValueError("a chain of comparisons")
        return _of_run("chain", ast.List(list(names), ast.Load()), node.left, *node.comparators)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return _of_run("not_", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        can_be_noted = all(_has_no_effects(value) for value in node.values[1:])
        self.generic_visit(node)
        if not can_be_noted:
            return node
        first, *others = node.values
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        return _of_run(name, first, *(ast.Lambda(_no_arguments(), other) for other in others))

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        """`if f(1) != 2: raise AssertionError` is `assert not f(1) != 2`, but that it stands on two lines."""
        match node:
            case ast.If(body=[ast.Raise() as raised], orelse=[]) if isinstance(made := _as_assert(raised), ast.Assert):
                return self._checks(
                    ast.copy_location(ast.Assert(ast.UnaryOp(ast.Not(), node.test), made.msg), raised), False
                )
        self.generic_visit(node)
        return node

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        return self._checks(node, True)

    def _checks(self, node: ast.Assert, is_exact: bool) -> list[ast.stmt]:
        is_simple = node.msg is None or _is_simple(node.msg)
        tests = (
            node.test.values
            if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
            else [node.test]
        )
        made: list[ast.stmt] = []
        for test in tests:
            message: ast.expr = ast.Constant(None)
            if node.msg is not None:
                text = self.visit(copy.deepcopy(node.msg)) if is_simple else ast.Constant(None)
                message = ast.Lambda(_no_arguments(), text)
            line = _of_run("at", ast.Constant(node.lineno), ast.Constant(is_exact))
            arguments = [line, self.visit(test), message, ast.Constant(is_simple)]
            made.append(ast.Expr(_of_run("check", *arguments)))
        return made


def _is_call(node: ast.stmt) -> bool:
    """Whether it may be a call of the program, whose answer is bound to a name or to none."""
    match node:
        case ast.Expr(value=ast.Call()):
            return not _is_guarded(node)
        case ast.Assign(targets=[ast.Name()], value=ast.Call()):
            return True
    return False


def _is_guarded(node: ast.stmt) -> bool:
    """Whether a statement binds no name and goes nowhere else, so that it may be run whatever the program raises."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print" | "fail"))) | ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name))):
            return name == "fail" or (name.startswith("assert") and not name.startswith("assertRaises"))
    return isinstance(node, ast.Pass | ast.Assert) or isinstance(_as_assert(node), ast.Assert)


def _as_assert(node: ast.stmt) -> ast.stmt:
    """`raise AssertionError("no")` as `assert False, "no"`; what prints simple things as nothing."""
    made: ast.stmt = node
    match node:
        case ast.Raise(exc=ast.Name(id="AssertionError"), cause=None):
            made = ast.Assert(ast.Constant(False), None)
        case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError"), args=[], keywords=[]), cause=None):
            made = ast.Assert(ast.Constant(False), None)
        case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError"), args=[message], keywords=[]), cause=None):
            made = ast.Assert(ast.Constant(False), message)
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=args, keywords=[])) if all(map(_is_simple, args)):
            made = ast.Pass()
    return ast.copy_location(made, node)


def _has_no_effects(node: ast.expr) -> bool:
    """Whether nothing but its value comes of it, so that it may be computed where Python would not."""
    for part in syntax.walk(node):
        match part:
            case ast.Call(func=ast.Name(id=name)) if name in _SIMPLE:
                pass
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math"))):
                pass
            case ast.Call() | ast.Lambda():
                return False
    return True


def _no_arguments() -> ast.arguments:
    return ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])


def _of_run(name: str, *args: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.Call:
    function = ast.Attribute(ast.Name(RUN, ast.Load()), name, ast.Load())
    return ast.Call(function, list(args), list(keywords))
