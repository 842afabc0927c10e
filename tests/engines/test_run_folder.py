from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from coderlplus.engines.checkpoints import read_state, write_checksums, write_state
from coderlplus.engines.run_folder import RunFolder, fingerprint
from coderlplus.engines.trl.config import RunConfig, make_config
from coderlplus.engines.verl.config import VerlConfig, make_verl_config
from coderlplus.errors import ConfigError, DataError


def checkpoint(run: RunFolder, step: int, trainer_state: str | None = "{}", *, checksums: bool = True) -> Path:
    path = run.checkpoints / f"checkpoint-{step}"
    path.mkdir(parents=True)
    write_state(path, {"processes": 1, "half_used": False, "position": step})
    torch.save({"cpu": torch.arange(9)}, path / "rng_state.pth")
    save_file({"weight": torch.arange(9.0)}, path / "model.safetensors")
    if trainer_state is not None:
        (path / "trainer_state.json").write_text(trainer_state)
        if checksums:
            write_checksums(path)
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_the_newest_finished_checkpoint_counts(run: RunFolder) -> None:
    whole = checkpoint(run, 9)
    checkpoint(run, 8)
    checkpoint(run, 10, trainer_state=None)
    assert run.latest_checkpoint() == whole


@pytest.mark.parametrize(
    "name", ["coderlplus.json.gz", "trainer_state.json", "rng_state.pth", "model.safetensors", "checksums.json"]
)
@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
def test_a_damaged_checkpoint_is_told_and_passed_over(
    run: RunFolder, name: str, harm: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = checkpoint(run, 9), checkpoint(run, 10)
    harm(after / name)
    found = run.latest_checkpoint()
    if harm == Path.unlink and name == "checksums.json":  # killed before they were written
        assert found == after
    else:
        assert found == before
        assert (
            harm == Path.unlink and name == "trainer_state.json"
        ) or "damaged checkpoint checkpoint-10 (" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["coderlplus.json.gz", "rng_state.pth", "model.safetensors"])
def test_a_cut_file_is_found_also_before_the_checksums_are_written(run: RunFolder, name: str) -> None:
    before, after = checkpoint(run, 9), checkpoint(run, 10, checksums=False)
    assert run.latest_checkpoint() == after
    cut(after / name)
    assert run.latest_checkpoint() == before


def test_a_checkpoint_of_which_a_process_has_not_written_its_part_is_not_finished(run: RunFolder) -> None:
    path = checkpoint(run, 9, checksums=False)
    write_state(path, {"processes": 2, "half_used": False})
    assert run.latest_checkpoint() is None


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(run: RunFolder) -> None:
    flip(checkpoint(run, 9) / "model.safetensors")
    with pytest.raises(
        DataError,
        match=r"every checkpoint of .* is damaged: checkpoint-9 \(model.safetensors has changed since it was "
        r"written\)",
    ):
        run.latest_checkpoint()


def test_the_state_of_a_full_buffer_is_small(tmp_path: Path) -> None:
    program = "\n".join(f"value_{number} = {number} * total + {number % 7}" for number in range(40))
    tasks = [
        {"task_id": f"{number:016x}", "prompt": f"What does this print?\n{program}\n{number}", "program": program}
        for number in range(2000)
    ]
    write_state(tmp_path, {"loop": {"buffer": {"tasks": tasks}}})
    assert read_state(tmp_path) == {"loop": {"buffer": {"tasks": tasks}}}
    assert (tmp_path / "coderlplus.json.gz").stat().st_size < len(json.dumps(tasks)) / 10


def test_a_run_goes_on_after_the_step_of_its_checkpoint(run: RunFolder) -> None:
    run.begin("", ())
    for step in range(5):
        run.write_metrics(step, {"loss": 1.0})
    run.write_samples([{"step": 2}, {"step": 4}])
    (run.path / "metrics.jsonl").open("a").write('{"step": 5, "lo')
    run.begin("", (), checkpoint(run, 3))
    assert steps(run.path / "metrics.jsonl") == [0, 1, 2, 3]
    assert steps(run.path / "samples.jsonl") == [2]


def test_without_a_checkpoint_a_run_starts_anew(run: RunFolder) -> None:
    run.begin("", ())
    run.write_metrics(0, {"eval/x": 1.0})
    run.begin("", ())
    assert run.latest_checkpoint() is None
    assert steps(run.path / "metrics.jsonl") == []


def test_all_that_a_run_leaves_is_removed_and_nothing_else(run: RunFolder) -> None:
    run.begin("", ())
    run.write_metrics(1, {})
    checkpoint(run, 1)
    (run.path / "notes.txt").write_text("mine")
    run.clear()
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]


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


def test_settings_that_changed_since_the_run_was_begun_are_told(run: RunFolder) -> None:
    assert run.changes("seed: 0\ntrl: {max_steps: 5}\n", {}, {}) == []
    run.begin("seed: 0\ntrl: {max_steps: 5}\n", ())
    run.write_metrics(1, {})
    assert run.changes("seed: 0\ntrl: {max_steps: 9}\n", {}, {}) == ["trl.max_steps: 5 → 9"]
    with pytest.raises(ConfigError, match=r"was begun with seed 0, not 1, which cannot change within a run"):
        run.changes("seed: 1\ntrl: {max_steps: 5}\n", {}, {})


def test_inputs_that_changed_since_the_run_was_begun_are_refused(run: RunFolder) -> None:
    run.begin("seed: 0\n", (), fingerprint={"problems.jsonl": "ab"})
    run.write_metrics(1, {})
    assert run.changes("seed: 0\n", {"problems.jsonl": "ab"}, {}) == []
    with pytest.raises(ConfigError, match=r"was begun with other contents of problems.jsonl \(digest ab, now cd\)"):
        run.changes("seed: 0\n", {"problems.jsonl": "cd"}, {})


def test_a_run_folder_has_one_writer(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with (
        run.alone(),
        pytest.raises(DataError, match=rf"run is being written by process {os.getpid()} on"),
        run.alone(),
    ):
        pass
    assert not run.path.exists()  # nothing was written


@pytest.mark.parametrize("make", [make_config, lambda data: make_verl_config({**data, "verl": {}})])
def test_a_run_is_made_of_problems_fixed_tasks_and_model_on_every_engine(
    tmp_path: Path, make: Callable[[dict[str, Any]], RunConfig | VerlConfig]
) -> None:
    for name in ("problems.jsonl", "tasks.jsonl"):
        (tmp_path / name).write_text(name)
    (tmp_path / "model").mkdir()
    paths = {name: str(tmp_path / name) for name in ("problems.jsonl", "tasks.jsonl", "model")}
    settings = {"model": paths["model"], "problems": paths["problems.jsonl"], "output": str(tmp_path / "run")}
    found = fingerprint(make(settings | {"alignment": {"task_file": paths["tasks.jsonl"]}}))
    assert set(found) == set(paths.values())
    assert all(found.values())
