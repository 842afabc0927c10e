"""A model of the small world that knows nothing yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coderlplus.judge import Judge
from coderlplus.quickstart.model import make_model, register
from coderlplus.quickstart.tokenizer import make_tokenizer
from coderlplus.sandbox import Sandbox


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def model(tokenizer: Any) -> Any:
    return make_model(tokenizer, seed=0, width=32, layers=2, heads=2, mlp=64).eval()


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=2) as sandbox:
        yield Judge(sandbox)


@pytest.fixture(scope="session")
def model_folder(model: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a folder that a back end loads."""
    register()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
