"""LiveCodeBench (Jain et al. 2024): its release files, and files with public tests, programs of models and programs of people.

Release files have `public_test_cases` and `private_test_cases` as JSON texts, the latter usually compressed and pickled (only a string is taken out
of the pickle, nothing is ever executed), and the name of the function in `metadata`. The other form has `public_tests` as a list, `model_solutions`
with LiveCodeBench's verdict (`lcb_passed`), and `human` submissions, `accepted` and `faulty`.

A test of type `stdin` is a stdio test; one of type `functional` has one argument a line, in JSON, and is a call test of the method of `Solution`.
The case of letters does not count where the statement says so.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems.leetcode import order
from coderlplus.records import CallTest, Problem, StdioTest, Test
from coderlplus.sandbox import values

_MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools", "functools", "operator", "io",
    "json", "typing",
)  # fmt: skip
LIMITS_CODE = "import sys\nsys.setrecursionlimit(50000)\nsys.set_int_max_str_digits(50000)"
"""What LiveCodeBench's scorer, and those of APPS and verl that came of it, set before a program runs."""
_IMPORTS = (*(f"from {name} import *" for name in _MODULES), "from builtins import *", f"import {', '.join(_MODULES)}")
SETUP_CODE = "\n".join((*_IMPORTS, LIMITS_CODE))
"""What LeetCode has imported before a program runs: the names that LiveCodeBench's scorer and verl's put before it."""
_ANY_CASE = re.compile(r"\b(print|output|write)\b[^.\n]*\bin any case\b|\bin any case \(upper", re.IGNORECASE)
_METHOD = re.compile(r"^\s+def\s+(\w+)\s*\(\s*self\b", re.MULTILINE)


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row of either form."""
    given = [test for name in ("public_tests", "public_test_cases", "private_test_cases") for test in _tests(row.get(name))]
    tests = tuple(_test(test) for test in given)
    statement, starter_code = row["question_content"].strip(), row["starter_code"]
    is_call = any(test.kind == "call" for test in tests)
    return Problem(
        problem_id=f"livecodebench/{row['question_id']}",
        source="livecodebench",
        statement=statement,
        starter_code=starter_code.rstrip(),
        entry_point=f"Solution().{_method(row)}" if is_call else None,
        tests=tests,
        setup_code=SETUP_CODE if is_call else LIMITS_CODE,
        checker=order(statement, starter_code) if is_call else any_case(statement),
    )


def any_case(statement: str) -> str | None:
    """The comparator for printed words: `case_insensitive` where the statement says that upper and lower case are the same."""
    return "case_insensitive" if _ANY_CASE.search(statement) else None


def programs(row: Mapping[str, Any]) -> Iterator[tuple[str, str, bool | None]]:
    """The recorded programs of one row: (name, program, whether it is right)."""
    for solution in row.get("model_solutions") or ():
        yield solution["model"], solution["code"], solution.get("lcb_passed")
    for submission in row.get("human") or ():
        for name, is_right in (("accepted", True), ("faulty", False)):
            if submission.get(name):
                yield f"human/{submission['submission_id']}/{name}", submission[name], is_right


def _tests(text: Any) -> list[Any]:
    """The tests of a field: a list, its JSON text, or that pickled, compressed and in base 64."""
    if not text:
        return []
    if isinstance(text, str):
        try:
            text = json.loads(text)
        except json.JSONDecodeError:
            text = json.loads(_StringOnly(io.BytesIO(zlib.decompress(base64.b64decode(text)))).load())
    if not isinstance(text, list):
        raise DataError(f"expected a list of tests, not {type(text).__name__}")
    return text


class _StringOnly(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise DataError(f"the pickled tests name {module_name}.{global_name}; only text is read")


def _test(test: Mapping[str, Any]) -> Test:
    kind = test["testtype"]
    if kind == "stdin":
        return StdioTest(test["input"], test["output"])
    if kind == "functional":
        arguments = [json.loads(line) for line in test["input"].split("\n") if line.strip()]
        return CallTest(tuple(map(values.encode, arguments)), values.encode(json.loads(test["output"])))
    raise DataError(f"unknown test type {kind!r}; LiveCodeBench has 'stdin' and 'functional'")


def _method(row: Mapping[str, Any]) -> str:
    name = json.loads(row["metadata"]).get("func_name") if row.get("metadata") else None
    return str(name or method_of(row["starter_code"]))


def method_of(code: str) -> str:
    """The first method that code defines or begins to define. Raises `DataError` where there is none.

    >>> method_of("class Solution:\\n    def add(self, a: int) -> int:\\n        ")
    'add'
    """
    found = _METHOD.search(code)
    if found is None:
        raise DataError("the starter code of a problem with functional tests has no method of Solution")
    return found[1]
