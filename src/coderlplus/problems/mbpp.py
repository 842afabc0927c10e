"""MBPP (Austin et al. 2021): the sanitized JSON list and the full JSON lines.

Every assert is a test of its own, so that the number of tests passed says something. The statement is the task in
words and its first test, as is customary, because the words alone do not name the function.

The set-up code of two problems of the full set (367 and 927) builds objects of a class that the program defines; it
stands in front of each assert. Tests run apart from the program and only plain data passes between them, so no program
passes these two.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from coderlplus.errors import DataError, NoTestsError
from coderlplus.problems.parsing import in_json, text_of, with_short_numbers
from coderlplus.programs import parse
from coderlplus.records import CheckTest, Problem


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row of either file."""
    tests = [with_short_numbers(test.strip()) for test in _texts(row, "test_list")]
    if not tests:
        raise NoTestsError(
            f"problem 'MBPP/{row['task_id']}' has no tests: any program would pass; remove it or give it tests"
        )
    set_up = text_of(row, "test_setup_code", "").replace("\r\n", "\n")
    code = text_of(row, "code").replace("\r\n", "\n")
    return Problem(
        problem_id=f"MBPP/{row['task_id']}",
        source="mbpp",
        statement=f"{(text_of(row, 'prompt', '') or text_of(row, 'text', '')).strip()}\nYour code should pass this "
        f"test:\n{tests[0]}",
        entry_point=entry_point(code, tests[0]),
        tests=tuple(CheckTest("\n".join(part for part in (set_up, test) if part)) for test in tests),
        reference=code,
        setup_code="\n".join(_texts(row, "test_imports")),
    ).marked()


def _texts(row: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts, or one written as text. Raises `DataError` for anything else."""
    given = in_json(row.get(name), [])
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        raise DataError(f"field {name!r} must be a list of texts, not {str(given)[:60]!r}")
    return list(given)


def entry_point(reference: str, test: str) -> str:
    """The function of the reference that a test calls.

    >>> entry_point("def helper(x): ...\\ndef top(x): ...", "assert set(top([1])) == {1}")
    'top'
    """
    called = [
        node.func.id
        for node in ast.walk(parse(test))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    defined = defined_functions(reference)
    for name in called:
        if name in defined:
            return name
    raise DataError(
        f"the first test calls none of the functions of the reference ({', '.join(defined) or 'it has none'}): "
        f"{test[:80]!r}"
    )


def defined_functions(code: str) -> Sequence[str]:
    """Names that the code binds at module level to a function, a class or a lambda."""
    names: list[str] = []
    for node in parse(code).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names
