"""Rows as verl takes them: PRIME's Eurus data (`PRIME-RL/Eurus-2-RL-Data`), the paper's training set, and what
`coderlplus prepare --parquet` writes.

`prompt` is a list of chat messages and `reward_model.ground_truth` the tests, as an object or its JSON:

- `{"inputs": [...], "outputs": [...]}`, with `fn_name` for calls: see `inputs_outputs`;
- `{"assert_case": [...]}`: asserts that call a function by name;
- `{"test_code", "entry_point", "import_prefix"}`: `check(candidate)`, as in LeetCodeDataset;
- a list of objects with `input` and `output`, or `{"functional": code}`: what rLLM writes of DeepCoder's sets, see
  `deepcoder`.

Where a row has the whole problem in `record`, as ours have, that is taken instead. Rows of another ability than code,
of which Eurus has many, are no problems. The statement is the last message of the user without PRIME's request for a
program; a system message is left out, since the prompt of a run is the run's own. The sets have no references.
"""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import Mapping, Sequence
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems import deepcoder, leetcode
from coderlplus.problems.inputs_outputs import Texts, digest_id
from coderlplus.problems.inputs_outputs import problem as with_tests
from coderlplus.problems.parsing import in_json
from coderlplus.problems.prefixes import PRIME
from coderlplus.problems.wording import order
from coderlplus.programs import parse
from coderlplus.records import CallTest, CheckTest, Problem
from coderlplus.records.fields import without_none

REQUEST = "Write Python code to solve the problem. Present the code in"
"""How PRIME's request for a program begins; it is the end of the message."""


def problem(row: Mapping[str, Any]) -> Problem | None:
    """The problem of one row; `None` where it is of another ability than code."""
    if str(row.get("ability") or "code").lower() not in ("code", "coding"):
        return None
    if row.get("record"):
        return Problem.from_json(json.loads(row["record"]))
    statement, source = statement_of(row["prompt"]), str(row.get("data_source") or "verl")
    texts = Texts(problem_id=digest_id(source, statement), source=source, statement=statement, prefix=PRIME)
    truth = in_json(row["reward_model"]["ground_truth"], {})
    if isinstance(truth, list) and all(isinstance(test, dict) for test in truth):
        return deepcoder.with_any_tests(texts, truth)
    if not isinstance(truth, dict):
        raise DataError(f"the ground truth must be an object with tests, not {str(truth)[:60]!r}")
    truth = without_none(truth)  # a Parquet struct has all fields of all rows
    if "functional" in truth:
        return deepcoder.with_any_tests(texts, truth)
    if "assert_case" in truth:
        return _of_asserts(texts, truth["assert_case"])
    if "test_code" in truth:
        return _of_leetcode(texts, truth)
    if truth and "inputs" not in truth:
        raise DataError(
            "the ground truth has none of 'inputs', 'assert_case' and 'test_code', but "
            f"{', '.join(map(str, truth))[:80]}"
        )
    return with_tests(texts, truth)


def statement_of(prompt: Any) -> str:
    """What the user says last, without PRIME's request. Raises `DataError` if no user says anything."""
    said = [prompt] if isinstance(prompt, str) else []
    if isinstance(prompt, Sequence) and not said:
        said = [str(message["content"]) for message in prompt if message["role"] == "user"]
    if not said:
        raise DataError("the prompt has no user message")
    return said[-1].rpartition(REQUEST)[0].strip() or said[-1].strip()


def _of_asserts(texts: Texts, asserts: Sequence[str]) -> Problem:
    name = _called(asserts[0]) if asserts else "f"
    return texts.problem(tuple(map(CheckTest, asserts)), name, setup_code=PRIME).marked()


def _called(test: str) -> str:
    """The name that an assert calls and that is none of Python's own."""
    names = [
        node.func.id
        for node in ast.walk(parse(test))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    unknown = [name for name in names if not hasattr(builtins, name) and name not in ("isclose", "Counter")]
    if not unknown:
        raise DataError(f"the first assert calls no function by name: {test[:80]!r}")
    return unknown[0]


def _of_leetcode(texts: Texts, truth: Mapping[str, Any]) -> Problem:
    tests = leetcode.tests(truth["test_code"])
    setup_code = f"{(truth.get('import_prefix') or '').rstrip()}\n{leetcode.RESTORED}".strip()
    checker = order(texts.statement, texts.statement) if isinstance(tests[0], CallTest) else None
    return texts.problem(tests, truth["entry_point"], setup_code=setup_code, checker=checker)
