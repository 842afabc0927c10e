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

_WHEN = {
    "the folder was moved": "output",
    "from the next batch on": "samples_every",
    "at once; the last digits differ": "threads trl.use_cpu",
    "at once": """
        sandbox.backend sandbox.address sandbox.workers sandbox.timeout_s trl.disable_tqdm trl.log_level
        trl.dataloader_pin_memory trl.dataloader_num_workers trl.gradient_checkpointing
        trl.gradient_checkpointing_kwargs trl.torch_empty_cache_steps trl.ddp_backend trl.ddp_timeout
        trl.vllm_mode trl.vllm_server_base_url trl.vllm_server_host trl.vllm_server_port trl.vllm_server_timeout
        trl.vllm_group_port trl.vllm_gpu_memory_utilization trl.vllm_tensor_parallel_size
        trl.vllm_enable_sleep_mode verl.trainer.val_before_train
        verl.actor_rollout_ref.rollout.gpu_memory_utilization verl.ray_kwargs
    """,
    "from the next evaluation on": "eval validation",
    "the run gets longer; a schedule that ends with the run is stretched from here on": "trl.max_steps",
    "the same": "trl.num_train_epochs",
    "from the next step on": """
        trl.save_steps trl.save_strategy trl.logging_steps trl.logging_strategy trl.log_completions
        trl.num_completions_to_print trl.report_to trl.run_name trl.project verl.trainer.save_freq
        verl.trainer.test_freq verl.trainer.logger verl.trainer.project_name verl.trainer.experiment_name
    """,
    "at the next checkpoint": """
        trl.save_total_limit verl.trainer.max_actor_ckpt_to_keep verl.trainer.max_critic_ckpt_to_keep
    """,
    "the run gets longer": "verl.trainer.total_epochs verl.trainer.total_training_steps",
}
MAY_CHANGE: Mapping[str, str] = {key: when for when, keys in _WHEN.items() for key in keys.split()}
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
    found = _differences(before, now, defaults)
    for key, old, new in found:
        if not may_change(key):
            raise ConfigError(
                f"{folder} was begun with {key} {old!r}, not {new!r}, which cannot change within a run; give the same "
                "(its config.yaml has all), choose another output, or add --overwrite to begin it anew"
            )
    return [f"{key}: {old} → {new}" for key, old, new in found]


def differences(before: str, now: str) -> list[str]:
    """The settings of two configurations in YAML that differ.

    >>> differences("seed: 0\\ntrl: {max_steps: 5}", "seed: 0\\ntrl: {max_steps: 9, beta: 0.1}")
    ['trl.beta: None → 0.1', 'trl.max_steps: 5 → 9']
    """
    return [f"{key}: {old} → {new}" for key, old, new in _differences(before, now, {})]


def _differences(before: str, now: str, defaults: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The settings that differ, as (dotted key, before, now); those of earlier versions have the names of today."""
    one, other = (
        {moved.new_key(key) or key: value for key, value in flat(yaml.safe_load(config)).items()}
        for config in (before, now)
    )
    found = []
    for key in sorted(one.keys() | other.keys()):
        old, new = (side.get(key, defaults.get(key)) for side in (one, other))
        if old != new:
            found.append((key, old, new))
    return found


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
