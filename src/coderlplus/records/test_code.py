"""How test code is run, and what is wrong with it, as far as its text says. All of it is decided before any program
runs, so no program has a say in it.

What is run is the code, and after it what a test runner would call (`check`, `test_*` functions, methods of test
classes). `test_code_vacuous` decides whether it tests anything, `test_code_in_process` whether it needs the process of
the program.
"""

from __future__ import annotations

import ast
import functools
import sys
from dataclasses import dataclass

from coderlplus import syntax
from coderlplus.records.test_code_names import BROKEN, assignments, definitions, parameters, unknown_names
from coderlplus.records.test_code_vacuous import own_nodes, vacuous

_DRIVER = (
    "try:\n    {call}.send(None)\nexcept StopIteration:\n    pass\nelse:\n    raise RuntimeError('a coroutine "
    "of the test waits')"
)


@dataclass(frozen=True, slots=True)
class TestCode:
    """Test code as it is run."""

    text: str
    """The code, and behind it the calls of what it only defines."""
    is_main: bool
    """Whether it asks for `__name__`, which is then `"__main__"`."""
    modules: tuple[str, ...]
    """Modules of the standard library that it uses without an import: it counts on the imports of the reference."""
    fault: str = ""
    """What is wrong with the test itself, whatever the program: it does not compile, tests nothing, or uses a name
    that nothing defines."""


@functools.lru_cache(maxsize=8192)
def read_test_code(code: str, entry_point: str, setup_code: str = "", in_process: bool = False) -> TestCode:
    """How test code is run, and what is wrong with it.

    >>> read_test_code("def check(candidate):\\n    assert candidate(1) == 2\\n", "f").text.splitlines()[-1]
    'check(candidate)'
    >>> read_test_code("f(1) == 2", "f").fault
    'it tests nothing: no statement of it that runs can fail'
    """
    try:
        tree = syntax.parse(code)
        compile(code, "<test>", "exec", dont_inherit=True)
    except BROKEN as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else error
        return TestCode(code, False, (), f"it does not compile: {type(error).__name__}: {reason}{line}")
    text = _without_runners(code, tree, entry_point)
    calls, fault = _calls(tree, entry_point)
    unknown = unknown_names(code, entry_point, setup_code)
    modules = tuple(sorted(name for name in unknown if name in sys.stdlib_module_names))
    undefined = sorted(unknown.difference(modules))
    if not fault:
        fault = vacuous(tree, entry_point, setup_code, calls)
    if not fault and undefined and not in_process:
        fault = f"it uses the name {undefined[0]!r}, which nothing defines"
    is_main = any(isinstance(node, ast.Name) and node.id == "__name__" for node in syntax.walk(tree))
    return TestCode("\n".join([text, *calls]) if calls else text, is_main, modules, fault)


def _calls(tree: ast.Module, entry_point: str) -> tuple[list[str], str]:
    """The statements that call what test code defines for a runner, and why it cannot be called if so."""
    used = {node.id for node in syntax.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    called = {
        node.func.id for node in own_nodes(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    calls: list[str] = []
    fault = ""
    for node in definitions(tree):
        if isinstance(node, ast.ClassDef):
            calls += _class_calls(node)
        elif node.name == "check" and "check" not in called:
            if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in own_nodes(node)):
                fault = "it tests nothing: its check is a generator, of which nothing runs"
            calls.append(_call(node, "check(candidate)" if parameters(node) else "check()"))
        elif node.name.startswith("test") and node.name not in used and not _required(node.args):
            calls.append(_call(node, f"{node.name}()"))
    if "check" in dict(assignments(tree.body)) and "check" not in called:
        calls.append("check(candidate)")
    return calls, fault


def _call(function: ast.FunctionDef | ast.AsyncFunctionDef, call: str) -> str:
    return _DRIVER.format(call=call) if isinstance(function, ast.AsyncFunctionDef) else call


def _class_calls(node: ast.ClassDef) -> list[str]:
    """As unittest and pytest do: a new object for each test."""
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    tests = [name for name in methods if name.startswith("test")]
    if any(ast.unparse(base).endswith("TestCase") for base in node.bases):
        first = [f"{node.name}.setUpClass()"] if "setUpClass" in methods and tests else []
        return first + [f"{node.name}({name!r}).debug()" for name in tests]
    if not node.name.startswith("Test") or "__init__" in methods:
        return []
    set_up = methods.get("setup_method")
    arguments = "" if set_up is None or len(set_up.args.args) < 2 else "None"
    before = f"_test = {node.name}()\n" + (f"_test.setup_method({arguments})\n" if set_up else "")
    return [
        f"{before}_test.{name}()"
        for name in tests
        if len(methods[name].args.args) == 1 or methods[name].decorator_list
    ]


def _required(arguments: ast.arguments) -> bool:
    """Whether a function cannot be called without arguments."""
    places = len(arguments.posonlyargs) + len(arguments.args)
    return places > len(arguments.defaults) or any(default is None for default in arguments.kw_defaults)


def _without_runners(code: str, tree: ast.Module, entry_point: str) -> str:
    """The code without `unittest.main()` and `pytest.main()`, and without imports of the entry point from a module
    that stands for the program."""
    name = entry_point.partition("().")[0]
    cuts: list[tuple[ast.stmt, str]] = []
    for node in syntax.walk(tree):
        match node:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="unittest" | "pytest"), attr="main"))):
                cuts.append((node, "pass"))
            case ast.ImportFrom(module=str(module), names=names, level=0):
                rest = [alias for alias in names if alias.name != name]
                if len(rest) < len(names) and module.partition(".")[0] not in sys.stdlib_module_names:
                    kept = [ast.unparse(ast.ImportFrom(module, rest, 0))] if rest else []
                    others = {alias.asname for alias in names if alias.name == name} - {None, name}
                    cuts.append((node, "; ".join([*kept, *(f"{other} = {name}" for other in others)]) or "pass"))
    lines = code.encode().splitlines(keepends=True)
    for cut, text in sorted(cuts, key=lambda pair: -pair[0].lineno):
        first, last = cut.lineno - 1, (cut.end_lineno or cut.lineno) - 1
        start, end = lines[first][: cut.col_offset], lines[last][cut.end_col_offset :]
        lines[first : last + 1] = [start + text.encode() + end, *[b"\n"] * (last - first)]
    return b"".join(lines).decode()
