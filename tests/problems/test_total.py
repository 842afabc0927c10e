"""Readers are total: whatever a row is, it becomes a problem of the right types, or a `DataError` that names its
place."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coderlplus.errors import DataError
from coderlplus.problems import read_problems, read_recorded
from coderlplus.problems.files import FileRow
from coderlplus.problems.formats import format_of
from coderlplus.problems.recorded import recorded
from coderlplus.records import Problem

pytestmark = pytest.mark.filterwarnings("ignore:invalid")

SIGNATURE = "class Solution:\n    def add(self, a, b) -> List[int]:\n        "
ROWS: dict[str, dict[str, Any]] = {
    "own": {
        "problem_id": "p",
        "statement": "Add.",
        "entry_point": "f",
        "tests": [{"kind": "call", "args": [1, {"$tuple": [2]}], "expected": 3}],
    },
    "own, stdio": {
        "problem_id": "p",
        "statement": "Add.",
        "checker": "tokens",
        "tests": [{"kind": "stdio", "stdin": "1", "stdout": "2"}],
    },
    "MBPP": {
        "task_id": 9,
        "prompt": "Add.",
        "code": "def plus(a, b):\n    return a + b",
        "test_imports": ["import math"],
        "test_list": ["assert plus(1, 2) == 3"],
    },
    "HumanEval": {
        "task_id": "HumanEval/900",
        "prompt": 'def root(x):\n    """ The root. """\n',
        "entry_point": "root",
        "test": "def check(candidate):\n    assert candidate(4) == 2\n",
        "canonical_solution": "    return x ** 0.5\n",
    },
    "LeetCodeDataset": {
        "task_id": "add",
        "prompt": "from math import *\n",
        "completion": SIGNATURE + "return a",
        "entry_point": "Solution().add",
        "starter_code": SIGNATURE,
        "problem_description": "Add. Return it in any order.",
        "meta": {"question_title": "Add", "lang_code": SIGNATURE},
        "test": "def check(candidate):\n    assert candidate(a = [1], b = 2) == [3]\n",
    },
    "LiveCodeBench": {
        "question_id": "9",
        "question_content": "Add.",
        "starter_code": SIGNATURE,
        "public_test_cases": json.dumps([{"input": "1\n[2]", "output": "3", "testtype": "functional"}]),
        "private_test_cases": "[]",
        "metadata": json.dumps({"func_name": "add"}),
        "model_solutions": [{"model": "m", "code": "print(1)", "lcb_passed": True}],
        "human": [{"submission_id": "7", "accepted": "print(1)", "faulty": "print(2)"}],
    },
    "verl": {
        "data_source": "taco",
        "prompt": [{"role": "user", "content": "Print twice n."}],
        "ability": "code",
        "reward_model": {"ground_truth": {"inputs": ["1\n"], "outputs": ["2\n"]}, "style": "rule"},
        "extra_info": {"index": 0},
    },
    "verl, asserts": {
        "prompt": "Add.",
        "reward_model": {"ground_truth": json.dumps({"assert_case": ["assert add(1, 2) == 3"]})},
    },
    "verl, check": {
        "prompt": "Add.",
        "reward_model": {
            "ground_truth": {"test_code": "def check(candidate):\n    assert candidate(1) == 2\n", "entry_point": "f"}
        },
    },
    "CodeContests": {
        "name": "1_A",
        "description": "Double it.",
        "public_tests": {"input": ["1"], "output": ["2"]},
        "private_tests": {"input": ["2"], "output": ["4"]},
        "generated_tests": [{"input": "3", "output": "6"}],
        "solutions": {"language": [3], "solution": ["print(2 * int(input()))"]},
    },
    "DeepCoder": {
        "problem": "Double it.",
        "solutions": ["print(2)"],
        "tests": [{"input": "1", "output": "2", "testtype": "stdin"}],
        "metadata": {},
    },
    "DeepCoder, calls": {
        "problem": "Add.",
        "tests": {"functional": "def check(candidate):\n    assert candidate(1) == 2\n\ncheck(Solution().f)"},
    },
    "TACO": {
        "question": "Add.",
        "input_output": {"fn_name": "add", "inputs": [[1, 2]], "outputs": [3]},
        "raw_tags": "[]",
        "solutions": ["x = 1"],
    },
    "APPS": {
        "problem_id": 7,
        "question": "Double.",
        "solutions": '["print(2)"]',
        "input_output": '{"inputs": ["1", ["2"]], "outputs": [2, "4"]}',
    },
}
JUNK: tuple[Any, ...] = (
    None, True, -1, 10**30, 1.5, float("nan"), "", " ", "x", "[]", "{}", "null", "[1", "{'a': 1}", '"[1]"',
    "\ud800", "\0", "9" * 5000, "[" * 300, "def f(",
    "f(1)", "1\n2", [], [[]], [None], [1, "x"], {}, {"a": None}, {"input": 1, "output": 2}, {"$int": "x"},
    "assert f(" + "7" * 5000 + ")",
)  # fmt: skip


def mutated(row: Any, chance: random.Random) -> Any:
    """The row with one part replaced, removed, doubled or cut somewhere in its depth, and now and then with
    several."""
    row = copy.deepcopy(row)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        places: list[tuple[Any, Any]] = []
        stack = [row]
        while stack:
            part = stack.pop()
            for key in list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ():
                places.append((part, key))
                stack.append(part[key])
        if not places:
            break
        part, key = chance.choice(places)
        change: Callable[[], Any] = chance.choice(CHANGES)
        part[key] = change(part[key], chance)  # type: ignore[call-arg]
        if part[key] is GONE and isinstance(part, dict):
            del part[key]
    return row


GONE = "gone"
CHANGES: tuple[Any, ...] = (
    lambda value, chance: chance.choice(JUNK),
    lambda value, chance: chance.choice(JUNK),
    lambda value, chance: GONE,
    lambda value, chance: json.dumps(value, default=str),
    lambda value, chance: [value, value],
    lambda value, chance: {"a": value},
    lambda value, chance: value[: chance.randrange(len(value) + 1)] if isinstance(value, str | list) else str(value),
    lambda value, chance: value[chance.randrange(len(value) + 1) :] if isinstance(value, str | list) else [value],
)


def check(row: dict[str, Any]) -> None:
    """The row is a problem that its own format holds, or a `DataError` that names the row."""
    place = FileRow(row, "rows.jsonl:1")
    said = ""
    try:
        problem = place.read(format_of(place).read)
        if problem is not None:
            again = Problem.from_json(json.loads(json.dumps(problem.to_json())))
            assert json.dumps(again.to_json()) == json.dumps(problem.to_json())
        if "question_id" in row or "solution" in row:
            for item in place.read(lambda data: recorded(data, "rows")):
                json.dumps(item.rollout.to_json())
    except DataError as error:
        said = str(error)
    assert said.startswith("rows.jsonl:1: ") or not said


@pytest.mark.parametrize("name", ROWS)
def test_the_rows_themselves_are_problems(name: str) -> None:
    row = FileRow(ROWS[name], "rows.jsonl:1")
    assert row.read(format_of(row).read) is not None


@given(st.sampled_from(sorted(ROWS)), st.integers(0, 2**32))
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_row_is_a_problem_or_a_data_error(name: str, seed: int) -> None:
    check(mutated(ROWS[name], random.Random(seed)))


@pytest.mark.parametrize(
    "file",
    [
        "humaneval/HumanEval.jsonl.gz",
        "mbpp/mbpp.jsonl.gz",
        "leetcode_dataset/LeetCodeDataset-v0.3.1-test.jsonl.gz",
        "lcb/lcb_dev.jsonl.gz",
        "llm_runs/seed_mbpp_codellama.jsonl.gz",
    ],
)
def test_mutated_rows_of_the_public_sets_are_problems_or_data_errors(shared: Path, file: str) -> None:
    chance = random.Random(file)
    with gzip.open(shared / "data" / file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][::23]
    for row in rows:
        for _ in range(10):
            check(mutated(row, chance))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[1]",
        "[",
        "{",
        "{}",
        '{"a": ' + "[" * 5000,
        "9" * 5000,
        '{"a": ' + "9" * 5000 + "}",
        "\ufeff{}",
        "[" + "9" * 5000,
    ],
)
def test_a_file_of_something_else_is_a_data_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    for read in (read_problems, read_recorded):
        with pytest.raises(DataError, match=r"rows\.jsonl"):
            read(tmp_path / "rows.jsonl")
