"""Recorded completions get the scores that were recorded with them, but for cases explained one by one. `make
test-data` takes all of each set."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coderlplus.cli import app
from coderlplus.judge import Judge
from coderlplus.problems import livecodebench, read_recorded
from coderlplus.problems.files import read_rows
from coderlplus.records import CallTest, Problem, Rollout, StdioTest, Test
from coderlplus.sandbox import values

WHOLE = bool(os.environ.get("CODERLPLUS_WHOLE"))
pytestmark = pytest.mark.timeout(3600 if WHOLE else 300)


def every(step: int) -> int:
    return 1 if WHOLE else step


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluated(folder: Path, *arguments: str | Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["eval", *map(str, arguments), "-o", str(folder), "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    (numbers,) = json.loads(result.stdout)["benchmarks"].values()
    found: dict[str, Any] = numbers
    return found


def passed(folder: Path, benchmark: str) -> set[str]:
    lines = (json.loads(line) for line in (folder / benchmark / "verdicts.jsonl").read_text().splitlines())
    return {line["question_id"] for line in lines if line["verdict"]["verdict"] == "passed"}


MENDED_TEST = "MBPP/436"
"""The release's test `assert neg_nos(...) == -1,-6` compares with -1 and says -6 if that fails; the recorder put
parentheses around the pair."""
SET_ORDER = "MBPP/341"
"""The programs rely on the order of a set, which the language does not define."""


@pytest.mark.parametrize(
    ("name", "benchmark", "lost", "won"),
    [
        (
            "seed_humaneval_starcoder",
            "humaneval",
            {"HumanEval/106", "HumanEval/133"},
            set(),
        ),  # `math` is not imported; the recorder had it
        pytest.param(
            "seed_mbpp_starcoder",
            "mbpp",
            {MENDED_TEST},
            {SET_ORDER, "MBPP/349"},
            marks=pytest.mark.skipif(not WHOLE, reason="long"),
        ),
        (
            "seed_mbpp_codellama",
            "mbpp",
            {MENDED_TEST},
            {SET_ORDER, "MBPP/56"},
        ),  # 56, 349: the function is named `check`, as the recorder's
    ],
)
def test_recorded_completions_score_as_recorded(
    tmp_path: Path, shared: Path, name: str, benchmark: str, lost: set[str], won: set[str]
) -> None:
    rows = [row.data for row in read_rows(shared / "data/llm_runs" / f"{name}.jsonl.gz")]
    chosen = [row for number, row in enumerate(rows) if number % every(8) == 0 or row["task_id"] in lost | won]
    file = write(tmp_path / f"{name}.jsonl", chosen)
    numbers = evaluated(tmp_path, "--samples", file, "--benchmarks", benchmark, "--data-dir", shared / "data")
    recorded = {item.problem.problem_id for item in read_recorded(file) if item.is_solved}
    found = passed(tmp_path, benchmark)
    assert (recorded - found, found - recorded) == (lost, won)
    assert numbers["pass@1"] == pytest.approx((len(recorded) - len(lost) + len(won)) / numbers["problems"], abs=1e-6)


def test_the_true_outputs_of_cruxeval_score_everything_and_wrong_ones_nothing(tmp_path: Path, shared: Path) -> None:
    rows = [row.data for row in read_rows(shared / "data/cruxeval/cruxeval.jsonl")][:: every(10)]
    (tmp_path / "data").mkdir()
    write(tmp_path / "data/cruxeval.jsonl", rows)
    true = {row["id"]: [row["output"]] for row in rows}
    wrong = {row["id"]: [f"[{row['output']}, 1]"] for row in rows}
    for name, answers, accuracy in (("true", true, 1.0), ("wrong", wrong, 0.0)):
        (tmp_path / f"{name}.json").write_text(json.dumps(answers))
        numbers = evaluated(
            tmp_path / name,
            "--samples",
            tmp_path / f"{name}.json",
            "--benchmarks",
            "cruxeval-o",
            "--data-dir",
            tmp_path / "data",
        )
        assert (numbers["accuracy"], numbers["problems"], numbers["samples"]) == (accuracy, len(rows), len(rows))
        assert numbers["outcomes"]["no_answer"] == 0
    for row in rows:
        assert ast.literal_eval(row["output"]) != ast.literal_eval(wrong[row["id"]][0])


@pytest.mark.parametrize("side", ["output", "input"])
def test_cruxevals_own_scored_files_score_as_they_say(tmp_path: Path, side: str) -> None:
    """CodeLlama-7B's samples as the repository of CRUXEval has scored them. CRUXEVAL_REPOSITORY names a checkout of
    it."""
    repository = os.environ.get("CRUXEVAL_REPOSITORY")
    if not repository:
        pytest.skip("set CRUXEVAL_REPOSITORY to a checkout of facebookresearch/cruxeval")
    file = Path(repository) / f"samples/evaluation_results/sample_scored_codellama-7b_temp0.2_{side}.json"
    scored = json.loads(file.read_text())
    names = sorted(scored["raw_generations"], key=lambda name: int(name.rpartition("_")[2]))[:: every(40)]
    rows = {row.data["id"]: row.data for row in read_rows(Path(repository) / "data/cruxeval.jsonl")}
    (tmp_path / "data").mkdir()
    write(tmp_path / "data/cruxeval.jsonl", [rows[name] for name in names])
    (tmp_path / "samples.json").write_text(json.dumps({name: scored["raw_generations"][name] for name in names}))
    benchmark = f"cruxeval-{side[0]}"
    evaluated(
        tmp_path / "a",
        "--samples",
        tmp_path / "samples.json",
        "--benchmarks",
        benchmark,
        "--data-dir",
        tmp_path / "data",
    )
    found: dict[str, dict[int, bool]] = {name: {} for name in names}
    for line in map(json.loads, (tmp_path / "a" / benchmark / "verdicts.jsonl").open()):
        found[line["question_id"]][line["sample"]] = line["outcome"] == "passed"
    assert {name: [found[name][place] for place in sorted(found[name])] for name in names} == {
        name: [bool(score) for score in scored["raw_scored_generations"][name]] for name in names
    }


CHANGED_INPUT = (
    "the recorded input is that of another program after it had changed its argument, so the recorded "
    "output is of another input"
)
ANY_ORDER = "the statement allows any order, which the recorder did not"
FLOATS = "right within 1e-6; the recorder compared all digits"
THREAD = "the program prints in a thread, for which the recorder did not wait"
SLOW_THERE = "over the recorder's time limit, within ours"
DIFFERENT = {
    "2730/o1-preview": CHANGED_INPUT,
    "2872/o1-preview": CHANGED_INPUT,
    "3453/o1-mini": ANY_ORDER,
    "abc301_b/o1-preview": SLOW_THERE,
    "abc310_d/o1-preview": THREAD,
    "abc327_e/o1-mini": FLOATS,
    "abc327_e/o1-preview": FLOATS,
    "abc342_d/o1-preview": THREAD,
    "abc359_b/o1-preview": SLOW_THERE,
    "abc365_b/o1-mini": SLOW_THERE,
    "abc368_f/o1-preview": THREAD,
    "abc371_c/o1-preview": THREAD,
    "abc374_d/o1-preview": FLOATS,
    "arc185_c/o1-preview": THREAD,
}
"""The programs of 692 that have another verdict here."""


def recorded_test(test: Mapping[str, str], problem: Problem) -> Test:
    """An input on which a program failed there: standard input, or the arguments as a list, in Python or in JSON."""
    if problem.entry_point is None:
        return StdioTest(test["input"], test["output"])
    return CallTest(tuple(map(values.encode, plain(test["input"]))), values.encode(plain(test["output"])))


def plain(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        with suppress(ValueError):
            return parse(text)
    return text


def test_verdicts_on_livecodebench_are_the_recorded_ones(judge: Judge, shared: Path) -> None:
    """A program recorded as right passes the public tests and the inputs on which others failed; one recorded as
    wrong, with the input on which it failed, fails on that or before."""
    pairs, recorded = [], {}
    for row in read_rows(shared / "data/lcb/lcb_dev.jsonl.gz")[:: every(9)]:
        data = row.data
        problem = livecodebench.problem(data)
        problem = replace(
            problem, tests=(*problem.tests, *(recorded_test(test, problem) for test in data["failing_tests"]))
        )
        failed = {test["source"].rpartition(" ")[2] for test in data["failing_tests"]}
        for solution in data["model_solutions"]:
            if solution["lcb_passed"] or solution["model"] in failed:
                name = f"{data['question_id']}/{solution['model']}"
                pairs.append(
                    (problem, Rollout(rollout_id=name, problem_id=problem.problem_id, program=solution["code"]))
                )
                recorded[name] = solution["lcb_passed"]
    verdicts = judge.judge_many(pairs)
    different = {verdict.rollout_id for verdict in verdicts if verdict.passed != recorded[verdict.rollout_id]}
    assert different == DIFFERENT.keys() & recorded.keys()
