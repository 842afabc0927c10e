"""The Parquet file: what TRL and verl find in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coderlplus.engines.reward_functions import code_reward
from coderlplus.judge import Judge
from coderlplus.preparation.outputs import ParquetFile, ground_truth, parquet_row, problem_schema
from coderlplus.problems import read_problems
from coderlplus.problems.eurus import problem as of_verl
from coderlplus.records import CallTest, CheckTest, Problem, StdioTest
from coderlplus.sandbox import Sandbox

parquet = pytest.importorskip("pyarrow.parquet")

STDIO = Problem(
    problem_id="s", source="apps", statement="Double it.", tests=(StdioTest("1", "2"), StdioTest("2", "4"))
)
CALL = Problem(
    problem_id="c",
    statement="Add.",
    entry_point="Solution().add",
    tests=(CallTest((1,), [3], {"b": "x"}),),
    checker="unordered",
)
ASSERTS = Problem(problem_id="a", statement="Add.", entry_point="add", tests=(CheckTest("assert add(1, 2) == 3"),))
CHECK = Problem(
    problem_id="k",
    statement="Add.",
    entry_point="add",
    tests=(CheckTest("def check(candidate):\n    assert candidate(1) == 2"),),
)
NODES = Problem(problem_id="n", statement="Add.", entry_point="add", tests=(CallTest(({"$list_node": [1]},), 3),))


def test_problems_come_back_whole_from_the_parquet_file(tmp_path: Path) -> None:
    problems = [STDIO, CALL, ASSERTS, CHECK, NODES]
    with ParquetFile(tmp_path / "p.parquet", problem_schema) as file:
        for place, problem in enumerate(problems):
            file.add(parquet_row(problem, place))
    assert read_problems(tmp_path / "p.parquet") == problems
    rows = parquet.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["extra_info"]["index"] for row in rows] == [0, 1, 2, 3, 4]
    assert {row["ability"] for row in rows} == {"code"}
    assert rows[0]["prompt"][0]["role"] == "user"
    assert rows[0]["prompt"][0]["content"].startswith("Double it.")


def test_the_ground_truth_is_in_forms_that_scorers_know() -> None:
    assert ground_truth(STDIO) == {"inputs": ["1", "2"], "outputs": ["2", "4"]}
    assert ground_truth(CALL) == {"inputs": ['1\n"x"'], "outputs": ["[3]"], "fn_name": "add"}
    assert ground_truth(ASSERTS) == {"assert_case": ["assert add(1, 2) == 3"]}
    assert ground_truth(CHECK)["entry_point"] == "add"
    assert ground_truth(NODES) == {}


@pytest.mark.parametrize("problem", [STDIO, ASSERTS])
def test_the_ground_truth_alone_gives_the_same_tests(problem: Problem) -> None:
    row = {
        "prompt": [{"role": "user", "content": problem.statement}],
        "reward_model": {"ground_truth": json.dumps(ground_truth(problem))},
    }
    again = of_verl(row)
    assert again is not None
    assert again.tests == problem.tests
    assert again.entry_point == problem.entry_point


def test_trls_reward_function_takes_its_rows(tmp_path: Path, sandbox: Sandbox) -> None:
    with ParquetFile(tmp_path / "p.parquet", problem_schema) as file:
        file.add(parquet_row(STDIO, 0))
    (row,) = parquet.read_table(tmp_path / "p.parquet").to_pylist()
    reward = code_reward(Judge(sandbox))
    completions = ["```python\nprint(2 * int(input()))\n```", "print(1)"]
    others = {name: [value, value] for name, value in row.items() if name != "record"}
    assert reward(completions=completions, record=[row["record"]] * 2, **others) == [1.0, 0.0]


def test_a_file_that_is_not_finished_does_not_appear(tmp_path: Path) -> None:
    file = ParquetFile(tmp_path / "p.parquet", problem_schema)
    file.add(parquet_row(STDIO, 0))
    file.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert list(tmp_path.iterdir()) == []
