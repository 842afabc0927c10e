"""The world's model in the shape of other families: the same embeddings of digits, the same behaviour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from coderlplus_lab.world.model import make_model, register
from coderlplus_lab.world.tokenizer import make_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="module")
def llama(tokenizer: Any) -> Any:
    return make_model(tokenizer, seed=0, family="llama", width=32, layers=2, heads=2, mlp=64).eval()


def test_a_llama_of_the_world_is_a_stock_one_with_the_embeddings_of_digits(llama: Any) -> None:
    assert isinstance(llama, LlamaForCausalLM)
    assert {"model.embed_value.weight", "model.embed_index.weight"} <= llama.state_dict().keys()
    assert not any(name.endswith("_proj.bias") for name in llama.state_dict())


def test_its_generation_with_a_cache_is_the_same_as_without(llama: Any, tokenizer: Any) -> None:
    batch = tokenizer(["f([3, 1, 4]", "sort the list f([9"], return_tensors="pt", padding=True)
    settings = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": tokenizer.pad_token_id, "eos_token_id": None}
    with_cache, without = (llama.generate(**batch, use_cache=use_cache, **settings) for use_cache in (True, False))
    assert torch.equal(with_cache, without)


def test_it_is_the_same_after_saving(llama: Any, tokenizer: Any, tmp_path: Path) -> None:
    register()
    llama.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = tokenizer("f([3, 1, 4])", return_tensors="pt")["input_ids"]
    assert type(loaded) is type(llama)
    assert torch.equal(loaded(ids).logits, llama(ids).logits)
