"""CodeContests (Li et al. 2022) in the form of rLLM's files: a JSON list of `problem` (the statement) and `tests` with `inputs` and `outputs`.

The rows have no names; a problem is named by a digest of its statement. The limits in the statements are those of compiled languages and are not
taken over. Many of these problems have several right answers, which the tests do not say: they come with no checker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems.livecodebench import any_case
from coderlplus.records import Problem, StdioTest


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row."""
    statement = row["problem"].strip()
    inputs, outputs = row["tests"]["inputs"], row["tests"]["outputs"]
    if len(inputs) != len(outputs):
        raise DataError(f"{len(inputs)} inputs and {len(outputs)} outputs do not match")
    return Problem(
        problem_id=f"code_contests/{hashlib.sha256(statement.encode()).hexdigest()[:12]}",
        source="code_contests",
        statement=statement,
        tests=tuple(StdioTest(stdin, stdout) for stdin, stdout in zip(inputs, outputs, strict=True)),
        checker=any_case(statement),
    )
