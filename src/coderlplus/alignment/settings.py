"""The settings of execution semantics alignment, with the paper's values as defaults where the paper gives them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from coderlplus import moved
from coderlplus.alignment.kinds import DEFAULT, KINDS
from coderlplus.errors import ConfigError

TaskSampling = Literal["recent", "uniform", "solvable"]
RolloutSource = Literal["failed", "passed", "random"]
PromptStyle = Literal["full", "compact"]
Objective = Literal["reward", "supervised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentConfig:
    """Settings of execution semantics alignment. Raises `ConfigError` for a value out of range.

    >>> AlignmentConfig(kinds={"final_values": 0.75, "exception": 0.25}).shares
    {'final_values': 0.75, 'exception': 0.25}
    """

    alpha: float = 0.6
    """Share of code problems in a batch, in [0, 1) (paper, section 3: B = α·B_code + (1−α)·B_align). 0 is alignment
    only, once there are tasks."""
    weight: float | None = None
    """λ of alignment as a term of its own: the batch keeps all its problems, tasks are added until the share of
    problems is `alpha`, and the loss is the mean over code plus λ times the mean over alignment. `None`: tasks take
    the place of problems, and the loss is one mean over all."""
    objective: Objective = "reward"
    """What the term of `weight` is. `reward`: sampled answers and their rewards, as everywhere. `supervised`: the
    cross-entropy of the known answer, for which nothing is sampled."""
    kinds: str | Mapping[str, float] = DEFAULT
    """One kind of task (`alignment.kinds` lists them), or several with their shares of the tasks in a batch, which add
    up to 1."""
    format_weight: float = 0.1
    """w of R_sem = w + (1 − w) · fraction, in [0, 1); 0 is the paper's formula, 0.1 the published code's."""
    max_variables: int = 3
    """Maximum number of variables asked for, in addition to the output."""
    source: RolloutSource = "failed"
    """Which rollouts become tasks: failed ones (the paper), passed ones, or random ones (its ablations)."""
    start_step: int = 0
    """Number of steps at the start without alignment tasks, even if the buffer is full."""
    buffer_size: int = 20_000
    """Maximum number of tasks; the oldest are dropped first."""
    sampling: TaskSampling = "recent"
    """`recent`: tasks of the latest steps first, random within a step. `uniform`: random from the whole buffer.
    `solvable`: tasks that were not drawn yet first, then random by the variance of the rewards of their last group,
    those without variance last."""
    max_task_age: int | None = None
    """Maximum number of steps between the rollout and the batch that asks about it; older tasks leave the buffer.
    `None`: no maximum."""
    task_file: str | None = None
    """Fixed tasks (JSONL, as `coderlplus tasks` writes them): nothing is mined, the tasks are off-policy (an ablation
    of the paper)."""
    mine_per_step: int = 1024
    """Maximum number of programs traced per step. Of more candidates a seeded choice is traced, spread over as many
    problems as possible."""
    prompt_style: PromptStyle = "full"
    """`full` explains the question in words; `compact` asks the same in one line, for models too small to read
    instructions."""
    max_program_chars: int = 4_000
    """Longer programs (without comments) make no task."""
    max_prompt_chars: int = 8_000
    """Longer prompts make no task; an engine also filters by tokens."""
    max_value_chars: int = 300
    """Variables with a longer Python literal are not asked for; a longer output makes no task."""
    max_complexity: int = 25
    """Programs of a higher cyclomatic complexity make no task."""

    def __new__(cls, *_: Any, **settings: Any) -> Self:
        """Refuse settings by the names of earlier versions."""
        for name in settings:
            moved.refuse(f"alignment.{name}")
        return object.__new__(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind, _, optional = str(field.type).partition(" | ")
            if kind in ("int", "float") and not (optional and value is None):
                wanted = "a number" if kind == "float" else "a whole number"
                if isinstance(value, bool) or not isinstance(value, (int, float) if kind == "float" else int):
                    raise ConfigError(f"{field.name} must be {wanted}, not {value!r}")
        if not 0 <= self.alpha < 1:
            raise ConfigError(
                f"alpha must be in [0, 1), not {self.alpha}: it is the share of code problems; for plain RLVR leave "
                "alignment out"
            )
        if not 0 <= self.format_weight < 1:
            raise ConfigError(f"format_weight must be in [0, 1), not {self.format_weight}")
        for field in dataclasses.fields(self):
            lowest = 0 if field.name == "start_step" else 1
            if field.type == "int" and getattr(self, field.name) < lowest:
                raise ConfigError(f"{field.name} must be at least {lowest}, not {getattr(self, field.name)}")
        if self.max_task_age is not None and self.max_task_age < 1:
            raise ConfigError(
                f"max_task_age must be at least 1, not {self.max_task_age}: tasks come from failures up to the step "
                "before"
            )
        if self.task_file is not None and not isinstance(self.task_file, str):
            raise ConfigError(f"task_file must be the path of a file, not {self.task_file!r}")
        if self.task_file is not None and self.max_task_age is not None:
            raise ConfigError("task_file and max_task_age exclude each other: the tasks of a fixed file have no age")
        self._check_kinds()
        choices: Any
        for name, choices in {
            "sampling": TaskSampling,
            "source": RolloutSource,
            "prompt_style": PromptStyle,
            "objective": Objective,
        }.items():
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(f"{name} must be one of {', '.join(get_args(choices))}, not {getattr(self, name)!r}")

        self._check_term()

    @property
    def shares(self) -> dict[str, float]:
        """The share of each kind, in the order given."""
        return {self.kinds: 1.0} if isinstance(self.kinds, str) else dict(self.kinds)

    def _check_term(self) -> None:
        if self.weight is not None and not 0 < self.weight < math.inf:
            raise ConfigError(
                f"weight must be a number above 0, not {self.weight}: it multiplies the alignment term; for plain "
                "RLVR leave alignment out"
            )
        if self.weight is not None and self.alpha == 0:
            raise ConfigError("weight adds tasks to a batch of problems, and alpha 0 has none; set alpha above 0")
        if self.objective == "supervised" and self.weight is None:
            raise ConfigError("objective supervised is a term of its own in the loss; set weight too, such as 1")
        if self.objective == "supervised" and self.sampling == "solvable":
            raise ConfigError(
                "sampling solvable goes by rewards, and objective supervised has none; take recent or uniform"
            )

    def _check_kinds(self) -> None:
        is_known = isinstance(self.kinds, str | Mapping) and self.kinds
        for name in self.shares if is_known else (self.kinds,):
            if not is_known or name not in KINDS:
                raise ConfigError(
                    f"kinds must be one of {', '.join(KINDS)}, or several of them with their shares, not {name!r}"
                )
        for name, share in self.shares.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
                raise ConfigError(f"the share of {name} in kinds must be in (0, 1], not {share!r}")
        total = math.fsum(self.shares.values())
        if abs(total - 1) > 1e-6:
            raise ConfigError(f"the shares in kinds must add up to 1, not {total:g}")
