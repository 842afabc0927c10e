"""What tests must tell apart: a program that does nothing, wrong references, changed references."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.preparation.capping import FIRST, capped
from coderlplus.preparation.mutants import mutants
from coderlplus.preparation.validation import Validation, validate
from coderlplus.records import CallTest, CheckTest, Limits, Problem, StdioTest, Test
from coderlplus.sandbox import Job, Outcome, Sandbox


def problem(*tests: Test, entry_point: str | None = "f", setup_code: str = "") -> Problem:
    return Problem(
        problem_id="p",
        statement="Do it.",
        tests=tests,
        entry_point=entry_point,
        setup_code=setup_code,
        limits=Limits(cpu_s=0.4),
    )


def validated(sandbox: Sandbox, given: Problem, *references: str) -> Validation:
    found: Validation = sandbox.call(validate, given, references).result()
    return found


DOUBLE = (CallTest((1,), 2), CallTest((3,), 6))


def test_a_right_reference_is_kept(sandbox: Sandbox) -> None:
    found = validated(sandbox, problem(*DOUBLE), "def f(x):\n    return x * 2")
    assert found.problem is not None
    assert found.problem.reference == "def f(x):\n    return x * 2"
    assert found.mutants >= 1


@pytest.mark.parametrize(
    ("given", "reference", "reason", "detail"),
    [
        (
            problem(*DOUBLE),
            "def f(x):\n    return x + 1",
            "reference_fails",
            "wrong_answer in test 2 of 2: returned 4, expected 6",
        ),
        (problem(*DOUBLE), "def f(x):\n    return y", "reference_fails", "runtime_error in test 1 of 2: NameError"),
        (problem(*DOUBLE), "while True: pass", "reference_fails", "time_limit in test 1 of 2"),
        (
            problem(CallTest((1,), None)),
            "def f(x):\n    pass",
            "nothing_passes",
            "the program that does nothing passes all 1 tests",
        ),
        (problem(StdioTest("1", ""), entry_point=None), "x = 1", "nothing_passes", ""),
        (
            problem(CheckTest("def check(candidate):\n    pass")),
            "def f(x):\n    return 1",
            "broken_tests",
            "it tests nothing",
        ),
        (
            problem(CallTest((0,), [])),
            "def f(x):\n    return [y + 1 for y in range(x) if y % 2 == 1]",
            "mutants_pass",
            "all 5 changed references",
        ),
        (
            problem(CheckTest("def check(candidate): return x = 1")),
            "def f(x):\n    return 1",
            "broken_tests",
            "SyntaxError",
        ),
    ],
)
def test_what_the_tests_do_not_tell_apart_is_cut(
    sandbox: Sandbox, given: Problem, reference: str, reason: str, detail: str
) -> None:
    found = validated(sandbox, given, reference)
    assert (found.problem, found.reason) == (None, reason)
    assert detail in found.detail


def test_of_several_references_the_first_that_passes_is_taken(sandbox: Sandbox) -> None:
    found = validated(sandbox, problem(*DOUBLE), "def f(x):\n    return 0", "def f(x):\n    return x + x")
    assert found.problem is not None
    assert found.problem.reference == "def f(x):\n    return x + x"


def test_without_a_reference_only_nothing_is_tried(sandbox: Sandbox) -> None:
    assert validated(sandbox, problem(*DOUBLE)).problem == problem(*DOUBLE)
    assert validated(sandbox, problem(CallTest((1,), None))).reason == "nothing_passes"


def test_methods_and_scripts_are_validated_too(sandbox: Sandbox) -> None:
    method = problem(*DOUBLE, entry_point="Solution().f")
    assert validated(sandbox, method, "class Solution:\n    def f(self, x):\n        return 2 * x").problem is not None
    script = problem(StdioTest("2\n", "4\n"), entry_point=None)
    assert validated(sandbox, script, "print(2 * int(input()))").problem is not None


def test_a_failure_of_the_sandbox_is_no_reason_to_cut() -> None:
    def broken(job: Job) -> Outcome:
        return Outcome(ending="fault", detail="no processes left")

    assert validate(broken, problem(*DOUBLE), ["def f(x):\n    return 2 * x"]) == Validation(fault="no processes left")


PROGRAM = "import sys\ndef f(a, b):\n    while a < b and True:\n        a += 2\n    return a if a == b else [b, 1]\n"


def test_mutants_are_different_programs_and_always_the_same_ones() -> None:
    found = mutants(PROGRAM, 5)
    assert len(set(found)) == 5
    assert ast.unparse(ast.parse(PROGRAM)) not in found
    assert found == mutants(PROGRAM, 5)


def test_mutants_leave_alone_what_only_hangs_or_ends_a_program() -> None:
    program = (
        "n = int(input())\nwhile n > 3 and n != 5:\n    n -= 2\nif __name__ == '__main__':\n    print(f'{n + "
        "1}', '%d' % (n + 1))"
    )
    for mutant in mutants(program, 20):
        assert "while n > 3 and n != 5:" in mutant
        assert "if __name__ == '__main__':" in mutant
        assert "{n + 1}" in mutant


@pytest.mark.parametrize("program", ["", "x = = 1", "def f(:", "\0", "(" * 300])
def test_what_does_not_parse_has_no_mutants(program: str) -> None:
    assert mutants(program, 5) == []


SIZES = st.lists(st.integers(0, 3000), min_size=1, max_size=40)


@given(SIZES, st.integers(1, 20), st.integers(1, 8))
def test_kept_tests_fit_the_limits_and_stay_in_order(sizes: list[int], max_tests: int, max_kb: int) -> None:
    given = problem(*(StdioTest(str(number), "x" * size) for number, size in enumerate(sizes)), entry_point=None)
    kept = capped(given, max_tests, max_kb)
    if kept is None:
        assert min(sizes) > max_kb * 1024 - 100
        return
    places = [int(test.stdin) for test in kept.tests if isinstance(test, StdioTest)]
    assert places == sorted(places)
    assert len(places) <= max_tests
    assert sum(sizes[place] for place in places) <= max_kb * 1024


def test_the_first_tests_and_the_largest_are_kept() -> None:
    sizes = [5] * FIRST + [10, 400, 30, 200, 20]
    given = problem(*(StdioTest(str(number), "x" * size) for number, size in enumerate(sizes)), entry_point=None)
    kept = capped(given, FIRST + 2, 100)
    assert kept is not None
    assert [int(test.stdin) for test in kept.tests if isinstance(test, StdioTest)] == [
        *range(FIRST),
        FIRST + 1,
        FIRST + 3,
    ]
    assert capped(given, 100, 100) is given


DEFINES_NOTHING = [
    ("import nosuchlib\nassert f(1) == 2", "broken_tests", "imports nosuchlib, which is not installed"),
    ("assert np.isclose(f(1), 2)", "broken_tests", "uses np, which is not defined"),
    ("want = 1 / 0\nassert f(1) == want", "broken_tests", "division by zero"),
    ("want = int(open('want.txt').read())\nassert f(1) == want", "broken_tests", "want.txt"),
    ("assert 1 == 2\nassert f(1) == 2", "broken_tests", ""),
    ("# assert f(1) == 2", "tests_nothing", "an object of its own passes all 1 tests"),
    ("f(1) == 2", "tests_nothing", "an object of its own passes all 1 tests"),
    ("assert (f(1) == 2, 'wrong')", "tests_nothing", "an object of its own passes all 1 tests"),
    ("assert f(1)", "tests_nothing", "an object of its own passes all 1 tests"),
    ("def test_one():\n    pass", "tests_nothing", "passes all 1 tests"),
    (
        "def check(candidate):\n    try:\n        assert candidate(1) == 2\n    except Exception:\n        pass",
        "tests_nothing",
        "passes all 1 tests",
    ),
]


@pytest.mark.parametrize(("code", "reason", "detail"), DEFINES_NOTHING)
@pytest.mark.parametrize("references", [(), ("def f(x):\n    return x * 2",)])
def test_test_code_that_is_at_fault_or_tests_nothing_is_named(
    sandbox: Sandbox, code: str, reason: str, detail: str, references: tuple[str, ...]
) -> None:
    found = validated(sandbox, problem(CheckTest(code)), *references)
    assert found.problem is None
    assert found.reason in (reason, "broken_tests")  # the judge may see for itself that test code tests nothing
    assert detail in found.detail or found.reason != reason


def test_a_fault_behind_a_test_that_works_is_the_fault_of_the_tests(sandbox: Sandbox) -> None:
    found = validated(
        sandbox, problem(CheckTest("assert f(1) == 2\nassert np.isclose(f(2), 4)")), "def f(x):\n    return x * 2"
    )
    assert (found.reason, "uses np, which is not defined" in found.detail) == ("broken_tests", True)


@pytest.mark.parametrize(
    "code",
    [
        "assert f(1) == 2",
        "import math\nassert math.isclose(f(1), 2)",
        "x = [1]\nassert f(x[0]) == 2",
        "assert f(1) is not None and f(2) == 4",
    ],
)
def test_test_code_that_works_is_kept(sandbox: Sandbox, code: str) -> None:
    assert validated(sandbox, problem(CheckTest(code))).problem is not None
    assert validated(sandbox, problem(CheckTest(code)), "def f(x):\n    return x * 2").problem is not None


def test_a_helper_that_the_statement_asks_for_is_no_fault_of_the_tests(sandbox: Sandbox) -> None:
    given = replace(
        problem(CheckTest("assert f(Node(1)) == 2")), statement="Define a class Node and f(node), twice its value."
    )
    assert validated(sandbox, given.marked()).problem is not None
    other = replace(given, statement="Define f(node), twice its value.").marked()
    assert validated(sandbox, other).reason == "broken_tests"
    reference = "class Node:\n    def __init__(self, n): self.n = n\ndef f(node):\n    return node.n * 2"
    assert validated(sandbox, replace(given, reference=reference).marked(), reference).problem is not None
