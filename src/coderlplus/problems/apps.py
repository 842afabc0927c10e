"""APPS (Hendrycks et al. 2021), as the hub has it (`codeparrot/apps`): `question`, and `solutions` and `input_output`
as JSON texts.

A row is numbered by `problem_id` (by `id` in the files themselves); one without either is named by a digest of its
question. The empty texts of the test split mean that there is nothing: a row without tests is refused. See
`inputs_outputs` for the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coderlplus.problems.inputs_outputs import Texts, digest_id, runnable
from coderlplus.problems.inputs_outputs import problem as with_tests
from coderlplus.problems.parsing import in_json, text_of
from coderlplus.problems.prefixes import APPS
from coderlplus.records import Problem


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row."""
    number = row["problem_id"] if row.get("problem_id") is not None else row.get("id")
    starter_code = text_of(row, "starter_code", "")
    texts = Texts(
        problem_id=f"apps/{number}"
        if number is not None
        else digest_id("apps", text_of(row, "question"), starter_code),
        source="apps",
        statement=text_of(row, "question"),
        starter_code=starter_code,
        solutions=solutions(row),
        prefix=APPS,
    )
    return with_tests(texts, in_json(row["input_output"], {}))


def solutions(row: Mapping[str, Any]) -> list[str]:
    """The programs of a row that are Python 3."""
    return runnable(in_json(row.get("solutions"), []))
