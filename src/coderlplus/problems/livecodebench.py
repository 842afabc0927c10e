"""LiveCodeBench (Jain et al. 2024): its release files, and files with public tests, programs of models and programs of
people.

Release files have `public_test_cases` and `private_test_cases` as JSON texts, the latter usually compressed and
pickled (only a string is taken out of the pickle, nothing is ever executed), and the name of the function in
`metadata`. The other form has `public_tests` as a list, `model_solutions` with LiveCodeBench's verdict (`lcb_passed`),
and `human` submissions, `accepted` and `faulty`.

A test of type `stdin` is a stdio test; one of type `functional` has one argument a line, in JSON, and is a call test
of the method of `Solution`. Printed lines are compared as LiveCodeBench's scorer does (`decimal_lines`), but where the
statement itself allows more: letters in any case, numbers with a small error.
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
from coderlplus.problems.parsing import in_json, tagged, text_of
from coderlplus.problems.prefixes import LIVECODEBENCH
from coderlplus.problems.wording import allows_error, any_case, order
from coderlplus.records import CallTest, Problem, StdioTest, Test
from coderlplus.records.fields import described
from coderlplus.records.jsonl import loads

MAX_TESTS_BYTES = 2**30
"""Size of the packed tests of a problem."""
_METHOD = re.compile(r"^\s+def\s+(\w+)\s*\(\s*self\b", re.MULTILINE)


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row of either form."""
    given = [
        test for name in ("public_tests", "public_test_cases", "private_test_cases") for test in _tests(row.get(name))
    ]
    tests = tuple(_test(test) for test in given)
    statement, starter_code = text_of(row, "question_content").strip(), text_of(row, "starter_code", "")
    printed = any_case(statement) or (None if allows_error(statement) else "decimal_lines")
    is_call = any(test.kind == "call" for test in tests)
    return Problem(
        problem_id=f"livecodebench/{row['question_id']}",
        source="livecodebench",
        statement=statement,
        starter_code=starter_code.rstrip(),
        entry_point=f"Solution().{_method(row)}" if is_call else None,
        tests=tests,
        setup_code=LIVECODEBENCH,
        checker=order(statement, starter_code) if is_call else printed,
    )


def programs(row: Mapping[str, Any]) -> Iterator[tuple[str, str, bool | None]]:
    """The recorded programs of one row: (name, program, whether it is right)."""
    for solution in row.get("model_solutions") or ():
        yield text_of(solution, "model"), text_of(solution, "code"), solution.get("lcb_passed")
    for submission in row.get("human") or ():
        for name, is_right in (("accepted", True), ("faulty", False)):
            if submission.get(name):
                yield f"human/{submission['submission_id']}/{name}", text_of(submission, name), is_right


def _tests(text: Any) -> list[Any]:
    """The tests of a field: a list, its JSON text, or that pickled, compressed and in base 64."""
    if not text:
        return []
    if isinstance(text, str):
        try:
            text = loads(text)
        except json.JSONDecodeError:
            text = loads(_unpacked(text))
    if not isinstance(text, list):
        raise DataError(f"expected a list of tests, not {described(text)}")
    return text


class _StringOnly(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise DataError(f"the pickled tests name {module_name}.{global_name}; only text is read")


def _unpacked(text: str) -> str:
    inflater = zlib.decompressobj()
    data = inflater.decompress(base64.b64decode(text), MAX_TESTS_BYTES)
    if inflater.unconsumed_tail:
        raise DataError(f"the packed tests have more than {MAX_TESTS_BYTES >> 20} MB")
    found = _StringOnly(io.BytesIO(data)).load()
    if not isinstance(found, str):
        raise DataError(f"the packed tests must be text, not {described(found)}")
    return found


def _test(test: Any) -> Test:
    if not isinstance(test, Mapping):
        raise DataError(f"a test must be an object, not {str(test)[:60]!r}")
    kind = test["testtype"]
    if kind == "stdin":
        return StdioTest(text_of(test, "input"), text_of(test, "output"))
    if kind == "functional":
        arguments = [loads(line) for line in text_of(test, "input").split("\n") if line.strip()]
        return CallTest(tuple(map(tagged, arguments)), tagged(loads(text_of(test, "output"))))
    raise DataError(f"unknown test type {kind!r}; LiveCodeBench has 'stdin' and 'functional'")


def _method(row: Mapping[str, Any]) -> str:
    about = in_json(row.get("metadata"), {})
    if not isinstance(about, Mapping):
        raise DataError(f"field 'metadata' must be an object, not {str(about)[:60]!r}")
    return text_of(about, "func_name", "") or method_of(text_of(row, "starter_code", ""))


def method_of(code: str) -> str:
    """The first method that code defines or begins to define. Raises `DataError` if there is none.

    >>> method_of("class Solution:\\n    def add(self, a: int) -> int:\\n        ")
    'add'
    """
    found = _METHOD.search(code)
    if found is None:
        raise DataError("the starter code of a problem with functional tests has no method of Solution")
    return found[1]
