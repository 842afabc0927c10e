"""`coderlplus-lab study`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coderlplus.errors import ConfigError
from coderlplus_lab.cli import app

TINY = Path(__file__).parents[2] / "recipes" / "study" / "tiny.yaml"


def test_results_of_a_study_that_has_not_begun_name_what_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["study", str(TINY), "-o", str(tmp_path), "--only-results", "--json"])
    assert result.exit_code == 0
    assert "coderlplus/1" in json.loads(result.stdout)["missing"]
    assert (tmp_path / "tiny.html").read_text().startswith("<!doctype html>")


def test_a_cell_that_does_not_exist_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["study", str(TINY), "-o", str(tmp_path / "s"), "--run", "grpo/7"])
    assert isinstance(result.exception, ConfigError)
    assert "no run 'grpo/7'" in str(result.exception)
    assert not (tmp_path / "s").exists()


@pytest.mark.skipif("CODERLPLUS_STUDY" not in os.environ, reason="takes minutes: make test-study")
@pytest.mark.timeout(3600)
def test_a_study_stopped_and_continued_gives_the_numbers_of_one_that_was_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from coderlplus_lab.cli import main; main()", "study", str(TINY), "-o"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, stdout=subprocess.DEVNULL)
    for wanted in (
        "initial_models/qwen2/seed-0/metrics.jsonl",
        "runs/grpo/seed-0/checkpoints/checkpoint-2",
        "runs/coderlplus/seed-1/metrics.jsonl",
    ):
        with subprocess.Popen([*command, str(tmp_path / "cut")], stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not (tmp_path / "cut" / wanted).exists():
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM if "runs/grpo" in wanted else signal.SIGKILL)
    subprocess.run([*command, str(tmp_path / "cut")], check=True, stdout=subprocess.DEVNULL)
    paths = sorted(
        path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").glob("runs/*/*/measured.json")
    )
    assert len(paths) == 8
    for path in paths:
        one, other = (json.loads((tmp_path / name / path).read_text()) for name in ("whole", "cut"))
        times = {"evaluation_seconds", "training_seconds"}
        assert {key: value for key, value in one.items() if key not in times} == {
            key: value for key, value in other.items() if key not in times
        }
