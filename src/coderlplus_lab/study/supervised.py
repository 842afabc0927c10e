"""Supervised training on programs, by transformers' own trainer, into a run folder like any other: resumable, with
metrics and the final model."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoModelForCausalLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from coderlplus.engines.checkpoints import write_checksums, write_state
from coderlplus.engines.models import load_tokenizer
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.arguments import lora_config
from coderlplus.engines.trl.callbacks import Evaluate, StopOnSignal, evaluated
from coderlplus.engines.trl.train import is_done
from coderlplus.errors import ConfigError
from coderlplus.evaluation.generate import token_ids
from coderlplus_lab.study.pairs import Pair
from coderlplus_lab.study.settings import Supervised

IGNORED = -100
"""The label of a token that is not learnt."""


def supervise(
    settings: Supervised,
    *,
    model: str,
    output: Path,
    seed: int,
    pairs: Sequence[Pair],
    evaluate: Evaluate,
    eval_every: int,
) -> RunFolder:
    """Train `model` on `pairs`, or resume from the newest checkpoint.

    Raises `ConfigError` for settings that transformers refuses, and `KeyboardInterrupt` after Ctrl-C, once the
    checkpoint is saved.
    """
    if not pairs:
        raise ConfigError(
            f"{output}: there is no program to learn from; sample more, or from an initial model that passes sometimes"
        )
    run = RunFolder(output)
    tokenizer = load_tokenizer(model)
    defaults = {
        "logging_steps": 1,
        "save_total_limit": 1,
        "report_to": [],
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    try:
        arguments = TrainingArguments(
            **defaults | settings.arguments, output_dir=str(run.checkpoints), seed=seed, data_seed=seed
        )
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"supervised.arguments: {' '.join(str(error).split())}") from error
    checkpoint = run.latest_checkpoint()
    run.begin(yaml.safe_dump({"model": model, "seed": seed, **settings.model_dump()}, sort_keys=False), (), checkpoint)
    rows = _short_enough([_row(tokenizer, *pair) for pair in pairs], settings.max_tokens)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    stop = StopOnSignal()
    trainer = _Trainer(
        model=_model(model, settings),
        args=arguments,
        train_dataset=rows,
        data_collator=lambda chosen: padded(chosen, pad),
        callbacks=[Note(run, evaluate, eval_every, seed), stop],
    )
    trainer.remove_callback(PrinterCallback)
    if checkpoint is None or not is_done(checkpoint, arguments):
        with stop.listening():
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        if stop.stopped and trainer.state.global_step < trainer.state.max_steps:
            raise KeyboardInterrupt
        trainer.save_model(str(run.unfinished))
        tokenizer.save_pretrained(run.unfinished)
        run.finish()
    else:
        run.finish_from(checkpoint)
        tokenizer.save_pretrained(run.final)
    return run


def _model(name: str, settings: Supervised) -> Any:
    """The model to train; with LoRA an adapter on it."""
    model = AutoModelForCausalLM.from_pretrained(name)
    lora = lora_config(settings.lora, "supervised.lora")
    if lora is None:
        return model
    from peft import get_peft_model

    try:
        return get_peft_model(model, lora)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"supervised.lora: {' '.join(str(error).split())}") from error


class _Trainer(Trainer):  # type: ignore[misc]
    def _save_rng_state(self, output_dir: str) -> None:
        """Our part of a checkpoint too: it must be there before the trainer's own state, which makes the checkpoint
        one that can be resumed from."""
        super()._save_rng_state(output_dir)
        write_state(Path(output_dir), {"processes": 1})


class Note(TrainerCallback):  # type: ignore[misc]
    """Evaluates between steps, appends every step to metrics.jsonl, and makes checkpoints known as whole."""

    def __init__(self, run: RunFolder, evaluate: Evaluate, every: int, seed: int) -> None:
        self._run, self._evaluate, self._every, self._seed = run, evaluate, every, seed
        self._began = self._seconds = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step == 0:
            self._run.write_metrics(0, evaluated(model, [self._evaluate], self._seed))

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._seconds = time.perf_counter() - self._began

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, model: Any = None, **_: Any) -> None:
        if not logs or "train_runtime" in logs:
            return
        size = args.per_device_train_batch_size * args.gradient_accumulation_steps
        values = dict(logs) | {"samples": float(state.global_step * size), "seconds/step": self._seconds}
        if state.global_step % self._every == 0 or state.global_step == state.max_steps:
            values |= evaluated(model, [self._evaluate], self._seed + state.global_step)
        self._run.write_metrics(state.global_step, values)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        write_checksums(self._run.checkpoints / f"checkpoint-{state.global_step}")


def _short_enough(rows: list[dict[str, list[int]]], most: int | None) -> list[dict[str, list[int]]]:
    """The rows of at most so many tokens; how many are longer is said on stderr. Raises `ConfigError` where all
    are."""
    kept = [row for row in rows if most is None or len(row["input_ids"]) <= most]
    if not kept:
        raise ConfigError(f"supervised.max_tokens {most} leaves none of {len(rows)} examples; make it larger")
    if len(kept) < len(rows):
        print(f"{len(rows) - len(kept)} of {len(rows)} examples left out: more than {most} tokens", file=sys.stderr)
    return kept


def _row(tokenizer: Any, messages: Sequence[dict[str, str]], answer: str) -> dict[str, list[int]]:
    prompt = token_ids(tokenizer, messages)
    learnt = tokenizer(answer + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    return {"input_ids": prompt + learnt, "labels": [IGNORED] * len(prompt) + learnt}


def padded(rows: Sequence[Mapping[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """One batch: `input_ids`, `attention_mask`, `labels`, each (B, T), padded on the right."""
    longest = max(len(row["input_ids"]) for row in rows)
    batch: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
    for row in rows:
        rest = longest - len(row["input_ids"])
        batch["input_ids"].append(row["input_ids"] + [pad] * rest)
        batch["attention_mask"].append([1] * len(row["input_ids"]) + [0] * rest)
        batch["labels"].append(row["labels"] + [IGNORED] * rest)
    return {name: torch.tensor(values) for name, values in batch.items()}
