"""Comments in programs that state values, and whether they are true."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from coderlplus.records import CallTest, Problem
from coderlplus.sandbox import Sandbox
from coderlplus_lab.study.claims import Claim, claims_of, count_true
from coderlplus_lab.world import world


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as one:
        yield one


def counted(sandbox: Sandbox, program: str | None) -> tuple[int, int]:
    problem = Problem(
        problem_id="p", statement="", tests=(CallTest(([3, 1, 2],), []),), entry_point="f", limits=world.LIMITS
    )
    return count_true(sandbox, [problem], [program])[0]


def test_a_claim_stands_at_the_end_of_a_statement_that_binds_or_changes_a_variable() -> None:
    program = """\
# [9]
def f(x):
    a = sorted(x)  # [1, 2, 3]
    b = []  # starts empty
    for i in a:  # [7]
        b.append(i)  # [1, 2, 3]
    a += [4]  # [1, 2, 3, 4]
    return b  # [5]
"""
    assert claims_of(program) == [
        Claim("f", "a", [1, 2, 3]),
        Claim("f", "b", [1, 2, 3]),
        Claim("f", "a", [1, 2, 3, 4]),
    ]


@pytest.mark.parametrize("program", ["", "def f(x:", "x = 1  # 1", "def f(x):\n    return x"])
def test_other_programs_claim_nothing(program: str) -> None:
    assert claims_of(program) == []


def test_claims_are_counted_against_the_run_on_the_first_example(sandbox: Sandbox) -> None:
    assert counted(sandbox, "def f(x):\n    a = sorted(x)  # [1, 2, 3]\n    b = a[1:]  # [2, 2]\n    return b") == (
        2,
        1,
    )


def test_only_the_last_definition_counts(sandbox: Sandbox) -> None:
    draft, revised = "def f(x):\n    a = x[1:]  # [9]\n    return a", "def f(x):\n    a = x[:1]  # [3]\n    return a"
    assert counted(sandbox, f"{draft}\n{revised}") == (1, 1)


def test_a_claim_about_what_was_never_bound_is_false(sandbox: Sandbox) -> None:
    assert counted(sandbox, "def f(x):\n    a = x[9]  # 4\n    return a") == (1, 0)


@pytest.mark.parametrize(
    "program", [None, "def f(x):\n    a = id(x)  # 3\n    while True:\n        pass", "not a program"]
)
def test_what_cannot_be_checked_claims_nothing(sandbox: Sandbox, program: str | None) -> None:
    assert counted(sandbox, program) == (0, 0)


def test_references_of_the_world_tell_the_truth(sandbox: Sandbox) -> None:
    problems = world.draw_problems("test", 20, 0)
    for problem, (made, true) in zip(
        problems, count_true(sandbox, problems, [problem.reference for problem in problems]), strict=True
    ):
        assert made == true >= 2, problem.reference


def test_a_mutated_program_with_the_comments_of_the_right_one_lies(sandbox: Sandbox) -> None:
    problem = world.problem(world.draw_problem(random.Random(0), "test"), "p")
    assert problem.reference is not None
    lies = problem.reference.replace("return", "a = x  # [0]\n    return")
    made, true = count_true(sandbox, [problem], [lies])[0]
    assert true < made
