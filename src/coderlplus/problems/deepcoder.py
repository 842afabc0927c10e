"""DeepCoder's data (`agentica-org/DeepCoder-Preview-Dataset`) and rLLM's JSON files: `problem`, `tests`, mostly
`solutions`, at times `starter_code`.

`tests` is JSON or its text, in the form of whatever set the row was taken from:

- `{"inputs": [...], "outputs": [...]}`, with `fn_name` for calls (TACO, APPS, CodeContests);
- a list of objects with `input` and `output`, and `fn_name` or `metadata.func_name` for calls (PrimeIntellect,
  Codeforces, LiveCodeBench);
- `{"functional": code}`: LeetCode's `check(candidate)`, mostly with a call `check(Solution().name)` behind it that
  names the entry point.

Rows have no ids, so a problem is named by a digest of its statement. Many CodeContests problems have several right
answers, which the tests do not say: they come with no checker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems import leetcode
from coderlplus.problems.inputs_outputs import Texts, digest_id, runnable
from coderlplus.problems.inputs_outputs import problem as with_tests
from coderlplus.problems.livecodebench import method_of
from coderlplus.problems.parsing import in_json, text_of
from coderlplus.problems.prefixes import IMPORTS
from coderlplus.problems.wording import order
from coderlplus.records import CallTest, Problem


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row."""
    starter_code = text_of(row, "starter_code", "")
    texts = Texts(
        problem_id=digest_id("deepcoder", text_of(row, "problem"), starter_code),
        source="deepcoder",
        statement=text_of(row, "problem"),
        starter_code=starter_code,
        solutions=solutions(row),
    )
    return with_any_tests(texts, in_json(row["tests"], {}), in_json(row.get("metadata"), {}))


def with_any_tests(texts: Texts, tests: Any, metadata: Any = None) -> Problem:
    """The problem with tests in any of the forms above. Raises `DataError` for another one."""
    if isinstance(tests, dict) and "functional" in tests:
        return _of_leetcode(texts, tests["functional"])
    return with_tests(texts, tests if isinstance(tests, dict) else _listed(tests, metadata))


def solutions(row: Mapping[str, Any]) -> list[str]:
    """The programs of a row that are Python 3."""
    given = row.get("solutions")
    try:
        given = in_json(given, [])
    except ValueError:
        given = [given]  # the program itself
    return runnable(given)


def _listed(tests: Any, metadata: Any) -> dict[str, Any]:
    """A list of tests in the form of APPS."""
    if not isinstance(tests, list) or not all(
        isinstance(test, dict) and "input" in test and "output" in test for test in tests
    ):
        raise DataError(
            "the tests must be objects with 'input' and 'output', or have 'inputs' and 'outputs', not "
            f"{str(tests)[:80]!r}"
        )
    of_tests = [in_json(test.get("metadata"), {}) for test in tests]
    names = {test.get("fn_name") or about.get("func_name") for test, about in zip(tests, of_tests, strict=True)}
    names.discard(None)
    functional = any(test.get("testtype") == "functional" or test.get("type") == "function_call" for test in tests)
    if functional and isinstance(metadata, dict) and metadata.get("func_name"):
        names.add(metadata["func_name"])
    if len(names) > 1 or (functional and not names):
        raise DataError(f"calls need one function name, here are {sorted(map(str, names)) or 'none'}")
    in_outs = {"inputs": [test["input"] for test in tests], "outputs": [test["output"] for test in tests]}
    return in_outs | ({"fn_name": names.pop()} if names else {})


def _of_leetcode(texts: Texts, check: str) -> Problem:
    tests = leetcode.tests(check)
    starter_code = texts.starter_code or _fenced_method(texts.statement)
    name = leetcode.called(check) or f"Solution().{method_of(starter_code or next(iter(texts.solutions), ''))}"
    checker = order(texts.statement, starter_code) if isinstance(tests[0], CallTest) else None
    return texts.problem(tests, name, setup_code=texts.prefix or IMPORTS, checker=checker)


def _fenced_method(statement: str) -> str:
    """The starter code that a statement ends with, where it has `class Solution` in a fence."""
    found = re.search(r"```python\n(class Solution.*?)```", statement, re.DOTALL)
    return found[1] if found else ""
