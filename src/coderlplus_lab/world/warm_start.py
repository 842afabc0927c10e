"""The warm start: supervised training from nothing, so that reinforcement learning starts from a model that sometimes
succeeds.

Alignment tasks come early and plentifully, on programs of one operation first: a model that cannot execute one
operation never learns to from the reward of a whole answer. Muon for the matrices of the layers, AdamW for the rest.
The examples of a step depend on the seed and the number of the step alone, so a warm start that was interrupted goes
on from its last checkpoint to the same weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from coderlplus.records.files import whole_file
from coderlplus_lab.world.examples import prediction_example, program_example
from coderlplus_lab.world.first import FIRST
from coderlplus_lab.world.muon import Muon
from coderlplus_lab.world.rules import Rules
from coderlplus_lab.world.settings import WarmStartSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from coderlplus_lab.world.model import WorldForCausalLM

Batch = tuple[torch.Tensor, torch.Tensor]
"""Token ids (B, T), padded on the right, and which of them are learnt (B, T)."""
Pairs = Callable[[WarmStartSettings, int], list[tuple[str, str]]]
"""Makes the user and assistant texts of a step."""

POOL = 4
"""Steps whose examples are drawn together."""
CHECKPOINT_EVERY = 50 * POOL


class Examples(IterableDataset[Batch]):
    """The batches of the steps from `first`, a multiple of `POOL`, on."""

    def __init__(
        self, settings: WarmStartSettings, tokenizer: PreTrainedTokenizerFast, first: int, pairs: Pairs
    ) -> None:
        self.settings, self.tokenizer, self.first, self.pairs = settings, tokenizer, first, pairs

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        for start in range(self.first, self.settings.steps, POOL):
            yield from batches(self.tokenizer, self.settings, start, self.pairs)


def examples(
    settings: WarmStartSettings,
    step: int,
    *,
    sizes: Sequence[int] = (2, 2, 3),
    write: Callable[..., tuple[str, str]] = program_example,
    rules: Rules = FIRST,
) -> list[tuple[str, str]]:
    """The user and assistant texts of a step: predictions, then programs, which `write` makes. `sizes`: how many
    operations programs have."""
    rng = random.Random(f"{settings.seed}/warm-start/{step}")
    place = step / settings.steps
    early = place < settings.early_until
    counts: Sequence[int] = (1, 1, 2) if place < settings.single_operations_until else (1, *sizes) if early else sizes
    share = settings.early_prediction_share if early else settings.late_prediction_share
    predictions = round(settings.batch_size * share)
    written = {"counts": sizes, "faulty": settings.faulty, "plain": settings.plain, "rules": rules}
    return [
        prediction_example(rng, counts=counts, mutated=settings.mutated, reasoned=settings.reasoned, rules=rules)
        for _ in range(predictions)
    ] + [write(rng, **written) for _ in range(settings.batch_size - predictions)]


def batches(
    tokenizer: PreTrainedTokenizerFast, settings: WarmStartSettings, start: int, pairs_of: Pairs = examples
) -> list[Batch]:
    """The batches of `POOL` steps: their examples sorted by length, so that a batch is padded little, and the batches
    in random order."""
    steps = range(start, min(start + POOL, settings.steps))
    pairs = [pair for step in steps for pair in pairs_of(settings, step)]
    rows = sorted(encoded(tokenizer, pairs), key=lambda row: len(row[0]) + len(row[1]))
    size = settings.batch_size
    made = [padded(rows[place : place + size], tokenizer.pad_token_id) for place in range(0, len(rows), size)]
    random.Random(f"{settings.seed}/order/{start}").shuffle(made)
    return made


def encoded(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
    """The pairs through the chat template, as ids of what is given and ids of what is learnt."""
    prompts = [
        tokenizer.apply_chat_template([{"role": "user", "content": user}], tokenize=False, add_generation_prompt=True)
        for user, _ in pairs
    ]
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    answer_ids = tokenizer([text + tokenizer.eos_token for _, text in pairs], add_special_tokens=False)["input_ids"]
    return list(zip(prompt_ids, answer_ids, strict=True))


def padded(rows: Sequence[tuple[list[int], list[int]]], pad: int) -> Batch:
    """One batch of encoded pairs."""
    length = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids_BT = torch.full((len(rows), length), pad)
    learnt_BT = torch.zeros(len(rows), length, dtype=torch.bool)
    for row, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        ids_BT[row, :end] = torch.tensor(prompt + answer)
        learnt_BT[row, len(prompt) : end] = True
    return ids_BT, learnt_BT


def warm_start(
    model: WorldForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    settings: WarmStartSettings,
    *,
    checkpoint: Path,
    pairs: Pairs = examples,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train `model` in place on the `pairs` of each step; resumes from `checkpoint` if there is one and removes it at
    the end. `on_step` gets each finished step and its loss."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.dim() == 2 and ".layers." in name else others).append(parameter)
    optimizers: list[torch.optim.Optimizer] = [
        Muon(matrices, settings.lr_muon),
        torch.optim.AdamW(others, settings.lr_adam, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    peaks = (settings.lr_muon, settings.lr_adam)
    first = _load(checkpoint, model, optimizers) if checkpoint.exists() else 0
    data = DataLoader(Examples(settings, tokenizer, first, pairs), batch_size=None, num_workers=1, prefetch_factor=8)
    model.train()
    for step, (ids_BT, learnt_BT) in enumerate(data, first):
        ids_BT, learnt_BT = ids_BT.to(model.device), learnt_BT.to(model.device)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * schedule(step, settings.steps)
        hidden_BTD = model.model(input_ids=ids_BT[:, :-1], use_cache=False).last_hidden_state
        targets_BT = learnt_BT[:, 1:]
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden_BTD[targets_BT]), ids_BT[:, 1:][targets_BT])
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        if (step + 1) % CHECKPOINT_EVERY == 0:
            _save(checkpoint, model, optimizers, step + 1)
        on_step(step + 1, loss.item())
    model.eval()
    checkpoint.unlink(missing_ok=True)


def schedule(step: int, steps: int) -> float:
    """The learning rate's share of its peak: 20 steps of warm-up, constant, then linearly down over the second half.

    >>> [schedule(step, 1000) for step in (9, 499, 750)]
    [0.5, 1.0, 0.5]
    """
    return min(1.0, (step + 1) / 20) * min(1.0, max(0.02, 2 * (1 - step / steps)))


def _save(path: Path, model: WorldForCausalLM, optimizers: Sequence[torch.optim.Optimizer], step: int) -> None:
    state = {
        "step": step,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    with whole_file(path, "wb") as file:
        torch.save(state, file)


def _load(path: Path, model: WorldForCausalLM, optimizers: Sequence[torch.optim.Optimizer]) -> int:
    state: dict[str, Any] = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])
