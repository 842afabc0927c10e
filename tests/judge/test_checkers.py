"""Checker programs: several right answers are right, and neither hostile answers nor broken checkers make a wrong
verdict."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coderlplus.errors import DataError
from coderlplus.records import CallTest, CheckerProgram, Problem, StdioTest, Verdict

VerdictOn = Callable[..., Verdict]

TWO_ADDENDS = CheckerProgram(
    "two addends",
    """
def check(given, answer, expected):
    words = answer.split()
    if len(words) != 2 or not all(word.isdecimal() and len(word) < 20 for word in words):
        return "two whole numbers are asked for"
    return sum(map(int, words)) == int(given)
""",
)
ANY_PATH = CheckerProgram(
    "any path",
    """
def check(given, answer, expected):
    if type(answer) is not list or len(answer) != expected or answer[0] != given[0] or answer[-1] != given["goal"]:
        return False
    return all(b in given["edges"][a] for a, b in zip(answer, answer[1:]))
""",
)
EDGES = {"$dict": [[1, [2, 3]], [2, [4]], [3, [4]], [4, []]]}


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        ("3 4", "passed"),
        ("0\\n7", "passed"),
        ("3 5", "wrong_answer"),
        ("", "wrong_answer"),
        ("7", "wrong_answer"),
        ("-1 8", "wrong_answer"),
    ],
)
def test_a_stdio_problem_with_several_right_answers(verdict_on: VerdictOn, printed: str, verdict: str) -> None:
    assert (
        verdict_on(f"print('{printed}')", StdioTest("7\n", ""), entry_point=None, checker=TWO_ADDENDS).verdict
        == verdict
    )


def test_a_call_problem_with_several_right_answers(verdict_on: VerdictOn) -> None:
    test = CallTest((1,), 3, {"edges": EDGES, "goal": 4})

    def verdict(program: str) -> str:
        return verdict_on(program, test, checker=ANY_PATH).verdict

    assert verdict("def f(start, edges, goal): return [1, 2, 4]") == "passed"
    assert verdict("def f(start, edges, goal): return [1, 3, 4]") == "passed"
    assert verdict("def f(start, edges, goal): return [1, 4, 4]") == "wrong_answer"
    assert verdict("def f(start, edges, goal): return open") == "wrong_answer"


def test_the_reason_of_a_checker_is_in_the_verdict(verdict_on: VerdictOn) -> None:
    failure = verdict_on("print(1)", StdioTest("7\n", ""), entry_point=None, checker=TWO_ADDENDS).first_failure
    assert failure is not None
    assert failure.detail == "printed '1\\n': two whole numbers are asked for"


@pytest.mark.parametrize(
    "program",
    [
        "print('True')",
        "print('{\"accepted\": true}')",
        "print('\\x00\\udcff' * 100)",
        "print('9' * 200_000)",
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 100)",
        "print(\"__import__('os')._exit(0)\")",
        "class T(str):\n    __eq__ = lambda s, o: True\nprint(T('x'))",
    ],
)
def test_hostile_output_gets_no_pass_from_a_checker(verdict_on: VerdictOn, program: str) -> None:
    assert verdict_on(program, StdioTest("7\n", ""), entry_point=None, checker=TWO_ADDENDS).verdict == "wrong_answer"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return int(answer) == 7", r"raised ValueError: .*\(line 2\); it should refuse what it cannot read"),
        ("return None", "returned a NoneType, not True, False or a reason"),
        ("return 1", "returned a int"),
        ("while True: pass", "ended by time limit"),
        ("return bytearray(10**10)", "ended by memory limit|raised MemoryError"),
        ("import os; os._exit(0)", "ended by exited"),
        ("raise SystemExit", "raised SystemExit"),
    ],
)
def test_a_broken_checker_is_no_verdict_on_the_program(verdict_on: VerdictOn, body: str, why: str) -> None:
    checker = CheckerProgram("fragile", f"def check(given, answer, expected):\n    {body}\n")
    verdict = verdict_on("print('x')", StdioTest("", ""), entry_point=None, checker=checker)
    assert verdict.verdict == "sandbox_fault"
    assert verdict.first_failure is not None
    with pytest.raises(DataError, match=rf"the checker 'fragile' of problem 'p' ({why})"):
        raise DataError(verdict.first_failure.detail)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def check(given, answer): return True", "does not define check"),
        ("x = 1", "does not define check"),
        ("def check(", "does not parse"),
    ],
)
def test_a_checker_without_check_is_refused(code: str, message: str) -> None:
    with pytest.raises(DataError, match=f"the checker 'c' {message}"):
        CheckerProgram("c", code)


def test_checkers_survive_the_way_to_a_file_and_back() -> None:
    problem = Problem(problem_id="p", statement="", tests=(StdioTest("", ""),), checker=TWO_ADDENDS)
    assert problem.to_json()["checker"] == {"name": "two addends", "code": TWO_ADDENDS.code}
    assert Problem.from_json(problem.to_json()) == problem
    with pytest.raises(DataError, match="'checker' must be a name or an object"):
        Problem.from_json(problem.to_json() | {"checker": 3})
