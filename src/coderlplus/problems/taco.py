"""TACO (Li et al. 2023), as the hub has it (`BAAI/TACO`, `likaixin/TACO-verified`): APPS's fields and tags. Its rows
have no ids, so a problem is named by a digest of its statement. See `inputs_outputs` for the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coderlplus.problems.apps import solutions
from coderlplus.problems.inputs_outputs import Texts, digest_id
from coderlplus.problems.inputs_outputs import problem as with_tests
from coderlplus.problems.parsing import in_json, text_of
from coderlplus.problems.prefixes import APPS
from coderlplus.records import Problem


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row."""
    starter_code = text_of(row, "starter_code", "")
    texts = Texts(
        problem_id=digest_id("taco", text_of(row, "question"), starter_code),
        source="taco",
        statement=text_of(row, "question"),
        starter_code=starter_code,
        solutions=solutions(row),
        prefix=APPS,
    )
    return with_tests(texts, in_json(row["input_output"], {}))
