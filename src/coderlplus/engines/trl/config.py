"""The configuration of a run on TRL: what it has beside `engines.config`.

The `trl:` section is handed to TRL's `GRPOConfig` (`RLOOConfig` for RLOO) unchanged, and `lora:` to peft's
`LoraConfig`; this module knows only their field names, so that a misspelt key names the nearest right one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from coderlplus.engines.config import CommonConfig, Where, checked_config, hint_at
from coderlplus.engines.settings_files import overridden_settings
from coderlplus.errors import ConfigError

OWN_TRL_KEYS = {"output_dir": "output", "resume_from_checkpoint": "output", "seed": "seed", "data_seed": "seed"}
"""Fields of TRL's configuration that follow from settings of the run."""

LIBRARY = {"trl": "TRL's configuration", "lora": "peft's LoraConfig"}
"""Whose settings a section holds."""

Algorithm = Literal["grpo", "rloo", "reinforce_plus_plus"]


class EvalConfig(BaseModel):
    """Benchmarks during training, asked as `coderlplus eval` asks them (`engines.trl.evaluation`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmarks: tuple[str, ...]
    """Names of benchmarks and files of problems (.jsonl): a list, or with commas between."""
    every: int = Field(default=50, ge=1)
    """Optimisation steps between two evaluations; there is one before the first step and one after the last."""
    limit: int | None = Field(default=None, ge=1)
    """Questions of each benchmark, at most: as many, at equal distances in the order of the set, each time the same.
    `None` is all."""
    data_dir: Path | None = None
    """Folder with the benchmarks' files; `None` is the hub."""
    temperature: float = Field(default=0.0, ge=0)
    """0 is greedy."""
    n_samples: int = Field(default=1, ge=1)
    """Samples for each question; more than one needs a temperature."""
    max_tokens: int = Field(default=4096, ge=1)
    """New tokens of a completion, at most."""
    release: str = "release_v4"
    """Of LiveCodeBench."""
    start_date: str | None = None
    """First contest day, like 2023-05-01, for LiveCodeBench."""
    end_date: str | None = None
    """Last contest day."""

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("n_samples")
    @classmethod
    def _not_greedy_several_times(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("temperature") == 0:
            raise ConfigError(f"greedy decoding gives one completion, not {value}; set eval.temperature above 0")
        return value


class RunConfig(CommonConfig):
    """A training run on TRL. Every field is a top-level key of the YAML file."""

    algorithm: Algorithm = "grpo"
    """`grpo`: TRL's `GRPOTrainer` with all its losses (GRPO, Dr. GRPO, DAPO, CISPO, GSPO, … by settings under `trl`).
    `rloo`: its `RLOOTrainer`. `reinforce_plus_plus`: the `GRPOTrainer` with the advantages of REINFORCE++
    (`engines.trl.advantages`)."""
    dynamic_sampling_rounds: int = Field(default=0, ge=0)
    """DAPO's dynamic sampling: groups in which all rewards are equal are replaced by further ones, in at most so many
    rounds of generation."""
    rewards: tuple[str, ...] = ()
    """Reward functions of your own beside ours, as `package.module.function`, of TRL's form; `trl.reward_weights` has
    a weight for ours and then one for each. Modules are looked for in the working directory too."""
    train_dataset: Path | None = None
    """Rows of your own beside the problems (JSON Lines, JSON or Parquet), in TRL's form: `prompt`, a text or chat
    messages, and columns for your functions in `rewards`, which alone reward them."""
    lora: dict[str, Any] | None = None
    """Arguments of peft's `LoraConfig`: only low-rank adapters are trained. `None` trains all weights."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of torch; `None` leaves torch's choice. The same run on another number of threads differs in the
    last digits."""
    max_prompt_tokens: int | None = Field(default=None, ge=1)
    """Problems and alignment tasks with longer prompts are left out, and counted. `None`, and anything longer, is what
    the model's context leaves beside a completion."""
    skip_zero_advantage: bool = False
    """Leave completions out of the update whose advantage is 0. The gradient is the same, the step shorter; only
    without KL and entropy terms."""
    eval: EvalConfig | None = None
    """Benchmarks at intervals."""
    trl: dict[str, Any] = Field(default_factory=dict)
    """Arguments of TRL's `GRPOConfig`, or `RLOOConfig`."""

    @field_validator("rewards", mode="before")
    @classmethod
    def _one_or_several_rewards(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("lora", mode="before")
    @classmethod
    def _no_lora(cls, value: Any) -> Any:
        return None if value is False else value


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run's YAML file; `overrides` are `key=value` with dotted keys (`trl.learning_rate=1e-5`,
    `alignment=off`), values in YAML.

    A file may begin with `base: other.yaml`: it then holds what differs from that file. Raises `ConfigError`, naming
    file, line and the nearest right key.
    """
    return make_config(*overridden_settings(path, overrides))


def make_config(data: Mapping[str, Any], where: Where = lambda key: "configuration") -> RunConfig:
    """The configuration in a mapping; `where` says for a dotted key where it was written, for messages. Raises
    `ConfigError`.

    >>> make_config({"model": "m", "problems": "p.jsonl", "output": "runs/a", "alpha": 0.5})
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: configuration: unknown setting 'alpha'; did you mean 'alignment.alpha'?
    """
    config = checked_config(
        RunConfig, data, where, sections={"eval": set(EvalConfig.model_fields)}, elsewhere=_is_trls
    )
    _check_libraries(data, where)
    return config


def trl_class(algorithm: str) -> type[Any]:
    """TRL's configuration for an algorithm (imports trl)."""
    from trl import GRPOConfig, RLOOConfig

    return RLOOConfig if algorithm == "rloo" else GRPOConfig  # type: ignore[no-any-return]


def lora_class() -> type[Any]:
    """peft's `LoraConfig`. Raises `ConfigError` without peft."""
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ConfigError("lora needs peft, which cannot be imported; install coderlplus[trl]") from error
    return LoraConfig  # type: ignore[no-any-return]


@functools.cache
def trl_fields(algorithm: str = "grpo") -> frozenset[str]:
    """The names of TRL's settings for an algorithm."""
    return frozenset(field.name for field in dataclasses.fields(trl_class(algorithm)) if field.init)


def lora_fields() -> frozenset[str]:
    """The names of peft's settings of LoRA."""
    return frozenset(field.name for field in dataclasses.fields(lora_class()) if field.init)


def _is_trls(name: str) -> str | None:
    return f"it is TRL's: did you mean 'trl.{name}'?" if name in trl_fields() else None


def _check_libraries(data: Mapping[str, Any], where: Where) -> None:
    """Raises `ConfigError` for a key of the sections `trl` and `lora` that the library does not have, and for a text
    where TRL and transformers take only a number, or true or false: they look late."""
    algorithm = str(data.get("algorithm", "grpo"))
    for section in ("trl", "lora"):
        part = data.get(section)
        if not isinstance(part, Mapping) or not part:
            continue
        fields = trl_fields(algorithm) if section == "trl" else lora_fields()
        for name in part:
            key = f"{section}.{name}"
            if section == "trl" and name in OWN_TRL_KEYS:
                raise ConfigError(
                    f"{where(key)}: {key!r} follows from the run; set {OWN_TRL_KEYS[name]!r} at the top level instead"
                )
            if name not in fields:
                raise ConfigError(
                    f"{where(key)}: unknown setting {key!r}; {_unknown(str(name), section, fields, algorithm)}"
                )
        for field in dataclasses.fields(trl_class(algorithm)) if section == "trl" else ():
            value = part.get(field.name)
            kinds = {kind for kind in get_args(field.type) or (field.type,) if kind is not type(None)}
            if isinstance(value, str) and kinds <= {int, float, bool}:
                wanted = "true or false" if kinds == {bool} else "a number"
                key = f"trl.{field.name}"
                raise ConfigError(f"{where(key)}: {key} must be {wanted}, not {value[:60]!r}")


def _unknown(name: str, section: str, fields: Collection[str], algorithm: str) -> str:
    if section == "trl" and algorithm == "rloo" and name in trl_fields("grpo"):
        return "TRL has it for GRPO and not for RLOO"
    if section == "trl" and algorithm != "rloo" and name in trl_fields("rloo"):
        return "TRL has it only for RLOO (algorithm: rloo)"
    return hint_at(name, section, fields, library=LIBRARY[section])
