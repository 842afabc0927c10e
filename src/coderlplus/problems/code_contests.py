"""CodeContests (Li et al. 2022), as the hub has it (`deepmind/code_contests`): `name`, `description`, and public,
private and generated tests, each with lists of `input` and `output` (or, in files written by other tools, lists of
objects with these).

Of the `solutions` those count that are marked as Python 3. The time limits are those of compiled languages and are not
taken over. A problem whose programs read or write files (`input_file`, `output_file`) is refused. Many problems have
several right answers, which the tests do not say: they come with no checker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems.inputs_outputs import Texts, runnable
from coderlplus.problems.inputs_outputs import problem as with_tests
from coderlplus.problems.parsing import text_of
from coderlplus.records import Problem

PYTHON_3 = (3, "PYTHON3")
"""The language in the set's numbers and names."""


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row."""
    for name in ("input_file", "output_file"):
        if row.get(name):
            raise DataError(
                f"its programs use the file {row[name]!r} ({name}); only standard input and output are judged"
            )
    parts = [row.get(name) for name in ("public_tests", "private_tests", "generated_tests")]
    in_outs = {f"{name}s": [text for part in parts for text in _column(part, name)] for name in ("input", "output")}
    texts = Texts(
        problem_id=f"code_contests/{text_of(row, 'name')}",
        source="code_contests",
        statement=text_of(row, "description"),
        solutions=solutions(row),
    )
    return with_tests(texts, in_outs)


def solutions(row: Mapping[str, Any]) -> list[str]:
    """The programs of a row that are Python 3."""
    given = row.get("solutions")
    pairs = zip(_column(given, "language"), _column(given, "solution"), strict=True)
    return runnable([program for language, program in pairs if language in PYTHON_3])


def _column(part: Any, name: str) -> list[Any]:
    """One field of all items of a sequence: the hub's files have a list for each field, others an object for each
    item."""
    if isinstance(part, list):
        return [item[name] for item in part]
    return list((part or {}).get(name) or ())
