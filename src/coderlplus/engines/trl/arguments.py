"""From the configuration of a run to TRL's and peft's own."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coderlplus.engines.resuming import flat
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.config import RunConfig, lora_class, trl_class
from coderlplus.engines.trl.versions import check_trainer
from coderlplus.errors import ConfigError, counted

REPORTS = {
    name: name
    for name in ("wandb", "mlflow", "comet_ml", "clearml", "swanlab", "trackio", "codecarbon", "dvclive", "neptune")
} | {"tensorboard": "tensorboard", "flyte": "flytekit", "dagshub": "dagshub"}
"""Where transformers reports to → the module that it needs."""


def trl_settings(config: RunConfig) -> dict[str, Any]:
    """The `trl` section over our defaults: every step logged, two checkpoints kept, and on a CPU what a CPU can do."""
    import torch

    defaults: dict[str, Any] = {
        "logging_steps": 1,
        "save_steps": 50,
        "save_total_limit": 2,
        "report_to": ["tensorboard"],
        "disable_tqdm": True,
    }
    if config.trl.get("use_cpu", not torch.cuda.is_available()):
        defaults |= {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}
    return defaults | config.trl


def trl_arguments(config: RunConfig, run: RunFolder) -> Any:
    """TRL's `GRPOConfig` or `RLOOConfig`. Raises `ConfigError` for what TRL refuses."""
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(run.path / "tensorboard")
    made = trl_class(config.algorithm)
    try:
        arguments = made(**config.trl, output_dir=str(run.checkpoints), seed=config.seed)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"trl: {' '.join(str(error).split())}") from error
    for name in arguments.report_to:
        module = REPORTS.get(name)
        if module is not None and importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"trl.report_to: {name} is not installed; pip install {module}, or set trl.report_to=tensorboard"
            )
    if config.skip_zero_advantage and (config.algorithm == "rloo" or not _zero_advantage_has_no_effect(arguments)):
        raise ConfigError(
            "skip_zero_advantage needs loss_type grpo, dapo or cispo, and neither beta nor an entropy or vLLM "
            "correction; turn it off"
        )
    if config.alignment and config.alignment.weight is not None and (over := _over_the_batch(arguments)):
        raise ConfigError(
            f"alignment.weight keeps code and alignment apart, and {over} normalises advantages over both; leave one "
            "of them out"
        )
    if config.algorithm == "reinforce_plus_plus" and arguments.multi_objective_aggregation != "sum_then_normalize":
        raise ConfigError("reinforce_plus_plus has one reward: leave trl.multi_objective_aggregation out")
    return arguments


def added_multiple(args: Any, objective: str) -> int:
    """What the number of added tasks must be a multiple of, so that every process and every update has as many of
    their rows: `num_generations` a task or, `supervised`, one. `args` are TRL's."""
    rows = 1 if objective == "supervised" else args.num_generations
    size = args.world_size * updates(args)
    return math.lcm(args.world_size, size // math.gcd(size, rows))


def updates(args: Any) -> int:
    """Equal parts of a generation batch of which every update has whole ones."""
    steps: int = args.steps_per_generation
    return steps // math.gcd(steps, args.gradient_accumulation_steps)


def setting_defaults(config: RunConfig) -> dict[str, Any]:
    """What every setting is that a configuration leaves out, by dotted key."""
    trls = {f"trl.{field.name}": field.default for field in dataclasses.fields(trl_class(config.algorithm))}
    ours = type(config)(model="", problems=(), output=Path()).model_dump(mode="json")
    return flat(ours) | trls


def trainer_class(config: RunConfig) -> Any:
    """The trainer of the algorithm. Raises `ConfigError` where the installed TRL has not what it overrides."""
    from trl import GRPOTrainer, RLOOTrainer

    check_trainer(RLOOTrainer if config.algorithm == "rloo" else GRPOTrainer)
    from coderlplus.engines.trl.trainer import CodeRLPlusGRPO, CodeRLPlusReinforcePlusPlus, CodeRLPlusRLOO

    return {"grpo": CodeRLPlusGRPO, "rloo": CodeRLPlusRLOO, "reinforce_plus_plus": CodeRLPlusReinforcePlusPlus}[
        config.algorithm
    ]


def own_rewards(config: RunConfig) -> list[Callable[..., Any]]:
    """The reward functions that `rewards` names. Raises `ConfigError` for one that cannot be imported or called, and
    where it or its weight would be ignored."""
    weights = config.trl.get("reward_weights")
    if weights is not None and len(weights) != len(config.rewards) + 1:
        raise ConfigError(
            f"trl.reward_weights has {counted(len(weights), 'weight')} for "
            f"{counted(len(config.rewards) + 1, 'reward')}: ours, then each of rewards"
        )
    if config.train_dataset is not None and not config.rewards:
        raise ConfigError("the rows of train_dataset would have no reward: name a function of yours under rewards")
    if config.rewards and config.algorithm == "reinforce_plus_plus":
        raise ConfigError("reinforce_plus_plus has one reward: leave rewards out, or take another algorithm")
    return [_imported(name) for name in config.rewards]


def _imported(name: str) -> Callable[..., Any]:
    module, _, function = name.replace(":", ".").rpartition(".")
    here = str(Path.cwd())
    try:
        sys.path.insert(0, here)
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise ConfigError(
            f"rewards: cannot import {name!r} ({error}); write package.module.function, of a module here or installed"
        ) from error
    finally:
        sys.path.remove(here)
    if not callable(found):
        raise ConfigError(f"rewards: {name} is no function, but {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def lora_config(settings: Mapping[str, Any] | None, key: str = "lora") -> Any:
    """peft's `LoraConfig` of the section `key`, or `None` without. Raises `ConfigError` for what peft refuses."""
    if settings is None:
        return None
    made = lora_class()
    try:
        return made(**{"task_type": "CAUSAL_LM", **settings})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{key}: {' '.join(str(error).split())}") from error


def _over_the_batch(arguments: Any) -> str | None:
    """The setting by which TRL computes advantages over the whole batch, and not over a group."""
    settings = {
        "scale_rewards": "batch",
        "multi_objective_aggregation": "normalize_then_sum",
        "normalize_advantages": True,
    }
    found = (name for name, value in settings.items() if getattr(arguments, name, None) == value)
    return next((f"trl.{name} {getattr(arguments, name)}" for name in found), None)


def _zero_advantage_has_no_effect(arguments: Any) -> bool:
    """Whether a completion with advantage 0 contributes nothing to the gradient, and `tensors.without_zero_advantage`
    knows its loss."""
    extra = (
        arguments.beta
        or arguments.entropy_coef
        or arguments.use_adaptive_entropy
        or arguments.use_vllm
        or arguments.top_entropy_quantile < 1
    )
    return not extra and arguments.loss_type in ("grpo", "dapo", "cispo")
