"""`coderlplus train` on verl's real `main_ppo` trainer: FSDP workers that update a model, Ray, queues, checkpoints;
only the rollout server is ours (`cpu_rollout.py`), because vLLM has none for a small CPU. All but the first test only
with CODERLPLUS_WHOLE (`make verl-test-whole`)."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

FULL = "/dev/full"
FOUR_STEPS = ("verl.trainer.total_training_steps=4", "verl.trainer.save_freq=2", "verl.trainer.test_freq=4")

whole_only = pytest.mark.skipif(not os.environ.get("CODERLPLUS_WHOLE"), reason="minutes: make verl-test-whole")


@pytest.fixture(scope="module")
def train(settings: dict[str, Any], tiny: Any, folder: Path, spawn: Any) -> Any:
    """`train(name, changes)` in a process of its own, interrupted as by Ctrl-C after so many steps; returns the run
    folder and what was printed."""
    allowed = ",".join(str(number) for number in range(len(tiny.SPECIAL) + len(tiny.LETTERS), len(tiny.VOCABULARY)))
    config = folder / "main_ppo.yaml"
    config.write_text(yaml.safe_dump(settings | {"output": str(folder / "main_ppo")}))
    on_cpu = [
        "verl.actor_rollout_ref.rollout.free_cache_engine=false",
        "verl.actor_rollout_ref.rollout.tensor_model_parallel_size=1",
        "verl.actor_rollout_ref.rollout.full_determinism=true",
        "verl.actor_rollout_ref.actor.strategy=fsdp2",
        "verl.actor_rollout_ref.actor.use_torch_compile=false",
        "verl.actor_rollout_ref.actor.use_kl_loss=false",  # a reference model lies in pinned memory, which needs a GPU
        "verl.actor_rollout_ref.actor.optim.lr=1e-2",
        "verl.actor_rollout_ref.model.enable_gradient_checkpointing=false",
        "verl.data.max_response_length=2",
        "verl.ray_kwargs.ray_init={address: local, num_cpus: 16, num_gpus: 1, include_dashboard: false, "
        "object_store_memory: 500000000}",
    ]

    def once(name: str, *overrides: str, status: int = 0, interrupt_after: int | None = None) -> tuple[Path, str]:
        command = [
            sys.executable,
            "-c",
            "from coderlplus.cli import main; main()",
            "train",
            str(config),
            *on_cpu,
            *overrides,
        ]
        command += [f"output={folder / name}"]
        environment = {
            "CPU_PLATFORM_ROLLOUT": "1",
            "CPU_ROLLOUT_TOKENS": allowed,
            "VERL_ENGINE_DEVICE": "cuda",
            "TORCHDYNAMO_DISABLE": "1",
        }
        watched = folder / name / "metrics.jsonl"
        ended, text = spawn(
            command, 1800, lambda: interrupt_after is not None and steps_in(watched) >= interrupt_after, **environment
        )
        assert ended == status, text[-8000:]
        return folder / name, text

    return once


def steps_in(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture(scope="module")
def whole(train: Any) -> tuple[Path, str]:
    """Four steps that nothing disturbs."""
    run, text = train("whole_ppo", *FOUR_STEPS)
    return run, text


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("seconds/")} for line in lines]


def weights(run: Path, step: int, of: str = "actor") -> dict[str, torch.Tensor]:
    (file,) = (run / "checkpoints" / f"global_step_{step}" / of).glob("model_world_size_1_rank_0.pt")
    state = torch.load(file, weights_only=False)
    return {name: getattr(value, "_local_tensor", value) for name, value in state.items()}


def assert_same_run(one: Path, other: Path) -> None:
    assert metrics(one) == metrics(other)
    expected = weights(other, 4)
    for name, value in weights(one, 4).items():
        assert torch.equal(value, expected[name]), name


def test_main_ppo_mixes_learns_and_goes_on_where_it_was(whole: tuple[Path, str], train: Any, folder: Path) -> None:
    run, text = whole
    assert [line["mix/alignment_share"] for line in metrics(run)] == [0, 0.5, 0.5, 0.5]
    assert "coderlplus/mix/alignment_share:" in text
    assert "global_step_4: the last checkpoint" in text
    before, after = weights(run, 2), weights(run, 4)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    shutil.copytree(run, folder / "resumed_ppo")
    shutil.rmtree(folder / "resumed_ppo" / "checkpoints" / "global_step_4")
    again, _ = train("resumed_ppo", *FOUR_STEPS)
    assert_same_run(again, run)


@whole_only
@pytest.mark.skipif(not Path(FULL).exists(), reason="a full disk is imitated by /dev/full")
def test_a_full_disk_at_a_checkpoint_is_a_sentence_and_loses_nothing(
    whole: tuple[Path, str], train: Any, folder: Path
) -> None:
    data = folder / "full_disk" / "checkpoints" / "global_step_4" / "data.pt"
    data.parent.mkdir(parents=True)
    data.symlink_to(FULL)
    _, text = train("full_disk", *FOUR_STEPS, status=2)
    last = text.strip().splitlines()[-1]
    assert last.startswith(f"error: verl could not write a checkpoint in {folder / 'full_disk' / 'checkpoints'}: ")
    assert last.endswith("; free space there, then the same command continues from the previous checkpoint")
    data.unlink()
    again, _ = train("full_disk", *FOUR_STEPS)
    assert_same_run(again, whole[0])


@whole_only
def test_ctrl_c_says_what_is_lost_and_the_run_goes_on(whole: tuple[Path, str], train: Any) -> None:
    _, text = train("interrupted", *FOUR_STEPS, status=130, interrupt_after=3)
    assert "interrupted: saved until step 2, the step since then is lost" in text
    run, _ = train("interrupted", *FOUR_STEPS)
    assert_same_run(run, whole[0])


@whole_only
@pytest.mark.parametrize("estimator", ["rloo", "reinforce_plus_plus"])
def test_main_ppo_runs_its_other_algorithms(train: Any, estimator: str) -> None:
    run, _ = train(
        estimator,
        f"verl.algorithm.adv_estimator={estimator}",
        "verl.trainer.total_training_steps=2",
        "verl.trainer.save_freq=-1",
    )
    assert [line["mix/alignment_share"] for line in metrics(run)] == [0, 0.5]


@whole_only
def test_main_ppo_runs_ppo_with_its_critic(train: Any) -> None:
    critic = {
        "strategy": "fsdp2",
        "optim": {"lr": 1e-2},
        "ppo_micro_batch_size_per_gpu": 4,
        "fsdp": {"use_torch_compile": False},
        "model": {
            "use_remove_padding": False,
            "enable_gradient_checkpointing": False,
            "override_config": {"attn_implementation": "sdpa"},
        },
    }
    settings = ["verl.algorithm.adv_estimator=gae", "verl.trainer.total_training_steps=2", "verl.trainer.save_freq=1"]
    run, text = train("ppo", *settings, f"verl.critic={json.dumps(critic)}")
    assert [line["mix/alignment_share"] for line in metrics(run)] == [0, 0.5]
    assert "critic/vf_loss:" in text
    before, after = weights(run, 1, "critic"), weights(run, 2, "critic")
    assert any(not torch.equal(before[name], after[name]) for name in before)
