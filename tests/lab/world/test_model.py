"""The model: Qwen2 with embeddings of a digit's value and index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from coderlplus_lab.world.model import make_model, register


def test_the_full_model_has_under_a_million_parameters(tokenizer: Any) -> None:
    assert make_model(tokenizer, seed=0).num_parameters() < 1_000_000


def test_digits_of_a_list_are_counted_and_nothing_else_is(model: Any, tokenizer: Any) -> None:
    ids = tokenizer("f([3, 1, 4]) + 5 [2, 7]", return_tensors="pt")["input_ids"]
    index = model.model.list_index(ids)[0].tolist()
    found = [
        (token, place) for token, place in zip(tokenizer.convert_ids_to_tokens(ids[0]), index, strict=True) if place
    ]
    assert found == [("[3", 1), (", 1", 2), (", 4", 3), ("[2", 1), (", 7", 2)]


def test_generation_with_a_cache_is_the_same_as_without(model: Any, tokenizer: Any) -> None:
    batch = tokenizer(["f([3, 1, 4]", "sort the list f([9"], return_tensors="pt", padding=True)
    settings = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": tokenizer.pad_token_id, "eos_token_id": None}
    with_cache, without = (model.generate(**batch, use_cache=use_cache, **settings) for use_cache in (True, False))
    assert torch.equal(with_cache, without)


def test_the_same_seed_makes_the_same_weights_and_leaves_the_random_state_alone(tokenizer: Any) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (make_model(tokenizer, seed=1, width=32, layers=1, heads=2).state_dict() for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_is_the_same_after_saving(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    register()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = tokenizer("f([3, 1, 4])", return_tensors="pt")["input_ids"]
    assert type(loaded) is type(model)
    assert torch.equal(loaded(ids).logits, model(ids).logits)
