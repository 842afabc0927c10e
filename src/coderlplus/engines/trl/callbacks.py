"""What happens between the steps of a run: evaluation, metrics.jsonl, progress, and an orderly end on Ctrl-C."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback

from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.processes import signals_to
from coderlplus.progress import Count, Progress
from coderlplus.terminal import note

Evaluate = Callable[[Any], dict[str, float]]
"""Takes the model in evaluation mode, returns numbers by name."""


class MetricsCallback(TrainerCallback):  # type: ignore[misc]
    """Measures steps, evaluates between them, and appends every logged step to metrics.jsonl."""

    def __init__(self, run: RunFolder, evaluations: Sequence[tuple[Evaluate, int]], seed: int) -> None:
        """`evaluations` are functions, each with the number of steps between two calls (0: only at the first and the
        last step)."""
        self.trainer: Any = None  # set once the trainer exists
        self._run, self._evaluations, self._seed = run, evaluations, seed
        self._began = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        state.compute_steps(args, state.max_steps)  # a resumed state has the intervals of before
        if state.global_step == 0 and self._evaluations:
            self.trainer.log(self._evaluated(0, [evaluate for evaluate, _ in self._evaluations]))

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.finish_mining()
        self.trainer.log_terms()
        metrics = self.trainer._metrics["train"]
        seconds = time.perf_counter() - self._began
        metrics.pop("step_time", None)
        before = sum(sum(metrics.get(f"seconds/{part}", ())) for part in ("generation", "judging", "tracing"))
        metrics["seconds/step"].append(seconds)
        metrics["seconds/update"].append(seconds - before)
        step, last = state.global_step, state.max_steps
        due = [evaluate for evaluate, every in self._evaluations if step == last or (every and step % every == 0)]
        if due:
            for name, value in self._evaluated(step, due).items():
                metrics[name].append(value)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if state.is_world_process_zero and logs and "train_runtime" not in logs:
            self._run.write_metrics(state.global_step, logs)

    def _evaluated(self, step: int, evaluations: Sequence[Evaluate]) -> dict[str, float]:
        """Evaluate on the main process."""
        if not self.trainer.accelerator.is_main_process:
            return {}
        return evaluated(self.trainer.accelerator.unwrap_model(self.trainer.model), evaluations, self._seed + step)


def evaluated(model: Any, evaluations: Iterable[Evaluate], seed: int) -> dict[str, float]:
    """What evaluations say of a model in training, with random numbers of their own, so that a run is the same however
    often it is evaluated."""
    began = time.perf_counter()
    with own_random_numbers(seed), torch.no_grad():
        model.eval()
        values = {f"eval/{name}": value for evaluate in evaluations for name, value in evaluate(model).items()}
        model.train()
    return values | {"seconds/evaluation": time.perf_counter() - began}


@contextlib.contextmanager
def own_random_numbers(seed: int) -> Iterator[None]:
    """Seed Python, numpy and torch inside, and leave their states outside untouched."""
    python, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        yield
    random.setstate(python)
    np.random.set_state(arrays)


class ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """Counts the steps of the main process, with the rewards of the last one."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._count: Count | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self._count = self._progress.begin("training step", state.max_steps, before=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if self._count is None or not logs or "train_runtime" in logs:
            return
        shown = {"reward/generation": "reward", "reward/alignment": "alignment", "mix/alignment_share": "mix"}
        numbers = "  ".join(f"{name} {logs[key]:.3f}" for key, name in shown.items() if logs.get(key) is not None)
        self._progress.advance(self._count, state.global_step - self._count.done, numbers)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._count is not None:
            self._progress.end(self._count)
            self._count = None


class StopOnSignal(TrainerCallback):  # type: ignore[misc]
    """On the first Ctrl-C (or SIGTERM) finish the step, save a checkpoint and stop, all processes at the same step; on
    the second stop at once."""

    def __init__(self) -> None:
        self.stopped = False

    def listening(self) -> contextlib.AbstractContextManager[None]:
        """Take the signals over inside."""
        return signals_to(self._stop, signal.SIGINT, signal.SIGTERM)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped:
            note("stopping at once; the same command continues from the last checkpoint")
            raise KeyboardInterrupt
        self.stopped = True
        note("stopping after this step, which will be saved; interrupt again to stop at once")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.world_size > 1:
            self.stopped = any(gather_object([self.stopped]))
        if self.stopped:
            control.should_save = True
            control.should_training_stop = True
