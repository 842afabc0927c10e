"""The configuration of a run, checked before anything heavy is loaded; `engines.settings_files` reads it.

The `trl:` section is handed to TRL's `GRPOConfig` (`RLOOConfig` for RLOO) unchanged, and `lora:` to peft's `LoraConfig`; this module knows only their
field names, so that a misspelt key names the nearest right one. Relative paths are relative to the working directory, that of a `base:` to its file.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import string
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_serializer, field_validator

from coderlplus.alignment.settings import AlignmentSettings
from coderlplus.engines.settings_files import overridden_settings
from coderlplus.errors import ConfigError

PROMPT_FIELDS = ("statement", "starter_code", "entry_point", "setup_code")
"""What a `prompt_template` may name in braces: fields of a `Problem`."""

OWN_TRL_KEYS = {"output_dir": "output", "seed": "seed", "data_seed": "seed"}
"""Fields of TRL's configuration that follow from settings of the run."""

LIBRARY = {"trl": "TRL's configuration", "lora": "peft's LoraConfig"}
"""Whose settings a section holds."""

Algorithm = Literal["grpo", "rloo", "reinforce_plus_plus"]
Config = TypeVar("Config", bound="CommonConfig")


class SandboxConfig(BaseModel):
    """How model-written programs are run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int | None = Field(default=None, ge=1)
    """Programs that run at the same time, in each process; `None` is one a CPU, divided among the processes of the machine."""
    max_wait_s: float = Field(default=600.0, gt=0)
    """Longest time, in seconds, that the programs of a generation batch are judged, and that a step waits for its failures to be traced. What is not
    judged by then has no reward, as where the sandbox failed; what is not traced makes no task."""
    in_process_checks: bool = False
    """Whether a pass by test code that runs in the process of the program (`in_process` of a check test) has a reward. The program could have forged
    it, so by default it has none, as where the sandbox failed."""


class EvalConfig(BaseModel):
    """Benchmarks during training, asked as `coderlplus eval` asks them (`engines.benchmarks`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmarks: tuple[str, ...]
    """Names of benchmarks and files of problems (.jsonl): a list, or with commas between."""
    every: int = Field(default=50, ge=1)
    """Optimisation steps between two evaluations; there is one before the first step and one after the last."""
    limit: int | None = Field(default=None, ge=1)
    """Questions of each benchmark, at most: as many, at equal distances in the order of the set, each time the same. `None` is all."""
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


class CommonConfig(BaseModel):
    """What a run has on every engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """A folder or a name on the Hugging Face hub: a causal language model with a tokenizer that has a chat template."""
    problems: tuple[Path, ...]
    """One path or several: problems as JSONL, or another format that `coderlplus.problems` knows."""
    output: Path
    """The run folder."""
    seed: int = 0
    """Of everything random: batches, tasks, sampling."""
    system_prompt: str | None = None
    """System message before every prompt."""
    prompt_template: str | None = None
    """User message of a problem, with `PROMPT_FIELDS` in braces; `None` is our own wording (`engines.prompts`)."""
    samples_every: int = Field(default=10, ge=1)
    """Every so many generation batches, two consecutive ones are written to samples.jsonl."""
    alignment: AlignmentSettings | None = AlignmentSettings()
    """Execution semantics alignment; `off` (or `alpha: 1.0`) is plain RLVR."""
    sandbox: SandboxConfig = SandboxConfig()

    @field_validator("problems", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value

    @field_validator("alignment", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return alignment_settings(value)

    @field_validator("prompt_template")
    @classmethod
    def _known_fields(cls, value: str | None) -> str | None:
        return known_template(value)

    @field_serializer("alignment")
    def _alignment_or_off(self, value: AlignmentSettings | None) -> Any:
        return False if value is None else dataclasses.asdict(value)

    def to_yaml(self) -> str:
        """The YAML text from which an equal configuration is made."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def alignment_settings(value: Any) -> Any:
    """`AlignmentSettings` of a mapping, `None` for `off` and for `alpha: 1`; anything else as it is. Raises `ConfigError`."""
    if value is False or value is None or (isinstance(value, Mapping) and value.get("alpha") == 1 and value["alpha"] is not True):
        return None
    return AlignmentSettings(**value) if isinstance(value, Mapping) else value


def known_template(value: str | None) -> str | None:
    """The template, if it names only `PROMPT_FIELDS`. Raises `ConfigError`."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(value or "") if name is not None]
    except ValueError as error:
        raise ConfigError(f"the template {value!r} cannot be read ({error}); write {{{{ and }}}} for braces that name no field") from None
    for name in names:
        if name not in PROMPT_FIELDS:
            raise ConfigError(f"unknown field {{{name}}}; a template may use {', '.join(f'{{{field}}}' for field in PROMPT_FIELDS)}")
    return value


class RunConfig(CommonConfig):
    """A training run on TRL. Every field is a top-level key of the YAML file."""

    algorithm: Algorithm = "grpo"
    """`grpo`: TRL's `GRPOTrainer` with all its losses (GRPO, Dr. GRPO, DAPO, CISPO, GSPO, … by settings under `trl`). `rloo`: its `RLOOTrainer`.
    `reinforce_plus_plus`: the `GRPOTrainer` with the advantages of REINFORCE++ (`engines.advantages`)."""
    dynamic_sampling_rounds: int = Field(default=0, ge=0)
    """DAPO's dynamic sampling: groups in which all rewards are equal are replaced by further ones, in at most so many rounds of generation."""
    lora: dict[str, Any] | None = None
    """Arguments of peft's `LoraConfig`: only low-rank adapters are trained. `None` trains all weights."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of torch; `None` leaves torch's choice. The same run on another number of threads differs in the last digits."""
    max_prompt_tokens: int | None = Field(default=None, ge=1)
    """Problems and alignment tasks with longer prompts are left out, and counted."""
    skip_zero_advantage: bool = False
    """Leave completions out of the update whose advantage is 0. The gradient is the same, the step shorter; only without KL and entropy terms."""
    eval: EvalConfig | None = None
    """Benchmarks at intervals."""
    trl: dict[str, Any] = Field(default_factory=dict)
    """Arguments of TRL's `GRPOConfig`, or `RLOOConfig`."""

    @field_validator("lora", mode="before")
    @classmethod
    def _no_lora(cls, value: Any) -> Any:
        return None if value is False else value


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run's YAML file; `overrides` are `key=value` with dotted keys (`trl.learning_rate=1e-5`, `alignment=off`), values in YAML.

    A file may begin with `base: other.yaml`: it then holds what differs from that file. Raises `ConfigError`, naming file, line and the nearest right
    key.
    """
    return make_config(*overridden_settings(path, overrides))


def make_config(data: Mapping[str, Any], where: Callable[[str], str] = lambda key: "configuration") -> RunConfig:
    """The configuration in a mapping; `where` says for a dotted key where it was written, for messages. Raises `ConfigError`.

    >>> make_config({"model": "m", "problems": "p.jsonl", "output": "runs/a", "alpha": 0.5})
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: configuration: unknown setting 'alpha'; did you mean 'alignment.alpha'?
    """
    return checked_config(RunConfig, data, where)


def checked_config(kind: type[Config], data: Mapping[str, Any], where: Callable[[str], str]) -> Config:
    """`make_config` for the configuration of any engine."""
    _check_keys(data, where, kind)
    try:
        return kind(**data)
    except ConfigError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
        if first["type"] == "missing":
            raise ConfigError(f"{where('')}: the setting {key!r} is missing") from error
        cause = (first.get("ctx") or {}).get("error")
        reason = str(cause) if isinstance(cause, ConfigError) else f"{plain(first['msg'])}, not {first['input']!r}"
        raise ConfigError(f"{where(key)}: {key}: {reason}") from error


@functools.cache
def trl_fields(algorithm: str = "grpo") -> frozenset[str]:
    """The names of TRL's settings for an algorithm (imports trl)."""
    from trl import GRPOConfig, RLOOConfig

    config = RLOOConfig if algorithm == "rloo" else GRPOConfig
    return frozenset(field.name for field in dataclasses.fields(config) if field.init)


def lora_fields() -> frozenset[str]:
    """The names of peft's settings of LoRA. Raises `ConfigError` without peft."""
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ConfigError("lora needs the library peft, which cannot be imported; install coderlplus[trl]") from error
    return frozenset(field.name for field in dataclasses.fields(LoraConfig) if field.init)


def _check_keys(data: Mapping[str, Any], where: Callable[[str], str], kind: type[CommonConfig]) -> None:
    sections = {
        "": set(kind.model_fields),
        "alignment": {field.name for field in dataclasses.fields(AlignmentSettings)},
        "sandbox": set(SandboxConfig.model_fields),
        "eval": set(EvalConfig.model_fields),
    }
    for section, names in sections.items():
        part = data if not section else data.get(section)
        if not isinstance(part, Mapping):
            continue
        for name in part:
            if name not in names:
                key = f"{section}.{name}" if section else str(name)
                raise ConfigError(f"{where(key)}: unknown setting {key!r}; {_hint(str(name), section, sections, kind)}")
    algorithm = str(data.get("algorithm", "grpo"))
    for section in ("trl", "lora"):
        part = data.get(section)
        if not isinstance(part, Mapping) or not part:
            continue
        fields = trl_fields(algorithm) if section == "trl" else lora_fields()
        for name in part:
            key = f"{section}.{name}"
            if section == "trl" and name in OWN_TRL_KEYS:
                raise ConfigError(f"{where(key)}: {key!r} follows from the run; set {OWN_TRL_KEYS[name]!r} at the top level instead")
            if name not in fields:
                raise ConfigError(f"{where(key)}: unknown setting {key!r}; {_unknown(str(name), section, fields, algorithm)}")


def _unknown(name: str, section: str, fields: Collection[str], algorithm: str) -> str:
    if section == "trl" and algorithm == "rloo" and name in trl_fields("grpo"):
        return "TRL has it for GRPO and not for RLOO"
    if section == "trl" and algorithm != "rloo" and name in trl_fields("rloo"):
        return "TRL has it for RLOO (algorithm: rloo) alone"
    return _nearest(name, section, fields)


def _hint(name: str, section: str, sections: Mapping[str, Collection[str]], kind: type[CommonConfig]) -> str:
    """Where a misplaced or misspelt key belongs."""
    for other, names in sections.items():
        if other not in (section, "eval") and name in names:
            return f"did you mean '{f'{other}.{name}' if other else name}'?"
    if kind is RunConfig and not difflib.get_close_matches(name, list(sections[section])) and name in trl_fields():
        return f"it is TRL's: did you mean 'trl.{name}'?"
    return _nearest(name, section, sections[section])


def _nearest(name: str, section: str, names: Collection[str]) -> str:
    prefix = f"{section}." if section else ""
    close = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    if close:
        return f"did you mean '{prefix}{close[0]}'?"
    return f"the settings there are {', '.join(sorted(names))}" if len(names) < 30 else f"see the documentation of {LIBRARY[section]}"


def plain(message: str) -> str:
    """A pydantic message as the middle of a sentence."""
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]
