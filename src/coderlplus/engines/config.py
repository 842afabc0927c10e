"""The configuration of a run, as far as all engines share it, checked before anything heavy is loaded.

`engines.settings_files` reads it; `engines.trl.config` and `engines.verl.config` have what differs.

Relative paths are relative to the working directory, that of a `base:` to its file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_validator

from coderlplus import moved
from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.errors import ConfigError
from coderlplus.loop import Row
from coderlplus.problems.prompts import conversation, known_template, user_message
from coderlplus.records import OwnRow
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends import DEFAULT, check_backend, open_sandbox

Config = TypeVar("Config", bound="StepConfig")
Where = Callable[[str], str]
"""Says for a dotted key where it was written, for messages."""


class SandboxConfig(BaseModel):
    """How model-written programs are run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str = DEFAULT
    """Where: `local`, `ray` or `sandboxfusion` . With one that cannot trace, mining stays local."""
    address: str | None = None
    """Of the Ray cluster (such as `auto`; `null` is the one that Ray is connected to), or the URL of the SandboxFusion
    service."""
    workers: int | None = Field(default=None, ge=1)
    """Programs that run at the same time, in each process; `None` is one a CPU, divided among the processes of the
    machine."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Longest time, in seconds, that the programs of a generation batch are judged, and that a step waits for its
    failures to be traced. What is not judged by then has no reward, as where the sandbox failed; what is not traced
    makes no task."""
    in_process_checks: bool = False
    """Whether a pass by test code that runs in the process of the program (`in_process` of a check test) has a reward.
    The program could have forged it, so by default it has none, as where the sandbox failed."""

    @model_validator(mode="after")
    def _known_backend(self) -> Self:
        check_backend(self.backend, self.address)
        return self

    @property
    def is_here(self) -> bool:
        """Whether programs run on this machine."""
        return not check_backend(self.backend, self.address).address

    def open(self, here: int | None, elsewhere: int | None = None) -> AnySandbox:
        """The sandbox that judges: on this machine with `here` workers, elsewhere with `elsewhere` (`None`: the
        default of the back end)."""
        return open_sandbox(self.backend, workers=here if self.is_here else elsewhere, address=self.address)

    def open_for_tracing(self, here: int | None, elsewhere: int | None = None) -> AnySandbox:
        """The sandbox that traces: a local one where the back end cannot trace."""
        can_trace = check_backend(self.backend, self.address).can_trace
        return self.open(here, elsewhere) if can_trace else open_sandbox(workers=here)


class StepConfig(BaseModel):
    """What a step of CodeRL+ needs to know on every engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system_prompt: str | None = None
    """System message before every prompt."""
    prompt_template: str | None = None
    """User message of a problem, with `PROMPT_FIELDS` in braces; `None` is our own wording (`problems.prompts`)."""
    samples_every: int = Field(default=10, ge=1)
    """Every so many generation batches, two consecutive ones are written to samples.jsonl."""
    alignment: AlignmentConfig | None = AlignmentConfig()
    """Execution semantics alignment; `off` (or `alpha: 1.0`) is plain RLVR."""
    sandbox: SandboxConfig = SandboxConfig()

    @field_validator("alignment", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return None if value is False else value
        is_off = value.get("alpha") == 1 and value["alpha"] is not True
        return None if is_off else AlignmentConfig(**value)

    @field_validator("prompt_template")
    @classmethod
    def _known_fields(cls, value: str | None) -> str | None:
        return known_template(value)

    @field_serializer("alignment")
    def _alignment_or_off(self, value: AlignmentConfig | None) -> Any:
        return False if value is None else dataclasses.asdict(value)

    def messages(self, row: Row) -> list[dict[str, str]]:
        """The chat messages of a row; those of the user's own stay as they are."""
        if isinstance(row, OwnRow):
            given = row.prompt
            return conversation(given, self.system_prompt) if isinstance(given, str) else [dict(one) for one in given]
        return conversation(user_message(row, self.prompt_template), self.system_prompt)


class CommonConfig(StepConfig):
    """What a run has on every engine."""

    model: str
    """A folder or a name on the Hugging Face hub: a causal language model with a tokenizer that has a chat
    template."""
    problems: tuple[Path, ...]
    """One path or several: problems as JSONL, or another format that `coderlplus.problems` knows."""
    output: Path
    """The run folder."""
    seed: int = 0
    """Of everything random: batches, tasks, sampling."""

    @field_validator("problems", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value

    def to_yaml(self) -> str:
        """The YAML text from which an equal configuration is made."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def checked_config(
    kind: type[Config],
    data: Mapping[str, Any],
    where: Where,
    *,
    sections: Mapping[str, Collection[str]] | None = None,
    elsewhere: Callable[[str], str | None] = lambda name: None,
) -> Config:
    """The configuration of an engine in a mapping. Raises `ConfigError`, naming the nearest right key.

    `sections` names the settings of sections that only this engine has. `elsewhere` says where a key belongs that is
    not ours, or `None`.
    """
    shared: dict[str, Collection[str]] = {
        "": set(kind.model_fields),
        "alignment": {field.name for field in dataclasses.fields(AlignmentConfig)},
        "sandbox": set(SandboxConfig.model_fields),
    }
    for section, names in (shared | dict(sections or {})).items():
        part = data.get(section) if section else data
        for name in part if isinstance(part, Mapping) else ():
            if name not in names:
                key = f"{section}.{name}" if section else str(name)
                moved.refuse(key, where(key))
                others = [f"{one}.{name}" if one else name for one in shared if one != section and name in shared[one]]
                hint = f"did you mean '{others[0]}'?" if others else hint_at(str(name), section, names, elsewhere)
                raise ConfigError(f"{where(key)}: unknown setting {key!r}; {hint}")
    try:
        return kind(**data)
    except ConfigError:
        raise
    except ValidationError as error:
        raise told(error.errors()[0], where) from error


def told(error: Any, where: Where) -> ConfigError:
    """An error in pydantic's list as ours."""
    key = ".".join(str(part) for part in error["loc"] if not isinstance(part, int))
    if error["type"] == "missing":
        return ConfigError(f"{where(key)}: the setting {key!r} is missing")
    cause = (error.get("ctx") or {}).get("error")
    reason = str(cause) if isinstance(cause, ConfigError) else f"{_plain(error['msg'])}, not {error['input']!r}"
    return ConfigError(f"{where(key)}: {key + ': ' if key else ''}{reason}")


def hint_at(
    name: str,
    section: str,
    names: Collection[str],
    elsewhere: Callable[[str], str | None] = lambda name: None,
    *,
    library: str = "",
) -> str:
    """A hint: the nearest right name in a section, what `elsewhere` says, or all names; for many, the documentation of
    the `library`."""
    close = moved.nearest_name(name, section, names)
    if close:
        return f"did you mean '{section}.{close}'?" if section else f"did you mean '{close}'?"
    if len(names) >= 30 and library:
        return f"see the documentation of {library}"
    return elsewhere(name) or f"the settings there are {', '.join(sorted(names))}"


def _plain(message: str) -> str:
    """A pydantic message as the middle of a sentence."""
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]
