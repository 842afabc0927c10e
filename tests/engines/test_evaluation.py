"""The `eval:` section: the benchmarks of `coderlplus eval` at intervals, in a real run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coderlplus.cli import app
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.config import load_config, make_config
from coderlplus.engines.trl.train import train
from coderlplus.errors import CodeRLPlusError, ConfigError
from coderlplus.evaluation.compare import compare
from coderlplus.evaluation.results import read_results


def with_eval(settings: dict[str, Any], output: Path, **section: Any) -> Any:
    trl = settings["trl"] | {"max_steps": 4}
    return make_config(settings | {"output": str(output), "trl": trl, **({"eval": section} if section else {})})


def logged(run: RunFolder) -> dict[int, dict[str, float]]:
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    found: dict[int, dict[str, float]] = {}
    for line in lines:
        found.setdefault(line["step"], {}).update(
            {name: value for name, value in line.items() if name.startswith("eval/")}
        )
    return {step: values for step, values in found.items() if values}


@pytest.fixture(scope="module")
def run(settings: dict[str, Any], problems_file: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    output = tmp_path_factory.mktemp("runs") / "evaluated"
    return train(with_eval(settings, output, benchmarks=f"{problems_file}", every=2, max_tokens=4))


def test_each_benchmark_is_logged_before_the_first_step_at_intervals_and_after_the_last(run: RunFolder) -> None:
    values = logged(run)
    assert list(values) == [0, 2, 4]
    for step, numbers in values.items():
        assert list(numbers) == ["eval/problems/pass@1"]
        assert (
            read_results(run.path / "evals" / f"step-{step:06}")["benchmarks"]["problems"]["pass@1"]
            == numbers["eval/problems/pass@1"]
        )


def test_the_last_evaluation_is_that_of_the_command_line(run: RunFolder, problems_file: Path, tmp_path: Path) -> None:
    asked = ("--benchmarks", str(problems_file), "--prompt", "{statement}", "--max-tokens", "4")
    result = CliRunner().invoke(
        app,
        ["eval", "--model", str(run.final), "-o", str(tmp_path / "e"), *asked, "--backend", "transformers", "--json"],
    )
    assert result.exit_code == 0, result.output
    said = [
        {
            (line["question_id"], line["sample"]): line["completion"]
            for line in map(json.loads, path.read_text().splitlines())
        }
        for path in (
            tmp_path / "e/problems/completions.jsonl",
            run.path / "evals/step-000004/problems/completions.jsonl",
        )
    ]
    assert said[0] == said[1]
    assert len(said[0]) == 12


def test_a_limit_asks_the_same_part_of_a_benchmark_every_time(
    run: RunFolder, settings: dict[str, Any], problems_file: Path, tmp_path: Path
) -> None:
    limited = train(
        with_eval(settings, tmp_path / "limited", benchmarks=f"{problems_file}", every=4, max_tokens=4, limit=5)
    )
    asked = [
        [line["question_id"] for line in map(json.loads, path.open())]
        for path in sorted(limited.path.glob("evals/*/problems/questions.jsonl"))
    ]
    assert asked[0] == asked[1]
    assert len(asked[0]) == 5
    compared = compare(limited.path / "evals/step-000004", run.path / "evals/step-000004")["benchmarks"]["problems"]
    assert (compared["problems"], compared["difference"]) == (5, 0.0)


def test_a_run_is_the_same_with_benchmarks_and_without(
    run: RunFolder, settings: dict[str, Any], tmp_path: Path
) -> None:
    plain = train(with_eval(settings, tmp_path / "plain"))
    assert (plain.final / "model.safetensors").read_bytes() == (run.final / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"benchmark": "humaneval"}, r"run\.yaml:5: unknown setting 'eval.benchmark'; did you mean 'eval.benchmarks'"),
        ({"every": 2}, "the setting 'eval.benchmarks' is missing"),
        ({"benchmarks": "humaneval", "every": 0}, "eval.every"),
        ({"benchmarks": "humaneval", "limit": 0}, "eval.limit"),
        (
            {"benchmarks": "humaneval", "n_samples": 4},
            "greedy decoding gives one completion, not 4; set eval.temperature above 0",
        ),
    ],
)
def test_a_wrong_section_is_refused_with_its_line(tmp_path: Path, section: dict[str, Any], message: str) -> None:
    text = "model: m\nproblems: p.jsonl\noutput: o\neval:\n" + "".join(
        f"  {name}: {value}\n" for name, value in section.items()
    )
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "run.yaml")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"benchmarks": "humanevel"}, "did you mean humaneval"),
        ({"benchmarks": "humaneval", "data_dir": "nowhere"}, "the data folder nowhere does not exist"),
        ({"benchmarks": "humaneval", "release": "release_v9"}, "unknown LiveCodeBench release"),
    ],
)
def test_benchmarks_that_cannot_be_had_end_a_run_before_it_begins(
    settings: dict[str, Any], tmp_path: Path, section: dict[str, Any], message: str
) -> None:
    with pytest.raises(CodeRLPlusError, match=message):
        train(with_eval(settings, tmp_path / "run", **section))
    assert not (tmp_path / "run").exists()
