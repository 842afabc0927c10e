"""The benchmarks of `coderlplus eval` during training: the `eval:` section of a run.

They are asked of the model in training, greedily by default, by transformers on the main process; programs go through
the judge of the reward. The folder of each evaluation, `evals/step-000050` in the run folder, is one of `coderlplus
eval`, so `coderlplus eval compare` takes it; where a `limit` took a part of the questions, together with a folder that
has them all, too.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from coderlplus.engines.trl.config import EvalConfig
from coderlplus.errors import DataError
from coderlplus.evaluation.asking import asked_for
from coderlplus.evaluation.backends import Sampling
from coderlplus.evaluation.backends.local import LocalModel
from coderlplus.evaluation.data import Window
from coderlplus.evaluation.results import write_results
from coderlplus.evaluation.run import SampleSource, evaluate, prepare
from coderlplus.judge import Judge
from coderlplus.problems.prompts import user_message


class BenchmarkEvaluation:
    """Evaluates a model on the benchmarks of an `eval:` section. Raises what `asked_for` raises, before training
    begins."""

    def __init__(
        self, config: EvalConfig, folder: Path, tokenizer: Any, judge: Judge, *, prompt_template: str | None, seed: int
    ) -> None:
        window = Window(release=config.release, start=config.start_date, end=config.end_date)
        wording = partial(user_message, template=prompt_template)
        self._asked = asked_for(config.benchmarks, window, config.data_dir, wording, limit=config.limit)
        self._sampling = Sampling(temperature=config.temperature, max_tokens=config.max_tokens, seed=seed)
        self._n_samples, self._folder, self._tokenizer, self._judge = config.n_samples, folder, tokenizer, judge

    def __call__(self, model: Any, step: int) -> dict[str, float]:
        """`{"humaneval/pass@1": 0.5, …}` of a model in evaluation mode; everything else lies in the folder of the
        step."""
        folder = self._folder / f"step-{step:06}"
        try:
            shutil.rmtree(folder, ignore_errors=True)  # of a run that is resumed from an earlier step
            folder.mkdir(parents=True)
        except OSError as error:
            raise DataError(
                f"cannot write {folder}: {error.strerror}; free space, then the same command continues"
            ) from error
        source = SampleSource(
            model=f"step {step}", kind="training", sampling=self._sampling, n_samples=self._n_samples
        )
        prepare(folder, source, self._asked)
        backend = LocalModel.of(model, self._tokenizer)
        numbers = {
            one.benchmark.name: evaluate(folder, source, one, lambda: backend, self._judge) for one in self._asked
        }
        write_results(folder, {"model": source.model, "source": source.kind, "benchmarks": numbers})
        return {
            f"{name}/{metric}": values[metric] for name, values in numbers.items() for metric in values["intervals"]
        }
