"""A benchmark is what it says: for every benchmark and every layout of its data, the tests are its own, their number
is told, and rows of another set are refused."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.asking import asked_for
from coderlplus.evaluation.backends import Sampling
from coderlplus.evaluation.benchmarks import BENCHMARKS
from coderlplus.evaluation.data import Window, load
from coderlplus.evaluation.run import SampleSource, evaluate, prepare
from coderlplus.evaluation.sample_files import read_samples
from coderlplus.judge import Judge
from coderlplus.problems import read_problems

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def add(a, b):\n    """Add."""\n',
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(0, 0) == 0\n",
}
PLUS = {"base_input": [[1, 2], [0, 0]], "plus_input": [[5, 6], [-1, 1], [9, 9]], "atol": 0, "contract": ""}
MINI = {name: value for name, value in HUMANEVAL.items() if name != "test"} | PLUS
EVALPLUS_CODE = """\
import numpy as np

def is_floats(x) -> bool:
    return isinstance(x, float)

def assertion(out, exp, atol):
    assert out == exp or (atol != 0 and np.allclose(out, exp, rtol=1e-07, atol=atol))

"""
HUB_PLUS = HUMANEVAL | {
    "test": EVALPLUS_CODE
    + "def check(candidate):\n    inputs = [[1, 2], [0, 0], [5, 6], [-1, 1], [9, 9]]\n    results = [3, 0, 11, 0, "
    "18]\n"
    "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n        assertion(candidate(*inp), exp, 0)\n"
}
MBPP = {
    "task_id": 11,
    "text": "Add.",
    "code": "def add(a, b):\n    return a + b",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
SANITIZED = {
    "task_id": 11,
    "prompt": "Add.",
    "code": MBPP["code"],
    "test_imports": [],
    "test_list": MBPP["test_list"],
    "source_file": "x",
}
MBPP_PLUS = MINI | {
    "task_id": "Mbpp/11",
    "prompt": '"""\nAdd.\nassert add(1, 2) == 3\n"""\n',
    "canonical_solution": MBPP["code"],
    "assertion": "",
}
HUB_MBPP_PLUS = SANITIZED | {
    "test": EVALPLUS_CODE + "inputs = [[1, 2], [0, 0], [5, 6], [-1, 1], [9, 9]]\nresults = [3, 0, 11, 0, 18]\n"
    "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(add(*inp), exp, 0)\n"
}
LEETCODE = {
    "task_id": "add-two",
    "question_id": 1,
    "problem_description": "Add.",
    "starter_code": "class Solution:\n    def add(self, a: int, b: int) -> int:\n        ",
    "prompt": "import math\n",
    "completion": "class Solution:\n    def add(self, a, b):\n        return a + b",
    "entry_point": "Solution().add",
    "test": "def check(candidate):\n    assert candidate(a = 1, b = 2) == 3\n    assert candidate(a = 0, b = 0) == "
    "0\n",
    "query": "Add.",
    "response": "",
}
STDIN = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]
HIDDEN = [{"input": f"{n} 2\n", "output": f"{n + 2}\n", "testtype": "stdin"} for n in range(3)]
PICKLED = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(HIDDEN)))).decode()
LCB = {
    "question_id": "abc1",
    "question_content": "Add.",
    "starter_code": "",
    "contest_date": "2023-05-13T00:00:00",
    "public_test_cases": json.dumps(STDIN),
    "private_test_cases": PICKLED,
    "metadata": "{}",
}
LCB_DEV = {name: LCB[name] for name in ("question_id", "question_content", "starter_code", "contest_date")} | {
    "public_tests": STDIN
}
CRUX = {"id": "sample_0", "code": "def f(x):\n    return x + 1", "input": "1", "output": "2"}
EXECUTION = {
    "id": "sample_0",
    "question_id": "1",
    "code": "def add(a, b):\n    return a + b",
    "input": "add(a = 1, b = 2)",
    "output": "3",
    "function_name": "add",
    "contest_date": "2023-05-13T00:00:00",
}
TEST_OUTPUT = {
    "question_id": "1",
    "test_id": 0,
    "question_content": "Add.",
    "starter_code": LEETCODE["starter_code"],
    "test": '[{"input": "1\\n2", "output": "3", "testtype": "functional"}]',
    "contest_date": "2023-05-13T00:00:00",
}
ADD = "def add(a, b):\n    return a + b"
PRINT = "a, b = map(int, input().split())\nprint(a + b)"


@dataclass(frozen=True)
class DataForm:
    """Rows of a benchmark as some release has them, where they lie, how many things their tests compare, and a right
    answer."""

    name: str
    benchmark: str
    place: str
    row: Mapping[str, Any]
    tests: int
    answer: str
    question_id: str
    also: Sequence[str] = ()
    """Other benchmarks whose tests the row holds as well."""


METHOD = str(LEETCODE["completion"])
CRUXEVAL = ["cruxeval-o", "cruxeval-o-direct", "cruxeval-i", "cruxeval-i-direct"]
RUNS = ["lcb-execution", "lcb-execution-direct"]
LAYOUTS = [
    DataForm("HumanEval", "humaneval", "HumanEval.jsonl", HUMANEVAL, 2, ADD, "HumanEval/0"),
    DataForm(
        "HumanEval, hub",
        "humaneval",
        "openai_humaneval/openai_humaneval/test-00000-of-00001.parquet",
        HUMANEVAL,
        2,
        ADD,
        "HumanEval/0",
    ),
    DataForm(
        "HumanEval+, whole",
        "humanevalplus",
        "HumanEvalPlus.jsonl.gz",
        HUMANEVAL | PLUS,
        5,
        ADD,
        "HumanEval/0",
        ["humaneval"],
    ),
    DataForm("HumanEval+, version", "humanevalplus", "HumanEvalPlus-v0.1.10.jsonl", MINI, 5, ADD, "HumanEval/0"),
    DataForm(
        "HumanEval+, NoExtreme",
        "humanevalplus",
        "HumanEvalPlus-NoExtreme.jsonl",
        HUMANEVAL | PLUS,
        5,
        ADD,
        "HumanEval/0",
        ["humaneval"],
    ),
    DataForm("HumanEval+, Mini", "humanevalplus", "HumanEvalPlus-Mini.jsonl", MINI, 5, ADD, "HumanEval/0"),
    DataForm(
        "HumanEval+, hub",
        "humanevalplus",
        "humanevalplus/data/test-00000-of-00001.parquet",
        HUB_PLUS,
        5,
        ADD,
        "HumanEval/0",
    ),
    DataForm("MBPP", "mbpp", "mbpp.jsonl.gz", MBPP, 2, ADD, "MBPP/11"),
    DataForm(
        "MBPP, hub", "mbpp", "google-research-datasets/mbpp/full/test-00000-of-00001.parquet", MBPP, 2, ADD, "MBPP/11"
    ),
    DataForm("MBPP+", "mbppplus", "MbppPlus-NoExtreme.jsonl", MBPP_PLUS, 5, ADD, "Mbpp/11"),
    DataForm("MBPP+, hub", "mbppplus", "mbppplus/data/test-00000-of-00001.parquet", HUB_MBPP_PLUS, 5, ADD, "Mbpp/11"),
    DataForm("LeetCode", "leetcode", "LeetCodeDataset-v0.3.1-test.jsonl.gz", LEETCODE, 2, METHOD, "add-two"),
    DataForm(
        "LeetCode, hub",
        "leetcode",
        "newfacade/LeetCodeDataset/LeetCodeDataset-test.jsonl",
        LEETCODE,
        2,
        METHOD,
        "add-two",
    ),
    DataForm("LiveCodeBench", "livecodebench", "livecodebench.jsonl", LCB, 4, PRINT, "abc1"),
    DataForm(
        "LiveCodeBench, plain",
        "livecodebench",
        "livecodebench.jsonl",
        LCB | {"private_test_cases": json.dumps(HIDDEN)},
        4,
        PRINT,
        "abc1",
    ),
    DataForm("CRUXEval-O", "cruxeval-o", "cruxeval.jsonl", CRUX, 1, "2", "sample_0", CRUXEVAL),
    DataForm("CRUXEval-O, hub", "cruxeval-o", "cruxeval-org/cruxeval/test.jsonl", CRUX, 1, "2", "sample_0", CRUXEVAL),
    DataForm("CRUXEval-O, direct", "cruxeval-o-direct", "cruxeval.jsonl", CRUX, 1, "2", "sample_0", CRUXEVAL),
    DataForm("CRUXEval-I", "cruxeval-i", "cruxeval.jsonl", CRUX, 1, "f(1)", "sample_0", CRUXEVAL),
    DataForm("CRUXEval-I, direct", "cruxeval-i-direct", "cruxeval.jsonl", CRUX, 1, "f(1)", "sample_0", CRUXEVAL),
    DataForm("execution", "lcb-execution", "lcb_execution.jsonl", EXECUTION, 1, "3", "sample_0", RUNS),
    DataForm("execution, direct", "lcb-execution-direct", "lcb_execution.jsonl", EXECUTION, 1, "3", "sample_0", RUNS),
    DataForm(
        "execution, hub",
        "lcb-execution",
        "execution-v2/test.parquet",
        EXECUTION | {"contest_date": datetime(2023, 5, 13)},
        1,
        "3",
        "sample_0",
    ),
    DataForm("test output", "lcb-testoutput", "lcb_testoutput.jsonl", TEST_OUTPUT, 1, "3", "1/0"),
    DataForm(
        "test output, hub", "lcb-testoutput", "livecodebench/test_generation/test.jsonl", TEST_OUTPUT, 1, "3", "1/0"
    ),
]
PLACES = {name: benchmark.files[0] for name, benchmark in BENCHMARKS.items()}
PLACES |= {layout.benchmark: layout.place for layout in reversed(LAYOUTS)}


def write(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    else:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def numbers(
    folder: Path, names: Sequence[str], data: Path | None, answers: Mapping[str, str], judge: Judge, **window: str
) -> dict[str, Any]:
    (one,) = asked_for(names, Window(**window), data, lambda problem: problem.statement)
    file = write(folder / "answers.jsonl", *({"id": name, "answer": answer} for name, answer in answers.items()))
    samples = read_samples(file, {one.benchmark.name: one.questions})
    source = SampleSource(
        model="m", kind="samples", sampling=Sampling(), samples=samples, digest=str(hash(file.read_bytes()))
    )
    prepare(folder, source, [one])
    return evaluate(folder, source, one, lambda: pytest.fail("no model is asked"), judge)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_layout_gives_its_own_tests_and_says_how_many(tmp_path: Path, judge: Judge, layout: DataForm) -> None:
    if layout.name.endswith("+, hub"):
        pytest.importorskip("numpy")
    file = write(tmp_path / "data" / layout.place, layout.row)
    found = numbers(
        tmp_path / "right", [layout.benchmark], tmp_path / "data", {layout.question_id: layout.answer}, judge
    )
    assert found[found["metric"]] == 1.0
    assert (found["tests"], found["problems"], found["files"]) == (layout.tests, 1, [file.name])
    assert found["layout"]
    wrong = numbers(
        tmp_path / "wrong",
        [layout.benchmark],
        tmp_path / "data",
        {layout.question_id: "def add(a, b): return 7"},
        judge,
    )
    assert wrong[wrong["metric"]] == 0.0


@pytest.mark.parametrize(
    "layout",
    [one for one in LAYOUTS if one.benchmark in ("humanevalplus", "mbppplus")],
    ids=lambda layout: layout.name,
)
def test_what_passes_the_set_without_plus_and_fails_an_added_input_fails(
    tmp_path: Path, judge: Judge, layout: DataForm
) -> None:
    write(tmp_path / "data" / layout.place, layout.row)
    cheap = "def add(a, b):\n    return a + b if b < 9 else 0"
    assert (
        numbers(tmp_path / "a", [layout.benchmark], tmp_path / "data", {layout.question_id: cheap}, judge)["pass@1"]
        == 0.0
    )
    if layout.also:
        write(tmp_path / "plain" / "HumanEval.jsonl", layout.row)
        assert (
            numbers(tmp_path / "b", ["humaneval"], tmp_path / "plain", {layout.question_id: cheap}, judge)["pass@1"]
            == 1.0
        )


def test_a_public_test_alone_is_not_enough_for_livecodebench(tmp_path: Path, judge: Judge) -> None:
    write(tmp_path / "data" / "livecodebench.jsonl", LCB)
    assert numbers(tmp_path / "a", ["livecodebench"], tmp_path / "data", {"abc1": "print(3)"}, judge)["pass@1"] == 0.0


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize(
    "layout", [one for one in LAYOUTS if not one.place.endswith(".parquet")], ids=lambda layout: layout.name
)
def test_rows_of_another_benchmark_are_refused_under_its_name(tmp_path: Path, name: str, layout: DataForm) -> None:
    if name == layout.benchmark or name in layout.also:
        pytest.skip("they are its own")
    write(tmp_path / PLACES[name].removesuffix(".gz"), layout.row)
    with pytest.raises(DataError) as caught:
        asked_for([name], Window(), tmp_path, lambda problem: problem.statement)
    assert "\n" not in str(caught.value)


def without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("humanevalplus", HUMANEVAL, "neither 'base_input' and 'plus_input' nor evalplus's test code"),
        ("humanevalplus", without(HUMANEVAL | PLUS, "plus_input"), "lacks 'plus_input'"),
        ("humanevalplus", without(HUMANEVAL | PLUS, "base_input"), "lacks 'base_input'"),
        ("humanevalplus", without(MINI, "base_input", "plus_input"), "lacks 'base_input' and 'plus_input'"),
        ("humanevalplus", HUMANEVAL | PLUS | {"plus_input": None}, "lacks 'plus_input'"),
        (
            "humanevalplus",
            HUMANEVAL | PLUS | {"plus_input": []},
            "has inputs in 'plus_input', so this is not humanevalplus",
        ),
        ("humanevalplus", HUMANEVAL | PLUS | {"base_input": []}, "lacks an input in 'base_input'"),
        ("humaneval", HUB_PLUS, "those of HumanEval\\+, not HumanEval's own; use humanevalplus"),
        ("humaneval", HUMANEVAL | {"task_id": "MBPP/3"}, "not a problem of HumanEval"),
        ("mbppplus", MBPP, "neither 'base_input' and 'plus_input' nor evalplus's test code"),
        ("mbppplus", SANITIZED, "neither 'base_input' and 'plus_input' nor evalplus's test code"),
        ("mbppplus", MINI, "not a problem of MBPP"),
        ("mbpp", SANITIZED, "not of MBPP's full set"),
        ("mbpp", MBPP | {"test_list": []}, "no tests in 'test_list'"),
        ("livecodebench", LCB_DEV, "has private tests .'private_test_cases'., so this is not livecodebench"),
        ("livecodebench", LCB | {"private_test_cases": "[]"}, "has private tests"),
        ("livecodebench", without(LCB, "private_test_cases"), "has private tests"),
        ("cruxeval-o", EXECUTION, "defines no function f"),
        ("cruxeval-i", without(CRUX, "output"), "field 'output' is missing"),
        ("cruxeval-o", CRUX | {"output": "f(1)"}, "not a literal"),
        ("lcb-execution", without(EXECUTION, "function_name"), "function_name"),
        ("lcb-testoutput", TEST_OUTPUT | {"test": "[]"}, "no test"),
    ],
)
def test_a_row_that_lacks_what_the_benchmark_is_about_is_refused_with_a_sentence(
    tmp_path: Path, name: str, row: Mapping[str, Any], message: str
) -> None:
    write(tmp_path / PLACES[name].removesuffix(".gz"), row)
    with pytest.raises(DataError, match=message) as caught:
        asked_for([name], Window(), tmp_path, lambda problem: problem.statement)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "bad"),
    [("humanevalplus", HUMANEVAL), ("livecodebench", without(LCB, "private_test_cases")), ("cruxeval-o", {})],
)
def test_one_row_that_cannot_be_used_is_left_out_and_named(
    tmp_path: Path, judge: Judge, name: str, bad: Mapping[str, Any]
) -> None:
    layout = next(one for one in LAYOUTS if one.benchmark == name and one.place.endswith(".jsonl"))
    ids = {"task_id": "HumanEval/9", "question_id": "abc9", "id": "sample_9"}
    path = write(
        tmp_path / "data" / layout.place, layout.row, {field: ids.get(field, value) for field, value in bad.items()}
    )
    with path.open("a") as file:
        file.write('{"task_id": \n')
    found = numbers(tmp_path / "a", [name], tmp_path / "data", {layout.question_id: layout.answer}, judge)
    assert (found[found["metric"]], found["problems"]) == (1.0, 1)
    (note,) = [note for note in found["notes"] if "left out" in note]
    assert "2 rows of the data" in note
    assert path.name in note
    with pytest.raises(DataError):
        load(BENCHMARKS[name], Window(), tmp_path / "data")


def test_a_benchmark_that_is_not_whole_says_so(tmp_path: Path, judge: Judge) -> None:
    write(tmp_path / "data" / "HumanEval.jsonl", HUMANEVAL)
    found = numbers(tmp_path / "a", ["humaneval"], tmp_path / "data", {"HumanEval/0": ADD}, judge)
    assert found["notes"] == [
        "HumanEval.jsonl has 1 of the 164 problems of humaneval: this is not the whole benchmark"
    ]


def test_a_release_of_livecodebench_is_named_and_must_be_complete(tmp_path: Path, judge: Judge) -> None:
    folder = tmp_path / "data" / "code_generation_lite"
    for number in (1, 2):
        write(folder / f"test{number if number > 1 else ''}.jsonl", LCB | {"question_id": f"q{number}"})
    found = numbers(
        tmp_path / "a", ["livecodebench"], tmp_path / "data", {"q1": PRINT, "q2": PRINT}, judge, release="release_v2"
    )
    assert (found["release"], found["tests"], found["files"]) == ("release_v2", 8, ["test.jsonl", "test2.jsonl"])
    with pytest.raises(DataError, match=r"release_v4 of livecodebench needs test3\.jsonl, test4\.jsonl too"):
        asked_for(["livecodebench"], Window(), tmp_path / "data", lambda problem: problem.statement)


def test_a_file_that_is_no_release_claims_none(tmp_path: Path, judge: Judge) -> None:
    write(tmp_path / "data" / "livecodebench.jsonl", LCB)
    found = numbers(tmp_path / "a", ["livecodebench"], tmp_path / "data", {"abc1": PRINT}, judge)
    assert "release" not in found
    assert "release" not in found["settings"]
    with pytest.raises(ConfigError, match="is not a release of LiveCodeBench, so --release release_v2 does not apply"):
        asked_for(
            ["livecodebench"], Window(release="release_v2"), tmp_path / "data", lambda problem: problem.statement
        )


@pytest.mark.parametrize("ending", ["json", "json.gz", "jsonl", "parquet"])
def test_mbpps_own_list_is_read_where_a_file_of_problems_is(tmp_path: Path, judge: Judge, ending: str) -> None:
    path = tmp_path / f"sanitized-mbpp.{ending}"
    if ending.startswith("json") and ending != "jsonl":
        data = json.dumps([SANITIZED]).encode()
        path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    else:
        write(path, SANITIZED)
    found = numbers(tmp_path / "a", [str(path)], None, {"MBPP/11": ADD}, judge)
    assert (found["pass@1"], found["tests"], found["layout"]) == (1.0, 2, "MBPP")


@pytest.mark.parametrize(
    ("name", "file", "problems", "tests"),
    [
        ("humaneval", "humaneval", 164, 1133),
        ("humanevalplus", "humanevalplus/HumanEvalPlus-NoExtreme.jsonl.gz", 164, 124074),
        ("humanevalplus", "humanevalplus/HumanEvalPlus-Mini.jsonl.gz", 164, 2677),
        ("mbpp", "mbpp", 500, 1500),
        ("mbppplus", "mbppplus", 378, 40810),
        ("leetcode", "leetcode_dataset", 228, None),
        ("cruxeval-o", "cruxeval", 800, 800),
        ("cruxeval-i", "cruxeval", 800, 800),
    ],
)
def test_the_real_sets_have_so_many_tests(
    tmp_path: Path, shared: Path, name: str, file: str, problems: int, tests: int | None
) -> None:
    folder = shared / "data" / file
    if folder.is_file():
        (tmp_path / folder.name).symlink_to(folder)
        folder = tmp_path
    (one,) = asked_for([name], Window(), folder, lambda problem: problem.statement)
    assert len(one.questions) == problems == one.benchmark.size
    assert not one.left_out
    if tests is not None:
        assert sum(question.cases or len(question.problem.tests) for question in one.questions) == tests


def test_public_tests_alone_are_evaluated_under_the_files_own_name_only(shared: Path) -> None:
    file = shared / "data/lcb/lcb_dev.jsonl.gz"
    with pytest.raises(DataError, match="none of 425 rows has private tests"):
        asked_for(["livecodebench"], Window(), file.parent, lambda problem: problem.statement)
    (one,) = asked_for([str(file)], Window(), None, lambda problem: problem.statement)
    assert (one.benchmark.name, len(one.questions)) == ("lcb_dev", len(read_problems(file)))
