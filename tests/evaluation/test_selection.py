"""Keeping one of several samples: by chance, log-probability, majority, the model's own predictions, execution."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import coderlplus as crl
from coderlplus.cli import app
from coderlplus.evaluation.backends import Completion, Request, Sampling
from coderlplus.evaluation.backends.local import LocalModel
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.examples import visible_examples
from coderlplus.evaluation.generate import token_ids
from coderlplus.evaluation.results import markdown
from coderlplus.evaluation.run import AskedBenchmark, SampleSource, evaluate, prepare
from coderlplus.judge import Judge
from coderlplus.records import CallTest, Problem, StdioTest
from coderlplus.sandbox.backends import open_sandbox

BENCHMARK = Benchmark(name="adding", metric="pass@1", read=lambda row: None)
SELECTORS = ("random", "logprob", "majority", "own_predictions", "execution")


def question(number: int, shown: bool = True) -> BenchmarkQuestion:
    text = f"Add {number} to x." + (f" f(1) == {1 + number} and f(5) == {5 + number}." if shown else "")
    tests = tuple(CallTest((x,), x + number) for x in (7, 11))
    problem = Problem(problem_id=f"p{number}", statement=text, entry_point="f", tests=tests)
    return BenchmarkQuestion(question_id=f"q{number}", messages=user(text), problem=problem)


def adds(number: int) -> str:
    return f"```python\ndef f(x):\n    return x + {number}\n```"


class Model:
    """Writes for the question n, in this order: n + 1, n + 1 in other words, n, and no program; the log-probability of
    the second is best. Reads what it wrote without a mistake, or, if it is `blind`, says 0."""

    def __init__(self, blind: bool = False, breaks_after: int | None = None) -> None:
        self.blind, self.breaks_after, self.asked = blind, breaks_after, 0
        self.prompts: list[str] = []

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        for request in requests:
            if self.asked == self.breaks_after:
                raise crl.DataError("the line is dead")
            self.asked += 1
            self.prompts.append(request.messages[0]["content"])
            yield (
                request,
                Completion(text=self._say(request), truncated=False, tokens=3, logprob=self._logprob(request)),
            )

    def _logprob(self, request: Request) -> float:
        return -0.5 if request.sample == 1 else -2.0

    def _say(self, request: Request) -> str:
        text = request.messages[0]["content"]
        if text.startswith("Add"):
            number = int(text.split()[1])
            other = adds(number + 1).replace("x + ", "0 + x + ")
            return [adds(number + 1), other, adds(number), "I cannot."][request.sample]
        added = int(text.partition("x + ")[2].split()[0])
        given = int(text.rpartition("f(")[2].partition(")")[0])
        return json.dumps({"output": 0 if self.blind else given + added})


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with open_sandbox(workers=1) as sandbox:
        yield Judge(sandbox)


def run(
    tmp_path: Path, judge: Judge, model: Model, *questions: BenchmarkQuestion, selectors: Sequence[str] = SELECTORS
) -> dict[str, Any]:
    (tmp_path / "data.jsonl").write_text("one file\n")
    asked = AskedBenchmark.of(BENCHMARK, questions, [tmp_path / "data.jsonl"], {})
    sampling = Sampling(temperature=1.0, logprobs=True)
    source = SampleSource(model="m", kind="transformers", sampling=sampling, n_samples=4, selectors=selectors)
    prepare(tmp_path, source, [asked])
    return evaluate(tmp_path, source, asked, lambda: model, judge)


def test_each_selector_has_its_share_with_an_interval_over_problems(tmp_path: Path, judge: Judge) -> None:
    numbers = run(tmp_path, judge, Model(), *(question(number) for number in range(6)))
    shares = {name: numbers[f"{name}@4"] for name in SELECTORS}
    assert shares == {"random": 0.25, "logprob": 0.0, "majority": 0.0, "own_predictions": 1.0, "execution": 1.0}
    assert numbers["pass@1"] == 0.25
    low, high = numbers["intervals"]["own_predictions@4"]
    assert 0.5 < low < high == 1.0
    assert not numbers["notes"]
    table = markdown({"model": "m", "benchmarks": {"adding": numbers}})
    assert "| adding | own_predictions@4 | 100.0 |" in table


def test_a_model_that_cannot_read_chooses_by_chance(tmp_path: Path, judge: Judge) -> None:
    numbers = run(tmp_path, judge, Model(blind=True), question(2), question(3), selectors=["own_predictions"])
    assert numbers["own_predictions@4"] == pytest.approx(
        1 / 3, abs=1e-5
    )  # of three programs; no program is never kept
    assert "execution@4" not in numbers


def test_without_examples_there_is_no_preference(tmp_path: Path, judge: Judge) -> None:
    numbers = run(tmp_path, judge, Model(), question(1), question(2, shown=False), selectors=["own_predictions"])
    assert numbers["own_predictions@4"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-5)
    assert numbers["notes"] == ["1 problem of 2 show no example: selection by examples is random there"]


def test_an_interrupted_selection_resumes_with_what_was_predicted(tmp_path: Path, judge: Judge) -> None:
    with pytest.raises(crl.DataError, match="the line is dead"):
        run(tmp_path, judge, Model(breaks_after=10), question(1), question(2))
    again = Model()
    numbers = run(tmp_path, judge, again, question(1), question(2))
    assert numbers["own_predictions@4"] == 1.0
    assert again.asked == 2 * (4 + 3 * 2) - 2 - 10  # both have a program x + 2, which is asked about once
    more = Model()
    assert run(tmp_path, judge, more, question(1), question(2))["execution@4"] == 1.0
    assert more.asked == 0


def test_the_programs_are_not_run_for_own_predictions(tmp_path: Path, judge: Judge) -> None:
    run(tmp_path, judge, Model(), question(1), selectors=["own_predictions", "random", "logprob"])
    assert not (tmp_path / "adding" / "example_runs.jsonl").exists()


def test_samples_without_log_probabilities_cannot_be_chosen_by_them(tmp_path: Path, judge: Judge) -> None:
    class Silent(Model):
        def _logprob(self, request: Request) -> None:  # type: ignore[override]
            return None

    run(tmp_path, judge, Silent(), question(1), selectors=["random"])
    with pytest.raises(crl.ConfigError, match=r"4 completions in .*adding have no log-probability: .*--overwrite"):
        run(tmp_path, judge, Silent(), question(1), selectors=["logprob"])


def problem_file(tmp_path: Path) -> Path:
    crl.write_jsonl(tmp_path / "mine.jsonl", [question(number).problem for number in (1, 2)])
    return tmp_path / "mine.jsonl"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"select": ["best"]}, "unknown selector 'best'; use random, logprob, majority, own_predictions, execution"),
        ({"select": ["execution"], "n_samples": 1}, "set n_samples .* to 2 or more"),
        ({"select": ["own_predictions"], "samples": "s.jsonl"}, "own_predictions asks the model itself"),
        ({"select": ["logprob"], "samples": "s.jsonl"}, "logprob needs the model's log-probabilities"),
        ({"select": ["execution"], "prompt_style": "long"}, "prompt_style must be one of full, compact, not 'long'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"n_samples": 4, "temperature": 1.0, "output": tmp_path / "scores"} | arguments
    with pytest.raises(crl.ConfigError, match=message):
        crl.evaluate("m", [problem_file(tmp_path)], **given)


def test_answers_are_not_selected(tmp_path: Path) -> None:
    row = {"id": "sample_0", "code": "def f(x):\n    return x + 1", "input": "1", "output": "2"}
    (tmp_path / "cruxeval.jsonl").write_text(json.dumps(row))
    with pytest.raises(crl.ConfigError, match="cruxeval-o asks for answers"):
        crl.evaluate(
            "m",
            ["cruxeval-o"],
            output=tmp_path / "s",
            data_dir=tmp_path,
            n_samples=2,
            temperature=1.0,
            select=["random"],
        )


def test_a_file_of_samples_is_selected_by_the_command(tmp_path: Path) -> None:
    rows = [
        {"question_id": f"p{number}", "completion": adds(number + wrong)} for number in (1, 2) for wrong in (0, 1, 1)
    ]
    (tmp_path / "samples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    places = ["--benchmarks", str(problem_file(tmp_path)), "--samples", str(tmp_path / "samples.jsonl")]
    command = [
        "eval",
        *places,
        "-o",
        str(tmp_path / "out"),
        "--select",
        "random, majority,execution",
        "--workers",
        "1",
    ]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "execution@3" in result.stdout
    numbers = json.loads((tmp_path / "out" / "results.json").read_text())["benchmarks"]["mine"]
    assert [numbers[f"{name}@3"] for name in ("random", "majority", "execution")] == [0.333333, 0.0, 1.0]
    assert "execution@3" in (tmp_path / "out" / "index.html").read_text()


def test_a_log_probability_is_the_mean_over_the_tokens_of_the_completion(model: Any, tokenizer: Any) -> None:
    backend = LocalModel.of(model, tokenizer)
    requests = [Request(question_id=str(n), sample=0, messages=user("ab" * (n + 1))) for n in range(8)]
    sampling = Sampling(temperature=1.0, max_tokens=6, logprobs=True)
    compared = 0
    for request, completion in backend.complete(requests, sampling):
        prompt = token_ids(tokenizer, request.messages)
        said = tokenizer(completion.text)["input_ids"] + ([] if completion.truncated else [tokenizer.eos_token_id])
        if len(said) - (not completion.truncated) != completion.tokens:
            continue  # special tokens are not in the text
        compared += 1
        with torch.no_grad():
            logits = model(torch.tensor([prompt + said])).logits[0]
        chances = torch.log_softmax(logits, -1)
        values = [chances[len(prompt) - 1 + place, token].item() for place, token in enumerate(said)]
        assert completion.logprob == pytest.approx(sum(values) / len(values), abs=1e-4)
    assert compared


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Double it.\n>>> f(2)\n4\n>>> f([1], k=2)\n[1, 1]", [((2,), 4), (([1],), [1, 1])]),
        ("assert f('a)') == 'b'", [(("a)",), "b")]),
        ("For f(3) => 9. Also f(4) returns 16, and f(g(1)) == 2", [((3,), 9), ((4,), 16)]),
        ("`f(3) == (1, 2)`; xf(1) == 2", [((3,), {"$tuple": [1, 2]})]),
        ("Input: nums = [2, 7], target = 9\nOutput: true", [(([2, 7], 9), True)]),
        ("Input: nums = [2, 7], target = 91\nOutput: true", []),
        ("f(x) == x, f() returns nothing, f(1) ==", []),
    ],
)
def test_examples_are_read_from_the_prompt(text: str, expected: list[Any]) -> None:
    problem = Problem(problem_id="p", statement=text, entry_point="f", tests=(CallTest(([2, 7], 9), True),))
    assert [(example.args, example.expected) for example in visible_examples(problem, text)] == expected  # type: ignore[union-attr]


def test_examples_of_programs_that_read_their_input_are_the_tests_that_stand_in_the_prompt() -> None:
    text = "Add two numbers.\n\nSample Input:\n\n3 4\n\nSample Output:\n\n7\n"
    tests = (StdioTest("3 4\n", "7\n"), StdioTest("5 6\n", "11\n"), StdioTest("4\n", "7\n"))
    problem = Problem(problem_id="p", statement=text, tests=tests)
    assert visible_examples(problem, text)[0] == tests[0]
    assert tests[1] not in visible_examples(problem, text)


def test_select_keeps_the_sample_whose_predictions_agree() -> None:
    asked: list[str] = []

    def predict(prompts: list[str]) -> list[str]:
        asked.extend(prompts)
        return [Model()._say(Request(question_id="", sample=0, messages=user(prompt))) for prompt in prompts]

    problem = question(3).problem
    chosen = crl.select(problem, ["nothing", adds(4), adds(3), adds(3)], predict)
    assert (chosen.index, chosen.agreements) == (2, (None, 0, 2, 2))
    assert len(asked) == 4  # two programs, two examples
    assert crl.select(problem, [adds(4), adds(3)], predict, examples=[CallTest((0,), 4)]).index == 0
    with pytest.raises(crl.DataError, match="'p3' shows no example"):
        crl.select(question(3, shown=False).problem, [adds(3)], predict)
    with pytest.raises(crl.DataError, match="no sample"):
        crl.select(problem, [], predict)
