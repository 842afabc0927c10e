"""The settings of the quick start, and where its files lie."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError
from coderlplus.locks import claim, give_up
from coderlplus_lab.world.settings import WarmStartSettings

ARMS = ("grpo", "coderlplus")
KL_ARM = "grpo_kl"
WARM_START = "warm_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickstartSettings:
    """Everything that the numbers depend on; `docs/quickstart.md` says how the values were chosen."""

    seed: int = 0
    """Of everything random: weights, problems, sampling."""
    warm_start: WarmStartSettings = field(default_factory=WarmStartSettings)
    train_problems: int = 4000
    test_problems: int = 400
    test_tasks: int = 800
    validation_problems: int = 64
    """Held-out problems (and as many alignment tasks) for the curve during training."""
    steps: int = 130
    """Optimisation steps of each arm; one generation batch each."""
    prompts_per_step: int = 32
    samples_per_prompt: int = 8
    learning_rate: float = 5.5e-4
    alpha: float = 0.6
    """Share of problems in a CodeRL+ batch."""
    mined_per_step: int = 24
    """Failed programs traced after each step, at most; a batch takes thirteen tasks."""
    kl: float = 0.01
    """Weight of the KL term of the control arm."""
    max_new_tokens: int = 48
    evaluate_every: int = 26
    checkpoint_every: int = 10
    samples_every: int = 20

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


TINY = QuickstartSettings(
    warm_start=WarmStartSettings(steps=40, batch_size=16),
    train_problems=40,
    test_problems=8,
    test_tasks=8,
    validation_problems=4,
    steps=3,
    prompts_per_step=4,
    samples_per_prompt=4,
    evaluate_every=2,
    checkpoint_every=2,
    samples_every=1,
)
"""The whole loop in miniature: it shows that every part works, not that anything is learnt."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a quick-start folder."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "settings.json"

    @property
    def warm_start(self) -> Path:
        return self.root / WARM_START

    @property
    def warm_start_progress(self) -> Path:
        return self.root / "warm_start_progress.json"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    def problems(self, split: str) -> Path:
        return self.root / "problems" / f"{split}.jsonl"

    def tasks(self, split: str) -> Path:
        return self.root / "problems" / f"{split}_tasks.jsonl"

    def arm(self, name: str) -> Path:
        return self.root / name

    def evaluation(self, name: str) -> Path:
        return self.root / "evaluation" / f"{name}.json"

    def model(self, name: str) -> Path:
        """The folder of the model that is evaluated under a name."""
        return self.warm_start if name == WARM_START else self.arm(name) / "final"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.txt"


@contextlib.contextmanager
def claimed(layout: Layout, settings: QuickstartSettings) -> Iterator[None]:
    """The folder is that of a run with these settings, and no other process has it.

    Raises `ConfigError` if it cannot be written, belongs to other settings, or a quick start runs in it."""
    text = json.dumps(settings.to_json(), indent=2) + "\n"
    try:
        for folder in (layout.root, layout.root / "problems", layout.root / "evaluation", layout.root / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        if layout.settings.exists() and layout.settings.read_text(encoding="utf-8") not in ("", text):
            raise ConfigError(f"{layout.root} holds a quick start with other settings ({layout.settings}); choose another output or remove it")
        file = layout.settings.open("r+" if layout.settings.exists() else "w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {layout.root}: {error.strerror}; choose another output") from error
    try:
        if not claim(file):
            raise ConfigError(f"a quick start is running in {layout.root}; wait for it, or choose another output")
        file.write(text)
        file.flush()
        yield
    finally:
        give_up(file)


def read_settings(layout: Layout) -> QuickstartSettings:
    """The settings of a quick-start folder."""
    data = json.loads(layout.settings.read_text(encoding="utf-8"))
    return QuickstartSettings(**data | {"warm_start": WarmStartSettings(**data["warm_start"])})
