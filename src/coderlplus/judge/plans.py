"""Test code → a plan: which calls it makes, and what it asks of their answers. A planned test is run as calls.

Asserts on calls with literals are read from the text (`asserts.py`). Other code that does nothing unusual is run once,
without any program, in the sandbox (`dry_run.py`); what it does there it does with every program. Where the answers of
a program leave it open how the test ends (`Unclear`), the examiner decides.
"""

from __future__ import annotations

import ast
import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from coderlplus import syntax
from coderlplus.judge.asserts import Call, Condition, Plan, read_asserts
from coderlplus.judge.wire import Fields, has_shape
from coderlplus.records import CheckTest, Problem
from coderlplus.records.test_code import TestCode, read_test_code
from coderlplus.sandbox import Job, Outcome

_MAX_CHARS = 200_000
"""Longest test code that is run without a program."""
_REPLY_KB = 128
"""Longest plans of the tests of a problem."""
_REMEMBERED = 512
"""Problems whose plans are kept."""
_PURE = (
    *("bisect", "collections", "copy", "decimal", "fractions", "functools", "heapq", "itertools", "math", "operator"),
    *("random", "re", "statistics", "string", "typing"),
)
"""Modules whose functions give the same in every process of the sandbox."""
_UNUSUAL = (
    *(ast.Try, ast.TryStar, ast.With, ast.ClassDef, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await),
    *(ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Match, ast.Delete, ast.Global, ast.Nonlocal),
)
"""What may go on where the program raised an exception, or that names are bound where they are not written."""
_UNUSUAL_NAMES = (
    *("exec", "eval", "compile", "globals", "locals", "vars", "dir", "__import__", "id", "open", "input", "super"),
    *("breakpoint", "getattr", "setattr", "delattr", "hash", "object", "SystemRandom", "exit", "quit"),
)
_SIMPLE = (
    *("abs", "all", "any", "isinstance", "len", "list", "max", "min", "repr", "round", "set", "sorted", "str", "sum"),
    "tuple",
)
"""Functions without effects."""
_RUN = "_dry_run"
_COMPARISONS: dict[type[ast.cmpop], str] = {
    **{ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"},
}
_CONDITION: Fields = {
    **{"after": (int,), "test": (list,), "line": (int,), "message": (str, type(None)), "shown": (list,)},
}


_known: OrderedDict[tuple[str, ...], list[Plan] | None] = OrderedDict()
_lock = threading.Lock()
_read_asserts = functools.lru_cache(maxsize=8192)(read_asserts)


def plans(execute: Callable[[Job], Outcome], problem: Problem, tests: Sequence[int]) -> dict[int, Plan] | None:
    """The plans of these tests, those of them that are code; `None` if one of them has none."""
    codes = {index: test.code for index in tests if isinstance(test := problem.tests[index], CheckTest)}
    name = problem.entry_point or ""
    read = {index: _read_asserts(code, name, problem.setup_code) for index, code in codes.items()}
    found = {index: plan for index, plan in read.items() if plan is not None}
    others = [index for index in codes if index not in found]
    if not others:
        return found
    key = (name, problem.setup_code, *(codes[index] for index in others))
    with _lock:
        is_known = key in _known
        made = _known.get(key)
    if not is_known:
        codes_read = [read_test_code(codes[index], name, problem.setup_code) for index in others]
        made, is_final = _dry_run(execute, problem, codes_read)
        with _lock:
            if is_final:
                _known[key] = made
            if len(_known) > _REMEMBERED:
                _known.popitem(last=False)
    return None if made is None else found | dict(zip(others, made, strict=True))


def _dry_run(
    execute: Callable[[Job], Outcome], problem: Problem, codes: Sequence[TestCode]
) -> tuple[list[Plan] | None, bool]:
    """The plans, if there are, and whether that is so every time."""
    if any(module not in _PURE for code in codes for module in code.modules):
        return None, True
    try:
        made = [instrumented(code.text, problem.setup_code) for code in codes]
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None, True
    tests = [
        {"code": text, "main": code.is_main, "modules": list(code.modules)}
        for text, code in zip(made, codes, strict=True)
    ]
    payload = {"setup_code": problem.setup_code, "entry_point": problem.entry_point, "tests": tests}
    outcome = execute(
        Job(guest="coderlplus.judge.dry_run:dry_run", payload=payload, limits=problem.limits, reply_kb=_REPLY_KB)
    )
    if outcome.ending != "returned" or len(outcome.replies) != 1:
        return None, outcome.ending != "fault"
    (reply,) = outcome.replies
    read = [_read(each) for each in reply] if isinstance(reply, list) and len(reply) == len(codes) else []
    return ([plan for plan in read if plan] if read and all(read) else None), True


def _read(reply: object) -> Plan | None:
    if not has_shape(reply, {"calls": (list,), "asserts": (list,)}):
        return None
    calls, conditions = reply["calls"], reply["asserts"]
    if not all(has_shape(call, {"args": (list,), "kwargs": (dict,)}) for call in calls):
        return None
    if not conditions or not all(has_shape(one, _CONDITION) for one in conditions):
        return None
    if not all(0 < one["after"] <= len(calls) for one in conditions):
        return None
    return Plan(
        tuple(Call(tuple(call["args"]), call["kwargs"]) for call in calls),
        tuple(Condition(**one) for one in conditions),
    )


def instrumented(code: str, setup_code: str) -> str:
    """The code with calls, `is`, `in`, `not`, `and`, `or` and `assert` as calls of the dry run. Raises `ValueError`
    for code that does what is not planned for, `SyntaxError` for what is none."""
    if len(code) > _MAX_CHARS:
        raise ValueError("too long")
    tree, setup = syntax.parse(code), syntax.parse(setup_code)
    impure = {name for part in (tree, setup) for name in _impure(part)}
    for node in (*ast.walk(tree), *ast.walk(setup)):
        match node:
            case ast.Name(id=name) if name in _UNUSUAL_NAMES or name in impure or name == _RUN:
                raise ValueError(name)
            case ast.Call(func=ast.Attribute(attr="seed" | "Random"), args=[]):
                raise ValueError("chance")
            case ast.Call(func=ast.Name(id="seed" | "Random"), args=[]):
                raise ValueError("chance")
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(decorator_list=[_, *_]):
                raise ValueError("a decorator")
            case ast.Attribute(attr=name, ctx=context) if (
                name.startswith("_") or name in _UNUSUAL_NAMES or not isinstance(context, ast.Load)
            ):
                raise ValueError(name)
        if isinstance(node, _UNUSUAL):
            raise ValueError(type(node).__name__)
    return ast.unparse(ast.fix_missing_locations(_Instrument().visit(tree)))


def _impure(tree: ast.Module) -> set[str]:
    """Names that are bound to what is imported from another module than the pure ones."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=imported):
                modules = [(alias.asname or alias.name.partition(".")[0], alias.name) for alias in imported]
            case ast.ImportFrom(module=module, names=imported):
                modules = [(alias.asname or alias.name, module or "") for alias in imported]
            case _:
                continue
        for name, module in modules:
            if module.partition(".")[0] not in _PURE:
                if name == "*":
                    raise ValueError(module)
                names.add(name)
    return names


def _is_simple(node: ast.expr) -> bool:
    """Whether it has no effects, and no text in it is taken apart."""
    for part in ast.walk(node):
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
    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return _of_run("call", node.func, *node.args, keywords=node.keywords)

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

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
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
                message = ast.Lambda(_no_arguments(), ast.Constant(None) if not is_simple else node.msg)
            arguments = [ast.Constant(node.lineno), self.visit(test), message, ast.Constant(is_simple)]
            made.append(ast.Expr(_of_run("check", *arguments)))
        return made


def _has_no_effects(node: ast.expr) -> bool:
    """Whether nothing but its value comes of it, so that it may be computed where Python would not."""
    for part in ast.walk(node):
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
    function = ast.Attribute(ast.Name(_RUN, ast.Load()), name, ast.Load())
    return ast.Call(function, list(args), list(keywords))
