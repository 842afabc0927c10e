"""The whole loop in miniature: every part is the real one, only the numbers of steps are small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coderlplus.errors import ConfigError, DataError
from coderlplus.records.files import held
from coderlplus_lab.cli import app
from coderlplus_lab.quickstart.run import quickstart, quickstart_study
from coderlplus_lab.study.folder import StudyFolder

TINY = quickstart_study(0, tiny=True)
NUMBERS = {
    "pass_at_1_sampled",
    "pass_at_1_greedy",
    "pass_at_8",
    "output_accuracy",
    "all_variables_accuracy",
    "samples",
    "seconds",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("quickstart")
    quickstart(root, TINY)
    return root


def metrics(folder: Path, arm: str) -> list[dict[str, float]]:
    """All that does not depend on time."""
    lines = [json.loads(line) for line in (StudyFolder(folder).run(arm, 0) / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("seconds/")} for line in lines]


def test_it_ends_with_a_summary_of_all_three_models(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) == {"warm_start", "grpo", "coderlplus"}
    assert all(set(values) >= NUMBERS for values in summary.values())
    assert summary["grpo"]["samples"] == summary["coderlplus"]["samples"] == 3 * 16


def test_held_out_tasks_are_as_many_as_asked_for_and_on_programs_of_their_own(folder: Path) -> None:
    for split, count in (("validation", 4), ("test", 8)):
        tasks = [json.loads(line) for line in StudyFolder(folder).tasks(split).read_text().splitlines()]
        problems = [json.loads(line) for line in StudyFolder(folder).problems(split).read_text().splitlines()]
        assert len(tasks) == count
        assert not {task["problem_id"] for task in tasks} & {problem["problem_id"] for problem in problems}
        assert StudyFolder(folder).test_outputs(split).read_text() == ""


def test_both_arms_measured_the_same_warm_start_before_they_learnt(folder: Path) -> None:
    first, second = (
        {name: value for name, value in metrics(folder, arm)[0].items() if name.startswith("eval/")}
        for arm in ("grpo", "coderlplus")
    )
    assert first == second != {}


def test_the_command_line_evaluates_a_model_as_the_summary_does(folder: Path, tmp_path: Path) -> None:
    layout = StudyFolder(folder)
    asked = (
        "--benchmarks",
        layout.problems("test"),
        "--prompt",
        "{statement}",
        "--max-tokens",
        TINY.measure.max_new_tokens,
    )
    result = CliRunner().invoke(
        app,
        [
            "eval",
            "--model",
            *map(str, (layout.run("coderlplus", 0) / "final", *asked, "-o", tmp_path / "e")),
            "--json",
        ],
    )
    assert result.exit_code == 0, result.output
    numbers = json.loads(result.stdout)["benchmarks"]["test"]
    summary = json.loads((folder / "summary.json").read_text())["coderlplus"]
    assert (numbers["pass@1"], numbers["problems"]) == (summary["pass_at_1_greedy"], summary["problems"])


def test_the_same_command_again_changes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    quickstart(folder, TINY)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_another_setting_needs_another_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match="other settings"):
        quickstart(folder, quickstart_study(1, tiny=True))


def test_two_cannot_run_in_one_folder(folder: Path) -> None:
    with held(folder), pytest.raises(DataError, match=f"is being written by process {os.getpid()}"):
        quickstart(folder, TINY)


def test_killed_and_continued_it_gives_the_same_numbers(folder: Path, tmp_path: Path) -> None:
    imports = "from pathlib import Path; from coderlplus_lab.quickstart.run import quickstart, quickstart_study"
    code = f"{imports}; quickstart(Path({str(tmp_path)!r}), quickstart_study(0, tiny=True))"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        while (
            process.poll() is None
            and not (
                StudyFolder(tmp_path).run("grpo", 0) / "checkpoints" / "checkpoint-2" / "trainer_state.json"
            ).exists()
        ):
            time.sleep(0.05)
        process.kill()
    assert not (tmp_path / "summary.json").exists()
    quickstart(tmp_path, TINY)
    for arm in ("grpo", "coderlplus"):
        assert metrics(tmp_path, arm) == metrics(folder, arm)
    first, second = (json.loads((root / "summary.json").read_text()) for root in (folder, tmp_path))
    times = dict.fromkeys(("seconds", "evaluation_seconds"), 0.0)
    assert {arm: values | times for arm, values in first.items()} == {
        arm: values | times for arm, values in second.items()
    }
