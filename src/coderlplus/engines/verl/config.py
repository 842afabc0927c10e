"""The configuration of a run on verl: one YAML file, as for TRL, with verl's own configuration under `verl:`.

`verl_config` makes of it what `verl.trainer.main_ppo` runs on: verl's defaults, ours, the `verl` section, and what
follows from the run. Keys of the section are checked against verl's defaults, so that a misspelt one names the nearest
right one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import field_validator

from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.engines.config import CommonConfig, StepConfig, Where, checked_config
from coderlplus.errors import ConfigError, nearest

VERSION = "0.9.1"
HOOKS = "pkg://coderlplus.engines.verl.hooks"

FOLLOWS = {
    "actor_rollout_ref.model.path": "set 'model' at the top level instead",
    "data.coderlplus": "set 'alignment' and 'sandbox' at the top level instead",
    "data.custom_cls": "CodeRL+ needs its own data set there",
    "data.dataloader_num_workers": "CodeRL+ needs it to be 0",
    "data.max_prompt_length": "set 'max_prompt_tokens' at the top level instead",
    "data.seed": "set 'seed' at the top level instead",
    "data.train_files": "set 'problems' at the top level instead",
    "data.val_files": "set 'validation' at the top level instead",
    "reward.reward_manager": "CodeRL+ needs its own reward manager there",
    "trainer.default_local_dir": "set 'output' at the top level instead",
    "trainer.resume_from_path": "the same command continues a run",
    "trainer.resume_mode": "the same command continues a run",
    "trainer.v1.sampler.custom_sampler": "CodeRL+ needs its own replay buffer there",
    "trainer.v1.trainer_mode": "CodeRL+ needs verl's synchronous trainer",
}
"""Keys of verl's configuration that are not for the section, and what to do instead."""

OPEN = {"ray_kwargs.ray_init"}
"""Mappings that verl hands on to another library, beside those that are empty in its defaults."""


def _without_term(value: AlignmentConfig | None) -> AlignmentConfig | None:
    if value and value.weight is not None:
        raise ValueError(
            "weight makes alignment a term of its own in the loss, which verl's workers compute; leave it out (and "
            "objective: supervised), or train with a trl section"
        )
    return value


class VerlConfig(CommonConfig):
    """A training run on verl. Every field is a top-level key of the YAML file."""

    _own_loss = field_validator("alignment")(_without_term)
    validation: tuple[Path, ...] = ()
    """Problems that verl evaluates on every `verl.trainer.test_freq` steps; nothing is mined from them."""
    max_prompt_tokens: int = 1024
    """Problems and alignment tasks with longer prompts are left out, and counted (verl's `data.max_prompt_length`)."""
    verl: dict[str, Any]
    """verl's configuration (`verl/trainer/config/ppo_trainer.yaml`), as far as it differs from verl's defaults and
    ours."""

    @field_validator("validation", mode="before")
    @classmethod
    def _some(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value or ()


class PluginSettings(StepConfig):
    """Settings of the hooks: the section `data.coderlplus` of verl's configuration; every key is optional.

    `sandbox.workers` counts the programs that run at the same time on each node.
    """

    output: Path | None = None
    """The run folder for metrics.jsonl and samples.jsonl; `None` writes neither."""
    _own_loss = field_validator("alignment")(_without_term)


def plugin_settings(data: Mapping[str, Any] | None) -> PluginSettings:
    """The settings in a plain mapping. Raises `ConfigError` for a key that does not exist, naming the nearest, or a
    bad value.

    >>> plugin_settings({"aligment": {"alpha": 0.5}})
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: data.coderlplus: unknown setting 'aligment'; did you mean 'alignment'?
    """
    return checked_config(PluginSettings, data or {}, lambda key: "data.coderlplus")


def workers_for(settings: PluginSettings, sharing: int) -> int:
    """Programs that one of `sharing` sandboxes of a node may run at the same time."""
    return max(1, (settings.sandbox.workers or len(os.sched_getaffinity(0))) // max(1, sharing))


def make_verl_config(data: Mapping[str, Any], where: Where = lambda key: "configuration") -> VerlConfig:
    """The configuration in a mapping; `where` says for a dotted key where it was written. Raises `ConfigError`;
    without verl, keys of the `verl` section are checked only against what follows from the run."""
    section = data.get("verl")
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where('verl')}: verl must hold settings of verl, not {section!r}")
    for key in _dotted(section):
        for name, remedy in FOLLOWS.items():
            if key == name or key.startswith(name + "."):
                raise ConfigError(f"{where(f'verl.{key}')}: 'verl.{key}' follows from the run; {remedy}")
    config = checked_config(VerlConfig, data, where)
    if installed_version() is not None:
        _check_keys(section, _defaults(section), where)
    return config


def installed_version() -> str | None:
    """The version of verl here."""
    try:
        return metadata.version("verl")
    except metadata.PackageNotFoundError:
        return None


def verl_config(config: VerlConfig, checkpoint: Path | None = None) -> Any:
    """verl's configuration (an omegaconf `DictConfig`) of a run that resumes from `checkpoint` or starts. Raises
    `ConfigError` for what verl refuses.

    verl must be installed.
    """
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    section = {key: value for key, value in config.verl.items() if key != "model_engine"}
    try:
        merged = OmegaConf.merge(_defaults(config.verl), _our_defaults(config), section, _own(config, checkpoint))
        OmegaConf.set_struct(merged, True)
        validate_config(merged, need_reference_policy(merged), need_critic(merged))
    except (HydraException, OmegaConfBaseException, AssertionError, ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"verl: {' '.join(str(error).split())}") from error
    return merged


def _defaults(section: Mapping[str, Any]) -> Any:
    """verl's own, for the engine that the section asks for (`model_engine`: dp, megatron, …). Raises `ConfigError` for
    an unknown one."""
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    engine = section.get("model_engine")
    try:
        with initialize_config_module("verl.trainer.config", version_base=None):
            defaults = compose("ppo_trainer", overrides=[] if engine is None else [f"model_engine={engine}"])
    except HydraException as error:
        raise ConfigError(f"verl.model_engine {engine!r}: {' '.join(str(error).split())}") from error
    OmegaConf.set_struct(defaults, False)
    return defaults


def _our_defaults(config: VerlConfig) -> dict[str, Any]:
    """Over verl's: two checkpoints kept, metrics for TensorBoard, and no evaluation where there is nothing to evaluate
    on."""
    trainer = {
        "project_name": "coderlplus",
        "experiment_name": config.output.name,
        "logger": ["console", "tensorboard"],
    }
    saving = {"save_freq": 50, "max_actor_ckpt_to_keep": 2, "max_critic_ckpt_to_keep": 2}
    return {"trainer": trainer | saving | {"val_before_train": bool(config.validation)}}


def _own(config: VerlConfig, checkpoint: Path | None) -> dict[str, Any]:
    """What follows from the run. Paths are absolute, for the processes of a cluster start elsewhere."""
    output = config.output.absolute()
    shared = config.model_dump(mode="json", include=set(StepConfig.model_fields))
    own: dict[str, Any] = {
        "data": {
            "train_files": [str(path.absolute()) for path in config.problems],
            "val_files": [str(path.absolute()) for path in config.validation or config.problems],
            "seed": config.seed,
            "max_prompt_length": config.max_prompt_tokens,
            "dataloader_num_workers": 0,
            "custom_cls": {"path": HOOKS, "name": "CodeRLPlusDataset"},
            "coderlplus": shared | {"output": str(output)},
        },
        "reward": {"reward_manager": {"source": "importlib", "name": "CodeRLPlusReward", "module": {"path": HOOKS}}},
        "actor_rollout_ref": {"model": {"path": config.model}},
        "critic": {"model": {"path": config.verl.get("critic", {}).get("model", {}).get("path", config.model)}},
        "trainer": {
            "default_local_dir": str(output / "checkpoints"),
            "resume_mode": "resume_path" if checkpoint else "disable",
            "resume_from_path": str(checkpoint.absolute()) if checkpoint else None,
            "v1": {
                "sampler": {
                    "custom_sampler": {"path": HOOKS, "name": "CodeRLPlusReplayBuffer"},
                    "sampler_kwargs": {
                        "filter_groups": "${algorithm.filter_groups}",
                        "train_batch_size": "${data.train_batch_size}",
                    },
                }
            },
        },
        "ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": {"TENSORBOARD_DIR": str(output / "tensorboard")}}}},
    }
    return own


def _check_keys(section: Mapping[str, Any], defaults: Any, where: Where) -> None:
    from omegaconf import OmegaConf

    known: Any = OmegaConf.to_container(defaults, resolve=False)
    names = [*_dotted(known)]
    for key in _dotted(section):
        node, parts = known, key.split(".")
        for depth, part in enumerate(parts):
            if not isinstance(node, dict) or not node or ".".join(parts[:depth]) in OPEN or key == "model_engine":
                break
            if part not in node:
                close = nearest(key, names)
                hint = f"did you mean 'verl.{close}'?" if close else "see verl's documentation of its configuration"
                raise ConfigError(f"{where(f'verl.{key}')}: unknown setting 'verl.{key}'; {hint}")
            node = node[part]


def _dotted(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of the leaves of nested mappings."""
    for name, value in data.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, key + ".")
        else:
            yield key
