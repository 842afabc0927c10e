"""The settings of a study. `train` holds what `coderlplus train` takes, without model, problems, output and seed,
which follow from the study; an arm names what it has different. `loading.py` reads and checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationInfo, field_validator, model_validator

from coderlplus.alignment.kinds import DEFAULT, KINDS
from coderlplus.engines.config import SandboxConfig
from coderlplus.engines.settings_files import over
from coderlplus.errors import ConfigError, nearest
from coderlplus.problems.prompts import conversation, user_message
from coderlplus.records import AlignmentTask, Problem
from coderlplus_lab.world.first import FIRST
from coderlplus_lab.world.reading import READING
from coderlplus_lab.world.rules import Rules
from coderlplus_lab.world.settings import WarmStartSettings

Split = Literal["train", "validation", "test"]
Measured = Literal[
    "pass_at_1_sampled",
    "pass_at_1_again",
    "pass_at_1_greedy",
    "pass_at_1_without",
    "pass_at_k",
    "output_accuracy",
    "all_variables_accuracy",
    "test_output_accuracy",
    "claims_true",
]
"""What is measured of a model."""
FOLLOWS = ("model", "problems", "output", "seed")
"""Settings of a run that the study makes."""
OFF_POLICY_TASKS = "{failed_tasks}"
"""As `alignment.task_file`: tasks from failures of the arm's initial model, made once before the run."""
TEST_OUTPUT = "test_output"
"""The kind of question: what does a right program give on this input? The statement is shown, and no program."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def rules_of(name: str | None) -> Rules:
    """The rules of the world with a name; without one those of the first."""
    return READING if name == READING.name else FIRST


class World(Section):
    """Problems of a small world, drawn with `seed`, the same for all arms and seeds."""

    name: Literal["reading"] | None = None
    """`reading`: the world in which writing needs reading (`world/reading.py`). `None`: the first world."""
    seed: int = 0
    operations: tuple[int, ...] = (2, 2, 3)
    """How many operations a program has, drawn from these: 2 or 3; in `reading` 4 or 5."""
    train_problems: int = Field(default=4000, ge=1)
    validation_problems: int = Field(default=128, ge=2)
    test_problems: int = Field(default=800, ge=2)
    taught_questions: int = Field(default=600, ge=1)
    """Questions of a kind that warm starts draw from."""
    validation_tasks: int | None = Field(default=None, ge=1)
    test_tasks: int | None = Field(default=None, ge=1)
    """Held-out alignment tasks on programs of their own; null: one on the reference of each held-out problem, and a
    question for its test output."""

    @field_validator("operations")
    @classmethod
    def _sizes(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        sizes = rules_of(info.data.get("name")).sizes
        if not value or not set(value) <= set(sizes):
            raise ConfigError(f"a program has {' or '.join(map(str, sizes))} operations, not {value}")
        return value

    @property
    def rules(self) -> Rules:
        """What the world is made of."""
        return rules_of(self.name)


class ProblemFiles(Section):
    """Files of problems, one a split. Questions about executions are made from the references in them."""

    train: Path
    validation: Path
    test: Path


class InitialModel(Section):
    """A model that arms train from: an existing one (`model`), or one of the small world, made and taught for each
    warm-start seed."""

    model: str | None = None
    """A folder or a name on the hub."""
    supervised: dict[str, Any] | None = None
    """Supervised training of `model` before any arm, for each warm-start seed; differences from the study's
    `supervised`. `None` leaves it as it is."""
    family: Literal["qwen2", "llama"] = "qwen2"
    width: int = Field(default=96, ge=1)
    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=6, ge=1)
    kv_heads: int = Field(default=2, ge=1)
    mlp: int = Field(default=256, ge=1)
    warm_start: dict[str, Any] = Field(default_factory=dict)
    """Fields of `WarmStartSettings` that differ from its defaults."""
    questions: dict[str, float] = Field(default_factory=dict)
    """Kinds of questions beside the final values that it is taught, with their shares of the examples; null: none,
    also where the base of a recipe names some."""
    revise: bool = False
    """Whether a faulty program is followed by a right one, as by a writer who compares the last comment with the
    example."""

    @field_validator("warm_start")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name == "seed":
                raise ConfigError("the seed of a warm start follows from warm_start_seeds")
            if name not in WarmStartSettings.__dataclass_fields__:
                raise ConfigError(f"unknown setting {name!r}; {near(name, WarmStartSettings.__dataclass_fields__)}")
        TypeAdapter(WarmStartSettings).validate_python(value)
        return value

    @field_validator("questions", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("questions")
    @classmethod
    def _shares(cls, value: dict[str, float]) -> dict[str, float]:
        kinds = [
            *(kind.name for kind in KINDS.values() if kind.finished and not kind.as_sampled and kind.name != DEFAULT),
            TEST_OUTPUT,
        ]
        for kind, share in value.items():
            if kind not in kinds:
                raise ConfigError(
                    f"a world model can also be taught the kinds {', '.join(kinds)} besides, not {kind!r}"
                )
            if not 0 < share < 0.5:
                raise ConfigError(f"the share of {kind} must be in (0, 0.5), not {share}")
        if sum(value.values()) > 0.5:
            raise ConfigError(
                f"the shares of questions add up to {sum(value.values()):g}; the maximum is half of the examples"
            )
        return value

    @property
    def is_made(self) -> bool:
        """Whether the study makes it, and it is not there already."""
        return self.model is None or self.supervised is not None

    def taught(self, seed: int) -> WarmStartSettings:
        """The settings of its warm start."""
        return WarmStartSettings(**self.warm_start, seed=seed)


class Sampling(Section):
    """What is sampled from an initial model before training, for rejection sampling and for off-policy tasks."""

    samples_per_problem: int = Field(default=8, ge=1)
    tasks: int = Field(default=3000, ge=1)
    """Failed programs traced for tasks, at most."""


class Measure(Section):
    """How models are measured."""

    samples: int = Field(default=8, ge=2)
    """Samples of a problem at temperature 1, for pass@1 and pass@k."""
    temperature: float | None = Field(default=None, gt=0)
    """A second temperature, at which as many samples are drawn for another pass@1; null: none."""
    without: str | None = Field(default=None, min_length=1)
    """Text that no token may hold, for another greedy pass@1: with "#", programs cannot have comments; null: none."""
    split: Literal["validation"] | None = None
    """On which held-out problems runs are measured; null: the test problems. Pilots look at `validation`."""
    max_new_tokens: int = Field(default=48, ge=1)
    batch_size: int = Field(default=256, ge=1)
    every: int = Field(default=26, ge=1)
    """Steps between two points of the curve on the validation split; it has 4 samples per problem."""


class Supervised(Section):
    """Supervised training on programs and their runs."""

    examples: Literal["references", "passed", "traces", "references_and_traces"] = "references"
    """The problems' reference solutions; the initial model's own passing programs (rejection sampling); questions
    about runs of the references, answered step by step (`coderlplus.exports.rationales`)."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Examples of more tokens, prompt and answer together, are left out, and counted; `None` keeps all."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Fields of transformers' `TrainingArguments`."""
    lora: dict[str, Any] | None = None
    """Arguments of peft's `LoraConfig`: only low-rank adapters are trained."""


class Search(Section):
    """Settings chosen on the validation split, with the same number of tries for every arm: the best by `measure` with
    `seed`."""

    seed: int = 100
    measure: Measured = "pass_at_1_sampled"
    steps: int | None = Field(default=None, ge=1)
    """`trl.max_steps` of a try; null: those of the arm."""
    train: dict[str, list[Any]]
    """Dotted settings of `train` with the values to try; several are tried in all combinations."""
    supervised: dict[str, list[Any]] = Field(default_factory=dict)
    """The same for supervised arms."""


class Probe(Section):
    """Probes of hidden states (`coderlplus-lab probe`) on the models of some arms, for every seed that all of them
    have."""

    arms: tuple[str, ...] = Field(min_length=1)
    rows: int = Field(default=1000, ge=100)
    """Rows of each fact, at most."""
    layers: int = Field(default=9, ge=2)
    """Layers that are probed, at most."""


class Selection(Section):
    """Choosing among an arm's own programs for the test problems, for every seed of the arms: nothing is trained."""

    samples: int = Field(default=32, ge=8)
    """Programs of a problem, at temperature 1; choices are compared at 8."""
    readers: dict[str, tuple[str, ...]]
    """Arm that writes → arms whose models predict what its programs do; itself is one where it is named."""


class Arm(Section):
    """One row of the comparison. With neither `train` nor `supervised` the initial model is measured as it is."""

    label: str = ""
    initial_model: str = ""
    """Which initial model; empty: the first."""
    train: dict[str, Any] | None = None
    supervised: dict[str, Any] | None = None
    settings_of: str = ""
    """An arm whose searched settings it takes: it then differs from that arm in what it names alone, and has no search
    of its own."""
    against: tuple[str, ...] = ()
    """Arms that it is compared with; empty: the baseline, or none where the arm is not trained."""
    seeds: tuple[int, ...] = ()
    """Empty: those of the study."""

    @model_validator(mode="after")
    def _one(self) -> Arm:
        if self.train is not None and self.supervised is not None:
            raise ConfigError("an arm has train or supervised, not both")
        return self

    @property
    def is_trained(self) -> bool:
        return self.train is not None or self.supervised is not None


class Study(Section):
    """A study. `name` is that of its file."""

    name: str
    title: str = ""
    preregistration: str = ""
    """The file of docs/preregistration, without `.md`, that says beforehand what this study decides and how."""
    output: Path = Path("runs/study")
    """The folder; studies of the same problems share one, and what they have in common is made once."""
    seeds: tuple[int, ...]
    warm_start_seeds: int = Field(default=2, ge=1)
    """Seed n starts from the warm start with seed n modulo this number."""
    world: World | None = None
    problems: ProblemFiles | None = None
    initial_models: dict[str, InitialModel]
    train: dict[str, Any] = Field(default_factory=dict)
    """Settings of `coderlplus train` that all trained arms have."""
    supervised: dict[str, Any] = Field(default_factory=dict)
    answer_template: str = "```python\n{program}\n```"
    """How a reference stands in the answer that a model is taught."""
    sampling: Sampling = Sampling()
    measure: Measure = Measure()
    search: Search | None = None
    probe: Probe | None = None
    selection: Selection | None = None
    baseline: str = ""
    arms: dict[str, Arm]

    @property
    def sandbox(self) -> SandboxConfig:
        """Where programs run, in training and everywhere else: `train.sandbox`."""
        return SandboxConfig(**self.train.get("sandbox") or {})

    def label(self, arm: str) -> str:
        """What an arm is called in tables."""
        return self.arms[arm].label or arm

    def search_arm(self, name: str) -> str:
        """The arm for which the searched settings of an arm are found."""
        return self.arms[name].settings_of or name

    def arm_seeds(self, name: str) -> tuple[int, ...]:
        return self.arms[name].seeds or self.seeds

    def probe_seeds(self) -> tuple[int, ...]:
        """The seeds whose models are probed."""
        if self.probe is None:
            return ()
        return tuple(
            seed
            for seed in self.arm_seeds(self.probe.arms[0])
            if all(seed in self.arm_seeds(arm) for arm in self.probe.arms)
        )

    @property
    def held_out(self) -> Split:
        """The split on which runs are measured."""
        return self.measure.split or "test"

    def selections(self, seed: int) -> dict[str, tuple[str, ...]]:
        """Whose programs are chosen from with a seed, and who reads them."""
        readers = self.selection.readers if self.selection is not None else {}
        return {
            writer: tuple(arm for arm in arms if seed in self.arm_seeds(arm))
            for writer, arms in readers.items()
            if seed in self.arm_seeds(writer)
        }

    def initial_model_of(self, name: str) -> str:
        return self.arms[name].initial_model or next(iter(self.initial_models))

    def warm_start_seed(self, seed: int) -> int:
        """The warm-start seed of a seed."""
        return seed % self.warm_start_seeds

    @property
    def alignment(self) -> Mapping[str, Any]:
        """The alignment settings that all trained arms have."""
        alignment = self.train.get("alignment")
        return alignment if isinstance(alignment, Mapping) else {}

    @property
    def questions(self) -> list[str]:
        """The kinds of questions that initial models are taught."""
        return sorted({kind for initial in self.initial_models.values() for kind in initial.questions})

    @property
    def prompt_style(self) -> Literal["full", "compact"]:
        """How alignment tasks are worded, in training and on held-out programs."""
        return "compact" if self.alignment.get("prompt_style") == "compact" else "full"

    def messages(self, row: Problem | AlignmentTask) -> list[dict[str, str]]:
        """The chat messages of a problem or task, as in training."""
        return conversation(user_message(row, self.train.get("prompt_template")), self.train.get("system_prompt"))

    def train_settings(self, name: str, chosen: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What an arm hands to `coderlplus train`, but for `FOLLOWS`; `chosen` are the dotted settings that the search
        found. A setting of TRL that an arm sets to null is left out, for trainers that do not have it."""
        settings = with_dotted(over(self.train, self.arms[name].train or {}), chosen or {})
        if isinstance(settings.get("trl"), Mapping):
            settings["trl"] = {key: value for key, value in settings["trl"].items() if value is not None}
        return settings

    def start_settings(self, name: str) -> Supervised:
        """How an initial model that is there is trained before any arm."""
        return Supervised(**over(self.supervised, self.initial_models[name].supervised or {}))

    def supervised_settings(self, name: str, chosen: Mapping[str, Any] | None = None) -> Supervised:
        return Supervised(**with_dotted(over(self.supervised, self.arms[name].supervised or {}), chosen or {}))


def with_dotted(data: Mapping[str, Any], dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with dotted ones set in them.

    >>> with_dotted({"trl": {"beta": 0}}, {"trl.learning_rate": 1})
    {'trl': {'beta': 0, 'learning_rate': 1}}
    """
    result = dict(data)
    for key, value in dotted.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        result = over(result, value)
    return result


def near(name: str, names: Any, prefix: str = "") -> str:
    """The nearest right name, for a message."""
    close = nearest(name, names)
    if close:
        return f"did you mean '{prefix}.{close}'?" if prefix else f"did you mean {close!r}?"
    return (
        f"there are {', '.join(sorted(names))}" if len(list(names)) < 40 else "see the documentation of transformers"
    )
