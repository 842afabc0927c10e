"""What may differ when a run is continued: what changes how long it goes, what is recorded, or what it runs on.

Everything else is refused. The optimiser, its schedule, the place in the problems and the buffer come back from the
checkpoint, so another learning rate, batch size, seed or data set would be ignored, or would make two runs of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from coderlplus import moved
from coderlplus.errors import ConfigError

MAY_CHANGE: Mapping[str, str] = {
    "output": "the folder was moved",
    "samples_every": "from the next batch on",
    "threads": "at once; the last digits differ",
    "sandbox.backend": "at once",
    "sandbox.address": "at once",
    "sandbox.workers": "at once",
    "sandbox.timeout_s": "at once",
    "eval": "from the next evaluation on",
    "validation": "from the next evaluation on",
    "trl.max_steps": "the run gets longer; a schedule that ends with the run is stretched from here on",
    "trl.num_train_epochs": "the same",
    "trl.save_steps": "from the next step on",
    "trl.save_strategy": "from the next step on",
    "trl.save_total_limit": "at the next checkpoint",
    "trl.logging_steps": "from the next step on",
    "trl.logging_strategy": "from the next step on",
    "trl.log_completions": "from the next step on",
    "trl.num_completions_to_print": "from the next step on",
    "trl.report_to": "from the next step on",
    "trl.run_name": "from the next step on",
    "trl.project": "from the next step on",
    "trl.disable_tqdm": "at once",
    "trl.log_level": "at once",
    "trl.use_cpu": "at once; the last digits differ",
    "trl.dataloader_pin_memory": "at once",
    "trl.dataloader_num_workers": "at once",
    "trl.gradient_checkpointing": "at once",
    "trl.gradient_checkpointing_kwargs": "at once",
    "trl.torch_empty_cache_steps": "at once",
    "trl.ddp_backend": "at once",
    "trl.ddp_timeout": "at once",
    "trl.vllm_mode": "at once",
    "trl.vllm_server_base_url": "at once",
    "trl.vllm_server_host": "at once",
    "trl.vllm_server_port": "at once",
    "trl.vllm_server_timeout": "at once",
    "trl.vllm_group_port": "at once",
    "trl.vllm_gpu_memory_utilization": "at once",
    "trl.vllm_tensor_parallel_size": "at once",
    "trl.vllm_enable_sleep_mode": "at once",
    "verl.trainer.total_epochs": "the run gets longer",
    "verl.trainer.total_training_steps": "the run gets longer",
    "verl.trainer.save_freq": "from the next step on",
    "verl.trainer.test_freq": "from the next step on",
    "verl.trainer.max_actor_ckpt_to_keep": "at the next checkpoint",
    "verl.trainer.max_critic_ckpt_to_keep": "at the next checkpoint",
    "verl.trainer.logger": "from the next step on",
    "verl.trainer.project_name": "from the next step on",
    "verl.trainer.experiment_name": "from the next step on",
    "verl.trainer.val_before_train": "at once",
    "verl.actor_rollout_ref.rollout.gpu_memory_utilization": "at once",
    "verl.ray_kwargs": "at once",
}
"""Settings, or sections, that may differ from those the run was begun with, and when the new value counts."""


def may_change(key: str) -> bool:
    """Whether a setting with this dotted key is applied when a run is continued.

    >>> may_change("trl.max_steps"), may_change("eval.every"), may_change("trl.learning_rate")
    (True, True, False)
    """
    parts = key.split(".")
    return any(".".join(parts[:count]) in MAY_CHANGE for count in range(1, len(parts) + 1))


def changed(before: str, now: str, defaults: Mapping[str, Any], folder: str) -> list[str]:
    """The settings of a run that differ from those it was begun with (both as YAML), as `key: before → now`.

    A key that one side lacks has its value among the `defaults` (dotted keys). Raises `ConfigError` for one that
    would not be applied.

    >>> changed("seed: 0\\ntrl: {max_steps: 5}", "seed: 0\\ntrl: {max_steps: 9, beta: 0}", {"trl.beta": 0}, "runs/a")
    ['trl.max_steps: 5 → 9']
    """
    one, other = _now(before), _now(now)
    changes = []
    for key in sorted(one.keys() | other.keys()):
        old, new = (side[key] if key in side else defaults.get(key) for side in (one, other))
        if old == new:
            continue
        if not may_change(key):
            raise ConfigError(
                f"{folder} was begun with {key} {old!r}, not {new!r}, which cannot change within a run; give the same "
                "(its config.yaml has all), choose another output, or add --overwrite to begin it anew"
            )
        changes.append(f"{key}: {old} → {new}")
    return changes


def differences(before: str, now: str) -> list[str]:
    """The settings of two configurations in YAML that differ.

    >>> differences("seed: 0\\ntrl: {max_steps: 5}", "seed: 0\\ntrl: {max_steps: 9, beta: 0.1}")
    ['trl.beta: None → 0.1', 'trl.max_steps: 5 → 9']
    """
    one, other = _now(before), _now(now)
    return [
        f"{key}: {one.get(key)} → {other.get(key)}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _now(config: str) -> dict[str, Any]:
    """The settings of a configuration by dotted keys; those of earlier versions have the names of today."""
    return {moved.new_key(key) or key: value for key, value in flat(yaml.safe_load(config)).items()}


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted keys.

    >>> flat({"a": {"b": 1}, "c": None})
    {'a.b': 1, 'c': None}
    """
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        key: leaf
        for name, inner in value.items()
        for key, leaf in flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }
