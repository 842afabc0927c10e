"""`coderlplus prepare`: from a public set to problems, with a report of what was cut and why."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coderlplus.cli import app, main
from coderlplus.errors import CodeRLPlusError, DataError
from coderlplus.preparation import run as run_module
from coderlplus.preparation.validation import Validation
from coderlplus.problems import read_problems
from coderlplus.records import CallTest, Problem, write_jsonl

WHOLE = bool(os.environ.get("CODERLPLUS_WHOLE"))


def row(
    number: int, question: str, reference: str, inputs: Sequence[str] = ("1", "2"), outputs: Sequence[str] = ("2", "4")
) -> dict[str, Any]:
    in_outs = json.dumps({"inputs": list(inputs), "outputs": list(outputs)}) if inputs else ""
    return {
        "problem_id": number,
        "question": question,
        "solutions": json.dumps([reference]),
        "input_output": in_outs,
        "difficulty": "easy",
    }


COPIED = "Write a function that counts all words of a sentence that begin with a vowel, whatever their case."
DOUBLE = "print(2 * int(input()))"
ROWS = [
    row(0, "Read a number and print its double.", DOUBLE),
    row(1, "Read a number and print its double plus zero.", "print(int(input()) + 3)"),
    row(2, "Nothing is printed here.", "x = 1", ["1"], [""]),
    row(3, f"Here is a nice one. {COPIED} Good luck!", DOUBLE),
    row(4, "Read a number, and PRINT its double!", DOUBLE, ["5", "6"], ["10", "12"]),
    row(5, "The same in other words: twice the number.", DOUBLE),
    row(6, "Nobody knows how this is tested.", DOUBLE, []),
    row(
        7,
        "Read a number and print its square.",
        "print(int(input()) ** 2)",
        ["3", "1" * 2000, "4"],
        ["9", str(int("1" * 2000) ** 2), "16"],
    ),
    row(0, "Read a number and print three times that.", "print(3 * int(input()))", ["3"], ["9"]),
]
CUT = {"reference_fails": 1, "nothing_passes": 1, "contaminated": 1, "duplicate": 1, "same_tests": 1, "no_tests": 1}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of `ROWS`, and beside it an evaluation set that one of them is copied from."""
    monkeypatch.chdir(tmp_path)
    write_jsonl(
        tmp_path / "bench.jsonl",
        [Problem(problem_id="b/1", statement=COPIED, entry_point="f", tests=(CallTest(("an ox",), 2),))],
    )
    (tmp_path / "apps.jsonl").write_text("".join(json.dumps(one) + "\n" for one in ROWS))
    return tmp_path / "apps.jsonl"


def prepare(*arguments: str | Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments), "--json"])
    if isinstance(result.exception, CodeRLPlusError):
        raise result.exception
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def cut_lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.with_name(f"{output.stem}.cut.jsonl").read_text().splitlines()]


def test_what_is_kept_and_what_is_cut_with_its_reason(source: Path, tmp_path: Path) -> None:
    report = prepare(source, "-o", "p.jsonl", "--benchmarks", "bench.jsonl", "--parquet")
    assert (report["rows"], report["kept"], report["cut"]) == (9, 3, CUT)
    assert report["benchmarks"] == {"bench.jsonl": 1}
    assert (report["tests_given"], report["tests_kept"], report["without_reference"]) == (6, 6, 0)
    assert report["peak_memory_mb"] > 0
    problems = read_problems(tmp_path / "p.jsonl")
    assert [problem.problem_id for problem in problems] == ["apps/0", "apps/7", "apps/0/2"]
    assert read_problems(tmp_path / "p.parquet") == problems
    cut = {line["reason"]: line for line in cut_lines(tmp_path / "p.jsonl")}
    assert cut["reference_fails"]["place"].endswith("apps.jsonl:2")
    assert "wrong_answer in test 1 of 2: printed '4" in cut["reference_fails"]["detail"]
    assert cut["contaminated"]["detail"].startswith("100% in common with bench: b/1: 'write a function that counts")
    assert cut["duplicate"]["detail"] == cut["same_tests"]["detail"] == "as apps/0"
    assert {path.name for path in tmp_path.iterdir()} == {
        "apps.jsonl", "bench.jsonl", "p.jsonl", "p.parquet", "p.cut.jsonl", "p.report.json",
        "p.jsonl.run.json",
    }  # fmt: skip


def test_tests_are_capped_by_number_and_size(source: Path, tmp_path: Path) -> None:
    report = prepare(source, "-o", "p.jsonl", "--benchmarks", "none", "--max-tests", "2", "--max-test-kb", "1")
    assert report["capped"] == 1
    square = next(problem for problem in read_problems(tmp_path / "p.jsonl") if problem.problem_id == "apps/7")
    assert [test.to_json()["stdin"] for test in square.tests] == ["3", "4"]


def test_near_duplicates_are_cut_on_request_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasketch")
    monkeypatch.chdir(tmp_path)
    text = "Read a whole number from the input and print twice the number that was read"
    texts = [text, f"{text} {' '.join('abcde')}", f"{text} please", "Print the largest of all numbers in the input."]
    lines = []
    for number, statement in enumerate(texts):
        tests = json.dumps({"inputs": [f"{number}\n"], "outputs": [f"{2 * number + 1}\n"]})
        lines.append({"problem_id": number, "question": statement, "input_output": tests, "solutions": "[]"})
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = prepare("set.jsonl", "-o", "p.jsonl", "--benchmarks", "none", "--near-duplicates", "0.8")
    assert (report["kept"], report["cut"]) == (3, {"near_duplicate": 1})
    assert report["settings"]["near_duplicates"] == 0.8
    (line,) = cut_lines(tmp_path / "p.jsonl")
    assert (line["reason"], line["detail"][:6]) == ("near_duplicate", "92% as")
    assert prepare("set.jsonl", "-o", "all.jsonl", "--benchmarks", "none")["cut"] == {}


def test_the_summary_can_be_read(source: Path) -> None:
    told = CliRunner().invoke(app, ["prepare", str(source), "-o", "p.jsonl", "--benchmarks", "bench.jsonl"]).stdout
    for part in ("rows in", "cut: contaminated", "is in an evaluation set", "peak memory", "p.cut.jsonl"):
        assert part in told


def test_broken_rows_are_cut_and_named(source: Path, tmp_path: Path) -> None:
    with source.open("a") as file:
        file.write('{"problem_id": 9, "question": 3\n')
        file.write(json.dumps(row(10, "x", DOUBLE) | {"question": 7}) + "\n")
        file.write(json.dumps(row(11, "Half a sign: \ud800", DOUBLE)) + "\n")
        file.write('{"problem_id": 12, "quest')
    report = prepare(source, "-o", "p.jsonl", "--benchmarks", "bench.jsonl", "--parquet")
    assert (report["rows"], report["cut"]) == (13, {"unreadable": 4} | CUT)
    places = [
        line["place"].rpartition(":")[2] for line in cut_lines(tmp_path / "p.jsonl") if line["reason"] == "unreadable"
    ]
    assert places == ["10", "11", "12", "13"]


def test_several_files_of_several_formats_and_packings_make_one_set(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    deepcoder = {
        "problem": "Print it four times over.",
        "solutions": ["print(4 * int(input()))"],
        "tests": {"inputs": ["2"], "outputs": ["8"]},
    }
    (folder / "train-1.json.gz").write_bytes(gzip.compress(json.dumps([deepcoder, deepcoder]).encode()))
    (folder / "test.jsonl").write_text("not read, since there is a file with train in its name")
    report = prepare(source, folder, "-o", "p.jsonl", "--benchmarks", "bench.jsonl")
    assert (report["rows"], report["kept"], report["cut"]["duplicate"]) == (11, 4, 2)
    assert report["sources"] == ["apps.jsonl", "train-1.json.gz"]


def test_an_interrupted_run_goes_on_and_writes_the_same(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (source, "--benchmarks", "bench.jsonl", "-o")
    prepare(*arguments, "whole.jsonl")
    validate = run_module.validate
    calls = itertools.count()

    def interrupted(*given: Any) -> Validation:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return validate(*given)

    monkeypatch.setattr(run_module, "validate", interrupted)
    monkeypatch.setattr(sys, "argv", ["coderlplus", "prepare", *map(str, arguments), "parts.jsonl", "--workers", "1"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    assert "rerun the command to resume" in capsys.readouterr().err
    signal.signal(signal.SIGINT, signal.default_int_handler)
    journal = tmp_path / "parts.unfinished.jsonl"
    done = len(journal.read_text().splitlines())
    assert 0 < done < len(ROWS)
    with journal.open("a") as file:
        file.write('{"row": 5, "pla')  # killed while it wrote
    with pytest.raises(CodeRLPlusError, match="was made with max_tests 64, not 9"):
        prepare(*arguments, "parts.jsonl", "--max-tests", "9")
    began = next(calls)
    report = prepare(*arguments, "parts.jsonl")
    assert next(calls) - began - 1 <= len(ROWS) - done
    assert report["cut"] == CUT
    for ending in ("jsonl", "cut.jsonl"):
        assert (tmp_path / f"parts.{ending}").read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()
    assert not journal.exists()
    assert prepare(*arguments, "parts.jsonl") == report


def test_a_run_that_failed_before_its_first_row_leaves_nothing_to_go_on_with(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = run_module.validate
    monkeypatch.setattr(run_module, "validate", lambda *_: Validation(fault="no memory left"))
    (tmp_path / "one.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    with pytest.raises(CodeRLPlusError, match="the sandbox failed on 1 of 1 rows"):
        prepare(tmp_path / "one.jsonl", "-o", "p.jsonl", "--benchmarks", "none")
    monkeypatch.setattr(run_module, "validate", validate)
    assert prepare(source, "-o", "p.jsonl", "--benchmarks", "bench.jsonl")["cut"] == CUT


def test_a_killed_run_goes_on_and_writes_the_same(source: Path, tmp_path: Path) -> None:
    with source.open("a") as file:
        for number in range(100, 130):
            file.write(
                json.dumps(
                    row(
                        number,
                        f"Add {'x' * number} to it.",
                        f"print({number} + int(input()))",
                        ["1"],
                        [str(number + 1)],
                    )
                )
                + "\n"
            )
    command = [
        sys.executable,
        "-c",
        "from coderlplus.cli import main; main()",
        "prepare",
        str(source),
        "--benchmarks",
        "bench.jsonl",
    ]
    process = subprocess.Popen(
        [*command, "-o", "parts.jsonl"], cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    journal = tmp_path / "parts.unfinished.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    prepare(source, "--benchmarks", "bench.jsonl", "-o", "parts.jsonl")
    prepare(source, "--benchmarks", "bench.jsonl", "-o", "whole.jsonl")
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_failure_of_the_sandbox_cuts_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validate = run_module.validate
    faulty = [True]

    def flaky(execute: Any, problem: Problem, references: Sequence[str]) -> Validation:
        return (
            Validation(fault="no memory left")
            if faulty[0] and problem.problem_id == "apps/7"
            else validate(execute, problem, references)
        )

    monkeypatch.setattr(run_module, "validate", flaky)
    with pytest.raises(
        CodeRLPlusError, match=r"the sandbox failed on 1 of 9 rows \(no memory left\); .* rerun the command"
    ):
        prepare(source, "-o", "p.jsonl", "--benchmarks", "bench.jsonl")
    assert not (tmp_path / "p.jsonl").exists()
    faulty[0] = False
    assert prepare(source, "-o", "p.jsonl", "--benchmarks", "bench.jsonl")["cut"] == CUT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nowhere.jsonl", "-o", "p.jsonl"],
            "cannot read nowhere.jsonl: not a file, a folder or a Hub name",
        ),
        (["apps.jsonl", "-o", "p.json"], "must end in .jsonl"),
        (["apps.jsonl", "-o", "no/p.jsonl"], "its folder does not exist"),
        (["apps.jsonl", "-o", "bench.jsonl"], "bench.jsonl exists already and bench.jsonl.run.json does not say how"),
        (["wrong.jsonl", "-o", "p.jsonl"], r"wrong.jsonl:1: the fields \(text, label\) are those of no known format"),
        (["empty.jsonl", "-o", "p.jsonl"], "empty.jsonl holds no rows"),
        (
            ["types.jsonl", "-o", "p.jsonl"],
            r"no row of types.jsonl is kept \(unreadable 1\); the first is types.jsonl:1: .*: p.cut.jsonl",
        ),
        (["damaged.jsonl.gz", "-o", "p.jsonl"], "the gzip data is damaged"),
        (["void", "-o", "p.jsonl"], "void holds no data"),
        (
            ["apps.jsonl", "-o", "p.jsonl", "--benchmarks", "humanevel"],
            "unknown benchmark 'humanevel'; did you mean humaneval",
        ),
        (
            ["apps.jsonl", "-o", "p.jsonl", "--benchmarks", "humaneval", "--data-dir", "void"],
            "void holds no data of humaneval",
        ),
        (["apps.jsonl", "-o", "p.jsonl", "--benchmarks", ""], "--benchmarks is empty"),
    ],
)
def test_bad_input_is_one_sentence(source: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "wrong.jsonl").write_text('{"text": "x", "label": 1}\n')
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "types.jsonl").write_text(json.dumps(ROWS[0] | {"input_output": 3}) + "\n")
    (tmp_path / "damaged.jsonl.gz").write_bytes(gzip.compress(source.read_bytes())[:200])
    (tmp_path / "void").mkdir()
    if "--benchmarks" not in arguments:
        arguments += ["--benchmarks", "bench.jsonl"]
    with pytest.raises(CodeRLPlusError, match=message) as caught:
        prepare(*arguments)
    assert "\n" not in str(caught.value)


def test_a_data_set_that_the_hub_does_not_give_is_one_sentence(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    errors = pytest.importorskip("huggingface_hub.errors")

    def unreachable(*_: Any, **__: Any) -> str:
        raise errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(hub, "snapshot_download", unreachable)
    with pytest.raises(DataError, match=r"the hub cannot be reached for some/set, .*or give a local file or folder"):
        prepare("some/set", "-o", "p.jsonl", "--benchmarks", "bench.jsonl")


@pytest.mark.timeout(3600 if WHOLE else 300)
@pytest.mark.parametrize(
    ("file", "step", "least"),
    [
        ("leetcode_dataset/LeetCodeDataset-v0.2.0-train.jsonl.gz", 200, 0.6),
        ("code_contests/test_code_contests.json.gz", 15, 0.9),
    ],
)
def test_real_sets_with_a_planted_copy_and_a_planted_wrong_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path, file: str, step: int, least: float
) -> None:
    """`make test-data` takes all rows, and all evaluation sets."""
    monkeypatch.chdir(tmp_path)
    text = gzip.decompress((shared / "data" / file).read_bytes()).decode()
    rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    rows = rows[:: 1 if WHOLE else step]
    copied = json.loads(gzip.decompress((shared / "data/humaneval/HumanEval.jsonl.gz").read_bytes()).splitlines()[17])[
        "prompt"
    ]
    is_leetcode = "task_id" in rows[0]
    if is_leetcode:
        rows.append(rows[0] | {"task_id": "copy", "query": f"Please solve this:\n{copied}", "meta": None})
        rows.append(
            rows[1]
            | {
                "task_id": "wrong",
                "query": "Do it.",
                "meta": None,
                "completion": rows[1]["completion"].replace("return", "return not"),
            }
        )
    else:
        rows.append(rows[0] | {"problem": f"Please solve this:\n{copied}"})
        rows.append(rows[1] | {"problem": "Do it.", "solutions": ["print('wrong')"]})
    (tmp_path / "set.json").write_text(json.dumps(rows))
    report = prepare(
        "set.json", "-o", "p.jsonl", "--data-dir", shared / "data", *(() if WHOLE else ("--benchmarks", "humaneval"))
    )
    planted = {f"set.json: row {len(rows) - 1}": "contaminated", f"set.json: row {len(rows)}": "reference_fails"}
    reasons = {line["place"].rpartition("/")[2]: line["reason"] for line in cut_lines(tmp_path / "p.jsonl")}
    assert planted.items() <= reasons.items()
    assert report["kept"] + sum(report["cut"].values()) == len(rows)
    assert report["kept"] >= least * (len(rows) - 2)
