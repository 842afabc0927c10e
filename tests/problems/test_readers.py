"""Readers: the formats are told apart by content, and what is wrong is named with file and line."""

from __future__ import annotations

import base64
import builtins
import gzip
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import DataError
from coderlplus.problems import prefixes, read_pairs, read_problems, read_recorded, read_rollouts
from coderlplus.problems.mbpp import entry_point
from coderlplus.programs import syntax_error
from coderlplus.records import CallTest, CheckTest, Problem, Rollout, StdioTest, write_jsonl

pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in the references of MBPP

MBPP_ROW = {
    "task_id": 9,
    "prompt": "Write a function to add two numbers.",
    "code": "def helper(a):\r\n  return a\r\ndef plus(a, b):\r\n  return helper(a) + b",
    "test_imports": ["import math"],
    "test_list": ["assert plus(1, 2) == 3", "assert math.isclose(plus(1, 1), 2)"],
}
HUMANEVAL_ROW = {
    "task_id": "HumanEval/900",
    "prompt": 'import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef root(x):\n    """ The square root of x.\n   '
    ' >>> root(4)\n    2.0\n    """\n',
    "entry_point": "root",
    "test": "\nMETADATA = {}\n\ndef check(candidate):\n    assert candidate(4) == 2, 'four'\n    assert True\n    "
    "assert candidate(9) == 3\n",
    "canonical_solution": "    return math.sqrt(x)\n",
}
RECORDED_ROW = {
    "task_id": "MBPP/76",
    "prompt": 'def area(m,n):\n    """\n    Area.\n    """\n',
    "entry_point": "area",
    "test": "\ndef check(candidate):\n    assert area(4,3) == 12\n    assert area(2,2) == 4\ncheck(area)\n",
    "canonical_solution": "def area(m,n):\n    return m * n",
    "solution": "def area(m,n):\n    return m + n\n",
    "is_solved": False,
}


def jsonl(path: Path, *rows: Any) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def test_mbpp_sanitized_is_a_json_list_with_one_test_per_assert(tmp_path: Path) -> None:
    path = tmp_path / "any-name.json"
    path.write_text(json.dumps([MBPP_ROW]))
    (problem,) = read_problems(path)
    assert problem.problem_id == "MBPP/9"
    assert problem.entry_point == "plus"
    assert problem.setup_code == "import math"
    assert problem.tests == (CheckTest("assert plus(1, 2) == 3"), CheckTest("assert math.isclose(plus(1, 1), 2)"))
    assert (
        problem.statement
        == "Write a function to add two numbers.\nYour code should pass this test:\nassert plus(1, 2) == 3"
    )
    assert problem.reference is not None
    assert "\r" not in problem.reference


def test_mbpp_full_is_json_lines_and_its_set_up_code_stands_before_each_assert(tmp_path: Path) -> None:
    row = {
        "text": "Add.",
        "code": MBPP_ROW["code"],
        "task_id": 1,
        "test_setup_code": "n = 2",
        "test_list": ["assert plus(n, 1) == 3"],
    }
    (problem,) = read_problems(jsonl(tmp_path / "mbpp.jsonl.gz", row))
    assert problem.tests == (CheckTest("n = 2\nassert plus(n, 1) == 3"),)
    assert problem.statement.startswith("Add.\n")


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("assert plus(1, 2) == 3", "plus"),
        ("assert set(plus([1])) == set([1])", "plus"),
        ("assert not helper(plus(0, 0))", "helper"),
        ("root = Tree(1)\nassert plus(root) == 1", "plus"),
    ],
)
def test_the_entry_point_is_the_function_of_the_reference_that_the_test_calls(test: str, name: str) -> None:
    assert entry_point("def helper(a): ...\ndef plus(a): ...", test) == name


def test_humaneval_splits_its_check_and_keeps_what_the_prompt_defines(tmp_path: Path) -> None:
    (problem,) = read_problems(jsonl(tmp_path / "h.jsonl", HUMANEVAL_ROW))
    assert [test.code for test in problem.tests if isinstance(test, CheckTest)] == [
        "candidate = root\nassert candidate(4) == 2, 'four'",
        "candidate = root\nassert candidate(9) == 3",
    ]
    assert problem.setup_code == "import math\n\n\ndef half(x):\n    return x / 2"
    assert problem.statement.startswith("The square root of x.")
    assert problem.starter_code == HUMANEVAL_ROW["prompt"]
    assert problem.reference is not None
    assert syntax_error(problem.reference) is None


def test_a_check_with_more_than_asserts_stays_whole(tmp_path: Path) -> None:
    code = "def check(candidate):\n    for i in range(3):\n        assert candidate(i * i) == i\n"
    (problem,) = read_problems(jsonl(tmp_path / "h.jsonl", HUMANEVAL_ROW | {"test": code}))
    assert problem.tests == (CheckTest(code),)


def test_recorded_programs_bring_their_problems(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "runs.jsonl.gz",
        RECORDED_ROW,
        RECORDED_ROW | {"solution": "def area(m, n): return m * n", "is_solved": True},
    )
    (problem,) = read_problems(path)
    assert problem.tests == (CheckTest("assert area(4,3) == 12"), CheckTest("assert area(2,2) == 4"))
    assert problem.statement == "Area."
    assert [rollout.rollout_id for rollout in read_rollouts(path)] == ["runs/MBPP/76", "runs/MBPP/76/2"]
    assert [item.is_solved for item in read_recorded(path)] == [False, True]


def test_the_entry_point_is_what_the_tests_call(tmp_path: Path) -> None:
    solution = "def side(x):\n    return x\ndef area(m,n):\n    return side(m) * n"
    (problem,) = read_problems(
        jsonl(tmp_path / "r.jsonl", RECORDED_ROW | {"entry_point": "side", "canonical_solution": solution})
    )
    assert problem.entry_point == "area"


LEETCODE_ROW = {
    "task_id": "add-two-numbers",
    "prompt": "from math import *\n\nclass ListNode: ...\n",
    "completion": "class Solution:\n    def add(self, a): ...",
    "entry_point": "Solution().add",
    "starter_code": "class Solution:\n    def add(self, a: Optional[ListNode]) -> List[int]:\n        ",
    "problem_description": "Add. You may return the answer in any order.",
    "test": "def check(candidate):\n    assert candidate(a = list_node([1, 2]), b = -inf) == [(1, 'x')]\n"
    "    assert candidate(tree_node([])) == None\n",
}


def test_leetcode_checks_become_calls(tmp_path: Path) -> None:
    (problem,) = read_problems(jsonl(tmp_path / "l.jsonl.gz", LEETCODE_ROW))
    first = CallTest((), [{"$tuple": [1, "x"]}], {"a": {"$list_node": [1, 2]}, "b": {"$float": "-inf"}})
    assert problem.tests == (first, CallTest((None,), None))
    assert (problem.problem_id, problem.entry_point, problem.checker) == (
        "leetcode/add-two-numbers",
        "Solution().add",
        "unordered",
    )
    assert problem.setup_code.endswith("class ListNode: ...\nfrom builtins import abs, pow")


def test_leetcode_checks_of_linked_lists_compare_their_values(tmp_path: Path) -> None:
    check = "def check(candidate):\n    assert is_same_list(candidate(list_node([1])), list_node([2, 3]))\n"
    (problem,) = read_problems(jsonl(tmp_path / "l.jsonl", LEETCODE_ROW | {"test": check}))
    assert problem.tests == (CallTest(({"$list_node": [1]},), {"$list_node": [2, 3]}),)


@pytest.mark.parametrize(
    "line",
    [
        "assert candidate(1) > 2",
        "x = candidate(1)\n    assert x == 2",
        "assert candidate(*[1]) == 1",
        "assert f(1) == 1",
    ],
)
def test_other_leetcode_checks_stay_code(tmp_path: Path, line: str) -> None:
    check = f"def check(candidate):\n    {line}\n"
    (problem,) = read_problems(jsonl(tmp_path / "l.jsonl", LEETCODE_ROW | {"test": check}))
    assert problem.tests == (CheckTest(check),)


@pytest.mark.parametrize(
    ("statement", "returns", "checker"),
    [
        ("Return all pairs in any order.", "List[List[int]]", "unordered"),
        ("The pairs may be returned in any order.", "List[int]", "unordered"),
        ("Tasks can be done in any order. Return the number of them.", "List[int]", None),
        ("Return true if they can be put in any order.", "bool", None),
    ],
)
def test_order_is_free_where_the_statement_says_so(
    tmp_path: Path, statement: str, returns: str, checker: str | None
) -> None:
    row = LEETCODE_ROW | {
        "problem_description": statement,
        "starter_code": f"class Solution:\n    def add(self, a: int) -> {returns}:\n",
    }
    assert read_problems(jsonl(tmp_path / "l.jsonl", row))[0].checker == checker


LCB_ROW = {
    "question_id": "abc1",
    "question_content": "Say yes. You may print it in any case.",
    "starter_code": "",
    "public_tests": [{"input": "1\n", "output": "YES\n", "testtype": "stdin"}],
    "model_solutions": [{"model": "m", "code": "print('yes')", "lcb_passed": True}],
    "human": [{"submission_id": "7", "accepted": "print('YES')", "faulty": "print('NO')"}],
}


def packed(tests: list[dict[str, str]]) -> str:
    """As LiveCodeBench packs its private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def test_livecodebench_rows_with_programs(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "lcb.jsonl", LCB_ROW)
    (problem,) = read_problems(path)
    assert (problem.problem_id, problem.tests, problem.checker) == (
        "livecodebench/abc1",
        (StdioTest("1\n", "YES\n"),),
        "case_insensitive",
    )
    programs = [(item.rollout.rollout_id, item.is_solved) for item in read_recorded(path)]
    assert programs == [("lcb/abc1/m", True), ("lcb/abc1/human/7/accepted", True), ("lcb/abc1/human/7/faulty", False)]
    assert [problem.problem_id for problem, _ in read_pairs(path, path)] == ["livecodebench/abc1"] * 3


def test_livecodebench_release_rows(tmp_path: Path) -> None:
    row = {
        "question_id": "9",
        "question_content": "Add.",
        "starter_code": "class Solution:\n    def helper(self): ...\n    def add(self, a: int, b: List[int]) -> "
        "int:\n        ",
        "public_test_cases": json.dumps([{"input": "1\n[2]", "output": "3", "testtype": "functional"}]),
        "private_test_cases": packed([{"input": "4\n[5, null]", "output": "[1.5]", "testtype": "functional"}]),
        "metadata": json.dumps({"func_name": "add"}),
    }
    (problem,) = read_problems(jsonl(tmp_path / "lcb.jsonl", row))
    assert problem.tests == (CallTest((1, [2]), 3), CallTest((4, [5, None]), [1.5]))
    assert problem.entry_point == "Solution().add"


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("evil",)


def test_nothing_in_packed_tests_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    with pytest.raises(DataError, match=r"lcb.jsonl:1: the pickled tests name posix.mkdir; only text is read"):
        read_problems(jsonl(tmp_path / "lcb.jsonl", LCB_ROW | {"private_test_cases": evil}))
    assert not Path("evil").exists()


@pytest.mark.parametrize(
    "packed",
    [
        "not base64!",
        base64.b64encode(b"not zlib").decode(),
        base64.b64encode(zlib.compress(b"no pickle")).decode(),
        "3",
    ],
)
def test_damaged_packed_tests_are_named_with_their_line(tmp_path: Path, packed: str) -> None:
    with pytest.raises(DataError, match=r"lcb.jsonl:1: "):
        read_problems(jsonl(tmp_path / "lcb.jsonl", LCB_ROW | {"private_test_cases": packed}))


def test_code_contests_is_a_list_of_statements_with_tests(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    row = {
        "problem": " Print it.\nYou can print each letter in any case (upper or lower). ",
        "tests": {"inputs": ["1", "2"], "outputs": ["A", "b"]},
    }
    path.write_text(json.dumps([row]))
    (problem,) = read_problems(path)
    assert problem.tests == (StdioTest("1", "A"), StdioTest("2", "b"))
    assert problem.checker == "case_insensitive"
    path.write_text(json.dumps([row, row | {"problem": "x", "tests": {"inputs": ["1"], "outputs": []}}]))
    with pytest.raises(DataError, match=r"c.json: row 2: 1 inputs and 0 outputs do not match"):
        read_problems(path)


def test_coderlplus_records_are_read_too(tmp_path: Path) -> None:
    problem = Problem(problem_id="p", statement="Say hi.", tests=(StdioTest("", "hi\n"),))
    rollout = Rollout(rollout_id="r", problem_id="p", completion="print('hi')")
    write_jsonl(tmp_path / "p.jsonl", [problem])
    write_jsonl(tmp_path / "r.jsonl", [rollout])
    assert read_problems(tmp_path / "p.jsonl") == [problem]
    assert read_rollouts(tmp_path / "r.jsonl") == [rollout]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"problem_id": "a", "statement"', r"p\.jsonl:1: not valid JSON"),
        ('{"problem_id": "a", "statement": "s", "tests": []}', r"p\.jsonl:1: problem 'a' has no tests"),
        ('{"problem_id": "a", "statement": "s"}', r"p\.jsonl:1: field 'tests' is missing"),
        ("[1]", r"row 1: expected a JSON object, not int"),
        ("\n\n3\n", r"p\.jsonl:3: expected a JSON object"),
        ('{"x": 1}', r"p\.jsonl:1: the fields \(x\) are those of no known format"),
        ("", "holds no rows"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_problems(path)


def test_a_row_of_another_shape_is_named_with_its_line(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "m.jsonl", MBPP_ROW, MBPP_ROW | {"test_list": ["assert other(1)"]})
    with pytest.raises(
        DataError, match=r"m\.jsonl:2: the first test calls none of the functions of the reference \(helper, plus\)"
    ):
        read_problems(path)


def test_missing_files_and_damaged_gzip_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_problems(tmp_path / "nowhere.jsonl")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}' * 100)[:20])
    with pytest.raises(DataError, match="gzip data is damaged"):
        read_problems(tmp_path / "cut.jsonl.gz")


def test_one_id_for_two_problems_or_two_rollouts_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "p.jsonl", MBPP_ROW, MBPP_ROW | {"prompt": "Another."})
    with pytest.raises(DataError, match=r"p\.jsonl:2: another problem has the id 'MBPP/9'"):
        read_problems(path)
    rollout = {"rollout_id": "r", "problem_id": "p", "program": "x = 1"}
    with pytest.raises(DataError, match=r"r\.jsonl:2: a second rollout has the id 'r'"):
        read_rollouts(jsonl(tmp_path / "r.jsonl", rollout, rollout))


@pytest.mark.parametrize(
    ("file", "count"),
    [("mbpp/sanitized-mbpp.json", 427), ("mbpp/mbpp.jsonl.gz", 974), ("humaneval/HumanEval.jsonl.gz", 164)],
)
def test_the_public_sets_are_read_whole(shared: Path, file: str, count: int) -> None:
    problems = read_problems(shared / "data" / file)
    assert len(problems) == count
    for problem in problems:
        assert problem.reference is not None
        assert syntax_error(problem.reference) is None
        assert all(isinstance(test, CheckTest) and syntax_error(test.code) is None for test in problem.tests)


@pytest.mark.parametrize(
    ("file", "count", "tests"),
    [("lcb/lcb_dev.jsonl.gz", 425, 1100), ("code_contests/test_code_contests.json.gz", 165, None)],
)
def test_the_public_sets_of_scripts_are_read_whole(shared: Path, file: str, count: int, tests: int | None) -> None:
    problems = read_problems(shared / "data" / file)
    assert len(problems) == count
    assert tests in (None, sum(len(problem.tests) for problem in problems))


@pytest.mark.parametrize(
    ("name", "count", "solved"), [("seed_mbpp_codellama", 500, 256), ("seed_humaneval_starcoder", 164, 64)]
)
def test_recorded_runs_are_read_whole(shared: Path, name: str, count: int, solved: int) -> None:
    path = shared / "data" / "llm_runs" / f"{name}.jsonl.gz"
    programs = read_recorded(path)
    assert len({item.rollout.rollout_id for item in programs}) == len(read_problems(path)) == count
    assert sum(item.is_solved is True for item in programs) == solved


def test_methods_have_what_livecodebench_imports_before_them() -> None:
    """LiveCodeBench's scorer and verl's `prime_code` put the same imports before a program; builtin functions stay
    what they are."""
    names: dict[str, Any] = {}
    exec(prefixes.IMPORTS, names)
    assert prefixes.LIVECODEBENCH.startswith(f"{prefixes.IMPORTS}\nsys.setrecursionlimit(50000)\n")
    assert prefixes.PRIME.startswith(f"{prefixes.IMPORTS}\nsys.setrecursionlimit(600000)\n")
    assert names["datetime"].date(2024, 1, 1) < names["date"](2024, 1, 2)
    assert (names["median"]([1, 3]), names["deepcopy"]([2]), names["choice"]([3]), names["loads"]("4")) == (
        2,
        [2],
        3,
        4,
    )
    assert all(names[name] is getattr(builtins, name) for name in ("abs", "compile", "open", "pow", "sum"))
