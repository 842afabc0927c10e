"""An evaluation in a folder: begun, interrupted, gone on with, scored, compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.backends import Completion, Request, Sampling
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.compare import compare
from coderlplus.evaluation.notes import of_faults
from coderlplus.evaluation.records import Judged, Sample, key_of
from coderlplus.evaluation.results import score, shares, write_results
from coderlplus.evaluation.run import AskedBenchmark, SampleSource, evaluate, prepare
from coderlplus.judge import Judge
from coderlplus.records import CallTest, Problem
from coderlplus.records.journal import read_journal
from coderlplus.report.eval_page import write_eval_page


def problem(number: int) -> Problem:
    return Problem(
        problem_id=f"p{number}",
        statement=f"add {number}",
        entry_point="f",
        tests=tuple(CallTest((x,), x + number) for x in (1, 2)),
    )


QUESTIONS = [
    BenchmarkQuestion(question_id=f"q{number}", messages=user(f"add {number}"), problem=problem(number))
    for number in range(4)
]
BENCHMARK = Benchmark(name="adding", metric="pass@1", read=lambda row: None)
GOOD = "```python\ndef f(x):\n    y = x + {0}\n    return y\n```"
TEXTS = {"q0": GOOD.format(0), "q1": GOOD.format(7), "q2": "I cannot.", "q3": "```python\ndef f(x):\n    retu"}
"""Right, wrong, no answer, cut off."""


class Scripted:
    """A model that says `TEXTS`, and after `breaks_after` completions nothing more."""

    def __init__(self, breaks_after: int | None = None) -> None:
        self.breaks_after = breaks_after
        self.asked: list[tuple[str, int]] = []

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        for number, request in enumerate(requests):
            if number == self.breaks_after:
                raise DataError("the line is dead")
            self.asked.append((request.question_id, request.sample))
            yield request, Completion(text=TEXTS[request.question_id], truncated=request.question_id == "q3", tokens=5)


def source(**settings: Any) -> SampleSource:
    return SampleSource(**({"model": "m", "kind": "transformers", "sampling": Sampling()} | settings))


def asked(tmp_path: Path, questions: Sequence[BenchmarkQuestion] = QUESTIONS) -> AskedBenchmark:
    data = tmp_path / "data.jsonl"
    data.write_text("one file\n")
    return AskedBenchmark.of(BENCHMARK, questions, [data], {})


def run(folder: Path, one: AskedBenchmark, judge: Judge, backend: Scripted, **settings: Any) -> dict[str, Any]:
    where = source(**settings)
    prepare(folder, where, [one])
    numbers = evaluate(folder, where, one, lambda: backend, judge)
    write_results(folder, {"model": where.model, "source": where.kind, "benchmarks": {"adding": numbers}})
    return numbers


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "adding" / f"{name}.jsonl").read_text().splitlines()]


def test_every_sample_has_one_outcome(tmp_path: Path, judge: Judge) -> None:
    numbers = run(tmp_path / "a", asked(tmp_path), judge, Scripted())
    assert numbers["outcomes"] == {"passed": 1, "wrong": 1, "no_answer": 1, "truncated": 1, "missing": 0}
    assert numbers["pass@1"] == 0.25
    low, high = numbers["intervals"]["pass@1"]
    assert low < 0.25 < high
    assert numbers["verdicts"]["no_program"] == 1
    assert (tmp_path / "a" / "results.md").read_text().count("| adding | pass@1 | 25.0 |") == 1


def test_an_interrupted_generation_goes_on_where_it_stopped(tmp_path: Path, judge: Judge) -> None:
    folder, one = tmp_path / "a", asked(tmp_path)
    with pytest.raises(DataError, match="the line is dead; 2 of the 4 completions of adding are kept"):
        run(folder, one, judge, Scripted(breaks_after=2))
    with (folder / "adding" / "completions.jsonl").open("a") as file:
        file.write('{"question_id": "q2", "sam')  # killed while writing
    second = Scripted()
    numbers = run(folder, one, judge, second)
    assert second.asked == [("q2", 0), ("q3", 0)]
    assert numbers["samples"] == 4
    assert sorted((line["question_id"], line["sample"]) for line in lines(folder, "completions")) == [
        (f"q{number}", 0) for number in range(4)
    ]
    third = Scripted(breaks_after=0)
    assert run(folder, one, judge, third)["outcomes"] == numbers["outcomes"]


def test_a_verdict_that_is_lost_is_made_again_and_a_fault_is_not_kept(tmp_path: Path, judge: Judge) -> None:
    folder, one = tmp_path / "a", asked(tmp_path)
    run(folder, one, judge, Scripted())
    path = folder / "adding" / "verdicts.jsonl"
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    kept[0]["verdict"] |= {"verdict": "sandbox_fault"}
    path.write_text("".join(json.dumps(line) + "\n" for line in kept[:2]))
    assert run(folder, one, judge, Scripted(breaks_after=0))["samples"] == 4


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": "other"}, "model"),
        ({"sampling": Sampling(temperature=0.5)}, "temperature"),
        ({"n_samples": 2}, "n_samples"),
    ],
)
def test_going_on_with_other_settings_is_refused(
    tmp_path: Path, judge: Judge, change: dict[str, Any], field: str
) -> None:
    folder, one = tmp_path / "a", asked(tmp_path)
    run(folder, one, judge, Scripted())
    with pytest.raises(ConfigError, match=f"was started with {field}"):
        run(folder, one, judge, Scripted(), **change)
    with pytest.raises(ConfigError, match="was started with questions_sha256"):
        run(folder, asked(tmp_path, QUESTIONS[:3]), judge, Scripted())


def test_what_was_never_begun_may_be_changed(tmp_path: Path, judge: Judge) -> None:
    folder, one = tmp_path / "a", asked(tmp_path)
    prepare(folder, source(model="mistyped"), [one])
    assert run(folder, one, judge, Scripted())["samples"] == 4


def test_several_samples_give_pass_at_k(tmp_path: Path, judge: Judge) -> None:
    numbers = run(tmp_path / "a", asked(tmp_path), judge, Scripted(), n_samples=5, sampling=Sampling(temperature=1.0))
    assert (numbers["pass@1"], numbers["pass@5"]) == (0.25, 0.25)
    assert numbers["samples"] == 20
    assert "pass@10" not in numbers


def test_a_question_without_a_sample_counts_as_failed(tmp_path: Path, judge: Judge) -> None:
    samples = {"adding": [Sample(question_id="q0", sample=0, answer="def f(x):\n    return x")]}
    numbers = run(
        tmp_path / "a", asked(tmp_path), judge, Scripted(breaks_after=0), samples=samples, kind="samples", digest="d"
    )
    assert numbers["pass@1"] == 0.25
    assert numbers["outcomes"]["missing"] == 3


def test_a_failed_program_has_a_trace_on_the_input_that_it_failed_on(tmp_path: Path, judge: Judge) -> None:
    run(tmp_path / "a", asked(tmp_path), judge, Scripted())
    (trace,) = [line for line in lines(tmp_path / "a", "traces") if line["question_id"] == "q1"]
    assert ["f", "y", "8"] in trace["variables"]
    assert trace["value"] == "8"


def test_two_evaluations_are_compared_problem_by_problem(tmp_path: Path, judge: Judge) -> None:
    one = asked(tmp_path)
    run(tmp_path / "a", one, judge, Scripted())
    better = {
        "adding": [
            Sample(question_id=f"q{number}", sample=0, answer=f"def f(x):\n    return x + {number}")
            for number in range(3)
        ]
    }
    run(tmp_path / "b", one, judge, Scripted(), model="n", samples=better, kind="samples", digest="d")
    result = compare(tmp_path / "a", tmp_path / "b")
    numbers = result["benchmarks"]["adding"]
    assert (result["a"], result["b"]) == ("m", "n")
    assert (numbers["problems"], numbers["a_better"], numbers["b_better"]) == (4, 0, 2)
    assert numbers["difference"] == 0.5
    assert numbers["p_value"] == 0.5
    assert any("temperature" in note for note in numbers["notes"])


def test_questions_of_one_family_count_together_in_the_numbers_and_in_a_comparison(
    tmp_path: Path, judge: Judge
) -> None:
    alone = asked(tmp_path)
    alike = asked(tmp_path, [replace(question, family="adding") for question in QUESTIONS])
    numbers = {name: run(tmp_path / name, one, judge, Scripted()) for name, one in (("a", alone), ("b", alike))}
    assert "families" not in numbers["a"]
    assert numbers["b"]["families"] == 1
    (low, high), (lower, higher) = (one["intervals"]["pass@1"] for one in numbers.values())
    assert lower < low < high < higher
    right = {
        "adding": [
            Sample(question_id=f"q{number}", sample=0, answer=GOOD[10:-4].format(number)) for number in range(4)
        ]
    }
    run(tmp_path / "c", alike, judge, Scripted(), samples=right, kind="samples", digest="d")
    assert (
        compare(tmp_path / "b", tmp_path / "c")["benchmarks"]["adding"]["p_value"] == 1.0
    )  # one family: nothing told
    run(tmp_path / "d", alone, judge, Scripted(), samples=right, kind="samples", digest="d")
    assert compare(tmp_path / "a", tmp_path / "d")["benchmarks"]["adding"]["p_value"] == 0.25


def test_folders_that_cannot_be_compared_are_named(tmp_path: Path, judge: Judge) -> None:
    with pytest.raises(DataError, match=r"results\.json is missing"):
        compare(tmp_path, tmp_path)
    run(tmp_path / "a", asked(tmp_path), judge, Scripted())
    write_results(tmp_path, {"model": "n", "benchmarks": {}})
    with pytest.raises(DataError, match="no benchmark in common"):
        compare(tmp_path / "a", tmp_path)


def test_the_page_is_one_file_that_loads_nothing(tmp_path: Path, judge: Judge) -> None:
    run(tmp_path / "a", asked(tmp_path), judge, Scripted())
    text = write_eval_page(tmp_path / "a").read_text()
    assert "default-src 'none'" in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert '"adding"' in text


def test_a_program_that_the_sandbox_failed_on_is_in_no_number(tmp_path: Path, judge: Judge) -> None:
    """One of twelve: the others still have a score, and a note names it."""
    questions = [
        BenchmarkQuestion(question_id=f"q{number}", messages=user("?"), problem=problem(number))
        for number in range(12)
    ]
    answers = [
        Sample(question_id=f"q{number}", sample=0, answer=f"def f(x):\n    return x + {number}")
        for number in range(12)
    ]
    one, folder = asked(tmp_path, questions), tmp_path / "a"
    run(folder, one, judge, Scripted(breaks_after=0), samples={"adding": answers}, kind="samples", digest="d")
    judged = list(read_journal(folder / "adding" / "verdicts.jsonl", Judged.from_json, key_of).values())
    broken = [
        replace(line, verdict=replace(line.verdict, verdict="sandbox_fault", tests_passed=0)) for line in judged[:1]
    ] + judged[1:]
    numbers = score(BENCHMARK, questions, broken)
    assert (numbers["pass@1"], numbers["problems"], numbers["samples"], numbers["faults"]) == (1.0, 11, 11, 1)
    assert numbers["outcomes"]["missing"] == 0
    (note,) = of_faults(broken)
    assert broken[0].question_id in note
    assert broken[0].question_id not in shares([question.question_id for question in questions], broken)
