"""Batched generation with a Hugging Face model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from coderlplus.evaluation.generate import generate

CONVERSATIONS = [
    [{"role": "user", "content": text}]
    for text in ("sort the list", "a", "drop the first digit, then sort the list", "x", "f([1, 2])")
]


def test_the_same_seed_gives_the_same_texts_and_leaves_the_random_state_alone(model: Any, tokenizer: Any) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = generate(model, tokenizer, CONVERSATIONS, samples=3, max_new_tokens=6, batch_size=6, seed=5)
    assert torch.equal(before, torch.get_rng_state())
    assert first == generate(model, tokenizer, CONVERSATIONS, samples=3, max_new_tokens=6, batch_size=6, seed=5)
    assert first != generate(model, tokenizer, CONVERSATIONS, samples=3, max_new_tokens=6, batch_size=6, seed=6)
    assert [len(texts) for texts in first] == [3] * len(CONVERSATIONS)


def test_greedy_texts_do_not_depend_on_what_is_in_the_batch(model: Any, tokenizer: Any) -> None:
    together = generate(model, tokenizer, CONVERSATIONS, greedy=True, max_new_tokens=6)
    alone = [
        generate(model, tokenizer, [conversation], greedy=True, max_new_tokens=6)[0] for conversation in CONVERSATIONS
    ]
    assert together == alone


def test_the_mode_of_the_model_is_kept(model: Any, tokenizer: Any) -> None:
    model.train()
    generate(model, tokenizer, CONVERSATIONS[:1], greedy=True, max_new_tokens=2)
    assert model.training
    model.eval()


def test_several_greedy_samples_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="greedy"):
        generate(model, tokenizer, CONVERSATIONS, samples=2, greedy=True)


def test_forbidden_tokens_are_never_written(model: Any, tokenizer: Any) -> None:
    usual = generate(model, tokenizer, CONVERSATIONS, greedy=True, max_new_tokens=6)
    forbidden = tokenizer.encode("".join(text for [text] in usual), add_special_tokens=False)
    other = generate(model, tokenizer, CONVERSATIONS, samples=4, forbidden=forbidden, max_new_tokens=6, batch_size=8)
    written = {token for group in other for text in group for token in tokenizer.tokenize(text)}
    assert not written & set(tokenizer.convert_ids_to_tokens(forbidden))
