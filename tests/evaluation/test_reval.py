"""REval: what its own tracer says of lines and values is right, and nothing else. Rows of its layout are written here;
CODERLPLUS_REVAL names a clone of r-eval/REval, whose code and data are compared where there is one."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import coderlplus as crl
from coderlplus.evaluation.benchmarks import BENCHMARKS
from coderlplus.evaluation.benchmarks.base import BenchmarkQuestion
from coderlplus.evaluation.data import Window, find
from coderlplus.judge import Judge
from coderlplus.records import Rollout
from coderlplus.sandbox.backends import open_sandbox

KINDS = ("coverage", "state", "path", "output")
FUNCTION = """\
def total(values, least):
    result = 0.0
    for value in values:
        if value > least:
            result += value
        else:
            skipped = [value]
    if result > 99:
        return None
    return result
"""
CLASS = """\
class Box:
    def __init__(self, first):
        self.items = [first]

    def add(self, item):
        count = len(self.items) + 1
        self.items.append(item)
        return count

    def last(self):
        return self.items[-1]
"""
TEST = """\
import unittest


class BoxTestAdd(unittest.TestCase):
    def setUp(self):
        self.first = 'a'

    def test_add_1(self):
        box = Box(self.first)
        self.assertEqual(box.add('b'), 2)
        self.assertEqual(box.last(), 'b')

    def test_add_2(self):
        self.assertEqual(Box(1).add(2), 2)


class BoxTestLast(unittest.TestCase):
    def test_last_1(self):
        box = Box(3)
        self.assertTrue(box.last() == 3)
"""
DATA = [
    {
        "task_id": "DREval/0",
        "entry_point": "total",
        "code": FUNCTION,
        "inputs": ["([1, 5, 7], 2,)", "([1], 2,)"],
        "outputs": ["12.0", "0.0"],
        "test": None,
    },
    {
        "task_id": "DREval/1",
        "entry_point": "Box",
        "code": CLASS,
        "inputs": [
            "box = Box(self.first)\nassertEqual(box.add('b'), 2)\nassertEqual(box.last(), 'b')\n",
            "box = Box(3)\nassertTrue(box.last() == 3)\n",
        ],
        "outputs": [],
        "test": TEST,
    },
]
POINTS = [{"lineno": 5, "var": "result"}, {"lineno": 7, "var": "skipped[0]"}, {"lineno": 9, "var": "result"}]
TASKS = [
    {
        "task_id": "DREval/0",
        "idx": 0,
        "tasks": [
            {"input_idx": 0, "task": POINTS, "output_pred": "assert total([1, 5, 7], 2) == ??"},
            {"input_idx": 1, "task": POINTS[:1], "output_pred": "assert total([1], 2) == ??"},
        ],
    },
    {
        "task_id": "DREval/1",
        "idx": 1,
        "tasks": [
            {
                "input_idx": 0,
                "task": [{"lineno": 6, "var": "count"}, {"lineno": 7, "var": "self.items"}],
                "output_pred": "box = Box(self.first)\nassertEqual(box.add('b'), ??)\nassertEqual(box.last(), ??)",
            },
            {"input_idx": 1, "task": [{"lineno": 6, "var": "count"}], "output_pred": "box = Box(3)\nassertTrue(??)"},
        ],
    },
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name, rows in {"data": DATA, "tasks": TASKS}.items():
        (tmp_path / "data" / f"DREval_{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with open_sandbox(workers=1) as sandbox:
        yield Judge(sandbox)


def questions(folder: Path, kind: str) -> dict[str, BenchmarkQuestion]:
    found = find(BENCHMARKS[f"reval-{kind}"], Window(), folder)
    return {question.question_id: question for question in found.questions}


def outcomes(judge: Judge, kind: str, asked: Sequence[tuple[BenchmarkQuestion, str]]) -> list[bool]:
    """Whether each answer, in its tags, is right."""
    benchmark = BENCHMARKS[f"reval-{kind}"]
    pairs = []
    for question, text in asked:
        answer = benchmark.answer(question, f"1. So it is.\n[/THOUGHT]\n[ANSWER]\n{text}\n[/ANSWER]")
        program = None if answer is None else benchmark.program(question, answer)
        given = {"completion": ""} if program is None else {"program": program}
        pairs.append((question.problem, Rollout(rollout_id="r", problem_id=question.problem.problem_id, **given)))
    verdicts = judge.judge_many(pairs)
    assert not [verdict for verdict in verdicts if verdict.verdict == "sandbox_fault"]
    return [verdict.passed for verdict in verdicts]


@pytest.mark.parametrize(
    ("kind", "place", "right", "wrong"),
    [
        ("coverage", "0/0/5", ["YES", "yes."], ["NO", "maybe"]),
        ("coverage", "0/0/9", ["NO", "No, it is not"], ["YES"]),
        ("coverage", "0/1/5", ["NO"], ["YES"]),
        ("coverage", "1/0/7", ["YES"], ["NO"]),
        ("coverage", "1/1/6", ["NO"], ["YES"]),
        (
            "state",
            "0/0/5",
            ["5.0; float", "12.0; float", "12.0000001; <class 'float'>"],
            ["12; float", "5; int", "Nil"],
        ),
        ("state", "0/0/7", ["1; int", "1; integer"], ["1.0; float", "[1]; list", "Nil", "True; bool"]),
        ("state", "0/0/9", ["Nil", "Nil; NoneType"], ["None; NoneType", "12.0; float"]),
        ("state", "1/0/6", ["2; int"], ["2", "1; int", "len([1, 2]); int"]),
        ("state", "1/0/7", ["['a', 'b']; list", "['a', 'b']; list[str]"], ["('a', 'b'); tuple", "a, b; str"]),
        ("path", "0/0/5", ["for value in values:"], ["return result", "-1", "5"]),
        ("path", "0/0/7", ["for value in values:"], ["if result > 99:"]),
        ("path", "0/0/9", ["-1"], ["return result", "None"]),
        ("path", "1/0/6", ["self.items.append(item)"], ["return count"]),
        ("output", "0/0", ["assert total([1, 5, 7], 2) == 12.0", "12"], ["assert total([1, 5, 7], 2) == 13"]),
        (
            "output",
            "1/0",
            [
                "box = Box(self.first)\nassertEqual(box.add('b'), 2)\nassertEqual(box.last(), 'b')",
                "assertEqual(box.add('b'), 2)\nassertEqual(box.last(), 'b')",
                "self.assertEqual(box.add('b'), 2)\nself.assertEqual(box.last(), 'b')",
            ],
            [
                "assertEqual(box.add('b'), 2)\nassertEqual(box.last(), 'a')",
                "assertEqual(box.last(), 'b')",
                "assertEqual(1, 1)\nassertTrue(True)",
                "assertEqual(box.add('b'), box.add('b'))\nassertEqual(box.last(), box.last())",
            ],
        ),
    ],
)
def test_the_right_answers_pass_and_the_wrong_ones_do_not(
    folder: Path, judge: Judge, kind: str, place: str, right: list[str], wrong: list[str]
) -> None:
    question = questions(folder, kind)[f"DREval/{place}"]
    expected = [True] * len(right) + [False] * len(wrong)
    assert outcomes(judge, kind, [(question, answer) for answer in (*right, *wrong)]) == expected


def test_a_row_holds_the_questions_of_all_kinds(folder: Path) -> None:
    assert [len(questions(folder, kind)) for kind in KINDS] == [7, 7, 7, 3]
    found = find(BENCHMARKS["reval-output"], Window(), folder)
    assert [str(error).rpartition(": ")[2] for error in found.left_out] == [
        "assertTrue(??) asks for a condition, which no literal is"
    ]


def test_the_prompts_of_a_clone_are_used_where_they_are(folder: Path) -> None:
    asked = questions(folder, "state")["DREval/0/0/5"]
    assert asked.layout.endswith("our prompts")
    assert "`result` have right after line 5, `            result += value`" in asked.messages[0]["content"]
    other = folder / "clone"
    (other / "prompts").mkdir(parents=True)
    (folder / "data").rename(other / "data")
    (other / "prompts" / "cot_state.txt").write_text("{code}\n{invocation}\nIs Line {line} run? {var} {codeline}")
    asked = questions(other, "state")["DREval/1/0/7"]
    assert asked.layout.endswith("its own prompts")
    assert asked.messages[0]["content"].startswith(CLASS + "\n\n# setup code executed previously\n")
    assert asked.messages[0]["content"].endswith("Is Line 7 run? self.items         self.items.append(item)")


def test_it_is_evaluated_like_the_others(folder: Path, tmp_path: Path) -> None:
    said = {"DREval/0/0/5": "YES", "DREval/0/0/7": "YES", "DREval/0/0/9": "YES", "DREval/0/1/5": "I cannot tell"}
    rows = [
        {"question_id": name, "completion": text if "cannot" in text else f"[ANSWER]{text}[/ANSWER]"}
        for name, text in said.items()
    ]
    (tmp_path / "samples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    places = {"samples": tmp_path / "samples.jsonl", "data_dir": folder, "output": tmp_path / "scores"}
    numbers = crl.evaluate("m", ["reval-coverage"], **places, workers=1)["benchmarks"]["reval-coverage"]
    assert (numbers["problems"], numbers["accuracy"]) == (7, pytest.approx(2 / 7, abs=1e-6))
    assert numbers["outcomes"] == {"passed": 2, "wrong": 1, "no_answer": 1, "truncated": 0, "missing": 3}
    assert any("7 of the 3152 problems" in note for note in numbers["notes"])


def test_without_a_folder_it_says_where_the_data_is() -> None:
    with pytest.raises(crl.DataError, match=r"reval-path is not on the hub: name a folder with DREval_tasks\.jsonl"):
        find(BENCHMARKS["reval-path"], Window())


def test_tasks_without_programs_are_an_error(folder: Path) -> None:
    (folder / "data" / "DREval_data.jsonl").unlink()
    with pytest.raises(crl.DataError, match=r"needs DREval_data\.jsonl beside it"):
        find(BENCHMARKS["reval-path"], Window(), folder)


@pytest.fixture
def clone() -> Path:
    folder = Path(os.environ.get("CODERLPLUS_REVAL", "absent"))
    if not (folder / "data" / "DREval_tasks.jsonl").is_file():
        pytest.skip("a clone of r-eval/REval is absent (CODERLPLUS_REVAL names one)")
    return folder


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def truths(theirs: Any, rules: Any, data: Mapping[str, Any], pair: Mapping[str, Any]) -> Any:
    """The states that REval's own tracer records of one run."""
    if data["test"] is None:
        run = theirs.Sandbox(theirs.FunctionFactory.create(data["entry_point"], data["code"]))
        _, states = run.run(*eval(data["inputs"][pair["input_idx"]], vars(theirs)))
    else:
        theirs.ClassFactory.create(data["entry_point"], data["code"])
        chosen = (rules.tcls_pattern, rules.tcls_validation, rules.tcls_postprocess)
        kinds = theirs.ClassFactory.create_test_classes(data["entry_point"], data["code"], data["test"], *chosen)
        case = kinds[pair["input_idx"]]()
        case.setUp()
        run = theirs.Sandbox(case.dreval_test)
        _, states = run.run()
    return states if run.status == "ok" else None


@pytest.mark.parametrize("first", [2, 90])
def test_its_own_examples_are_scored_as_by_its_own_code(
    clone: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Every 24th problem: what its tracer says passes, and something else does not."""
    monkeypatch.syspath_prepend(str(clone))
    theirs, rules = importlib.import_module("dynamics"), importlib.import_module("dataset").DREval
    programs, tasks = (read(clone / "data" / f"DREval_{name}.jsonl") for name in ("data", "tasks"))
    known = {kind: questions(clone, kind) for kind in KINDS}
    asked: dict[str, list[tuple[BenchmarkQuestion, str]]] = {kind: [] for kind in KINDS}
    expected: dict[str, list[bool]] = {kind: [] for kind in KINDS}

    def add(kind: str, place: str, answer: str, is_right: bool) -> None:
        if place in known[kind]:
            asked[kind].append((known[kind][place], answer))
            expected[kind].append(is_right)

    for data, task in [*zip(programs, tasks, strict=True)][first : first + 60 : 24]:
        lines = data["code"].split("\n")
        for pair in task["tasks"][:2]:
            states = truths(theirs, rules, data, pair)
            place = f"{task['task_id']}/{pair['input_idx']}"
            if states is None:
                continue
            for point in pair["task"]:
                at, line = f"{place}/{point['lineno']}", point["lineno"] - 1
                covered = states.get_coverage(line)
                add("coverage", at, "YES" if covered else "NO", True)
                add("coverage", at, "NO" if covered else "YES", False)
                following = {"-1" if n < 0 else lines[n].strip() for n in states.get_next_line(line)}
                for text in following:
                    add("path", at, text, True)
                add("path", at, next(text for text in map(str.strip, lines) if text and text not in following), False)
                values = states.interpret_var(line, point["var"])
                if values is theirs.Nil:
                    add("state", at, "Nil", True)
                    add("state", at, "None; NoneType", False)
                elif type(values[0]).__module__ == "builtins":
                    add("state", at, f"{values[0]!r}; {type(values[0]).__name__}", True)
                    add("state", at, "'nothing like it'; str", False)
            whole = data["inputs"][pair["input_idx"]]
            if data["test"] is None:
                output = repr(vars(theirs)[data["entry_point"]](*eval(whole, vars(theirs))))
                whole = pair["output_pred"].replace("??", output)
            question = known["output"].get(place)
            if question is not None and BENCHMARKS["reval-output"].program(question, whole) is not None:
                add("output", place, whole, True)  # the test itself may have an expression there
            add("output", place, pair["output_pred"].replace("??", "'nothing like it'"), False)
    for kind in KINDS:
        assert len(asked[kind]) > 4
        assert outcomes(judge, kind, asked[kind]) == expected[kind], kind
