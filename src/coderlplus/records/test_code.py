"""What test code will do, as far as its text says. All of it is decided here, before any program runs, so no program
has a say in it.

- What is run: the code, and after it what a test runner would call (`check`, `test_*` functions, methods of test
  classes).
- Whether it tests anything: code in which nothing that runs can fail, or that never uses the entry point, is at fault
  itself.
- Whether it needs the process of the program (`needs_program`): it uses a name that only the reference defines, or
  hands over a function, a class or an object of a class of its own.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import re
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from coderlplus import syntax

_NODE_CLASSES = ("ListNode", "TreeNode")
_DYNAMIC = frozenset({"exec", "eval", "compile", "globals", "locals", "vars", "__import__", "importlib"})
"""Code that uses one of these may define and do what its text does not show."""
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ASKED = re.compile(r"\b(?:class|function|struct|type|object|dataclass|enum)[ \t]+[`'\"*]{0,3}([A-Za-z_]\w*)")
"""A name that a statement speaks of as something to be defined: "define a class Node"."""
_BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)
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
    except _BROKEN as error:
        return TestCode(code, False, (), f"it does not compile: {type(error).__name__}: {error}")
    text = _without_runners(code, tree, entry_point)
    calls, fault = _calls(tree, entry_point)
    unknown = unknown_names(code, entry_point, setup_code)
    modules = tuple(sorted(name for name in unknown if name in sys.stdlib_module_names))
    undefined = sorted(unknown.difference(modules))
    if not fault:
        fault = _vacuous(tree, entry_point, setup_code, calls)
    if not fault and undefined and not in_process:
        fault = f"it uses the name {undefined[0]!r}, which nothing defines"
    is_main = any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(tree))
    return TestCode("\n".join([text, *calls]) if calls else text, is_main, modules, fault)


def needs_program(code: str, entry_point: str, setup_code: str, program: str, statement: str = "") -> bool:
    """Whether test code can only run in the process of the program; `program` is the reference, or what there is of
    it. Without a reference, `statement` tells which other names the program is asked to define: those in it that are
    written as a class or a function is.

    >>> needs_program("assert size(Node(1)) == 1", "size", "", "class Node: ...\\ndef size(node): ...")
    True
    """
    try:
        tree = syntax.parse(code)
    except _BROKEN:
        return False
    unknown = {name for name in unknown_names(code, entry_point, setup_code) if name not in sys.stdlib_module_names}
    if unknown and unknown <= _defined(program).union(_ASKED.findall(statement)):
        return True
    own = _own_things(tree) | _own_things(_parsed(setup_code))
    given = (
        argument
        for call in _calls_of(tree, entry_point)
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
    )
    return any(_is_thing(argument, own) for argument in given)


def unknown_names(code: str, entry_point: str, setup_code: str) -> set[str]:
    """Global names that test code uses and that neither it, its set-up code, the entry point nor Python defines. None
    where that cannot be told."""
    known = set(dir(builtins)) | {"candidate", entry_point.partition("().")[0]}
    known |= set(_NODE_CLASSES) if "()." in entry_point else set()
    used = {
        symbol.get_name()
        for symbol, is_global in _symbols(symtable.symtable(code, "<test>", "exec"))
        if symbol.is_referenced() and (is_global or symbol.is_global())
    }
    if used & _DYNAMIC:
        return set()
    for text in (code, setup_code):
        defined = _defined(text)
        if "*" in defined:
            return set()
        known |= defined
    return {name for name in used - known if not name.startswith("__")}


def _symbols(table: symtable.SymbolTable) -> Iterator[tuple[symtable.Symbol, bool]]:
    """The symbols of all scopes, with whether they are those of the module."""
    for symbol in table.get_symbols():
        yield symbol, table.get_type() == "module"
    for child in table.get_children():
        yield from _symbols(child)


def _defined(code: str) -> set[str]:
    """Names that code binds at module level; `*` stands for those of a module that is not of the standard library."""
    tree = _parsed(code)
    try:
        table = symtable.symtable(ast.unparse(tree), "<code>", "exec")
    except _BROKEN:
        return set()
    names = {
        symbol.get_name()
        for symbol, is_global in _symbols(table)
        if (symbol.is_assigned() or symbol.is_imported()) and (is_global or symbol.is_declared_global())
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            names |= _exported(node.module or "")
    return names


@functools.cache
def _exported(module: str) -> frozenset[str]:
    if module.partition(".")[0] not in sys.stdlib_module_names or module in ("antigravity", "this"):
        return frozenset({"*"})
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        return frozenset({"*"})
    return frozenset(getattr(loaded, "__all__", [name for name in vars(loaded) if not name.startswith("_")]))


@functools.lru_cache(maxsize=256)
def _parsed(code: str) -> ast.Module:
    for text in (code, code + "\n    pass\n"):  # starter code may end behind a signature
        try:
            return syntax.parse(text)
        except _BROKEN:
            continue
    return ast.Module([], [])


# What is run


def _calls(tree: ast.Module, entry_point: str) -> tuple[list[str], str]:
    """The statements that call what test code defines for a runner, and why it cannot be called if so."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    called = {
        node.func.id for node in _own_nodes(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    calls: list[str] = []
    fault = ""
    for node in _definitions(tree):
        if isinstance(node, ast.ClassDef):
            calls += _class_calls(node)
        elif node.name == "check" and "check" not in called:
            if any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in _own_nodes(node)):
                fault = "it tests nothing: its check is a generator, of which nothing runs"
            calls.append(_call(node, "check(candidate)" if _parameters(node) else "check()"))
        elif node.name.startswith("test") and node.name not in used and not _required(node.args):
            calls.append(_call(node, f"{node.name}()"))
    if "check" in dict(_assignments(tree.body)) and "check" not in called:
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


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """What a function may be handed by place."""
    given = function.args
    return [argument.arg for argument in (*given.posonlyargs, *given.args, given.vararg) if argument]


def _without_runners(code: str, tree: ast.Module, entry_point: str) -> str:
    """The code without `unittest.main()` and `pytest.main()`, and without imports of the entry point from a module
    that stands for the program."""
    name = entry_point.partition("().")[0]
    cuts: list[tuple[ast.stmt, str]] = []
    for node in ast.walk(tree):
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


# Whether it can fail


def _vacuous(tree: ast.Module, entry_point: str, setup_code: str, calls: Sequence[str]) -> str:
    names = _names_of_candidate(tree, entry_point.partition("().")[0])
    running = _running(tree, _parsed(setup_code), [call.replace("(candidate)", "()") for call in calls])
    used = {name for node, _ in running for name in _names_in(node)}
    if used & _DYNAMIC:
        return ""
    if not any(can_fail for _, can_fail in running):
        return "it tests nothing: no statement of it that runs can fail"
    if not names & used and "check" not in dict(_assignments(tree.body)):
        return f"it tests nothing: it never uses {entry_point}"
    return ""


def _running(tree: ast.Module, setup: ast.Module, calls: Sequence[str]) -> list[tuple[ast.AST, bool]]:
    """The nodes of all code that may run, with whether they can fail the test: at module level, in what is called, and
    in each function, of the set-up code too, whose name such code mentions."""
    functions: dict[str, list[ast.AST]] = {}
    for node in [*ast.walk(tree), *ast.walk(setup)]:
        if isinstance(node, _FUNCTIONS):
            functions.setdefault(node.name, []).append(node)
    for name, value in _assignments([*ast.walk(tree), *ast.walk(setup)]):
        if isinstance(value, ast.Lambda):
            functions.setdefault(name, []).append(value)
    found: list[tuple[ast.AST, bool]] = []
    waiting: list[ast.AST] = [tree, *map(ast.parse, calls)]
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
        if isinstance(node, _FUNCTIONS):
            stack += [(part, is_caught) for part in (*node.decorator_list, *node.args.defaults)]
            continue
        caught = {id(part) for part in node.body} if isinstance(node, ast.Try | ast.With) and _catches(node) else ()
        stack += [(part, is_caught or id(part) in caught) for part in parts(node)]


def _own_nodes(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module or a function, without those inside the functions that it defines."""
    return (node for node, _ in _reached(root, ast.iter_child_nodes))


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


_ALL = frozenset({"AssertionError", "Exception", "BaseException"})


def _catches(node: ast.Try | ast.With) -> bool:
    """Whether an assertion that fails in its body goes no further."""
    if isinstance(node, ast.With):
        calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
        return any("suppress" in _names_in(call.func) and _is_all(*call.args) for call in calls)
    for handler in node.handlers:
        if handler.type is None or _is_all(
            *(handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])
        ):
            return not any(_can_fail(inner) for inner in ast.walk(handler))
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
            return truth is False or (truth is None and any(isinstance(part, ast.Name) for part in ast.walk(test)))
        case ast.Raise(exc=ast.Name(id="SystemExit") | ast.Call(func=ast.Name(id="SystemExit"), args=[])):
            return False
        case ast.Raise():
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            if name in ("exit", "quit"):
                return bool(node.args)
            return "assert" in name.lower() or name in ("fail", "raises", "_exit")
    return False


def _definitions(tree: ast.Module) -> list[_Definition]:
    """Functions and classes at module level, also under `if` and `try`, in their order; of several of one name the
    last."""
    found: dict[str, _Definition] = {}
    stack: list[ast.AST] = [tree]
    while stack:
        for node in ast.iter_child_nodes(stack.pop()):
            if isinstance(node, _Definition):
                found[node.name] = node
            elif isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
                stack.append(node)
    return sorted(found.values(), key=lambda node: node.lineno)


def _assignments(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """The names that these statements bind by `=`, each with its value."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def _names_of_candidate(tree: ast.Module, name: str) -> set[str]:
    """What test code may call the entry point: its name, and what `check`, an import or an assignment calls it."""
    names = {"candidate", name}
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and node.name == "check":
            names.update(_parameters(node))
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.asname and alias.name in names}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in names:
            names.update(other for other, _ in _assignments([node]))
    return names


# What it hands over


def _own_things(tree: ast.Module) -> set[str]:
    """Names of the functions and classes that code defines itself, and of variables that hold one of them or an object
    of such a class."""
    names = {node.name for node in ast.walk(tree) if isinstance(node, _Definition)} - set(_NODE_CLASSES)
    for name, value in _assignments(ast.walk(tree)):
        if _is_thing(value, names):
            names.add(name)
    return names


_CLASSES_OF_PYTHON = frozenset(name for name, value in vars(builtins).items() if callable(value))


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


def _calls_of(tree: ast.Module, entry_point: str) -> Iterator[ast.Call]:
    """The calls of the entry point, by whatever name."""
    names = _names_of_candidate(tree, entry_point.rpartition("().")[2])
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in names:
                yield node
