"""Supervised training, and going on after an interruption."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from coderlplus_lab.world import warm_start as module
from coderlplus_lab.world.model import make_model
from coderlplus_lab.world.muon import orthogonalised
from coderlplus_lab.world.settings import WarmStartSettings
from coderlplus_lab.world.warm_start import POOL, batches, examples, warm_start

SETTINGS = WarmStartSettings(steps=16, batch_size=8)


def taught(tokenizer: Any, checkpoint: Path, stop_after: int | None = None) -> Any:
    model = make_model(tokenizer, seed=0, width=32, layers=1, heads=2, mlp=32)

    def on_step(step: int, loss: float) -> None:
        if step == stop_after:
            raise KeyboardInterrupt

    warm_start(model, tokenizer, SETTINGS, checkpoint=checkpoint, on_step=on_step)
    return model


def test_a_warm_start_that_was_interrupted_ends_with_the_same_weights(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", POOL)
    whole = taught(tokenizer, tmp_path / "whole.pt").state_dict()
    with pytest.raises(KeyboardInterrupt):
        taught(tokenizer, tmp_path / "cut.pt", stop_after=10)
    resumed = taught(tokenizer, tmp_path / "cut.pt").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not list(tmp_path.iterdir())


def test_loss_falls(tokenizer: Any, tmp_path: Path) -> None:
    losses: list[float] = []
    model = make_model(tokenizer, seed=0, width=32, layers=1, heads=2, mlp=32)
    warm_start(
        model,
        tokenizer,
        dataclasses.replace(SETTINGS, steps=80),
        checkpoint=tmp_path / "c.pt",
        on_step=lambda step, loss: losses.append(loss),
    )
    assert (
        sum(losses[-8:]) / 8 < 0.7 * sum(losses[:4]) / 4
    )  # several: batches hold examples of like length, so their losses differ


def test_batches_hold_every_example_once_and_learn_only_the_answers(tokenizer: Any) -> None:
    pairs = [pair for step in range(POOL) for pair in examples(SETTINGS, step)]
    rows = [row for ids, learnt in batches(tokenizer, SETTINGS, 0) for row in zip(ids, learnt, strict=True)]
    texts = sorted(tokenizer.decode(ids[learnt]) for ids, learnt in rows)
    assert texts == sorted(answer + tokenizer.eos_token for _, answer in pairs)


def test_newton_schulz_makes_singular_values_near_one() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, 8, 20)
    values = torch.linalg.svdvals(orthogonalised(matrices, steps=8))
    assert values.min() > 0.6
    assert values.max() < 1.4
