"""`bench/gpu.py`: its dry run on a CPU with a model made on the spot."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coderlplus.records.files import held

from ..report.conftest import browse, browser, chromium_process

__all__ = ["browse", "browser", "chromium_process"]
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bench" / "gpu.py"


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"gpu_test_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Dry:
    """A dry run that was killed after its first round and continued, and the command of it."""

    folder: Path
    command: list[str]
    killed_at: dict[str, Any]


pytestmark = pytest.mark.timeout(1200)  # six processes import torch


@pytest.fixture(scope="module")
def dry(tmp_path_factory: pytest.TempPathFactory) -> Dry:
    engine, folder = load(ROOT / "tests" / "engines" / "conftest.py"), tmp_path_factory.mktemp("gpu")
    engine.make_model().save_pretrained(folder / "model")
    engine.make_tokenizer().save_pretrained(folder / "model")
    rows = [
        {
            "task_id": number,
            "text": f"write f(x) = x {sign} {number % 4 + 1}",
            "code": f"def f(x):\n  return x {sign} {number % 4 + 1}",
            "test_list": [f"assert f(2) == {2 + number % 4 + 1 if sign == '+' else 2 * (number % 4 + 1)}"],
        }
        for number, sign in enumerate("+*" * 6)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:8]))
    (folder / "held_out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[8:]))
    words = [0, *range(2, len(engine.SPECIAL) + len(engine.LETTERS))]
    command = [
        *(sys.executable, str(SCRIPT), "--dry-run", "-o", str(folder / "out"), "--model", str(folder / "model")),
        *("--problems", str(folder / "train.jsonl"), "--held-out", str(folder / "held_out.jsonl")),
        *(
            "prompt_template='{statement}'",
            "max_prompt_tokens=900",
            "sandbox.workers=1",
            "trl.max_completion_length=2",
        ),
        *("alignment.prompt_style=compact", f"trl.generation_kwargs={{suppress_tokens: {words}}}"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line == "coderlplus: to step 3\n":  # the last of its four processes begins
                process.kill()
                break
    killed_at = json.loads((folder / "out" / "plan.json").read_text())
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"{folder / 'out' / 'index.html'}\n"
    return Dry(folder / "out", command, killed_at)


def test_both_arms_take_three_steps_with_equal_samples(dry: Dry) -> None:
    arms = json.loads((dry.folder / "summary.json").read_text())["arms"]
    assert [arms[arm]["steps"] for arm in ("grpo", "coderlplus")] == [3, 3]
    assert [arms[arm]["samples"] for arm in ("grpo", "coderlplus")] == [24, 24]


def test_a_killed_one_continues_and_does_nothing_twice(dry: Dry) -> None:
    assert set(dry.killed_at["walls"]) == {"grpo/1", "coderlplus/1", "grpo/3"}
    plan = json.loads((dry.folder / "plan.json").read_text())
    assert plan["rounds"] == [1, 3]
    assert {name: plan["walls"][name] for name in dry.killed_at["walls"]} == dry.killed_at["walls"]


def test_parts_make_up_a_step(dry: Dry) -> None:
    rows = [json.loads(line) for line in (dry.folder / "steps.jsonl").read_text().splitlines()]
    parts = ("sampling", "weight_sync", "log_probabilities", "judging", "tracing", "update")
    steps = [row for row in rows if row["seconds_step"] is not None]
    assert len(steps) == 6
    for row in steps:
        assert sum(row[f"seconds_{part}"] or 0.0 for part in parts) == pytest.approx(row["seconds_step"], abs=1e-3)
        assert row["seconds_weight_sync"] == 0.0
        assert 8 <= row["completion_tokens"] <= 16
    assert [row["alignment_share"] for row in steps if row["arm"] == "coderlplus"] == [0.0, 0.5, 0.5]
    with (dry.folder / "steps.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == [str(row["step"]) for row in rows]


def test_held_out_problems_are_measured_before_between_and_after_the_rounds(dry: Dry) -> None:
    arms = json.loads((dry.folder / "summary.json").read_text())["arms"]
    assert [step for step, _ in arms["grpo"]["held_out"]] == [0, 1, 3]
    assert arms["grpo"]["memory_gib"]["rss"] > 0
    assert arms["grpo"]["gpu_idle_share"] is None


def test_a_finished_folder_is_left_as_it_is_and_other_settings_are_refused(dry: Dry) -> None:
    before = (dry.folder / "coderlplus" / "metrics.jsonl").read_bytes()
    assert subprocess.run(dry.command, capture_output=True, check=False).returncode == 0
    other = subprocess.run([*dry.command, "seed=7"], capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert other.stderr.startswith(f"error: {dry.folder} was begun with overrides")
    assert other.stderr.count("\n") == 1
    assert (dry.folder / "coderlplus" / "metrics.jsonl").read_bytes() == before


def test_the_page_shows_both_arms_and_says_that_it_is_a_dry_run(dry: Dry, browse: Callable[..., str]) -> None:
    page = browse(dry.folder / "index.html")
    assert "Dry run on a CPU" in page
    assert "say nothing about a GPU" in page
    for text in ("CodeRL+", "Reward of programs", "log-probs", "tokens a second, sampling", "held-out pass@1"):
        assert text in page


def test_without_a_gpu_it_says_so_and_names_the_dry_run(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "-o", str(tmp_path / "out"), "--problems", "absent.jsonl"]
    without = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=without)
    assert done.returncode == 2
    assert done.stderr == "error: torch sees no GPU here; --dry-run runs three steps of the same script on a CPU\n"
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    command = [sys.executable, str(SCRIPT), "--dry-run", "-o", str(tmp_path), "--problems", "absent.jsonl"]
    done = subprocess.run([*command, "--model", "m"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"error: {tmp_path} holds something else; choose another -o\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_setting_that_is_none_is_said_before_anything_is_made(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--dry-run", "-o", str(tmp_path / "out"), "--problems", "absent.jsonl"]
    done = subprocess.run([*command, "--model", "m", "trl.bet=1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: override trl.bet: unknown setting 'trl.bet'; did you mean 'trl.beta'?\n"
    assert not (tmp_path / "out").exists()


def test_two_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--dry-run", "-o", str(tmp_path), "--problems", "absent.jsonl"]
    with held(tmp_path):
        done = subprocess.run([*command, "--model", "m"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"process {os.getpid()}" in done.stderr


def test_the_second_round_fills_the_time_that_is_left() -> None:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        more_steps = load(SCRIPT).more_steps
    finally:
        sys.path.remove(str(SCRIPT.parent))
    for left in (0.0, 30.0, 100.0, 575.0):
        for paces in ([1.0, 2.0], [4.0, 4.5], [0.2, 0.3]):
            steps = more_steps(left, paces, [15.0, 20.0])
            assert steps >= 0
            assert steps * sum(paces) + 35.0 <= max(left, 35.0)
            assert (steps + 2) * sum(paces) + 35.0 > 0.9 * left
