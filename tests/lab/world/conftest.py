"""The tokenizer and an untaught, small model of the world."""

from __future__ import annotations

from typing import Any

import pytest

from coderlplus_lab.world.model import make_model
from coderlplus_lab.world.tokenizer import make_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def model(tokenizer: Any) -> Any:
    return make_model(tokenizer, seed=0, width=32, layers=2, heads=2, mlp=64).eval()
