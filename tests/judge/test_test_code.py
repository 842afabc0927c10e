"""What test code does is decided from its text: what runs, whether it tests anything, whether it needs the program's
process."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.judge import Judge
from coderlplus.records import CheckTest, Problem, Rollout, Verdict
from coderlplus.records.test_code import read_test_code
from coderlplus.records.test_code_in_process import needs_program
from coderlplus.rewards import verdict_reward

VerdictOn = Callable[..., Verdict]
RIGHT, WRONG = "def add(a, b): return a + b", "def add(a, b): return a - b"
UNITTEST = "import unittest\nclass T(unittest.TestCase):"
RUN = {
    "pytest functions": "def test_a():\n    assert add(1, 2) == 3\ndef test_b():\n    assert add(2, 1) == 3",
    "only the second can fail": "def test_a():\n    assert add(1, 0) == 1\ndef test_b():\n    assert add(2, 1) == 3",
    "a class": "class TestAdd:\n    def setup_method(self):\n        self.x = 1\n    def test(self):\n        "
    "assert add(self.x, 2) == 3",
    "unittest": f"{UNITTEST}\n    def setUp(self): self.x = 1\n    def test_a(self):\n        "
    "self.assertEqual(add(self.x, 2), 3)",
    "unittest.main": f"{UNITTEST}\n    def test_a(self):\n        assert add(1, 2) == "
    "3\nunittest.main(argv=['x'],\n    exit=False)",
    "async check": "async def check(candidate):\n    assert candidate(1, 2) == 3",
    "a check that is called": "def check(c):\n    assert c(1, 2) == 3\ncheck(add)",
    "a guarded call": "def check(c):\n    assert c(1, 2) == 3\nif __name__ == '__main__':\n    check(add)",
    "a guard": "if __name__ == '__main__':\n    assert add(1, 2) == 3",
    "a default": "def check(candidate=None):\n    assert candidate(1, 2) == 3",
    "a helper": "def same(a, b):\n    if a != b:\n        raise ValueError\ndef check(c):\n    same(c(1, 2), 3)",
    "an import of the program": "from solution import add\ndef test_a():\n    assert add(1, 2) == 3",
    "under another name": "from my.module import add as plus\nassert plus(1, 2) == 3",
    "a check by assignment": "check = lambda c: [None][c(1, 2) != 3]\ndef never(): raise ValueError\nassert "
    "check(add) is None",
    "a module without import": "assert statistics.mean([add(1, 2)]) == 3",
    "exec": "exec('assert add(1, 2) == 3')",
    "a flag": "ok = True\ntry:\n    assert add(1, 2) == 3\nexcept Exception:\n    ok = False\nassert ok",
    "raised again": "try:\n    assert add(1, 2) == 3\nexcept AssertionError as e:\n    raise ValueError from e",
    "an exit code": "import sys\nsys.exit(add(1, 2) - 3)",
    "a loop": "for a in range(1, 3):\n    for b in [1]:\n        assert add(a, b) == a + b",
}
NOTHING = {
    "a generator": "def check(candidate):\n    yield candidate(1, 2) == 3",
    "another name": "def check_add(candidate):\n    assert candidate(1, 2) == 3",
    "a returned truth": "def check(candidate):\n    return candidate(1, 2) == 3",
    "comments": "# assert add(1, 2) == 3",
    "a tuple": "assert (add(1, 2) == 3, 'wrong')",
    "a comparison": "add(1, 2) == 3",
    "a doctest": "'''\n>>> add(1, 2)\n3\n'''",
    "another function": "assert abs(-3) == 3",
    "a class that nobody runs": "class Checks:\n    def test(self):\n        assert add(1, 2) == 3",
    "arguments": "def test_a(a, b):\n    assert add(a, b) == 3",
    "a constant": "add(1, 2)\nassert True",
    "caught": "try:\n    assert add(1, 2) == 3\nexcept AssertionError:\n    pass",
    "all is caught": "def check(c):\n    try:\n        assert c(1, 2) == 3\n    except:\n        return False",
    "suppressed": "import contextlib\nwith contextlib.suppress(OSError, AssertionError):\n    assert add(1, 2) == 3",
    "or true": "assert add(1, 2) == 3 or True",
    "constants": "add(1, 2)\nassert 1 == 1",
    "behind an end": "def check(c):\n    c(1, 2)\n    return\n    assert c(1, 2) == 3",
    "behind an exit": "import sys\nadd(1, 2)\nsys.exit()\nassert add(1, 2) == 3",
    "behind SystemExit": "add(1, 2)\nraise SystemExit\nassert add(1, 2) == 3",
    "never": "add(1, 2)\nif not __debug__:\n    assert add(1, 2) == 3",
    "an unused check": "def check(candidate):\n    assert 1 == 1",
}
AT_FAULT = {
    "import nosuchlib\nassert add(1, 2) == 3": "ModuleNotFoundError",
    "assert np.isclose(add(1, 2), 3)": "'np', which nothing defines",
    "want = 1 / 0\nassert add(1, 2) == want": "ZeroDivisionError",
    "want = open('want').read()\nassert add(1, 2) == want": "FileNotFoundError",
    "def check(candidate, other):\n    assert candidate(1, 2) == other": "TypeError",
    "assert add(lambda: 1, 2)": "arguments are not plain data",
    "for a in []:\n    assert add(a, 2) == 3": "without a call of the program",
    "while True:\n    pass\nassert add(1, 2) == 3": "0 and 3|before it called the program",
    "import os\nleave = os._exit\nleave(0)\nassert add(1, 2) == 3": "before it called the program",
    "assert add(1, 2) ==": "it does not compile: SyntaxError: invalid syntax (line 1)",
}


def test_an_exception_that_is_asked_for_can_be_missing() -> None:
    assert read_test_code("import pytest\nwith pytest.raises(TypeError):\n    add(1)", "add").fault == ""


def test_a_helper_of_the_set_up_code_can_fail(verdict_on: VerdictOn) -> None:
    helper = "def same(a, b):\n    assert a == b"
    for program, verdict in ((RIGHT, "passed"), (WRONG, "wrong_answer")):
        found = verdict_on(program, CheckTest("same(add(1, 2), 3)"), entry_point="add", setup_code=helper)
        assert found.verdict == verdict


@pytest.mark.parametrize("name", RUN)
def test_what_test_code_means_is_run(verdict_on: VerdictOn, name: str) -> None:
    verdict = verdict_on(RIGHT, CheckTest(RUN[name]), entry_point="add")
    assert (verdict.verdict, verdict.first_failure) == ("passed", None)
    assert verdict_on(WRONG, CheckTest(RUN[name]), entry_point="add").verdict == "wrong_answer"


@pytest.mark.parametrize("program", [RIGHT, WRONG, "raise ValueError"])
@pytest.mark.parametrize("name", NOTHING)
def test_test_code_that_tests_nothing_is_at_fault(verdict_on: VerdictOn, name: str, program: str) -> None:
    verdict = verdict_on(program, CheckTest("assert add(1, 1) == 2"), CheckTest(NOTHING[name]), entry_point="add")
    assert verdict.verdict == "sandbox_fault"
    assert verdict.first_failure is not None
    assert verdict.first_failure.detail.startswith(
        "test 2 of problem 'p' is at fault, not the program: it tests nothing: "
    )


@pytest.mark.parametrize("before", [(), (CheckTest("n = 1\nassert add(n, 1) == 2"),)])
@pytest.mark.parametrize(("code", "why"), AT_FAULT.items())
def test_what_goes_wrong_before_the_first_answer_is_the_fault_of_the_test(
    verdict_on: VerdictOn, code: str, why: str, before: tuple[CheckTest, ...]
) -> None:
    verdict = verdict_on(RIGHT, *before, CheckTest(code), entry_point="add")
    assert verdict.verdict == "sandbox_fault"
    assert verdict.first_failure is not None
    assert verdict.first_failure.index == len(before)
    assert any(part in verdict.first_failure.detail for part in why.split("|")), verdict.first_failure


AFTER = [
    "x = add(1, 2)\nimport nosuchlib\nassert x",
    "x = add(1, 2)\nassert x == 1 / 0",
    "try:\n    x = add(1, 2)\nexcept ValueError:\n    pass\nassert x == 3",
    "for x in add(1, 2):\n    pass\nassert x == 3",
    "x = add(1, 2)\nassert add(x, x) == 3",
    "x = add(1, 2)\nwhile True:\n    assert x or open",
    "x = [add(1, 2)]\nassert add(lambda: x, 2)",
]


@pytest.mark.parametrize("code", AFTER)
@pytest.mark.parametrize(
    "body", ["raise ValueError", "return []", "return object()", "return (i for i in [1])", "return 'x' * 2_000_000"]
)
def test_what_goes_wrong_after_it_is_the_failure_of_the_program(verdict_on: VerdictOn, code: str, body: str) -> None:
    verdict = verdict_on(f"def add(a, b): {body}", CheckTest(code), entry_point="add")
    assert verdict.verdict not in ("passed", "sandbox_fault"), verdict.first_failure
    assert "in_process_check" not in verdict.isolation


def test_set_up_code_that_fails_is_the_fault_of_the_problem(verdict_on: VerdictOn) -> None:
    verdict = verdict_on(
        RIGHT, CheckTest("n = 1\nassert add(n, 1) == 2"), entry_point="add", setup_code="import nosuchlib"
    )
    assert verdict.verdict == "sandbox_fault"
    assert "its set-up code raised ModuleNotFoundError" in str(verdict.first_failure)


NODE = "class Node:\n    def __init__(self, x): self.x = x\ndef size(node): return 1"


@pytest.mark.parametrize(
    ("code", "needs"),
    [
        ("assert size(Node(1)) == 1", True),
        ("root = Node(1)\nassert size(root) == 1", True),
        ("assert size(lambda x: x) == 1", True),
        ("assert size([int]) == 1", True),
        ("def check(c):\n    assert c(int) == 1", True),
        ("class A: pass\nassert size(A()) == 1", True),
        ("class A: pass\na = A()\nassert size(a) == 1", True),
        ("assert size(sorted([1], key=lambda x: x)) == 1", False),
        ("assert size(list(map(int, '1'))) == 1", False),
        ("assert size(unknown(1)) == 1", False),
        ("assert size(math.pi) == 1", False),
        ("assert isinstance(size(1), int)", False),
    ],
)
def test_the_weaker_way_stands_in_the_problem(code: str, needs: bool) -> None:
    assert needs_program(code, "size", "", NODE) == needs
    row = {
        "problem_id": "p",
        "statement": "",
        "entry_point": "size",
        "reference": NODE,
        "tests": [{"kind": "check", "code": code}],
    }
    problem = Problem.from_json(row)
    assert problem.tests == (CheckTest(code, in_process=needs),)
    assert problem.to_json()["tests"] == [{"kind": "check", "code": code, "in_process": needs}]
    assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem
    said = row | {"tests": [{"kind": "check", "code": code, "in_process": False}]}
    assert Problem.from_json(said).tests == (CheckTest(code),)


def test_a_pass_in_the_weaker_way_has_a_reward_only_where_it_is_asked_for(judge: Judge) -> None:
    problem = Problem(
        problem_id="p",
        statement="",
        tests=(CheckTest("assert size(Node(1)) == 1"),),
        entry_point="size",
        reference=NODE,
    ).marked()
    passed, failed = (
        judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program=program))
        for program in (NODE, NODE.replace("return 1", "return 2"))
    )
    assert (passed.verdict, failed.verdict) == ("passed", "wrong_answer")
    assert verdict_reward(NODE, passed).value is None
    assert verdict_reward(NODE, passed, in_process_checks=True).value == 1
    assert verdict_reward(NODE, failed).value == 0


NOT_COMPILED = (
    *("nonlocal z", "def g(a, a): pass", "from __future__ import no", "return 1", "def g():\n    nonlocal q", "*a"),
    *(
        "def g():\n    x = 1\n    global x",
        "[x := 1 for x in y]",
        "def g():\n    from os import *",
        "break",
        "a = = 1",
    ),
)
"""Some of them have a syntax tree, and some a table of names too."""


@pytest.mark.parametrize("code", NOT_COMPILED)
def test_test_code_that_does_not_compile_says_so_of_itself(judge: Judge, code: str) -> None:
    row = {"problem_id": "p", "statement": "", "entry_point": "f", "tests": [{"kind": "check", "code": code}]}
    problem = Problem.from_json(row | {"reference": "def f(n): return n"})
    verdict = judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program="def f(n): return n"))
    assert verdict.verdict == "sandbox_fault"
    assert "it does not compile: SyntaxError: " in str(verdict.first_failure)


@pytest.mark.parametrize("deep", ["y = " + 900 * "-" + "1", "y = 1" + 900 * " + 1"])
def test_names_are_found_in_code_of_any_depth(deep: str) -> None:
    """In set-up code and in the test itself: what compiles defines its names."""
    helper = f"def helper(n):\n    return n\n{deep}\n"
    test = "assert f(helper(1)) == y"
    assert not read_test_code(test, "f", helper).fault
    assert not read_test_code(helper + test, "f").fault
    assert needs_program(test, "f", "", f"{helper}def f(n): return n")


@given(
    st.text(alphabet="abdefnrst ()=:\n'1.", max_size=80)
    | st.sampled_from([*RUN.values(), *NOTHING.values(), *AT_FAULT, *NOT_COMPILED])
)
@settings(max_examples=300)
def test_any_text_is_read(code: str) -> None:
    found = read_test_code(code, "add")
    assert found.fault or found.text
    assert needs_program(code, "add", code, code) in (True, False)
