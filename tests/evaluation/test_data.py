"""Where the data of benchmarks comes from, and what is said when it cannot be used."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.benchmarks import BENCHMARKS, benchmarks_named
from coderlplus.evaluation.data import Window, load

CRUX = {"id": "sample_0", "code": "def f(x):\n    return x", "input": "1", "output": "1"}
LCB = {
    "question_id": "abc301_a",
    "question_content": "Add.",
    "starter_code": "",
    "contest_date": "2023-05-13T00:00:00",
    "public_test_cases": '[{"input": "1 2", "output": "3", "testtype": "stdin"}]',
    "private_test_cases": "[]",
    "metadata": "{}",
}


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids(name: str, folder: Path, **window: str) -> list[str]:
    return [question.question_id for question in load(BENCHMARKS[name], Window(**window), folder)[0]]


@pytest.mark.parametrize(
    "place",
    [
        "cruxeval.jsonl",
        "deep/down/cruxeval.jsonl",
        "cruxeval/test.jsonl",
        "cruxeval-org/cruxeval/data/test.jsonl",
        "datasets--cruxeval-org--cruxeval/snapshots/0a/test.jsonl",
    ],
)
def test_a_folder_is_searched_for_the_release_and_for_the_layouts_of_the_hub(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, CRUX)
    assert ids("cruxeval-o", tmp_path) == ids("cruxeval-i", tmp_path) == ["sample_0"]


def test_parquet_files_of_the_hub_are_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "cruxeval"
    folder.mkdir()
    parquet.write_table(pyarrow.Table.from_pylist([CRUX | {"id": "sample_1"}]), folder / "test-00000-of-00001.parquet")
    assert ids("cruxeval-o", tmp_path) == ["sample_1"]


def test_livecodebenchs_questions_about_execution_and_tests_are_read_as_the_hub_has_them(tmp_path: Path) -> None:
    """Fields and types are those of the dataclasses in LiveCodeBench's own loader: dates are timestamps, the tests of
    a question are JSON texts."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    common = {
        "question_id": "2777",
        "contest_id": "weekly-contest-352",
        "contest_date": datetime(2023, 7, 2),
        "difficulty": "easy",
    }
    execution = {
        "function_name": "add",
        "code": "def add(a, b):\n    return a + b",
        "input": "add(a = 1, b = 2)",
        "output": "3",
    }
    execution |= {"id": "sample_0", "problem_id": "2777_1", "numsteps": 1}
    generation = {
        "question_title": "t",
        "question_content": "Add.\n",
        "starter_code": "class Solution:\n    def add(self, a: int, b: int) -> int:\n        ",
    }
    generation |= {
        "function_name": "add",
        "test_id": 4,
        "test": '[{"input": "1\\n2", "output": "3", "testtype": "functional"}]',
    }
    for place, row in (
        ("execution-v2/data/test-00000-of-00001.parquet", execution),
        ("livecodebench/test_generation/test.parquet", generation),
    ):
        (tmp_path / place).parent.mkdir(parents=True)
        parquet.write_table(pyarrow.Table.from_pylist([common | row]), tmp_path / place)
    for name, question_id, asked in (
        ("lcb-execution", "sample_0", "assert add(a = 1, b = 2) == ??"),
        ("lcb-testoutput", "2777/4", "assert add(1, 2) == # TODO"),
    ):
        (question,), _ = load(BENCHMARKS[name], Window(start="2023-07-02", end="2023-07-02"), tmp_path)
        assert (question.question_id, question.date) == (question_id, "2023-07-02")
        assert question.family == "2777"  # several questions are about one contest problem
        assert asked in question.messages[-1]["content"]
    with pytest.raises(DataError, match="none of its 1 questions lies between 2023-07-03"):
        load(BENCHMARKS["lcb-execution"], Window(start="2023-07-03"), tmp_path)


def test_the_cache_of_the_hub_is_used_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    home = tmp_path / "hub"
    repository = home / "datasets--cruxeval-org--cruxeval"
    write(repository / "snapshots" / "0a" / "test.jsonl", CRUX)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0a")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(home))
    questions, paths = load(BENCHMARKS["cruxeval-o"], Window())
    assert [question.question_id for question in questions] == ["sample_0"]
    assert paths[0].is_relative_to(home)
    with pytest.raises(DataError, match="hub cannot be reached for openai/openai_humaneval"):
        load(BENCHMARKS["humaneval"], Window())


def test_a_release_of_livecodebench_is_its_first_files(tmp_path: Path) -> None:
    folder = tmp_path / "code_generation_lite"
    for number in range(1, 7):
        write(folder / f"test{number if number > 1 else ''}.jsonl", LCB | {"question_id": f"q{number}"})
    assert ids("livecodebench", tmp_path, release="release_v2") == ["q1", "q2"]
    assert len(ids("livecodebench", tmp_path, release="release_v6")) == 6


def test_a_window_holds_both_of_its_days(tmp_path: Path) -> None:
    days = ("2024-01-31", "2024-02-01", "2024-03-01", "2024-03-02")
    write(
        tmp_path / "livecodebench.jsonl",
        *(LCB | {"question_id": day, "contest_date": f"{day}T00:00:00"} for day in days),
    )
    assert ids("livecodebench", tmp_path, start="2024-02-01", end="2024-03-01") == ["2024-02-01", "2024-03-01"]
    with pytest.raises(DataError, match="none of its 4 questions lies between 2025"):
        ids("livecodebench", tmp_path, start="2025-01-01")


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ({"release": "v9"}, "unknown LiveCodeBench release 'v9'"),
        ({"start": "2024-13-01"}, "start date '2024-13-01' is not a date"),
        ({"end": "yesterday"}, "end date"),
        ({"start": "2024-02-01", "end": "2024-01-01"}, "ends before it starts"),
    ],
)
def test_a_window_that_is_none_is_refused(window: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Window(**window)


def test_an_unknown_benchmark_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean humaneval"):
        benchmarks_named(["human_eval"])
    with pytest.raises(ConfigError, match="named twice"):
        benchmarks_named(["mbpp", "mbpp"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "sample_0", "code": "def f(): ...", "input": ""}], r"cruxeval.jsonl:1: field 'output' is missing"),
        ([CRUX, CRUX], r"cruxeval.jsonl:2: a second row has the id 'sample_0'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, rows: list[Any], message: str) -> None:
    write(tmp_path / "cruxeval.jsonl", *rows)
    with pytest.raises(DataError, match=message):
        ids("cruxeval-o", tmp_path)


def test_a_folder_without_the_data_says_what_it_wants(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"neither HumanEval.jsonl.gz, HumanEval.jsonl nor a folder of the hub's openai/openai_humaneval",
    ):
        ids("humaneval", tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        ids("humaneval", tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("humaneval", 164),
        ("humanevalplus", 164),
        ("mbpp", 500),
        ("mbppplus", 378),
        ("livecodebench", 425),
        ("cruxeval-o", 800),
    ],
)
def test_all_questions_of_the_real_sets_are_read(shared: Path, name: str, count: int) -> None:
    questions, _ = load(BENCHMARKS[name], Window(), shared / "data")
    assert len(questions) == count
    assert all(question.messages[-1]["role"] == "user" for question in questions)
