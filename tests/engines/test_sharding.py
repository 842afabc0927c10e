"""A model that FSDP2 splits over two processes (gloo, CPU): the same run as with a whole model on each, in checkpoints
of either kind."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from coderlplus.engines.run_folder import RunFolder
from coderlplus.errors import DataError

STEPS = 5
WRAPPED = {
    "version": 2,
    "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "transformer_layer_cls_to_wrap": ["Qwen2DecoderLayer"],
}


@pytest.fixture(scope="module")
def runs(
    settings: dict[str, Any], run_jobs: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    work = tmp_path_factory.mktemp("sharding")

    def job(output: str, state_dict: str | None, **fields: Any) -> dict[str, Any]:
        fsdp = {"fsdp": True, "fsdp_config": WRAPPED | {"state_dict_type": state_dict}} if state_dict else {}
        trl = settings["trl"] | {"max_steps": STEPS, "per_device_train_batch_size": 8, "ddp_timeout": 60} | fsdp
        return {
            "config": settings | {"output": str(work / output), "trl": trl},
            "processes": 2,
            "prepare": ["split the model"],
        } | fields

    jobs = {
        "data parallel": job("data", None),
        "one file": job("full", "FULL_STATE_DICT"),
        "shards": job("sharded", "SHARDED_STATE_DICT"),
        "killed": job("killed", "SHARDED_STATE_DICT", kill={"rank": 1, "step": 4, "at": "_compute_loss"}),
        "resumed": job("killed", "SHARDED_STATE_DICT"),
        "as it is": job("as it is", "FULL_STATE_DICT", prepare=[]),
    }
    return dict(run_jobs(jobs))


def metrics(run: dict[str, Any]) -> list[dict[str, Any]]:
    assert set(run["statuses"]) == {0}, run["outputs"]
    lines = [json.loads(line) for line in (run["folder"] / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("seconds/")} for line in lines]


@pytest.mark.parametrize("name", ["one file", "shards"])
def test_a_split_model_makes_the_run_of_a_whole_one(name: str, runs: dict[str, dict[str, Any]]) -> None:
    """But for the gradient norm of each kind, which needs the whole model (docs/training-settings.md)."""
    for line, whole in zip(metrics(runs[name]), metrics(runs["data parallel"]), strict=True):
        expected = {key: value for key, value in whole.items() if not key.startswith("gradient_norm/")}
        assert line == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert runs[name]["ends"][0]["tasks"] == runs["data parallel"]["ends"][0]["tasks"]
    assert runs[name]["ends"][0] == runs[name]["ends"][1]
    split, of_whole = (
        load_file(runs[run]["folder"] / "final" / "model.safetensors") for run in (name, "data parallel")
    )
    assert_close({key: split[key] for key in of_whole}, of_whole, rtol=1e-4, atol=1e-5)


def test_the_model_was_split(runs: dict[str, dict[str, Any]]) -> None:
    checkpoint = runs["shards"]["folder"] / "checkpoints" / "checkpoint-4"
    assert len(list((checkpoint / "pytorch_model_fsdp_0").glob("*.distcp"))) == 2
    assert not (checkpoint / "model.safetensors").exists()


def test_a_run_that_was_killed_and_resumed_is_the_run_that_was_not(runs: dict[str, dict[str, Any]]) -> None:
    assert -9 in runs["killed"]["statuses"]
    assert metrics(runs["resumed"]) == metrics(runs["shards"])
    assert runs["resumed"]["ends"] == runs["shards"]["ends"]


def test_a_run_killed_before_its_final_model_says_where_its_shards_are(
    runs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    checkpoint = runs["shards"]["folder"] / "checkpoints" / "checkpoint-4"
    run = RunFolder(tmp_path)
    with pytest.raises(DataError, match="accelerate merge-weights"):
        run.finish_from(checkpoint)


@pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None,
    reason="needs deepspeed, which compiles a library when it is first used",
)
def test_deepspeed_makes_the_run_of_a_whole_model(
    runs: dict[str, dict[str, Any]], settings: dict[str, Any], run_jobs: Any, tmp_path: Path
) -> None:
    sizes = {"train_micro_batch_size_per_gpu": 8, "train_batch_size": 16, "gradient_accumulation_steps": 1}
    on_cpu = {"use_cpu": False, "bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}
    deepspeed = {"deepspeed": sizes | {"zero_optimization": {"stage": 2}, "zero_allow_untested_optimizer": True}}
    trl = (
        settings["trl"]
        | {"max_steps": STEPS, "per_device_train_batch_size": 8, "ddp_timeout": 60}
        | on_cpu
        | deepspeed
    )
    job = {
        "config": settings | {"output": str(tmp_path / "run"), "trl": trl},
        "processes": 2,
        "prepare": ["split the model with DeepSpeed"],
    }
    done = run_jobs(
        {
            "whole": job,
            "killed": killed(job, tmp_path),
            "resumed": killed(job, tmp_path) | {"kill": None},
        },
        DS_ACCELERATOR="cpu",
    )
    for line, expected in zip(metrics(done["whole"]), metrics(runs["data parallel"]), strict=True):
        assert line == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert -9 in done["killed"]["statuses"]
    assert metrics(done["resumed"]) == metrics(done["whole"])
    assert done["resumed"]["ends"] == done["whole"]["ends"]


def killed(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same in another folder, killed."""
    return job | {
        "config": job["config"] | {"output": str(folder / "killed")},
        "kill": {"rank": 1, "step": 4, "at": "_compute_loss"},
    }


def test_splitting_is_not_left_out_without_a_word(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["as it is"]["statuses"] == [2, 2]
    assert all(
        "error: FSDP needs a GPU: accelerate ignores it on a CPU" in output for output in runs["as it is"]["outputs"]
    )
