"""What statements say about the answer, and nothing else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from coderlplus.problems import read_problems
from coderlplus.problems.wording import allows_error, any_case, order

ANSWER = [
    "Return all pairs in any order.",
    "Return all valid strings with length n, in any order.",
    "Return the result as a list (in any order).",
    "Return the answers in any\norder.",
    "You may return the answer in any arbitrary order.",
    "Return an array of indices of peaks in the given array in any order.",
    "If there is a tie, return all the values with the highest frequency in any order.",
    "The pairs may be returned in any order.",
    "Note that the returned array may be in any order.",
    "The answer can be in any order.",
    "The list is not sorted. The result may come in any order.",
    "Notice that the order of the output does not matter.",
    "The order that the days are returned in does not matter.",
    "The tasks are given in any order. Return the answer in any order.",
]
SOMETHING_ELSE = [
    "The input is given in any order. Return the sorted list.",
    "Return the sorted version of the list, which is given in any order.",
    "Return the numbers given in any order, sorted.",
    "Given items in any order, return the answer.",
    "The words of the input list may appear in any order; return the answer sorted.",
    "You are given the edges in any order and must return the list of nodes.",
    "Return the list after applying the operations in any order.",
    "Return the array formed by concatenating arrays in any order.",
    "Return the edges visited in any order.",
    "The order of the input does not matter. Return the output.",
    "Tasks can be done in any order. Return the list of them.",
    "Do not return the answer in any order: sort it.",
    "Input may be returned in any order.",
    "Return the words in alphabetical order.",
]


@pytest.mark.parametrize("statement", ANSWER)
def test_the_answer_may_come_in_any_order(statement: str) -> None:
    assert order(statement, "def f(a) -> List[int]:") == "unordered"
    assert order(statement, "def f(a) -> int:") is None


@pytest.mark.parametrize("statement", SOMETHING_ELSE)
def test_the_order_of_something_else_is_not_that_of_the_answer(statement: str) -> None:
    assert order(statement, "def f(a) -> List[int]:") is None


@pytest.mark.parametrize(
    "statement",
    [
        "Note that the integers in the lists may be returned in any order.",
        "You can return the indices of the edges in any order.",
    ],
)
def test_the_order_of_integers_is_that_inside_of_lists(statement: str) -> None:
    assert order(statement, "def f(a) -> List[List[int]]:") == "unordered_inside"
    assert order(statement, "def f(a) -> List[int]:") == "unordered"


def test_letters_in_any_case_and_small_errors_are_allowed_where_it_is_said() -> None:
    assert any_case("Output the answer in any case.") == "case_insensitive"
    assert any_case("In any case, print 1.") is None
    assert allows_error("It is correct if the absolute or relative error is at most $10^{-6}$.")
    assert not allows_error("If there is an error, print -1.")


def test_the_orders_of_leetcodedataset(shared: Path) -> None:
    folder = shared / "data/leetcode_dataset"
    found: dict[str | None, list[str]] = {}
    for file in sorted(folder.glob("*.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                meta = row.get("meta") or {}
                statement = row.get("problem_description") or meta.get("question_title") or row["query"]
                code = row.get("starter_code") or meta.get("lang_code") or ""
                found.setdefault(order(statement, code), []).append(row["task_id"])
    assert sorted(found["unordered_inside"]) == [
        "find-critical-and-pseudo-critical-edges-in-minimum-spanning-tree",
        "find-the-difference-of-two-arrays",
    ]
    assert len(found["unordered"]) == 50
    assert {"3sum", "two-sum", "the-k-strongest-values-in-an-array", "find-indices-of-stable-mountains"} <= set(
        found["unordered"]
    )
    assert {"restore-the-array-from-adjacent-pairs", "valid-square", "task-scheduler"} <= set(found[None])


def test_printed_lines_of_livecodebench_are_compared_as_its_scorer_does(shared: Path) -> None:
    problems = {problem.problem_id: problem for problem in read_problems(shared / "data/lcb/lcb_dev.jsonl.gz")}
    assert problems["livecodebench/abc333_e"].checker == "decimal_lines"
    assert problems["livecodebench/abc327_e"].checker is None
    assert problems["livecodebench/1883_B"].checker == "case_insensitive"
    assert all("setrecursionlimit(50000)" in problem.setup_code for problem in problems.values())
