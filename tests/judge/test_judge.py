"""What the judge says of programs, test kind by test kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from coderlplus.errors import DataError, SandboxError
from coderlplus.judge import Judge
from coderlplus.records import (
    CallInput,
    CallTest,
    CheckTest,
    Limits,
    Problem,
    Rollout,
    StdioInput,
    StdioTest,
    Test,
    Verdict,
)
from coderlplus.sandbox import Job, Outcome, Sandbox
from coderlplus.sandbox.forkserver import ForkServer

VerdictOn = Callable[..., Verdict]
DOUBLE = tuple(CallTest((n,), 2 * n) for n in range(4))


def stdio(verdict_on: VerdictOn, program: str, stdin: str, stdout: str, **fields: str) -> str:
    return verdict_on(program, StdioTest(stdin, stdout), entry_point=None, **fields).verdict


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("print(int(input()) * 2)", "passed"),
        ("print('6 ')", "passed"),
        ("print(7)", "wrong_answer"),
        ("", "no_program"),
        ("print(6", "syntax_error"),
        ("return 6", "syntax_error"),
        ("print(6); 1 / 0", "runtime_error"),
        ("print(6); exit(1)", "runtime_error"),
        ("print(6); exit('no')", "runtime_error"),
        ("input(); input()", "runtime_error"),
        ("import sys; sys.stdout.close()", "wrong_answer"),
        ("while True: pass", "time_limit"),
        ("x = bytearray(10**10)", "memory_limit"),
        ("print('6' * 10**7)", "output_limit"),
    ],
)
def test_verdict_on_a_script(verdict_on: VerdictOn, program: str, verdict: str) -> None:
    assert stdio(verdict_on, program, "3\n", "6\n") == verdict


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("def f(n): return 2 * n", "passed"),
        ("f = lambda n: 2 * n", "passed"),
        ("print('noise')\ndef f(n):\n    print(n)\n    return 2 * n", "passed"),
        ("def g(n): return 2 * n", "runtime_error"),
        ("def f(n): return str(2 * n)", "wrong_answer"),
        ("def f(n): yield 2 * n", "wrong_answer"),
        ("def f(n): return 2 * n\n1 / 0", "runtime_error"),
        ("def f(n): return f(n)", "runtime_error"),
        ("def f(n): return 2 * n\ninput()", "runtime_error"),
        ("def f(n: int -> int): return 2 * n", "syntax_error"),
        ("if __name__ == '__main__': 1 / 0\ndef f(n): return 2 * n", "passed"),
    ],
)
def test_verdict_on_a_function(verdict_on: VerdictOn, program: str, verdict: str) -> None:
    assert verdict_on(program, *DOUBLE).verdict == verdict


@pytest.mark.parametrize(
    ("program", "code", "verdict"),
    [
        ("def f(n): return 2 * n", "assert f(3) == 6", "passed"),
        ("def f(n): return 2 * n", "def check(candidate):\n    assert candidate(3) == 6", "passed"),
        ("def f(n): return 2 * n", "def check(candidate):\n    assert candidate(3) == f(3) == 6", "passed"),
        ("def f(n): return 2 * n", "assert f(3) == 7", "wrong_answer"),
        ("def f(n): return 2 * n", "def check(candidate):\n    assert candidate(3) == 7", "wrong_answer"),
        ("def f(n): pass", "assert f(3) + 1 == 7", "wrong_answer"),
        ("def f(n): return 1 / 0", "assert f(3) == 6", "runtime_error"),
        (
            "def f(n): raise ValueError('no')",
            "try: f(3)\nexcept ValueError as e: assert str(e) == 'no'\nelse: assert False",
            "passed",
        ),
        (
            "class E(Exception): pass\ndef f(n): raise E('no')",
            "try: f(3)\nexcept Exception: pass\nelse: assert False",
            "passed",
        ),
        ("def f(x): x.append(4); x[0][0] = 9", "a = [[1]]\nf(a)\nassert a == [[9], 4]", "passed"),
        ("def f(x): x.update(b=2); x.pop('a')", "a = {'a': 1}\nf(x=a)\nassert a == {'b': 2}", "passed"),
        ("def f(x): return (1, {2}, {3: b'4'}, 1j)", "assert f(0) == (1, {2}, {3: b'4'}, 1j)", "passed"),
        ("def f(x): return (n for n in x)", "assert list(f([1, 2])) == [1, 2]", "passed"),
        ("import re\ndef f(x): return re.match('a', x)", "assert f('a')\nassert not f('b')", "passed"),
        ("def f(n): return 6", "import math\nassert math.isclose(f(3), 6)", "passed"),
        ("def f(n): return 6", "assert math.isclose(f(3), 6)", "passed"),
        ("def f(n):\n    while True: pass", "assert f(3) == 6", "time_limit"),
        ("def f(n): return bytearray(10**10)", "assert f(3)", "memory_limit"),
        ("def f(n): return", "while True: assert f(3) is None", "time_limit"),
        ("def f(n) return 6", "assert f(3) == 6", "syntax_error"),
    ],
)
def test_verdict_on_a_check(verdict_on: VerdictOn, program: str, code: str, verdict: str) -> None:
    result = verdict_on(program, CheckTest(code))
    assert (result.verdict, result.first_failure) == (verdict, result.first_failure)
    assert "in_process_check" not in result.isolation


def test_check_code_has_the_helpers_of_the_set_up_code(verdict_on: VerdictOn) -> None:
    set_up = "import math\ndef helper(x): return x + 1"
    assert verdict_on(
        "def f(n): return helper(n)", CheckTest("assert f(1) == helper(1) == math.ceil(1.5)"), setup_code=set_up
    ).passed


REMEMBERS = (
    "class Solution:\n    def __init__(self): self.seen = []\n    def f(self, n):\n        "
    "self.seen.append(n)\n        return self.seen"
)


@pytest.mark.parametrize(
    "tests",
    [
        (CallTest((1,), [1]), CallTest((2,), [1, 2])),
        (CheckTest("assert candidate(1) == [1]"), CheckTest("assert candidate(2) == [1, 2]")),
        (
            CheckTest("one = 1\nassert candidate(one) == [1]"),
            CallTest((2,), [1, 2]),
            CheckTest("assert candidate(3) == [1, 2, 3]"),
        ),
        (
            CheckTest(
                "s = Solution()\nassert s.f(1) == [1] and s.f(2) == [1, 2] and Solution().f(3) == [3] and "
                "candidate(4) == [4]"
            ),
        ),
    ],
)
def test_calls_and_checks_have_one_instance_as_the_scorers_of_the_sets(
    verdict_on: VerdictOn, tests: tuple[Test, ...]
) -> None:
    verdict = verdict_on(REMEMBERS, *tests, entry_point="Solution().f")
    assert (verdict.verdict, verdict.first_failure) == ("passed", None)


@pytest.mark.parametrize("code", ["assert type(f(1)) is Node", "assert f(lambda: 1)"])
def test_a_check_that_needs_the_process_of_the_program_says_so(verdict_on: VerdictOn, code: str) -> None:
    program = "class Node: pass\ndef f(x): return Node()"
    test = CheckTest(code, in_process=True)
    (marked,) = (
        Problem(problem_id="p", statement="", tests=(CheckTest(code),), entry_point="f", reference=program)
        .marked()
        .tests
    )
    assert marked == test
    assert verdict_on(program, test).verdict == "passed"
    assert "in_process_check" in verdict_on(program, test).isolation
    assert verdict_on("def f(x): return 0\nNode = str", test).verdict == "wrong_answer"
    assert verdict_on(program, CheckTest(code)).verdict == "sandbox_fault"


@pytest.mark.parametrize(
    "code", ["def check(c):\n    assert c(3) == 6", "def check(c):\n    assert c(3) == 6 and Node"]
)
@pytest.mark.parametrize("entry_point", ["f", "check"])
def test_a_check_of_the_program_does_not_stand_in_for_the_check_of_the_test(
    verdict_on: VerdictOn, code: str, entry_point: str
) -> None:
    program = "class Node: pass\ndef f(n): return 0\ndef check(candidate): return 0"
    assert (
        verdict_on(program, CheckTest(code, in_process="Node" in code), entry_point=entry_point).verdict
        == "wrong_answer"
    )


def test_a_program_cannot_choose_the_weaker_way(verdict_on: VerdictOn) -> None:
    program = "class T:\n    __eq__ = lambda s, o: True\ndef f(n): return T()"
    verdict = verdict_on(program, CheckTest("assert f(3) == 6"))
    assert verdict.verdict == "wrong_answer"
    assert "in_process_check" not in verdict.isolation


@pytest.mark.parametrize(
    ("tests", "program", "expected"),
    [
        ((StdioTest("1\n", "1"), StdioTest("2\n", "9")), "print(input())", StdioInput("2\n")),
        (
            (CallTest((1,), 1), CallTest((2,), 9, {"y": [3]})),
            "def f(x, y=0): return x",
            CallInput("f", (2,), {"y": [3]}),
        ),
        (
            (CheckTest("assert f(1) == 1"), CheckTest("f(5)\nassert f({'$tuple': 2}, y=(3,)) == 9")),
            "def f(x, y=0): return x",
            None,
        ),
    ],
)
def test_the_first_failure_names_the_test_and_its_input(
    verdict_on: VerdictOn, tests: tuple[Test, ...], program: str, expected: object
) -> None:
    verdict = verdict_on(program, *tests)
    assert (verdict.tests_passed, verdict.tests_total) == (1, 2)
    assert verdict.first_failure is not None
    assert verdict.first_failure.index == 1
    assert verdict.first_failure.input == (
        expected or CallInput("f", ({"$dict": [["$tuple", 2]]},), {"y": {"$tuple": [3]}})
    )


def test_what_a_program_keeps_counts_against_it_in_calls_and_not_in_scripts(verdict_on: VerdictOn) -> None:
    once = "seen = []\ndef f(n):\n    seen.append(n)\n    return 2 * n if len(seen) == 1 else None"
    assert verdict_on(once, *DOUBLE).tests_passed == 1
    assert verdict_on(once, *(CheckTest(f"assert f({n}) == {2 * n}") for n in range(3))).tests_passed == 1
    assert verdict_on(once, *(CheckTest(f"n = {n}\nassert f(n) == 2 * n") for n in range(3))).tests_passed == 1
    assert verdict_on(
        "import os\nprint(2 * int(input()), flush=True)\nos._exit(0)",
        *(StdioTest(f"{n}", f"{2 * n}") for n in range(3)),
    ).passed


def test_the_time_limit_is_for_each_test(verdict_on: VerdictOn) -> None:
    work = (
        "import time\ndef f(n):\n    end = time.process_time() + 0.3\n    while time.process_time() < end: "
        "pass\n    return 2 * n"
    )
    assert verdict_on(work, *DOUBLE, limits=Limits(cpu_s=0.7)).passed


def test_tests_of_several_kinds(verdict_on: VerdictOn) -> None:
    program = "def f(n): return 2 * n\nif __name__ == '__main__': print(f(int(input())))"
    tests = (StdioTest("1", "2"), *DOUBLE, CheckTest("assert f(1) == 2"), StdioTest("2", "4"))
    assert verdict_on(program, *tests).tests_passed == 7


@pytest.mark.parametrize(
    ("checker", "printed", "expected", "verdict"),
    [
        ("tokens", "1  0.3333333", "1\n0.33333334", "passed"),
        ("tokens", "1.0", "1", "passed"),
        ("tokens", "1.1", "1", "wrong_answer"),
        ("tokens", "yes", "YES", "wrong_answer"),
        ("case_insensitive", "yes", "YES", "passed"),
        ("exact", "a  b", "a b", "wrong_answer"),
        ("exact", "a b  ", "a b\n", "passed"),
    ],
)
def test_comparators_of_stdout(verdict_on: VerdictOn, checker: str, printed: str, expected: str, verdict: str) -> None:
    assert stdio(verdict_on, f"print({printed!r})", "", expected, checker=checker) == verdict


def test_comparators_of_values(verdict_on: VerdictOn) -> None:
    test = CallTest((), [[1, 2.0], [3]])
    assert verdict_on("def f(): return ((1, 2.0000000001), [3])", test).passed
    assert not verdict_on("def f(): return [[3], [1, 2]]", test).passed
    assert verdict_on("def f(): return [[3], [1, 2]]", test, checker="unordered").passed


def test_an_unknown_checker_is_an_error(verdict_on: VerdictOn) -> None:
    with pytest.raises(DataError, match="has the checker 'fuzzy'; known here are"):
        verdict_on("print(1)", StdioTest("", "1"), entry_point=None, checker="fuzzy")


def test_completions_are_judged_by_their_program(judge: Judge) -> None:
    problem = Problem(problem_id="p", statement="", tests=DOUBLE, entry_point="f")
    good = Rollout(rollout_id="a", problem_id="p", completion="Here:\n```python\ndef f(n):\n    return 2 * n\n```")
    bad = Rollout(rollout_id="b", problem_id="p", completion="I cannot.")
    assert [verdict.verdict for verdict in judge.judge_many([(problem, good), (problem, bad)])] == [
        "passed",
        "no_program",
    ]


def test_verdicts_are_in_order_and_the_same_program_runs_once(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(problem_id="p", statement="", tests=DOUBLE, entry_point="f")
    runs = []
    execute = ForkServer.run
    monkeypatch.setattr(
        ForkServer, "run", lambda self, job, on_waiting: runs.append(job) or execute(self, job, on_waiting)
    )
    programs = ["def f(n): return 2 * n", "def f(n): return 1"] * 4
    verdicts = judge.judge_many(
        (problem, Rollout(rollout_id=str(i), problem_id="p", program=program)) for i, program in enumerate(programs)
    )
    assert [verdict.rollout_id for verdict in verdicts] == [str(i) for i in range(8)]
    assert [verdict.passed for verdict in verdicts] == [True, False] * 4
    assert len(runs) == 2


def test_pairs_are_taken_no_faster_than_they_are_judged(judge: Judge) -> None:
    problem = Problem(problem_id="p", statement="", tests=DOUBLE, entry_point="f")
    taken = []

    def pairs() -> Iterator[tuple[Problem, Rollout]]:
        for index in range(400):
            taken.append(index)
            yield problem, Rollout(rollout_id=str(index), problem_id="p", program=f"def f(n): return {index}")

    verdicts = judge.judge_as_completed(pairs())
    next(verdicts)
    assert len(taken) < 200
    assert sum(1 for _ in verdicts) == 399


def test_a_rollout_of_another_problem_is_an_error(judge: Judge) -> None:
    problem = Problem(problem_id="p", statement="", tests=DOUBLE, entry_point="f")
    with pytest.raises(DataError, match="rollout 'r' is of problem 'q', not of 'p'"):
        judge.judge(problem, Rollout(rollout_id="r", problem_id="q", program="x"))


def test_a_fault_of_the_sandbox_is_no_verdict_on_the_program(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(problem_id="p", statement="", tests=DOUBLE, entry_point="f")

    def broken(self: ForkServer, job: Job, on_waiting: object) -> Outcome:
        raise EOFError("gone")

    monkeypatch.setattr(ForkServer, "run", broken)
    verdict = judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program="def f(n): return n"))
    assert verdict.verdict == "sandbox_fault"


def test_a_closed_sandbox_is_an_error() -> None:
    with Sandbox(workers=1) as sandbox:
        pass
    problem = Problem(problem_id="p", statement="", tests=DOUBLE, entry_point="f")
    with pytest.raises(SandboxError, match="closed"):
        Judge(sandbox).judge(problem, Rollout(rollout_id="r", problem_id="p", program="def f(n): return n"))


def test_verdicts_name_isolation_and_cost(verdict_on: VerdictOn) -> None:
    verdict = verdict_on("def f(n): return 2 * n", *DOUBLE)
    assert {"seccomp", "landlock", "rlimits"} <= set(verdict.isolation)
    assert 0 < verdict.cpu_s < 1
    assert 5 < verdict.peak_mb < 100


LIST = {"$list_node": [2, 4, 3]}
ADD_ONE = """class Solution:
    def f(self, head):
        node = head
        while node:
            node.val += 1
            node = node.next
"""


@pytest.mark.parametrize(
    ("body", "test"),
    [
        ("        return head", CallTest((LIST,), {"$list_node": [3, 5, 4]})),
        ("        return head and head.next", CallTest((None,), None)),
        ("        return ListNode(0, head)", CallTest((LIST,), {"$list_node": [0, 3, 5, 4]})),
        ("        return head", CheckTest("assert candidate(ListNode(1, ListNode(2))).next.val == 3")),
        (
            "        return None",
            CheckTest(
                "a = ListNode(1)\ncandidate(a)\nassert a.val == 2 and Solution().f(head=a) is None and a.val == 3"
            ),
        ),
        ("        return head", CheckTest("a = ListNode(1)\nassert candidate(a) is a")),
        ("        head.next = head", CheckTest("assert candidate(ListNode(1)) is None")),
    ],
)
def test_linked_lists_travel(verdict_on: VerdictOn, body: str, test: Test) -> None:
    if "head.next = head" in body:
        body = body.replace("        ", "        while head.next: head = head.next\n        ", 1)
    verdict = verdict_on(ADD_ONE + body, test, entry_point="Solution().f")
    assert (verdict.verdict, verdict.first_failure) == ("passed", None)
    assert "in_process_check" not in verdict.isolation


OWN_CLASS = "class TreeNode:\n    def __init__(self, x): self.val, self.left, self.right = x, None, None\n"
MIRROR = (
    "class Solution:\n    def f(self, t):\n        if t: t.left, t.right = self.f(t.right), self.f(t.left)\n   "
    "     return t"
)


@pytest.mark.parametrize("own_class", ["", OWN_CLASS])
def test_trees_travel_also_into_a_class_of_the_program(verdict_on: VerdictOn, own_class: str) -> None:
    tests = (
        CallTest(({"$tree_node": [1, 2, 3, None, 4]},), {"$tree_node": [1, 3, 2, None, None, 4]}),
        CallTest((None,), None),
    )
    assert verdict_on(own_class + MIRROR, *tests, entry_point="Solution().f").passed
    assert (
        verdict_on(own_class + MIRROR.replace("return t", "return None"), *tests, entry_point="Solution().f").verdict
        == "wrong_answer"
    )


def test_nodes_that_two_arguments_share_need_the_process_of_the_program(verdict_on: VerdictOn) -> None:
    program = (
        "class Solution:\n    def f(self, a, b):\n        while a is not b: a, b = a.next, b.next\n        return a"
    )
    check = CheckTest("t = ListNode(9)\nassert candidate(ListNode(1, t), ListNode(2, t)) is t")
    set_up = "class ListNode:\n    def __init__(self, val=0, next=None): self.val, self.next = val, next"
    verdict = verdict_on(program, check, entry_point="Solution().f", setup_code=set_up)
    assert verdict.verdict == "sandbox_fault"
    verdict = verdict_on(program, replace(check, in_process=True), entry_point="Solution().f", setup_code=set_up)
    assert verdict.passed
    assert "in_process_check" in verdict.isolation


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (
            "class P:\n    def __init__(self): self.x, self.y = 1, [2]\ndef f(n): return P()",
            "p = f(0)\nassert p.x == 1 and p.y == [2] and p != 1",
        ),
        (
            "class P:\n    def __init__(self): self.x = 1\ndef f(n): return [P(), P()]",
            "assert [p.x for p in f(0)] == [1, 1]",
        ),
        ("from collections import namedtuple\ndef f(n): return namedtuple('P', 'x')(n)", "assert f(3) == (3,)"),
        ("def f(n): return {1: 2}.keys()", "assert f(0) == {1} and len(f(0)) == 1"),
        ("import itertools\ndef f(n): return itertools.permutations([1, 2])", "assert list(f(0)) == [(1, 2), (2, 1)]"),
        ("def f(n):\n    while True:\n        yield n", "assert next(f(5)) == 5"),
        ("def f(x):\n    x.append(1)\n    return x", "a = []\nassert f(a) is a and a == [1]"),
        ("def f(x):\n    x.append(f)\n    return 1", "assert f([]) == 1"),
    ],
)
def test_what_comes_back_to_a_check_without_being_plain_data(verdict_on: VerdictOn, program: str, code: str) -> None:
    verdict = verdict_on(program, CheckTest(code))
    assert (verdict.verdict, verdict.first_failure) == ("passed", None)
    assert "in_process_check" not in verdict.isolation


def test_numbers_of_numpy_count_as_numbers(verdict_on: VerdictOn) -> None:
    pytest.importorskip("numpy")
    program = "import numpy\ndef f(n): return [numpy.int64(n), numpy.float64(0.5)]"
    assert verdict_on(
        program, CallTest((1,), [1, 0.5]), CheckTest("assert f(1) == [1, 0.5]"), limits=Limits(cpu_s=5, memory_mb=1024)
    ).passed


def test_the_failed_assertion_is_shown_not_the_last_line(verdict_on: VerdictOn) -> None:
    code = (
        "def check(c):\n    assert c(1) == 2\n    assert c(2) == [\n        5,\n        6,\n    ]\n    assert "
        "c(3) == 6\n"
    )
    failure = verdict_on("def f(n): return 2 * n", CheckTest(code)).first_failure
    assert failure is not None
    assert "assert c(2) == [ 5, 6, ]" in failure.detail


@pytest.mark.parametrize("code", ["assert f(3) ==", "def check(c): return\nreturn"])
def test_test_code_that_does_not_compile_is_no_verdict_on_the_program(verdict_on: VerdictOn, code: str) -> None:
    verdict = verdict_on("def f(n): return 1", CheckTest(code))
    assert verdict.verdict == "sandbox_fault"
    assert verdict.first_failure is not None
    assert (
        "test 1 of problem 'p' is at fault, not the program: it does not compile: SyntaxError"
        in verdict.first_failure.detail
    )


LARGE = "def check(candidate):\n    assert candidate(3_000_000) == ['x' * 3_000_000, list(range(1_000_000))]"


@pytest.mark.parametrize(("item", "verdict"), [("n", "passed"), ("n + (n == 999_999)", "wrong_answer")])
def test_values_of_megabytes_reach_the_test_code(verdict_on: VerdictOn, item: str, verdict: str) -> None:
    """HumanEval+ asks for such ones. They are too long to be told of."""
    patient = Limits(cpu_s=60, wall_s=240)  # a million items take seconds to travel
    found = verdict_on(
        f"def f(size): return ['x' * size, [{item} for n in range(1_000_000)]]", CheckTest(LARGE), limits=patient
    )
    assert found.verdict == verdict
    if found.first_failure is not None:
        assert (found.first_failure.input, found.first_failure.actual) == (CallInput("f", (3_000_000,)), None)
