"""The settings of execution semantics alignment, with the paper's values as defaults where the paper gives them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

from coderlplus.errors import ConfigError

Kind = Literal["final_values", "output"]
Policy = Literal["recent", "uniform"]
Source = Literal["failed", "passed", "random"]
PromptStyle = Literal["full", "compact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentSettings:
    """Raises `ConfigError` for a value out of range.

    >>> AlignmentSettings(alpha=0.5, policy="uniform").alpha
    0.5
    """

    alpha: float = 0.6
    """Share of code problems in a batch, in [0, 1) (paper, section 3: B = α·B_code + (1−α)·B_align). 0 is alignment alone, when there are tasks."""
    kind: Kind = "final_values"
    """`final_values`: the output and variables. `output`: the output alone (the paper's ablation)."""
    format_weight: float = 0.1
    """w of R_sem = w + (1 − w) · fraction, in [0, 1); 0 is the paper's formula, 0.1 the published code's."""
    max_variables: int = 3
    """Variables asked for beside the output, at most."""
    source: Source = "failed"
    """Which rollouts become tasks: those that failed (the paper), those that passed, or all alike (its ablations)."""
    warmup_steps: int = 0
    """Steps at the start that are all code, however full the buffer is."""
    buffer_size: int = 20_000
    """Tasks kept; the oldest go first."""
    policy: Policy = "recent"
    """`recent`: the tasks of the latest steps first, at random within a step. `uniform`: at random from the whole buffer."""
    mine_per_step: int = 1024
    """Programs traced per step, at most; of more candidates a seeded choice is traced."""
    prompt_style: PromptStyle = "full"
    """`full` explains the question in words; `compact` asks the same in one line, for models too small to read instructions."""
    max_program_chars: int = 4_000
    """Longer programs (comments not counted) make no task."""
    max_prompt_chars: int = 8_000
    """Longer prompts make no task; an engine filters by its own tokens besides."""
    max_value_chars: int = 300
    """Variables whose value is longer as a Python literal are not asked for; a longer output makes no task."""
    max_complexity: int = 25
    """Programs of a higher cyclomatic complexity make no task."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in ("int", "float"):
                kinds = (int, float) if field.type == "float" else int
                if isinstance(value, bool) or not isinstance(value, kinds):
                    raise ConfigError(f"{field.name} must be {'a number' if field.type == 'float' else 'a whole number'}, not {value!r}")
        if not 0 <= self.alpha < 1:
            raise ConfigError(f"alpha must be in [0, 1), not {self.alpha}: it is the share of code problems; for plain RLVR leave alignment out")
        if not 0 <= self.format_weight < 1:
            raise ConfigError(f"format_weight must be in [0, 1), not {self.format_weight}")
        for name, lowest in {"max_variables": 1, "warmup_steps": 0, "buffer_size": 1, "mine_per_step": 1}.items():
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} must be at least {lowest}, not {getattr(self, name)}")
        for name in ("max_program_chars", "max_prompt_chars", "max_value_chars", "max_complexity"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, choices in {"kind": Kind, "policy": Policy, "source": Source, "prompt_style": PromptStyle}.items():
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(f"{name} must be one of {', '.join(get_args(choices))}, not {getattr(self, name)!r}")
