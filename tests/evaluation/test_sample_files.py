"""Files of completions, ours and other tools'."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as given_by_hypothesis
from hypothesis import strategies as st

from coderlplus.errors import DataError
from coderlplus.evaluation import sample_files
from coderlplus.evaluation.benchmarks import BENCHMARKS, BenchmarkQuestion
from coderlplus.evaluation.benchmarks.base import program_in, user
from coderlplus.evaluation.records import Judged
from coderlplus.evaluation.sample_files import read_samples, write_samples
from coderlplus.problems.sample_forms import given_in
from coderlplus.records import CheckTest, Problem, StdioTest, Verdict

ADD = Problem(
    problem_id="HumanEval/0",
    statement="Add.",
    starter_code='def add(a, b):\n    """Add."""\n',
    entry_point="add",
    setup_code="import math",
    tests=(CheckTest("assert add(1, 2) == 3"),),
)
ECHO = Problem(problem_id="livecodebench/q", statement="Echo.", tests=(StdioTest("1", "1"),))


def question(name: str, problem: Problem = ADD, **keys: Any) -> BenchmarkQuestion:
    return BenchmarkQuestion(question_id=name, messages=user("?"), problem=problem, keys=keys)


HUMANEVAL = [question("HumanEval/0"), question("HumanEval/1")]
LCB = [question(name, ECHO, question_id=name) for name in ("b", "a", "c")]
TEST_OUTPUT = [
    question(f"{name}/{test}", ECHO, question_id=name, test_id=test) for name, test in (("2", 0), ("10", 1), ("10", 0))
]
EXECUTION = [question(f"sample_{number}", ECHO, id=f"sample_{number}") for number in (10, 2, 1)]


def read(path: Path, name: str, questions: list[BenchmarkQuestion]) -> list[tuple[str, int, str | None, str | None]]:
    return [
        (one.question_id, one.sample, one.answer, one.completion)
        for one in read_samples(path, {name: questions})[name]
    ]


def given(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "samples.jsonl"
    path.write_text(text)
    return path


@pytest.mark.parametrize("key", ["question_id", "task_id", "problem_id", "id"])
@pytest.mark.parametrize(("field", "place"), [("solution", 2), ("program", 2), ("answer", 2), ("completion", 3)])
def test_rows_with_an_id_and_a_text_are_samples_in_order(tmp_path: Path, key: str, field: str, place: int) -> None:
    path = given(tmp_path, "".join(json.dumps({key: "HumanEval/1", field: text}) + "\n" for text in ("one", "two")))
    found = read(path, "humaneval", HUMANEVAL)
    assert [(one[0], one[1], one[place]) for one in found] == [("HumanEval/1", 0, "one"), ("HumanEval/1", 1, "two")]


def test_a_gzipped_list_and_ids_in_another_spelling_are_read(tmp_path: Path) -> None:
    path = tmp_path / "samples.json.gz"
    path.write_bytes(
        gzip.compress(
            json.dumps([{"task_id": "humaneval/1", "solution": "x"}, {"task_id": 0, "solution": "y"}]).encode()
        )
    )
    assert [one[0] for one in read(path, "humaneval", HUMANEVAL)] == ["HumanEval/1", "HumanEval/0"]


def test_one_row_counts_for_every_benchmark_that_has_its_question(tmp_path: Path) -> None:
    path = given(tmp_path, '{"task_id": "HumanEval/0", "solution": "x"}\n')
    found = read_samples(path, {"humaneval": HUMANEVAL, "humanevalplus": HUMANEVAL[:1]})
    assert {name: len(samples) for name, samples in found.items()} == {"humaneval": 1, "humanevalplus": 1}


def test_livecodebenchs_custom_output_is_read(tmp_path: Path) -> None:
    path = given(
        tmp_path, json.dumps([{"question_id": "a", "code_list": ["x", "y"]}, {"question_id": "c", "code_list": ["z"]}])
    )
    assert read(path, "livecodebench", LCB) == [("a", 0, "x", None), ("a", 1, "y", None), ("c", 0, "z", None)]
    path = given(tmp_path, json.dumps([["first"], ["second"], []]))
    assert read(path, "livecodebench", LCB) == [("a", 0, "first", None), ("b", 0, "second", None)]
    path = given(tmp_path, json.dumps([{"question_id": "10", "test_id": 1, "pred_list": ["assert f(1) == 2"]}]))
    assert read(path, "lcb-testoutput", TEST_OUTPUT) == [("10/1", 0, None, "assert f(1) == 2")]


def test_cruxevals_generations_and_scored_files_are_read(tmp_path: Path) -> None:
    questions = [question("sample_0"), question("sample_1")]
    generations = {"sample_1": ["3", "4"], "sample_0": ["5"]}
    for data in (generations, {"raw_generations": generations, "raw_scored_generations": {}, "pass_at_1": 50.0}):
        path = given(tmp_path, json.dumps(data))
        assert read(path, "cruxeval-o", questions) == [
            ("sample_1", 0, "3", None),
            ("sample_1", 1, "4", None),
            ("sample_0", 0, "5", None),
        ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"task_id": "HumanEval/9", "solution": "x"}\n',
            r"jsonl:1: no question of humaneval has the id 'HumanEval/9'; the nearest is 'HumanEval/",
        ),
        ('{"task_id": "HumanEval/0", "solution": "x"}\n{"task_id": "Human', r"jsonl:2: not valid JSON"),
        ('{"solution": "x"}\n{"solution": "x"}\n', "no id; a sample needs one of question_id, task_id"),
        ('{"task_id": "HumanEval/0"}\n{"task_id": "HumanEval/0"}\n', "no text; a sample needs 'completion'"),
        ('{"task_id": "HumanEval/0", "solution": 3}\n{}\n', "a sample must be text, not int"),
        ('{"HumanEval/0": "x"}', "jsonl:1: no id; a sample needs one of question_id, task_id"),
        ('{"task": "HumanEval/0", "code": "x"}\n', "jsonl:1: no id; a sample needs one of question_id, task_id"),
        ('[["x"], ["y"], ["z"]]', "3 lists without ids, which must be one for each question"),
        ("", "holds no rows"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(given(tmp_path, text), "humaneval", HUMANEVAL)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read(tmp_path / "absent.jsonl", "humaneval", HUMANEVAL)


def judged(name: str, answer: str | None, sample: int = 0) -> Judged:
    verdict = Verdict(rollout_id="r", problem_id="p", verdict="passed", tests_passed=1, tests_total=1)
    return Judged(question_id=name, sample=sample, answer=answer, program=answer, truncated=False, verdict=verdict)


def test_evalplus_gets_programs_that_run_by_themselves(tmp_path: Path) -> None:
    path = write_samples(
        tmp_path,
        BENCHMARKS["humaneval"],
        HUMANEVAL,
        [judged("HumanEval/0", "def add(a, b): ..."), judged("HumanEval/1", None)],
    )
    assert path == tmp_path / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [
        {"task_id": "HumanEval/0", "solution": "import math\n\n\ndef add(a, b): ..."},
        {"task_id": "HumanEval/1", "solution": ""},
    ]


@pytest.mark.parametrize(
    ("name", "questions"), [("livecodebench", LCB), ("lcb-testoutput", TEST_OUTPUT), ("lcb-execution", EXECUTION)]
)
def test_what_is_written_for_livecodebench_is_sorted_as_there_and_reads_back(
    tmp_path: Path, name: str, questions: list[BenchmarkQuestion]
) -> None:
    lines = [judged(one.question_id, f"{one.question_id!r}", sample) for one in questions for sample in range(2)]
    path = write_samples(tmp_path, BENCHMARKS[name], questions, lines)
    assert path == tmp_path / "custom_output.json"
    found = {(one[0], one[1]): one[2] or one[3] for one in read(path, name, questions)}
    assert found == {(line.question_id, line.sample): line.answer for line in lines}
    data = json.loads(path.read_text())
    if name == "livecodebench":
        assert [item["question_id"] for item in data] == ["a", "b", "c"]
    elif name == "lcb-testoutput":
        assert [(item["question_id"], item["test_id"]) for item in data] == [("10", 0), ("10", 1), ("2", 0)]
    else:
        assert data[0] == ["'sample_1'", "'sample_1'"]


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        ("```python\ndef add(a, b):\n    return a + b\n```", "def add(a, b):\n    return a + b"),
        ("    return a + b\n", 'def add(a, b):\n    """Add."""\n    return a + b\n'),
        ("Sorry.", None),
        ("```python\nprint(1)\n```", "print(1)"),
    ],
)
def test_a_completion_holds_a_program_or_goes_on_with_the_prompt(completion: str, program: str | None) -> None:
    assert program_in(HUMANEVAL[0], completion) == program


NUMBERED = [
    question(f"HumanEval/{number}", replace(ADD, problem_id=f"HumanEval/{number}", entry_point=f"f{number}"))
    for number in range(12)
]
PROGRAMS = [f"def f{number}(x):\n    return x + {number}" for number in range(12)]


def places(found: list[tuple[str, int, str | None, str | None]]) -> list[tuple[str, int]]:
    return [(one[0], one[1]) for one in found]


@pytest.mark.parametrize("as_list", [True, False])
def test_lists_without_ids_are_in_the_order_of_the_data_set(tmp_path: Path, as_list: bool) -> None:
    """HumanEval/2 comes before HumanEval/10, as bigcode's harness writes them, and whatever order the file of the data
    has."""
    for questions, programs in ((NUMBERED, PROGRAMS), (NUMBERED[::-1], PROGRAMS[::-1])):
        path = given(tmp_path, json.dumps([[text] if as_list else text for text in programs]))
        found = read(path, "humaneval", questions)
        assert [(one[0], one[2]) for one in found] == [
            (one.question_id, text) for one, text in zip(questions, programs, strict=True)
        ]


def test_lists_in_another_order_are_refused(tmp_path: Path) -> None:
    by_text = sorted(range(12), key=str)
    with pytest.raises(DataError, match=r"10 of 12 programs are of other questions of humaneval .*add the ids"):
        read(given(tmp_path, json.dumps([[PROGRAMS[number]] for number in by_text])), "humaneval", NUMBERED)


def test_lists_for_the_whole_set_serve_a_part_of_it(tmp_path: Path) -> None:
    path, ids = given(tmp_path, json.dumps([[text] for text in PROGRAMS])), [one.question_id for one in NUMBERED]
    found = read_samples(path, {"humaneval": NUMBERED[::5]}, whole={"humaneval": ids})["humaneval"]
    assert [(one.question_id, one.answer) for one in found] == [
        (f"HumanEval/{number}", PROGRAMS[number]) for number in (0, 5, 10)
    ]
    with pytest.raises(DataError, match="12 lists without ids, which must be one for each question of one benchmark"):
        read(path, "humaneval", NUMBERED[:7])
    with pytest.raises(DataError, match="name one benchmark, or write rows with ids"):
        read_samples(path, {"humaneval": NUMBERED, "humanevalplus": NUMBERED})


def test_bare_numbers_that_are_of_another_set_are_refused(tmp_path: Path) -> None:
    rows = "".join(
        json.dumps({"task_id": number, "solution": f"def other{number}(): ..."}) + "\n" for number in range(12)
    )
    with pytest.raises(DataError, match=r"12 of 12 programs are of other questions of humaneval or of another set"):
        read(given(tmp_path, rows), "humaneval", NUMBERED)
    whole = rows.replace('"task_id": ', '"task_id": "HumanEval/').replace(', "solution"', '", "solution"')
    assert (
        len(read(given(tmp_path, whole), "humaneval", NUMBERED)) == 12
    )  # whole ids are believed: the model named its functions as it liked


def test_a_number_that_two_benchmarks_have_is_of_neither(tmp_path: Path) -> None:
    path = given(tmp_path, '{"task_id": 3, "solution": "x = 1"}\n')
    with pytest.raises(DataError, match="the id '3' may be 'HumanEval/3' of humaneval or 'MBPP/3' of mbpp"):
        read_samples(path, {"humaneval": NUMBERED, "mbpp": [question("MBPP/3")]})
    assert read_samples(path, {"humaneval": NUMBERED, "humanevalplus": NUMBERED}).keys() == {
        "humaneval",
        "humanevalplus",
    }


@pytest.mark.parametrize(
    ("row", "answers", "completions"),
    [
        ({"completion": "x", "solution": None}, [], ["x"]),
        ({"completion": ["x", "y"]}, [], ["x", "y"]),
        ({"solution": ["x", "y"]}, ["x", "y"], []),
        ({"output_list": ["said"], "code_list": ["x"]}, ["x"], []),
        ({"output_list": ["said", "again"]}, [], ["said", "again"]),
        ({"code_list": []}, [], []),
    ],
)
def test_fields_that_are_empty_or_hold_several_texts(
    tmp_path: Path, row: dict[str, Any], answers: list[str], completions: list[str]
) -> None:
    text = (
        json.dumps({"task_id": "HumanEval/0", "solution": "first"})
        + "\n"
        + json.dumps({"task_id": "HumanEval/1"} | row)
        + "\n"
    )
    found = [one for one in read(given(tmp_path, text), "humaneval", HUMANEVAL) if one[0] == "HumanEval/1"]
    assert ([one[2] for one in found if one[2]], [one[3] for one in found if one[3]]) == (answers, completions)


def test_evalpluss_folders_are_read(tmp_path: Path) -> None:
    for number in (2, 10):
        for sample in (10, 9):
            (tmp_path / "samples" / f"HumanEval_{number}").mkdir(parents=True, exist_ok=True)
            (tmp_path / "samples" / f"HumanEval_{number}" / f"{sample}.py").write_text(
                f"def f{number}(): return {sample}"
            )
    found = read(tmp_path / "samples", "humaneval", NUMBERED)
    assert sorted(places(found)) == [("HumanEval/10", 0), ("HumanEval/10", 1), ("HumanEval/2", 0), ("HumanEval/2", 1)]
    assert [one[2] for one in found if one[0] == "HumanEval/2"] == ["def f2(): return 9", "def f2(): return 10"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="a folder needs one for each problem"):
        read(tmp_path / "empty", "humaneval", NUMBERED)


BAD = [
    '{"task_id": "HumanEval/99", "solution": "x"}',
    '{"task_id": "HumanEval/1", "solution": 3}',
    '{"task_id": "Human',
    "3",
    "{}",
    '{"task_id": true}',
]


@given_by_hypothesis(st.lists(st.sampled_from(BAD), max_size=5), st.data())
def test_bad_rows_are_told_and_the_rest_counts(
    tmp_path_factory: pytest.TempPathFactory, bad: list[str], data: Any
) -> None:
    good = [json.dumps({"task_id": f"HumanEval/{number}", "solution": PROGRAMS[number]}) for number in range(3)]
    lines = data.draw(st.permutations(good + bad))
    told: list[DataError] = []
    path = given(tmp_path_factory.mktemp("rows"), "".join(line + "\n" for line in lines))
    found = read_samples(path, {"humaneval": NUMBERED}, left_out=told)["humaneval"]
    assert sorted(one.question_id for one in found) == ["HumanEval/0", "HumanEval/1", "HumanEval/2"]
    assert len(told) == len(bad)
    assert all(str(path) in str(error) and "\n" not in str(error) for error in told)


def test_what_was_meant_is_looked_for_in_the_first_strange_rows_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(sample_files, "nearest", lambda name, known: looked.append(name))
    rows = ['{"task_id": "HumanEval/1", "solution": "x"}', *['{"task_id": "HumanEval/99", "solution": "x"}'] * 100]
    told: list[DataError] = []
    read_samples(given(tmp_path, "\n".join(rows)), {"humaneval": NUMBERED}, left_out=told)
    assert (len(told), len(looked)) == (100, sample_files.GUESSES)


@pytest.mark.parametrize("other", [name for name in BENCHMARKS if name != "humaneval"])
def test_a_file_of_another_benchmarks_samples_is_an_error(tmp_path: Path, other: str) -> None:
    path = given(
        tmp_path, "".join(json.dumps({"task_id": one.question_id, "solution": "x"}) + "\n" for one in NUMBERED)
    )
    with pytest.raises(DataError, match=f"no sample of .* is of {other}, whose ids are like 'q/0'"):
        read_samples(path, {"humaneval": NUMBERED, other: [question("q/0")]}, left_out=[])


@pytest.mark.parametrize("field", ["id", "test_id"])
@pytest.mark.parametrize("value", ["7" * 5000, "[" * 900 + "]" * 900, "1e999", "{}", "true"])
@pytest.mark.parametrize("form", ["%s\n", "[%s]", "[%s, 3]"])
def test_an_id_that_is_none_is_the_rows_own_error(tmp_path: Path, field: str, value: str, form: str) -> None:
    more = ', "question_id": "a"' if field == "test_id" else ""
    path = given(tmp_path, form % f'{{"{field}": {value}, "solution": "x"{more}}}')
    left_out: list[DataError] = []
    assert not list(given_in(path, {}, left_out))
    assert str(path) in str(left_out[0])


@pytest.mark.parametrize("field", ["answer", "program", "expected"])
def test_a_line_of_verdicts_with_another_type_is_refused(field: str) -> None:
    verdict = Verdict(rollout_id="r", problem_id="p", verdict="passed", tests_passed=1, tests_total=1)
    line = Judged(question_id="q", sample=0, answer="x", program="x", truncated=False, verdict=verdict).to_json()
    with pytest.raises(DataError, match=f"field '{field}' must be str"):
        Judged.from_json(line | {field: 3})
    failure = {"index": -1, "verdict": "wrong_answer"}
    with pytest.raises(DataError, match="must be 0 or more"):
        Judged.from_json(line | {"verdict": verdict.to_json() | {"first_failure": failure}})
