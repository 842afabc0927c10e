"""The whole loop in miniature: every part is the real one, only the numbers of steps are small."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coderlplus.errors import ConfigError
from coderlplus_lab.cli import app
from coderlplus_lab.quickstart.run import quickstart
from coderlplus_lab.quickstart.settings import TINY, Layout, claimed

NUMBERS = {"pass_at_1_sampled", "pass_at_1_greedy", "pass_at_8", "output_accuracy", "all_variables_accuracy", "samples", "seconds"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("quickstart")
    quickstart(root, TINY)
    return root


def metrics(folder: Path, arm: str) -> list[dict[str, float]]:
    """All that does not depend on time."""
    lines = [json.loads(line) for line in (folder / arm / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("seconds/")} for line in lines]


def test_it_ends_with_a_summary_of_all_three_models(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) == {"warm_start", "grpo", "coderlplus"}
    assert all(set(values) >= NUMBERS for values in summary.values())
    assert summary["grpo"]["samples"] == summary["coderlplus"]["samples"] == TINY.steps * TINY.prompts_per_step * TINY.samples_per_prompt


def test_both_arms_measured_the_same_warm_start_before_they_learnt(folder: Path) -> None:
    first, second = ({name: value for name, value in metrics(folder, arm)[0].items() if name.startswith("eval/")} for arm in ("grpo", "coderlplus"))
    assert first == second != {}


def test_the_command_line_evaluates_a_model_as_the_summary_does(folder: Path, tmp_path: Path) -> None:
    layout = Layout(folder)
    asked = ("--benchmarks", layout.problems("test"), "--prompt", "{statement}", "--max-tokens", TINY.max_new_tokens)
    result = CliRunner().invoke(app, ["eval", "--model", *map(str, (layout.model("coderlplus"), *asked, "-o", tmp_path / "e")), "--json"])
    assert result.exit_code == 0, result.output
    numbers = json.loads(result.stdout)["benchmarks"]["test"]
    summary = json.loads(layout.summary.read_text())["coderlplus"]
    assert (numbers["pass@1"], numbers["problems"]) == (summary["pass_at_1_greedy"], summary["problems"])


def test_the_same_command_again_changes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    quickstart(folder, TINY)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_another_setting_needs_another_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match="other settings"):
        quickstart(folder, dataclasses.replace(TINY, seed=1))


def test_two_cannot_run_in_one_folder(folder: Path) -> None:
    with claimed(Layout(folder), TINY), pytest.raises(ConfigError, match="a quick start is running in"):
        quickstart(folder, TINY)


def test_killed_and_continued_it_gives_the_same_numbers(folder: Path, tmp_path: Path) -> None:
    imports = "from pathlib import Path; from coderlplus_lab.quickstart.run import quickstart; from coderlplus_lab.quickstart.settings import TINY"
    code = f"{imports}; quickstart(Path({str(tmp_path)!r}), TINY)"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (tmp_path / "grpo" / "checkpoints" / "checkpoint-2" / "trainer_state.json").exists():
            time.sleep(0.05)
        process.kill()
    assert not (tmp_path / "summary.json").exists()
    quickstart(tmp_path, TINY)
    for arm in ("grpo", "coderlplus"):
        assert metrics(tmp_path, arm) == metrics(folder, arm)
    names = ("warm_start", "grpo", "coderlplus")
    first, second = ([json.loads(Layout(root).evaluation(name).read_text()) for name in names] for root in (folder, tmp_path))
    assert [values | {"evaluation_seconds": 0} for values in first] == [values | {"evaluation_seconds": 0} for values in second]
