"""Readers of the sets that people train on: APPS, TACO, CodeContests, DeepCoder and rLLM, Eurus and other rows of
verl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import DataError, NoTestsError
from coderlplus.problems import files, read_problems
from coderlplus.problems.files import stream_rows
from coderlplus.problems.formats import format_of
from coderlplus.problems.inputs_outputs import runnable
from coderlplus.records import CallTest, CheckTest, Problem, StdioTest

APPS = {
    "problem_id": 7,
    "question": "Double it.",
    "solutions": json.dumps(["print 2", "print(2 * int(input()))"]),
    "input_output": json.dumps({"inputs": ["1\n", ["2", "3"]], "outputs": ["2\n", ["4", ""]]}),
    "starter_code": "",
    "difficulty": "interview",
    "url": "",
}
METHOD = "class Solution:\n    def add(self, a, b):\n        "
EURUS = {
    "data_source": "taco",
    "prompt": [
        {"role": "system", "content": "You may [ASSESS] or [ADVANCE]."},
        {
            "role": "user",
            "content": "Print twice n.\n\nWrite Python code to solve the problem. Present the code in "
            "\n```python\nYour code\n```\nat the end.",
        },
    ],
    "ability": "code",
    "reward_model": {"ground_truth": json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]}), "style": "rule"},
    "extra_info": {"index": 0, "split": "train"},
}


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def only(path: Path, row: Any) -> Problem:
    (problem,) = read_problems(written(path, row))
    return problem


def with_calls(**in_outs: Any) -> dict[str, Any]:
    return APPS | {"input_output": json.dumps({"fn_name": "add"} | in_outs), "solutions": "", "starter_code": METHOD}


def test_apps_inputs_are_texts_or_lists_of_lines_and_the_reference_is_python_3(tmp_path: Path) -> None:
    problem = only(tmp_path / "apps.jsonl", APPS)
    assert problem.tests == (StdioTest("1\n", "2\n"), StdioTest("2\n3", "4\n"))
    assert (problem.problem_id, problem.entry_point, problem.reference) == ("apps/7", None, "print(2 * int(input()))")


def test_apps_rows_of_the_files_have_an_id(tmp_path: Path) -> None:
    row = {name: value for name, value in APPS.items() if name != "problem_id"} | {"id": 12}
    assert only(tmp_path / "apps.jsonl", row).problem_id == "apps/12"


def test_calls_have_lists_of_arguments_and_values(tmp_path: Path) -> None:
    problem = only(tmp_path / "apps.jsonl", with_calls(inputs=[[1, [2]], ["x", None]], outputs=[3, "12"]))
    assert problem.tests == (CallTest((1, [2]), 3), CallTest(("x", None), "12"))
    assert (problem.entry_point, problem.checker) == ("Solution().add", None)


def test_calls_have_a_line_of_json_an_argument_too(tmp_path: Path) -> None:
    problem = only(tmp_path / "apps.jsonl", with_calls(inputs=['1\n[2, "a"]', '"x"\nnull'], outputs=["3", '"12"']))
    assert problem.tests == (CallTest((1, [2, "a"]), 3), CallTest(("x", None), "12"))


def test_values_that_are_all_lists_of_one_item_may_be_that_item(tmp_path: Path) -> None:
    assert only(tmp_path / "a.jsonl", with_calls(inputs=[[1], [2]], outputs=[[3], [4]])).checker == "wrapped"
    assert only(tmp_path / "a.jsonl", with_calls(inputs=[[1], [2]], outputs=[[3], [4, 5]])).checker is None


def test_keys_in_quotes_that_are_numbers_are_numbers(tmp_path: Path) -> None:
    problem = only(tmp_path / "a.jsonl", with_calls(inputs=[[{"1": 2}]], outputs=[{"a": {"-3": 0}}]))
    assert problem.tests == (CallTest(({"$dict": [[1, 2]]},), {"a": {"$dict": [[-3, 0]]}}),)


def test_without_a_class_in_sight_the_entry_point_is_a_function(tmp_path: Path) -> None:
    row = with_calls(inputs=[[1, 2]], outputs=[3]) | {"starter_code": "def add(a, b):\n    "}
    assert only(tmp_path / "a.jsonl", row).entry_point == "add"
    row |= {"starter_code": "", "solutions": json.dumps([METHOD + "return a + b"])}
    assert only(tmp_path / "a.jsonl", row).entry_point == "Solution().add"


@pytest.mark.parametrize(
    ("in_outs", "message"),
    [
        ({"inputs": ["1"], "outputs": []}, r"a\.jsonl:1: 1 inputs and 0 outputs do not match"),
        ({"inputs": "1", "outputs": ["1"]}, r"a\.jsonl:1: str inputs and 1 outputs do not match"),
        ({"fn_name": "f", "inputs": [3], "outputs": [3]}, r"the arguments of a call must be a list, not '3'"),
        ({"fn_name": "f g", "inputs": [[3]], "outputs": [3]}, r"fn_name 'f g' is not a function name"),
        ({"fn_name": "lambda", "inputs": [[3]], "outputs": [3]}, r"fn_name 'lambda' is not a function name"),
        ({"inputs": [None], "outputs": ["1"]}, r"an input or output must be text, not 'None'"),
        ({}, r"problem 'apps/7' has no tests"),
    ],
)
def test_tests_of_another_form_are_named(tmp_path: Path, in_outs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        only(tmp_path / "a.jsonl", APPS | {"input_output": json.dumps(in_outs) if in_outs else ""})


def test_no_tests_are_an_error_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        only(tmp_path / "a.jsonl", APPS | {"input_output": ""})
    assert isinstance(caught.value.__cause__, NoTestsError)


def test_taco_is_apps_with_tags_and_without_ids(tmp_path: Path) -> None:
    row = {name: value for name, value in APPS.items() if name != "problem_id"} | {
        "raw_tags": "[]",
        "skill_types": "[]",
        "tags": "[]",
    }
    problem = only(tmp_path / "taco.jsonl", row)
    assert problem.source == "taco"
    assert problem.problem_id.startswith("taco/")
    assert problem.reference == "print(2 * int(input()))"


def test_code_contests_joins_its_three_kinds_of_tests(tmp_path: Path) -> None:
    row = {
        "name": "1_A. Double",
        "description": "Double it.",
        "public_tests": {"input": ["1"], "output": ["2"]},
        "private_tests": {"input": ["2", "3"], "output": ["4", "6"]},
        "generated_tests": {"input": [], "output": []},
        "solutions": {
            "language": [1, 2, 3],
            "solution": ["print(input()*2)", "int main() {}", "print(2 * int(input()))"],
        },
    }
    problem = only(tmp_path / "cc.jsonl", row)
    assert problem.tests == (StdioTest("1", "2"), StdioTest("2", "4"), StdioTest("3", "6"))
    assert (problem.problem_id, problem.reference) == ("code_contests/1_A. Double", "print(2 * int(input()))")


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize(
    "tests",
    [
        {"inputs": ["1"], "outputs": ["2"]},
        [{"type": "stdin_stdout", "input": "1", "output": "2"}],
        [{"input": "1", "output": "2", "testtype": "stdin", "metadata": {"func_name": None}}],
    ],
)
def test_deepcoder_has_the_tests_of_many_sets(tmp_path: Path, tests: Any, as_text: bool) -> None:
    row = {
        "problem": "Double it.",
        "solutions": ["```python\nprint(2 * int(input()))\n```"],
        "tests": json.dumps(tests) if as_text else tests,
    }
    problem = only(tmp_path / "dc.jsonl", row)
    assert problem.tests == (StdioTest("1", "2"),)
    assert problem.reference == "print(2 * int(input()))"
    assert problem.problem_id.startswith("deepcoder/")


@pytest.mark.parametrize(
    ("tests", "metadata"),
    [
        ([{"type": "function_call", "fn_name": "add", "input": [1, 2], "output": 3}], None),
        ([{"testtype": "functional", "input": "1\n2", "output": "3", "metadata": {"func_name": "add"}}], None),
        ([{"testtype": "functional", "input": "1\n2", "output": "3"}], {"func_name": "add"}),
        ({"fn_name": "add", "inputs": [[1, 2]], "outputs": [3]}, None),
    ],
)
def test_deepcoder_has_calls_of_many_sets(tmp_path: Path, tests: Any, metadata: Any) -> None:
    problem = only(
        tmp_path / "dc.jsonl", {"problem": "Add.", "starter_code": METHOD, "tests": tests, "metadata": metadata}
    )
    assert (problem.entry_point, problem.tests) == ("Solution().add", (CallTest((1, 2), 3),))


def test_deepcoder_has_checks_of_leetcode(tmp_path: Path) -> None:
    row = {
        "problem": "Add.",
        "starter_code": METHOD,
        "tests": {"functional": "def check(candidate):\n    assert candidate(a = 1, b = 2) == 3"},
    }
    problem = only(tmp_path / "dc.jsonl", row)
    assert (problem.entry_point, problem.tests) == ("Solution().add", (CallTest((), 3, {"a": 1, "b": 2}),))


@pytest.mark.parametrize("tests", [[{"in": 1}], [{"testtype": "functional", "input": "1", "output": "2"}], "no json"])
def test_deepcoder_tests_of_no_set_are_named(tmp_path: Path, tests: Any) -> None:
    with pytest.raises(DataError, match=r"dc\.jsonl:1: "):
        only(tmp_path / "dc.jsonl", {"problem": "Add.", "tests": tests})


def test_eurus_rows_lose_the_request_for_a_program(tmp_path: Path) -> None:
    problem = only(tmp_path / "eurus.jsonl", EURUS)
    assert problem.statement == "Print twice n."
    assert (problem.source, problem.tests, problem.reference) == ("taco", (StdioTest("1\n", "2\n"),), None)


def test_eurus_rows_of_mathematics_are_no_problems(tmp_path: Path) -> None:
    math = EURUS | {
        "ability": "math",
        "data_source": "numina_olympiads",
        "reward_model": {"ground_truth": "42", "style": "rule"},
    }
    assert len(read_problems(written(tmp_path / "eurus.jsonl", math, EURUS))) == 1


def test_other_ground_truths_of_the_papers_set_are_read(tmp_path: Path) -> None:
    asserts = EURUS | {
        "reward_model": {
            "ground_truth": {"assert_case": ["assert sorted(add(1, 2)) == [3]", "assert add(0, 0) == []"]}
        }
    }
    problem = only(tmp_path / "p.jsonl", asserts)
    assert problem.entry_point == "add"
    assert problem.tests == (CheckTest("assert sorted(add(1, 2)) == [3]"), CheckTest("assert add(0, 0) == []"))
    truth = {
        "import_prefix": "import math\n",
        "test_code": "def check(candidate):\n    assert candidate(a = 1) == 2\n",
        "entry_point": "Solution().f",
    }
    problem = only(tmp_path / "p.jsonl", EURUS | {"reward_model": {"ground_truth": json.dumps(truth)}})
    assert (problem.entry_point, problem.tests) == ("Solution().f", (CallTest((), 2, {"a": 1}),))
    assert problem.setup_code.startswith("import math")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward_model": {"ground_truth": "42"}}, "the ground truth must be an object with tests, not '42'"),
        (
            {"reward_model": {"ground_truth": '{"question_id": 3}'}},
            "has none of 'inputs', 'assert_case' and 'test_code', but question_id",
        ),
        ({"reward_model": {}}, "field 'ground_truth' is missing"),
        ({"prompt": []}, "the prompt has no user message"),
    ],
)
def test_rows_of_verl_that_are_no_problems_are_named(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        only(tmp_path / "v.jsonl", EURUS | change)


def test_parquet_files_are_read_as_lines_are(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "train.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([EURUS, EURUS | {"ability": "math"}]), path)
    assert read_problems(path) == read_problems(written(tmp_path / "train.jsonl", EURUS))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"cannot read .*train\.parquet after row 0"):
        read_problems(path)


def test_the_first_row_says_what_is_known(tmp_path: Path) -> None:
    (row,) = stream_rows(written(tmp_path / "x.jsonl", {"text": "x"}))
    with pytest.raises(
        DataError, match=r"x\.jsonl:1: the fields \(text\) are those of no known format; known are .*APPS"
    ):
        format_of(row)


@pytest.mark.parametrize("chunk", [1, 7, 64, 2**20])
def test_a_list_is_read_object_by_object_however_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(files, "_CHUNK_CHARS", chunk)
    rows = [{"a": "]}" * size, "b": [1, {"c": None}]} for size in range(9)]
    for indent in (None, 2):
        (tmp_path / "l.json").write_text(f"\n {json.dumps(rows, indent=indent)}\n")
        assert [row.data for row in stream_rows(tmp_path / "l.json")] == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{}, {"a": 1', r"row 2: not valid JSON \(.*\); is the file complete\?"),
        ("[{} {}]", r"row 2: not valid JSON \(expected a comma or the end of the list"),
        ("[{}, 3]", r"row 2: expected a JSON object, not int"),
        ("[{}] {}", "more text after the list"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_after_the_rows_before_it(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "l.json").write_text(text)
    rows = stream_rows(tmp_path / "l.json")
    assert next(rows).data == {}
    with pytest.raises(DataError, match=message):
        list(rows)


def test_a_broken_line_may_be_passed_over(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"a": 1}\n{"a"\n[]\n{"a": 2}\n')
    left_out: list[DataError] = []
    assert [row.data["a"] for row in stream_rows(tmp_path / "l.jsonl", left_out)] == [1, 2]
    assert [str(error).removeprefix(f"{tmp_path / 'l.jsonl'}:")[:3] for error in left_out] == ["2: ", "3: "]
    (tmp_path / "l.json").write_text('[{"a": 1}, 3, {"a": 2}]')
    assert [row.data["a"] for row in stream_rows(tmp_path / "l.json", left_out)] == [1, 2]
    assert "row 2: expected a JSON object, not int" in str(left_out[-1])


def test_programs_of_python_2_are_passed_over() -> None:
    assert runnable(["print 1", "print(1)", "", 3, "```python\nx = 1\n```"]) == ["print(1)", "x = 1"]


def test_apps_rows_without_any_number_are_named_by_their_question(tmp_path: Path) -> None:
    """Copies of APPS and of TACO lose their numbers or their tags."""
    row = {name: value for name, value in APPS.items() if name != "problem_id"}
    problem = only(tmp_path / "apps.jsonl", row)
    assert problem.problem_id.startswith("apps/")
    assert problem.problem_id != only(tmp_path / "apps.jsonl", row | {"question": "Treble it."}).problem_id


def test_tests_may_be_written_as_python_writes_them(tmp_path: Path) -> None:
    """rLLM reads `input_output` and the tests of PrimeIntellect's set with `ast.literal_eval`, and with JSON where
    that fails."""
    row = APPS | {"input_output": "{'inputs': ['1\\n'], 'outputs': ['2\\n']}"}
    assert only(tmp_path / "apps.jsonl", row).tests == (StdioTest("1\n", "2\n"),)
    row = {
        "problem": "Double it.",
        "tests": str([{"type": "stdin_stdout", "input": "1", "output": "2", "fn_name": None}]),
    }
    assert only(tmp_path / "dc.jsonl", row).tests == (StdioTest("1", "2"),)


def test_tests_that_are_code_are_named(tmp_path: Path) -> None:
    """rLLM's KodCode rows have the text of a pytest file."""
    row = {"problem": "Add.", "solutions": "def add(a, b): ...", "tests": "def test_add():\n    assert add(1, 2) == 3"}
    with pytest.raises(DataError, match=r"dc\.jsonl:1: 'def test_add\(\)"):
        only(tmp_path / "dc.jsonl", row)


CODE_CONTESTS = {
    "name": "76_B. Mice",
    "description": "Double it.",
    "public_tests": {"input": ["3 2\n"], "output": ["1\n"]},
    "private_tests": {"input": [], "output": []},
    "generated_tests": {"input": ["7 1\n"], "output": ["2\n"]},
    "source": 2,
    "difficulty": 8,
    "solutions": {"language": [2, 4, 3], "solution": ["int main() {}", "class A {}", "print(1)"]},
    "incorrect_solutions": {"language": [3], "solution": ["print(2)"]},
    "cf_contest_id": 76,
    "cf_index": "B",
    "cf_points": 0.0,
    "cf_rating": 2100,
    "cf_tags": ["greedy"],
    "is_description_translated": False,
    "untranslated_description": "",
    "time_limit": {"seconds": 0, "nanos": 500000000},
    "memory_limit_bytes": 256000000,
    "input_file": "",
    "output_file": "",
}
"""The fields of the hub's card of CodeContests; the numbers of languages are those of `contest_problem.proto`."""


def test_a_whole_row_of_code_contests_as_the_hub_has_it(tmp_path: Path) -> None:
    """A sequence of objects is an object of lists in `datasets` and in Parquet files; the time limit, of a compiled
    language, is passed over."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist([CODE_CONTESTS]), tmp_path / "train-00000-of-00039.parquet")
    (problem,) = read_problems(tmp_path / "train-00000-of-00039.parquet")
    assert problem == only(tmp_path / "cc.jsonl", CODE_CONTESTS)
    assert problem.tests == (StdioTest("3 2\n", "1\n"), StdioTest("7 1\n", "2\n"))
    assert problem.reference == "print(1)"
    assert problem.limits == Problem(problem_id="p", statement="s", tests=problem.tests).limits


def test_code_contests_may_be_lists_of_objects(tmp_path: Path) -> None:
    """As the protocol buffers are written out, and as `datasets` 4 has a `List` of objects."""
    row = CODE_CONTESTS | {
        "public_tests": [{"input": "3 2\n", "output": "1\n"}],
        "private_tests": [],
        "generated_tests": None,
        "solutions": [
            {"language": "CPP", "solution": "int main() {}"},
            {"language": "PYTHON3", "solution": "print(1)"},
        ],
    }
    problem = only(tmp_path / "cc.jsonl", row)
    assert (problem.tests, problem.reference) == ((StdioTest("3 2\n", "1\n"),), "print(1)")


def test_problems_of_code_contests_that_use_files_are_refused(tmp_path: Path) -> None:
    """`contest_problem.proto`: some problems expect specific files instead of standard input and output."""
    with pytest.raises(DataError, match=r"its programs use the file 'mice\.in' \(input_file\)"):
        only(tmp_path / "cc.jsonl", CODE_CONTESTS | {"input_file": "mice.in", "output_file": "mice.out"})


CHECK = (
    "def check(candidate):\n    assert candidate(nums = [2,7], target = 9) == [0,1]\n    assert candidate(nums "
    "= [3,3], target = 6) == [0,1]\n"
)
RLLM_LEETCODE = {
    "problem": (
        "Please solve the programming task below using a self-contained code snippet in a markdown code "
        "block.\n\nReturn the two indices. You can "
        "return the answer in any order.\nPlease complete the following python code precisely:\n```python\nclass "
        "Solution:\n"
        "    def twoSum(self, nums: List[int], target: int) -> List[int]:\n```"
    ),
    "solutions": "class Solution:\n    def helper(self): ...\n    def twoSum(self, nums, target):\n        return "
    "[0, 1]\n",
    "tests": {"functional": f"{CHECK}\n\ncheck(Solution().twoSum)"},
}
"""rLLM's file of LeetCode: `check` is called at the end, and the starter code stands in the statement only."""


def test_rllms_leetcode_calls_check_itself(tmp_path: Path) -> None:
    problem = only(tmp_path / "leetcode.jsonl", RLLM_LEETCODE)
    assert problem.entry_point == "Solution().twoSum"
    assert problem.tests[0] == CallTest((), [0, 1], {"nums": [2, 7], "target": 9})
    assert (len(problem.tests), problem.checker) == (2, "unordered")


def test_a_check_that_is_no_list_of_calls_loses_the_call_at_its_end(tmp_path: Path) -> None:
    code = (
        "import math\n\ndef check(candidate):\n    for n in range(3):\n        assert candidate(n) == "
        "math.factorial(n)\n"
    )
    problem = only(
        tmp_path / "leetcode.jsonl", RLLM_LEETCODE | {"tests": {"functional": f"{code}\ncheck(Solution().twoSum)\n"}}
    )
    assert problem.tests == (CheckTest(code),)


@pytest.mark.parametrize("as_text", [True, False])
def test_rows_of_verl_may_have_deepcoders_tests(tmp_path: Path, as_text: bool) -> None:
    """rLLM's `deepcoder_dataset.py` writes the tests of its sets as they are, with the name of the function in each
    test."""
    forms: list[Any] = [
        [{"input": "1", "output": "2", "testtype": "stdin", "metadata": {"func_name": None}}],
        [{"input": "1\n2", "output": "3", "testtype": "functional", "metadata": {"func_name": "add"}}],
        {"functional": f"{CHECK}\ncheck(Solution().twoSum)"},
    ]
    found = []
    for truth in forms:
        row = EURUS | {
            "data_source": "livecodebench",
            "reward_model": {"style": "rule", "ground_truth": json.dumps(truth) if as_text else truth},
        }
        found.append(only(tmp_path / "v.jsonl", row))
    assert [problem.entry_point for problem in found] == [None, "add", "Solution().twoSum"]
    assert [problem.tests[0] for problem in found] == [
        StdioTest("1", "2"),
        CallTest((1, 2), 3),
        CallTest((), [0, 1], {"nums": [2, 7], "target": 9}),
    ]


def test_a_ground_truth_that_is_a_struct_has_the_fields_of_all_rows(tmp_path: Path) -> None:
    """Parquet has one type for a column: the fields that a row does not use are null."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    truths = [{"inputs": ["1\n"], "outputs": ["2\n"]}, {"assert_case": ["assert f(1) == 2"]}]
    rows = [
        EURUS
        | {"reward_model": {"ground_truth": truth, "style": "rule"}, "prompt": [{"role": "user", "content": str(n)}]}
        for n, truth in enumerate(truths)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "train.parquet")
    stdio, asserts = read_problems(tmp_path / "train.parquet")
    assert (stdio.tests, asserts.tests) == ((StdioTest("1\n", "2\n"),), (CheckTest("assert f(1) == 2"),))


def test_calls_of_eurus_are_lines_of_json(tmp_path: Path) -> None:
    """verl's `prime_code` parses every line of an input and the output as JSON, and takes a dict to have numbers as
    keys."""
    truth = {"fn_name": "solve", "inputs": ['[1, 2]\n"a"', '{"1": 2}\n3'], "outputs": ["true", '{"1": null}']}
    problem = only(
        tmp_path / "e.jsonl", EURUS | {"reward_model": {"ground_truth": json.dumps(truth), "style": "rule"}}
    )
    assert problem.entry_point == "solve"
    assert problem.tests == (CallTest(([1, 2], "a"), True), CallTest(({"$dict": [[1, 2]]}, 3), {"$dict": [[1, None]]}))
