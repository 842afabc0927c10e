from __future__ import annotations

import json
from pathlib import Path

import pytest

from coderlplus.engines.run_folder import RunFolder
from coderlplus.errors import ConfigError


def checkpoint(run: RunFolder, step: int, state: str = "{}", trainer_state: str | None = "{}") -> Path:
    path = run.checkpoints / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "coderlplus.json").write_text(state)
    if trainer_state is not None:
        (path / "trainer_state.json").write_text(trainer_state)
    return path


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_the_newest_whole_checkpoint_counts(run: RunFolder) -> None:
    whole = checkpoint(run, 9)
    checkpoint(run, 8)
    checkpoint(run, 10, trainer_state=None)
    checkpoint(run, 11, trainer_state='{"global_st')
    checkpoint(run, 12, state="")
    assert run.latest_checkpoint() == whole


def test_a_run_goes_on_after_the_step_of_its_checkpoint(run: RunFolder) -> None:
    run.begin("", ())
    for step in range(5):
        run.write_metrics(step, {"loss": 1.0})
    run.write_samples([{"step": 2}, {"step": 4}])
    (run.path / "metrics.jsonl").open("a").write('{"step": 5, "lo')
    checkpoint(run, 3)
    run.begin("", ())
    assert steps(run.path / "metrics.jsonl") == [0, 1, 2, 3]
    assert steps(run.path / "samples.jsonl") == [2]


def test_without_a_checkpoint_a_run_starts_anew(run: RunFolder) -> None:
    run.begin("", ())
    run.write_metrics(0, {"eval/x": 1.0})
    run.begin("", ())
    assert run.latest_checkpoint() is None
    assert steps(run.path / "metrics.jsonl") == []


def test_a_run_is_not_overwritten(run: RunFolder) -> None:
    run.check(resume=False)
    run.begin("", ())
    run.write_metrics(1, {})
    run.check(resume=True)
    with pytest.raises(ConfigError, match="already holds a run; add --resume"):
        run.check(resume=False)


def test_metrics_are_finite_numbers(run: RunFolder) -> None:
    run.begin("", ())
    run.write_metrics(1, {"loss": float("nan"), "kl": None, "reward": 0.5})
    assert json.loads((run.path / "metrics.jsonl").read_text()) == {"step": 1, "reward": 0.5}


def test_the_environment_is_described(run: RunFolder) -> None:
    run.begin("", ("seccomp",))
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["isolation"] == ["seccomp"]
    assert environment["libraries"]["trl"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write the run folder"):
        RunFolder(tmp_path / "file" / "run").begin("", ())


def test_settings_that_changed_between_two_beginnings_are_told(run: RunFolder) -> None:
    assert run.begin("seed: 0\ntrl: {max_steps: 5}\n", ()) == []
    assert run.begin("seed: 0\ntrl: {max_steps: 9}\n", ()) == ["trl.max_steps: 5 → 9"]
