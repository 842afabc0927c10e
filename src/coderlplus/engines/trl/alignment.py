"""CodeRL+ in your own `GRPOTrainer`, through TRL's public interface only.

    import coderlplus as crl
    from trl import GRPOConfig, GRPOTrainer

    args = GRPOConfig(output_dir="runs/mine", max_steps=200, gradient_accumulation_steps=5)  # a batch has 5 prompts
    with crl.open_sandbox() as sandbox:
        problems = crl.load_problems("problems.jsonl")
        trainer = GRPOTrainer(model, args=args, **crl.trl_alignment(args, problems, sandbox, alpha=0.6))
        trainer.train()

How it works. TRL asks an *environment* for the prompt just before a completion is generated (`environment_factory`,
TRL 1.9 and later). The data set therefore holds *slots* and no prompts. The environment asks the `AlignmentLoop` what
a slot holds in this step, so tasks come from the failures of the step before, all samples of a group have one prompt,
and the mix is exact. An epoch is one pass over the problems.

A run has the batches, tasks, completions and rewards of `coderlplus train` at the same seed and settings. Checkpoints
hold the buffer and the place in the problems. A resumed run composes the batches that the uninterrupted one would
have, if checkpoints are saved at the end of a generation batch (`save_steps` a multiple of `steps_per_generation` ×
`num_iterations`): TRL does not save a batch that is half used.

Not available this way: dynamic sampling, REINFORCE++, RLOO, `skip_zero_advantage`, judging beside log-probabilities,
`alignment.weight`,
and models whose chat template cannot render tool calls, which TRL requires of every environment. `coderlplus train`
has them.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from datasets import Dataset
from transformers import TrainerCallback

from coderlplus.alignment import AlignmentConfig
from coderlplus.engines.batches import ProblemStream, objective_of
from coderlplus.engines.generation import rollout_id
from coderlplus.engines.steps import Steps
from coderlplus.engines.trl.versions import warn_of_versions
from coderlplus.errors import ConfigError, DataError, counted
from coderlplus.judge import Judge
from coderlplus.loop import AlignmentLoop, Row
from coderlplus.problems.prompts import conversation, user_message
from coderlplus.records import AlignmentTask, OwnRow, Problem, Reward
from coderlplus.records.files import atomic_write
from coderlplus.sandbox import AnySandbox

STATE = "coderlplus.json"
"""In each checkpoint: the state of the loop and the place in the problems."""


def trl_alignment(
    args: Any,
    problems: Sequence[Problem],
    sandbox: AnySandbox,
    *,
    alpha: float = 0.6,
    settings: AlignmentConfig | None = None,
    system_prompt: str | None = None,
    prompt_template: str | None = None,
    timeout_s: float = 600.0,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Arguments for `GRPOTrainer`: `train_dataset`, `environment_factory`, `reward_funcs` and `callbacks`.

    `args` is the trainer's `GRPOConfig`; its `seed` orders the problems and draws the tasks. `alpha` is the share of
    code problems in a batch; `settings`, if given, replaces it and has all settings of tasks. Programs that are not
    judged within `timeout_s` seconds have no reward. `sandbox` judges and traces; with a `judge` of your own, on a
    back end that cannot trace, it only traces. Raises `ConfigError` for settings that are not available this
    way.

    >>> from types import SimpleNamespace
    >>> from coderlplus import CallTest, open_sandbox
    >>> problem = Problem(problem_id="p", statement="Double x.", entry_point="f", tests=(CallTest((2,), 4),))
    >>> args = SimpleNamespace(  # of trl.GRPOConfig, what is read here
    ...     generation_batch_size=16, num_generations=8, seed=0, process_index=0, world_size=1
    ... )
    >>> with open_sandbox(workers=1) as sandbox:
    ...     sorted(trl_alignment(args, [problem] * 2, sandbox))  # GRPOTrainer(model, args=args, **…)
    ['callbacks', 'environment_factory', 'reward_funcs', 'train_dataset']
    """
    warn_of_versions()
    settings = AlignmentConfig(alpha=alpha) if settings is None else settings
    if settings.weight is not None:  # and with it the objective `supervised`
        raise ConfigError(
            "alignment.weight and alignment.objective supervised change the loss, which trl_alignment leaves to your "
            "trainer; use coderlplus train"
        )
    groups = _groups(args)
    if len(problems) < groups:
        raise ConfigError(
            f"{counted(len(problems), 'problem')} cannot fill a batch of {counted(groups, 'prompt')}; use more"
        )
    loop = AlignmentLoop(settings, sandbox, Judge(sandbox) if judge is None else judge, args.seed)
    steps = Steps(
        ProblemStream(problems, args.seed),
        loop,
        timeout_s=timeout_s,
        gather=lambda mined: list(gather_object([mined])),
    )
    if args.process_index == 0:
        steps.warn_without_room(groups)
    slots = Slots(steps, loop, args, prompt_template)
    prompt = conversation("", system_prompt)
    rows = [{"slot": slot, "prompt": prompt} for slot in range(steps.batches_a_pass(groups) * groups)]
    return {
        "train_dataset": Dataset.from_list(rows),
        "environment_factory": functools.partial(SlotEnvironment, slots),
        "reward_funcs": [slots.reward],
        "callbacks": [slots],
    }


def _groups(args: Any) -> int:
    """Prompts in a generation batch. Raises `ConfigError` for the arguments of another algorithm."""
    if type(args).__name__.startswith("RLOO"):
        raise ConfigError("RLOOTrainer has no environments; use coderlplus train with algorithm: rloo")
    if type(args).__name__.startswith("AsyncGRPO"):
        raise ConfigError(
            "AsyncGRPOTrainer has no batches to mix and scores in another process; use GRPOTrainer, or rewards alone"
        )
    if not hasattr(args, "generation_batch_size") or not hasattr(args, "num_generations"):
        raise ConfigError(f"args must be a GRPOConfig, not {type(args).__name__}")
    return int(args.generation_batch_size // args.num_generations)


class SlotEnvironment:
    """What TRL asks for the prompt of a slot; it has no tools. TRL resets the environments of a batch in its order."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.sampled: tuple[Row, str] | None = None
        """The sample in work: its row and the id of its rollout."""

    def reset(self, slot: int | None = None, **_: Any) -> str | None:
        """The prompt of the slot in this step; `None` leaves a row of an evaluation data set as it is."""
        self.sampled = None if slot is None else self._slots.next()
        if self.sampled is None:
            return None
        row = self.sampled[0]
        assert not isinstance(row, OwnRow), "trl_alignment has no rows of the user's own"
        return user_message(row, self._slots.template)


class Slots(TrainerCallback):  # type: ignore[misc]
    """The generation batch in work, as one process sees it: a contiguous slice of the batch that all compose alike.

    As a callback it learns the step, waits for mining at the end of it, and keeps the state with checkpoints.
    """

    def __init__(self, steps: Steps, loop: AlignmentLoop, args: Any, template: str | None) -> None:
        self.template = template
        self._steps, self._loop = steps, loop
        self._groups, self._samples = _groups(args), int(args.num_generations)
        self._first = int(args.process_index * (args.generation_batch_size // args.world_size))
        self._state: Any = None  # TRL's, from the beginning of training
        self._rows: list[Row] = []
        """What the groups of the batch hold; empty between batches."""
        self._next = 0
        self._metrics: dict[str, float] = {}

    @property
    def _step(self) -> int:
        return int(self._state.global_step) + 1

    def next(self) -> tuple[Row, str]:
        """The next sample of this process. The first call after a batch was scored composes the next batch."""
        if not self._rows:
            self._finish_mining()
            self._rows = self._steps.compose(self._step, self._groups)
            self._next = self._first
        group, sample = divmod(self._next, self._samples)
        self._next += 1
        return self._rows[group], rollout_id(self._step, group, sample)

    def reward(
        self, completions: Sequence[Any], environments: Sequence[SlotEnvironment], log_metric: Any = None, **_: Any
    ) -> list[float | None]:
        """R_gen or R_sem of each completion; `None` where the sandbox failed, and for rows that are not slots."""
        sampled = [one.sampled for one in environments if one.sampled is not None]
        if not sampled:
            return [None] * len(completions)
        if len(sampled) < len(environments):
            raise ConfigError(
                "the data set of trl_alignment was mixed with other rows; rows of your own beside problems need "
                "coderlplus train, with train_dataset"
            )
        rows, ids = [row for row, _ in sampled], [name for _, name in sampled]
        texts = [one if isinstance(one, str) else one[-1]["content"] for one in completions]
        rewards = self._loop.reward(rows, texts, rollout_ids=ids, limit_s=self._steps.timeout_s)
        self._steps.start_mining(self._step, rows, texts, rewards)
        if log_metric is not None:
            for name, value in (_batch_metrics(rows, rewards) | self._metrics).items():
                log_metric(name, value)
        self._rows, self._metrics = [], {}
        return [reward.value for reward in rewards]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Raises `DataError` if a checkpoint has no state of CodeRL+, or that of another run."""
        self._state = state
        if state.global_step:
            path = _state_file(args, state)
            try:
                self._steps.load_state(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"cannot resume from {path}: {error}; the checkpoint must lie in output_dir"
                ) from error

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._finish_mining()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            path = _state_file(args, state)
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, json.dumps(self._steps.state()))

    def _finish_mining(self) -> None:
        """Wait for the tasks of the last batch; every process adds those of all processes in the same order."""
        self._metrics |= self._steps.finish_mining()


def _state_file(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE


def _batch_metrics(rows: Sequence[Row], rewards: Sequence[Reward]) -> dict[str, float]:
    known: dict[str, list[float]] = defaultdict(list)
    for row, reward in zip(rows, rewards, strict=True):
        if reward.value is not None:
            known[f"reward/{objective_of(row)}"].append(reward.value)
    share = sum(isinstance(row, AlignmentTask) for row in rows) / len(rows)
    return {"mix/alignment_share": share} | {name: sum(values) / len(values) for name, values in known.items()}
