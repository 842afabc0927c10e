"""The card of a trained model, in the form of the Hugging Face hub: what it was trained from, on what and how, as the
files of its run folder say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_TRL = (
    *("learning_rate", "lr_scheduler_type", "num_generations", "per_device_train_batch_size"),
    *("gradient_accumulation_steps", "max_completion_length", "max_steps", "num_train_epochs", "temperature"),
    *("beta", "loss_type", "epsilon", "epsilon_high"),
)
"""Settings of the trainer that are told, where the configuration has them."""
_METRICS = ("pass_rate", "reward/generation", "reward/alignment", "mix/alignment_share", "samples")
_CARD = """\
---
{metadata}---

# {title}

{model} after {steps:,} steps of reinforcement learning on programs that are run on tests, {method}.
[coderlplus](https://arxiv.org/abs/2510.18471) {version} trained it.

| setting | value |
|---|---|
{settings}

Measured in training, by the same judge:

| metric | last step |
|---|---|
{metrics}

Made with {versions}. The run folder has the whole configuration (`config.yaml`), every step (`metrics.jsonl`) and
samples (`samples.jsonl`).

Rewards come from tests of the training problems: a program that passes them may still be wrong. Nothing else was
evaluated unless it is added here; `coderlplus eval` measures the public benchmarks. The licence is that of the base
model and of the training data.
"""


def model_card(run: Path, metrics: Mapping[str, Any]) -> str:
    """The card of the model in a run folder, whose last step has these metrics. What a file lacks is left out.

    Raises `OSError` or `ValueError` where the configuration cannot be read.
    """
    config: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    environment: dict[str, Any] = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    base, algorithm = str(config["model"]), str(config.get("algorithm", "grpo"))
    libraries = {"python": environment["python"], **environment["libraries"]}
    metadata = {
        **({} if Path(base).exists() else {"base_model": base}),
        "library_name": "peft" if config.get("lora") else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["code", "reinforcement-learning", "coderlplus", algorithm],
    }
    return _CARD.format(
        metadata=yaml.safe_dump(metadata, sort_keys=False),
        title=f"{Path(base).name}, trained with {'CodeRL+' if config.get('alignment') else algorithm}",
        model=f"`{base}`" if not Path(base).exists() else f"`{Path(base).name}` (a local model)",
        steps=metrics.get("step", 0),
        method=_method(config, algorithm),
        version=environment["coderlplus"],
        settings=_rows(_settings(config)),
        metrics=_rows(
            {key: f"{value:.4g}" for key, value in metrics.items() if key in _METRICS or key.startswith("eval/")}
        ),
        versions=", ".join(f"{name} {version}" for name, version in libraries.items()),
    )


def _method(config: Mapping[str, Any], algorithm: str) -> str:
    alignment = config.get("alignment")
    if not alignment:
        return f"with {algorithm}"
    share = f"{1 - alignment['alpha']:.0%}"
    return (
        f"with {algorithm} and execution semantics alignment (CodeRL+): {share} of each batch asks what programs do "
        "that the model wrote and that failed"
    )


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    trl, alignment = config.get("trl") or {}, config.get("alignment") or {}
    told = {"problems": ", ".join(Path(path).name for path in config["problems"]), "seed": config.get("seed")}
    told |= {f"alignment.{name}": alignment[name] for name in ("alpha", "kinds", "format_weight") if name in alignment}
    return told | {f"trl.{name}": trl[name] for name in _TRL if trl.get(name) is not None}


def _rows(values: Mapping[str, Any]) -> str:
    return "\n".join(
        f"| {name} | {' '.join(str(value).replace('|', ' ').split())} |" for name, value in values.items()
    )
