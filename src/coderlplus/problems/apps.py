"""APPS (Hendrycks et al. 2021), as the hub has it (`codeparrot/apps`): `question`, and `solutions` and `input_output`
as JSON texts; and TACO (Li et al. 2023; `BAAI/TACO`, `likaixin/TACO-verified`), which has these and tags.

A row of APPS is numbered by `problem_id` (by `id` in the files themselves); one without either, as all of TACO, is
named by a digest of its question. The empty texts of the test split mean that there is nothing: a row without tests is
refused. See `inputs_outputs` for the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coderlplus.problems.inputs_outputs import Texts, digest_id, runnable
from coderlplus.problems.inputs_outputs import problem as with_tests
from coderlplus.problems.parsing import in_json, text_of
from coderlplus.problems.prefixes import APPS
from coderlplus.records import Problem


def problem(row: Mapping[str, Any], source: str = "apps") -> Problem:
    """The problem of one row."""
    number = row["problem_id"] if row.get("problem_id") is not None else row.get("id")
    statement, starter_code = text_of(row, "question"), text_of(row, "starter_code", "")
    is_numbered = source == "apps" and number is not None
    texts = Texts(
        problem_id=f"apps/{number}" if is_numbered else digest_id(source, statement, starter_code),
        source=source,
        statement=statement,
        starter_code=starter_code,
        solutions=solutions(row),
        prefix=APPS,
    )
    return with_tests(texts, in_json(row["input_output"], {}))


def taco(row: Mapping[str, Any]) -> Problem:
    """The problem of one row of TACO."""
    return problem(row, "taco")


def solutions(row: Mapping[str, Any]) -> list[str]:
    """The programs of a row that are Python 3."""
    return runnable(in_json(row.get("solutions"), []))
