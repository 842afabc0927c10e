"""Static facts about a program: its syntax tree, normal form and complexity.

The parser of CPython is written in C and holds the interpreter lock while it works. It is bounded by
`MAX_PROGRAM_CHARS` and by limits of its own (200 open brackets, 100 levels of indentation, 6,000 of grammar). Three
things would still take it quadratic time and are refused before it sees them: long runs of combining marks, which it
sorts to normalise a name, dotted names of very many parts, which it joins part by part, and format strings of very
many fields, each of which Python 3.11 looks for in the whole string."""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings
from collections.abc import Iterable

from coderlplus import syntax

MAX_PROGRAM_CHARS = 100_000

_FILENAME = "<program>"
_MAX_MARKS = 256
_MAX_PARTS = 1_000
_MAX_FIELDS = 2_000
_FOREIGN_RUN = re.compile(rf"[^\x00-\x7f]{{{_MAX_MARKS + 1},}}")
_DOTTED = re.compile(r"(?<![\w\x80-\U0010ffff])(?:[\w\x80-\U0010ffff]++(?:[ \t\f]|\\\n)*+\.(?:[ \t\f]|\\\n)*+)++")
_STRINGS = [rf"{q * 3}(?:[^\\{q}]|\\.|{q}(?!{q * 2}))*+{q * 3}|{q}(?:[^\\{q}\n]|\\.)*+{q}" for q in "'\""]
_FORMAT_STRING = re.compile(rf"(?<!\w)(?:[fF][rR]?|[rR][fF])(?:{'|'.join(_STRINGS)})", re.DOTALL)
_OWN_WARNINGS = rf"{re.escape(_FILENAME)}\Z"


def parse(program: str) -> ast.Module:
    """The syntax tree of a program. Raises only `SyntaxError`, whatever the text; prints and raises no warning."""
    _refuse_what_is_quadratic(program)
    _ignore_warnings_of_programs()
    try:
        return syntax.parse(program, _FILENAME)
    except SyntaxError:
        raise
    except Exception as error:  # ValueError, RecursionError, MemoryError, OverflowError, SystemError: it gave up
        raise SyntaxError(str(error)[:200] or "nested too deeply") from None


def syntax_error(program: str) -> str | None:
    """Why the program does not parse, in one line, or `None` if it does. Errors that only compilation finds (`return`
    at module level) are not seen.

    >>> syntax_error("x = = 1")
    'SyntaxError: invalid syntax (line 1)'
    >>> syntax_error("x = 1")
    """
    try:
        parse(program)
    except SyntaxError as error:
        return f"{type(error).__name__}: {error.msg}" + (f" (line {error.lineno})" if error.lineno else "")
    return None


def only_prepares(code: str) -> bool:
    """Whether code only imports modules and sets the interpreter's limits, so that a reader need not see it.

    >>> only_prepares("import sys\\nsys.setrecursionlimit(50000)"), only_prepares("LIMIT = 3")
    (True, False)
    """
    try:
        return all(map(_prepares, parse(code).body))
    except SyntaxError:
        return False


def _prepares(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="sys"), attr=name))):
            return name in ("setrecursionlimit", "set_int_max_str_digits")
    return isinstance(node, ast.Import | ast.ImportFrom)


def cyclomatic_complexity(program: str, tree: ast.Module | None = None) -> int:
    """McCabe's number for the whole program, as radon counts it: one plus every decision in the module, its functions,
    classes and methods, and one for each method. What functions define inside themselves does not count. 0 if it does
    not parse. `tree` is the program's, where it is known.

    >>> cyclomatic_complexity("for i in range(3):\\n    if i:\\n        print(i)")
    3
    """
    try:
        decisions, defined = _decisions((parse(program) if tree is None else tree).body)
    except SyntaxError:
        return 0
    for node in defined:
        inside, methods = _decisions(node.body)
        decisions += inside
        if isinstance(node, ast.ClassDef):
            decisions += sum(1 + _decisions(one.body)[0] for one in methods if not isinstance(one, ast.ClassDef))
    return 1 + decisions


def _decisions(body: Iterable[ast.stmt]) -> tuple[int, list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """The decisions of statements, and the functions and classes that they define, which are not entered."""
    count, defined, waiting = 0, [], list[ast.AST](body)
    while waiting:
        match node := waiting.pop():
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                defined.append(node)
                continue
            case ast.Assert():
                count += 1
                continue
            case ast.If() | ast.IfExp():
                count += 1
            case ast.For() | ast.AsyncFor() | ast.While():
                count += 1 + bool(node.orelse)
            case ast.Try():
                count += len(node.handlers) + bool(node.orelse)
            case ast.BoolOp():
                count += len(node.values) - 1
            case ast.comprehension():
                count += 1 + len(node.ifs)
            case ast.Match():
                catches_all = any(
                    isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None for case in node.cases
                )
                count += len(node.cases) - catches_all
        waiting.extend(ast.iter_child_nodes(node))
    return count, defined


def normalized(program: str, tree: ast.Module | None = None) -> str:
    """The program without comments and formatting: two programs with the same text here have the same syntax tree.
    `tree` is the program's, where it is known.

    A program that does not parse is returned without blank lines and trailing spaces; one that parses and that Python
    cannot write again from its tree (a no-break space in an f-string, a hexadecimal number of thousands of digits,
    very deep nesting) as it is.

    >>> normalized("x = (1)  # one") == normalized("x=1")
    True
    """
    try:
        tree = parse(program) if tree is None else tree
    except SyntaxError:
        return "\n".join(line.rstrip() for line in program.splitlines() if line.strip())
    try:
        return ast.unparse(tree)
    except (ValueError, RecursionError):
        return program


def _refuse_what_is_quadratic(program: str) -> None:
    if len(program) > MAX_PROGRAM_CHARS:
        raise SyntaxError(f"program of {len(program):,} characters; at most {MAX_PROGRAM_CHARS:,} are read")
    for chain in _DOTTED.finditer(program):
        if chain[0].count(".") > _MAX_PARTS:
            raise SyntaxError(f"a name of more than {_MAX_PARTS:,} parts")
    for string in _FORMAT_STRING.finditer(program):
        if string[0].count("{") > _MAX_FIELDS:
            raise SyntaxError(f"a format string of more than {_MAX_FIELDS:,} fields")
    if not program.isascii() and any(_has_many_marks(run[0]) for run in _FOREIGN_RUN.finditer(program)):
        raise SyntaxError(f"more than {_MAX_MARKS} combining marks in a row")


def _has_many_marks(run: str) -> bool:
    marks = 0
    for character in run:
        # a few characters are no marks themselves and become some: the first character that they stand for decides
        marks = marks + 1 if unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) else 0
        if marks > _MAX_MARKS:
            return True
    return False


def _ignore_warnings_of_programs() -> None:
    """ "\\d" in a model's string is not the user's concern, also where warnings are errors.

    Our filter must be the first. It is put there again after others have changed the list, and never taken away: to
    restore a list of filters is a race between threads.
    """
    first = warnings.filters[0] if warnings.filters else None
    if first is None or first[0] != "ignore" or getattr(first[3], "pattern", None) != _OWN_WARNINGS:
        warnings.filterwarnings("ignore", module=_OWN_WARNINGS)
