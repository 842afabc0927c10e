"""HumanEval (Chen et al. 2021), and problems of other sets written in its form: `prompt`, `entry_point`, `test` with
`check(candidate)`.

The statement is the docstring of the function to write; the prompt, which has the signature, is the starter code. What
the prompt defines before that function (imports, helpers) is set-up code. A `check` whose body is nothing but asserts
becomes one test for each of them. Where the tests call not the named function but another one of the reference, as in
some MBPP rows in this form, that one is the entry point.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from coderlplus.problems.mbpp import defined_functions
from coderlplus.problems.parsing import text_of, with_short_numbers
from coderlplus.programs import parse, syntax_error
from coderlplus.records import CheckTest, Problem


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row."""
    prompt, name = text_of(row, "prompt"), text_of(row, "entry_point")
    solution = text_of(row, "canonical_solution", "")
    tests = _tests(text_of(row, "test"), name)
    return Problem(
        problem_id=str(row["task_id"]),
        source=str(row["task_id"]).partition("/")[0].lower(),
        statement=_statement(prompt, name),
        starter_code=prompt,
        entry_point=_called(tests, solution, name),
        tests=tuple(CheckTest(code) for code in tests),
        reference=_reference(prompt, solution, name),
        setup_code=_before_function(prompt, name),
    ).marked()


def _tests(code: str, name: str) -> list[str]:
    """The asserts of `check`, or the whole code where there is more to it."""
    try:
        tree = parse(code)
    except SyntaxError:
        code = with_short_numbers(code)
        tree = parse(code)
    statements = [node for node in tree.body if not _is_beside(node)]
    match statements:
        case [ast.FunctionDef(name="check", args=ast.arguments(args=[ast.arg(arg=candidate)]), body=body)]:
            asserts = [
                node for node in body if not (isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant))
            ]
            if asserts and all(isinstance(node, ast.Assert) for node in asserts):
                sources = [ast.get_source_segment(code, node, padded=False) or "" for node in asserts]
                return [
                    f"{candidate} = {name}\n{source}" if candidate in _names(source) and candidate != name else source
                    for source in sources
                ]
    return [code]


def _called(tests: list[str], reference: str, name: str) -> str:
    """The entry point that the tests call."""
    names = set().union(*map(_names, tests))
    if name in names or any("def check(" in test for test in tests) or syntax_error(reference) is not None:
        return name
    return next((function for function in defined_functions(reference) if function in names), name)


def _names(source: str) -> set[str]:
    return {node.id for node in ast.walk(parse(source)) if isinstance(node, ast.Name)}


def _is_beside(node: ast.stmt) -> bool:
    """Whether it is a call of `check`, or the metadata."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="check"))) | ast.Assign(targets=[ast.Name(id="METADATA")]):
            return True
    return False


def _reference(prompt: str, solution: str, name: str) -> str | None:
    """A whole program: MBPP's solutions are programs, HumanEval's continue the prompt."""
    is_whole = syntax_error(solution) is None and any(
        isinstance(node, ast.FunctionDef) and node.name == name for node in parse(solution).body
    )
    return (solution if is_whole else prompt + solution) if solution else None


def _function(prompt: str, name: str) -> ast.FunctionDef | None:
    try:
        tree = parse(prompt if syntax_error(prompt) is None else prompt + "    pass\n")
    except SyntaxError:
        return None
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _statement(prompt: str, name: str) -> str:
    function = _function(prompt, name)
    return (ast.get_docstring(function) if function else None) or prompt.strip()


def _before_function(prompt: str, name: str) -> str:
    function = _function(prompt, name)
    return "" if function is None else "\n".join(prompt.split("\n")[: function.lineno - 1]).strip()
