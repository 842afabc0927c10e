"""A full disk or a damaged checkpoint is one clear sentence, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from coderlplus.engines.checkpoints import CHECKSUMS_FILE, read_state, write_state
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.engines.trl.trainer import CodeRLPlusGRPO
from coderlplus.errors import DataError

FULL = "/dev/full"


def config_of(settings: dict[str, Any], output: Path) -> Any:
    return make_config(settings | {"output": str(output), "trl": settings["trl"] | {"max_steps": 4}})


@pytest.fixture(scope="module")
def whole(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four steps, saved at the second and the fourth."""
    return train(config_of(settings, tmp_path_factory.mktemp("saving") / "whole")).path


@pytest.fixture
def copy(whole: Path, settings: dict[str, Any], tmp_path: Path) -> Path:
    """That run as if it had been killed before its end."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "final")
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "final" / "model.safetensors").read_bytes()


def tensors_to_a_full_disk(self: Any, folder: str) -> None:
    torch.save({"x": torch.zeros(100_000)}, FULL)


def weights_to_a_full_disk(self: Any, folder: str) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.skipif(not Path(FULL).exists(), reason="a full disk is imitated by /dev/full")
@pytest.mark.parametrize("fails", [tensors_to_a_full_disk, weights_to_a_full_disk])
def test_a_full_disk_at_a_checkpoint(
    fails: Callable[[Any, str], None],
    whole: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = CodeRLPlusGRPO._save_optimizer_and_scheduler

    def save(self: Any, folder: str) -> None:
        (fails if self.state.global_step == 4 else original)(self, folder)

    config = config_of(settings, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(CodeRLPlusGRPO, "_save_optimizer_and_scheduler", save)
        with pytest.raises(
            DataError, match=r"cannot save .*checkpoint-4: .*; free space, then the same command continues"
        ) as caught:
            train(config)
    assert "\n" not in str(caught.value)
    left = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert left - {"README.md"} == {"checkpoint-2"}  # TRL writes its model card there first
    assert weights(train(config).path) == weights(whole)


def test_a_damaged_checkpoint_is_passed_over_and_the_run_is_the_same(
    copy: Path, whole: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy / "checkpoints" / "checkpoint-4" / "model.safetensors"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(bytes(content))
    train(config_of(settings, copy))
    message = (
        "damaged checkpoint checkpoint-4 (model.safetensors has changed since it was written); resuming "
        "from checkpoint-2"
    )
    assert message in capsys.readouterr().err
    assert weights(copy) == weights(whole)
    assert (copy / "metrics.jsonl").read_text().count("\n") == 4


def test_a_run_is_resumed_on_as_many_processes_as_it_had(copy: Path, settings: dict[str, Any]) -> None:
    shutil.rmtree(copy / "checkpoints" / "checkpoint-4")
    folder = copy / "checkpoints" / "checkpoint-2"
    write_state(folder, read_state(folder) | {"processes": 2})
    for rank in range(2):
        shutil.copy(folder / "rng_state.pth", folder / f"rng_state_{rank}.pth")
    (folder / CHECKSUMS_FILE).unlink()
    with pytest.raises(DataError, match="was saved with 2 processes, this run has 1; resume with 2 processes"):
        train(config_of(settings, copy))


def test_a_run_whose_checkpoints_are_all_damaged_keeps_its_files(copy: Path, settings: dict[str, Any]) -> None:
    for path in copy.glob("checkpoints/*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:-7])
    before = (copy / "metrics.jsonl").read_text()
    with pytest.raises(DataError, match=r"every checkpoint of .* is damaged"):
        train(config_of(settings, copy))
    assert (copy / "metrics.jsonl").read_text() == before
